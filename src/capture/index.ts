export { checkDump, type CheckResult } from "./check.ts";
export { saveKdump, type SaveOptions, type SaveResult } from "./save/kdump.ts";
export { saveElf } from "./save/elf.ts";
export type { SaveCodec } from "./save/compress.ts";
export { fileOutput, flattenedOutput, isFull, type Output } from "./save/output.ts";
export { quickLog, saveLight, syncFolder } from "./save/light.ts";
export { rearrange } from "./save/rearrange.ts";
export { forecast, type Forecast } from "./save/forecast.ts";
