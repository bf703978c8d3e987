export { type Library, withFfi } from "./ffi.ts";
export { collectGarbage } from "./garbage.ts";
