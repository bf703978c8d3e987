/**
 * What changes from one run to the next is taken out of titles, so that equal crashes have equal ones
 * (google/syzkaller:pkg/report/report.go:dynamicTitleReplacement, sanitizeTitle). Applied in this order, each
 * until it changes nothing more: neighbouring matches overlap ("0,1,2").
 */
const VOLATILE: readonly (readonly [what: RegExp, instead: string])[] = [
  // A fuzzer's processes.
  [/syz-executor\.?[0-9]+(?:[/:][0-9]+)?/g, "syz-executor"],
  [/syzkaller[0-9]+(?:[/:][0-9]+)?/g, "syzkaller"],
  // Anything that may be an address.
  [/([^a-zA-Z0-9])(?:0x)?[0-9a-f]{6,}/g, "$1ADDR"],
  [/[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}/g, "IP"],
  // Lines of source files move.
  [/(\.\w+)(?::[0-9]+)+/g, "$1:LINE"],
  // func+0x12/0x345: offset and size change with every build.
  [/([a-zA-Z][a-zA-Z0-9_.]+)\+0x[0-9a-z]+\/0x[0-9a-z]+/g, "$1"],
  [/CPU#[0-9]+/g, "CPU"],
  // Any other number that stands alone. Those in names stay (cfg80211, nl802154), unless they are too long for one.
  [/(\W)\d+(\W|$)/g, "$1NUM$2"],
  [/\d{7,}/g, "NUM"],
];

/** Longer titles come from lines that ran into each other. Counted in bytes, as the console's text is. */
const MAX_TITLE_BYTES = 120;

/** Enough of a sentence to fill a title after everything volatile got shorter; bounds the work on hostile text. */
const MAX_SENTENCE = 1024;

/** Takes the volatile parts out of a title and makes it one line of printable ASCII. */
export function normaliseTitle(sentence: string): string {
  let title = sentence.slice(0, MAX_SENTENCE);
  for (const [what, instead] of VOLATILE) {
    for (let before = ""; before !== title;) {
      before = title;
      title = title.replace(what, instead);
    }
  }
  return printable(title);
}

/**
 * Makes a text one line of printable ASCII, cut like a title. The result is a copy: a name that was taken out of
 * a log by slicing would keep the whole log in memory.
 */
export function printable(text: string): string {
  let out = "";
  let bytes = 0;
  for (const char of text) {
    if (bytes >= MAX_TITLE_BYTES) {
      break;
    }
    const code = char.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (code === 0x09 || code === 0x20) {
      out += out === "" || out.endsWith(" ") ? "" : " ";
    } else if (code > 0x20 && code < 0x7f) {
      out += char;
    }
  }
  return out.trim();
}

const FRAME_IN_TITLE = /.* in ((?:<[a-zA-Z0-9_: ]+>)?[a-zA-Z0-9_:]+)/;

/** The guilty function as a title names it ("... in func"). */
export function frameInTitle(title: string): string | undefined {
  return FRAME_IN_TITLE.exec(title)?.[1];
}
