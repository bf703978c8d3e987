import { DumpError } from "../bytes/index.ts";
import type { Report } from "./model.ts";
import type { PageData } from "./page-data.ts";

/** Stands in the built page where the report goes; it is JSON itself, so that the empty page is whole. */
const PLACE = '"lastwords-report-goes-here"';

// `<` ends or nests script elements (`</script`, `<!--`). The others could reorder, hide or break lines where somebody
// reads the file's source: controls, bidi marks, separators, byte order marks. JSON itself escapes C0 and lone surrogates.
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[<>&\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Bidi tags and invisible selectors beyond the first plane, as pairs. */
const UNSAFE_PAIRS = /\udb40[\udc00-\udfff]/g;

/**
 * The report as one HTML file: the built page (`dist/report.html`) with the data in it. No text of the evidence becomes
 * markup: all of it is JSON in a script element that is never run, and the page's policy allows only its own script.
 *
 * @throws CORRUPT when `template` is not the built page.
 */
export function renderHtml(report: Report, template: string, extra: Omit<PageData, "report"> = {}): string {
  const at = template.indexOf(PLACE);
  if (at < 0 || template.includes(PLACE, at + 1)) throw new DumpError("CORRUPT", "the page has not exactly one place for the report");
  // The joined log has all that the page shows of the report's own.
  const own = report.timeline ? { ...report, log: { ...report.log, text: "" } } : report;
  const data: PageData = { report: own, ...extra };
  return template.slice(0, at) + safeJson(data) + template.slice(at + PLACE.length);
}

/** JSON that may stand in a script element of an HTML page. */
export function safeJson(value: unknown): string {
  const escape = (text: string): string => {
    let escaped = "";
    for (let i = 0; i < text.length; i++) escaped += `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`;
    return escaped;
  };
  return JSON.stringify(value).replace(UNSAFE, escape).replace(UNSAFE_PAIRS, escape);
}
