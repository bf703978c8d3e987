/** `save` beside makedumpfile: time, size and memory for the same levels and codecs, in turn. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { compare, type Contender, type Figures } from "./measure.ts";
import type { Peers } from "./peers.ts";

/** One line: ours, or the peer's beside it. */
export interface SaveRow {
  readonly what: string;
  readonly figures: Figures;
  /** Bytes of the file. */
  readonly size: number;
  /** Its time over ours, and its size over ours; of a peer. */
  readonly timesOurs?: number;
  readonly sizesOurs?: number;
  /** What `timesOurs` shall be at least; of makedumpfile as it is run by hand. */
  readonly goal?: number;
}

const CODECS = [
  ["-z", "zstd"],
  ["-c", "zlib"],
  ["-l", "LZO"],
] as const;
const LEVELS = [31, 1] as const;

/** Of a dump this large the pages count and not the start. */
const LARGE = 2e9;
const GOALS = { large: { zstd: 1.5, zlib: 1.5, LZO: 1 }, small: { zstd: 1.2, zlib: 1.5, LZO: 1 / 1.5 } } as const;

/** Measures all; what failed is told to `note`. */
export async function benchSave(
  lastwords: readonly string[],
  dump: string,
  peers: Peers,
  runs: number,
  note: (text: string) => void,
): Promise<SaveRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-bench-save-"));
  const rows: SaveRow[] = [];
  const large = statSync(dump).size >= LARGE;
  try {
    for (const level of LEVELS) {
      for (const [flag, codec] of CODECS) {
        const out = join(folder, "out");
        const ours = [...lastwords, "save", "-q", "-d", `${level}`, flag, dump, out];
        const theirs = peers.makedumpfileSave(dump, ["-d", `${level}`, flag]);
        const synced = peers.makedumpfileSave(dump, ["-d", `${level}`, flag], true);
        // By default it has one thread, and that is how kdump scripts run it; with more it is slower than with one.
        const threads = ["-d", `${level}`, flag, "--num-threads", `${availableParallelism()}`];
        const threaded = level === 31 ? peers.makedumpfileSave(dump, threads) : undefined;
        const contenders: Contender[] = [
          { name: "lastwords", command: ours, good: [0, 3] },
          { name: "unchecked", command: [...ours, "--no-check", "--no-light"], good: [0, 3] },
          // As Node 24 does it.
          ...(level === 31 && codec === "zstd" ? [{ name: "no ffi", command: ["env", "LASTWORDS_NO_FFI=1", ...ours], good: [0, 3] }] : []),
          ...[theirs, synced, threaded].flatMap((peer) => (peer ? [peer.contender] : [])),
        ];
        const sizes = { ours: 0, theirs: 0 };
        // Nobody pays for what another one left to be written, or for replacing its file.
        const prepare = (): void => {
          if (existsSync(out)) sizes.ours = statSync(out).size;
          if (theirs && existsSync(theirs.output)) sizes.theirs = statSync(theirs.output).size;
          for (const name of readdirSync(folder)) rmSync(join(folder, name));
          if (theirs) rmSync(theirs.output, { force: true });
          execFileSync("sync");
        };
        const results = await compare(contenders, runs, prepare);
        prepare();
        const base = results.get("lastwords")!;
        for (const [name, figures] of results) {
          if (figures instanceof Error) {
            note(`${name} -d ${level} ${flag} failed: ${figures.message}`);
            continue;
          }
          const what = `${LABELS[name] ?? name} -d ${level} (${codec})`;
          if (name in LABELS) {
            rows.push({ what, figures, size: sizes.ours });
            continue;
          }
          const timesOurs = base instanceof Error ? NaN : figures.seconds / base.seconds;
          const goal = GOALS[large ? "large" : "small"][codec];
          const counts = name === "makedumpfile" && (large || level === 31);
          rows.push({ what, figures, size: sizes.theirs, timesOurs, sizesOurs: sizes.theirs / sizes.ours, ...(counts ? { goal } : {}) });
        }
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}

const LABELS: Readonly<Record<string, string>> = {
  lastwords: "lastwords save",
  unchecked: "  --no-check --no-light",
  "no ffi": "  without node:ffi",
};
