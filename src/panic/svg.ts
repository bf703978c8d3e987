/** The flow as a drawing that needs nothing but itself, and reads on white and on black. */
import { evidenceText } from "./evidence.ts";
import { type Flow, isQuiet } from "./explain.ts";
import { describeSettings } from "./settings.ts";
import { wrap } from "./trace.ts";

const BOX_X = 24;
const BOX_WIDTH = 430;
const SIDE_X = BOX_X + BOX_WIDTH + 40;
const WIDTH = 960;
const LINE = 16;
const GAP = 22;
const SIDE_CHARS = 62;

const STYLE = `
  :root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #8c959f; --paper: #ffffff; --box: #f6f8fa; --dump: #ddf4ff; --capture: #dafbe1; --gain: #116329; --else: #9a3412; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6edf3; --soft: #9198a1; --line: #6e7681; --paper: #0d1117; --box: #161b22; --dump: #0c2d4a; --capture: #0f2f1a; --gain: #56d364; --else: #f0883e; }
  }
  text { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; fill: var(--ink); }
  .head { font-weight: bold; font-size: 15px; }
  .soft { fill: var(--soft); font-size: 11px; }
  .gain { fill: var(--gain); }
  .else { fill: var(--else); }
  rect { fill: var(--box); stroke: var(--line); }
  rect.paper { fill: var(--paper); stroke: none; }
  rect.dump { fill: var(--dump); }
  rect.capture { fill: var(--capture); }
  path { stroke: var(--line); fill: none; }
  marker path { fill: var(--line); stroke: none; }`;

/** Draws `the` flow. The result is a whole SVG document. */
export function drawFlow(the: Flow): string {
  const out: string[] = [];
  let y = 34;
  const text = (x: number, at: number, words: string, kind = ""): void => {
    out.push(`<text x="${x}" y="${at}"${kind === "" ? "" : ` class="${kind}"`}>${escapeXml(words)}</text>`);
  };
  text(BOX_X, y, `${the.variant.title}: from ${the.entry === "panic" ? "panic()" : "an oops"} to the end`, "head");
  for (const line of wrap(describeSettings(the.settings), 120)) text(BOX_X, (y += LINE + 2), line, "soft");
  y += 18;
  let first = true;
  for (const one of the.steps) {
    if (isQuiet(one)) continue;
    const { step } = one;
    const side: (readonly [string, string])[] = [
      ...(step.needs === "nothing" ? [] : wrap(`needs ${step.needs}`, SIDE_CHARS).map((line) => [line, "soft"] as const)),
      ...(one.otherwise === undefined ? [] : wrap(`else: ${one.otherwise}`, SIDE_CHARS - 4).map((line) => [line, "else"] as const)),
      ...(one.gains.length === 0 ? [] : [[`+ ${one.gains.map((name) => evidenceText[name]).join(", ")}`, "gain"] as const]),
    ];
    const height = Math.max(44, side.length * LINE + 8);
    if (!first) out.push(`<path d="M${BOX_X + BOX_WIDTH / 2} ${y - GAP} v${GAP - 3}" marker-end="url(#tip)"/>`);
    first = false;
    const kind = step.capture === true ? "capture" : step.dumps === true ? "dump" : "";
    out.push(`<rect x="${BOX_X}" y="${y}" width="${BOX_WIDTH}" height="${height}" rx="5"${kind === "" ? "" : ` class="${kind}"`}/>`);
    text(BOX_X + 10, y + 19, step.name);
    text(BOX_X + 10, y + 35, step.cites, "soft");
    if (side.length > 0) out.push(`<path d="M${BOX_X + BOX_WIDTH} ${y + 22} H${SIDE_X - 8}" stroke-dasharray="2 4"/>`);
    side.forEach(([words, kind], index) => text(SIDE_X, y + 18 + index * LINE, words, kind));
    y += height + GAP;
  }
  text(BOX_X, y, `end: ${the.end}`, "head");
  for (const line of wrap(`there is: ${the.evidence.map((name) => evidenceText[name]).join(", ") || "nothing"}`, 110))
    text(BOX_X, (y += LINE + 2), line, "gain");
  y += 20;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img">`,
    `<title>${escapeXml(`${the.variant.title}: the way through a panic`)}</title>`,
    `<style>${STYLE}\n</style>`,
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker></defs>',
    `<rect class="paper" width="${WIDTH}" height="${y}"/>`,
    ...out,
    "</svg>",
    "",
  ].join("\n");
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
