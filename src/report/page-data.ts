import type { Report } from "./model.ts";

/** What the page of `--html` is drawn from: the report, and what only a page has room for. */
export interface PageData {
  readonly report: Report;
  /** The kernel's level of each line of the log, one digit each, `-` where it is not known. */
  readonly levels?: string;
  /** Number of the first line in the report, where that is the end of a longer log; 1 where it is absent. */
  readonly firstLine?: number;
  readonly dumps?: readonly PageDump[];
}

/** Content of a device dump. */
export interface PageDump {
  /** Its place in {@link Report.notes}. */
  readonly note: number;
  /** Base64. */
  readonly data: string;
  /** Of the whole dump: more than `data` holds, where it was cut. */
  readonly size: number;
}
