export { withFfi } from "./ffi.ts";
export { collectGarbage } from "./garbage.ts";
