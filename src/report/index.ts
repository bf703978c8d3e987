export { buildReport, deviceData, frameOf, noteOf, type ReportInput, traceOf, traceTasks, type TracedTask } from "./build.ts";
export { renderHtml } from "./html.ts";
export type * from "./model.ts";
export type { PageData, PageDump } from "./page-data.ts";
export { renderFrames, renderReport, type RenderOptions } from "./text.ts";
export { crashesOfText, type CrashOptions, type CrashTitle, type LoggedCrash, titleOfLog, titlesOfLog } from "./title/index.ts";
export { describeSeconds } from "./summary.ts";
