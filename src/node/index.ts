export { type Library, openHot, withFfi } from "./ffi.ts";
export { collectGarbage } from "./garbage.ts";
