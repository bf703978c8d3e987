/** `save` beside makedumpfile: time, size and memory for the same levels and codecs, in turn. */
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
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
}

const CODECS = [
  ["-z", "zstd"],
  ["-c", "zlib"],
  ["-l", "LZO"],
] as const;
const LEVELS = [31, 1] as const;

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
  try {
    for (const level of LEVELS) {
      for (const [flag, codec] of CODECS) {
        const out = join(folder, "out");
        const ours = [...lastwords, "save", "-f", "-q", "-d", `${level}`, flag, dump, out];
        const theirs = peers.makedumpfileSave(dump, ["-d", `${level}`, flag]);
        // By default it has one thread, and that is how kdump scripts run it.
        const threaded = peers.makedumpfileSave(dump, ["-d", `${level}`, flag, "--num-threads", `${availableParallelism()}`]);
        const contenders: Contender[] = [
          { name: "lastwords", command: ours, good: [0, 3] },
          { name: "unchecked", command: [...ours, "--no-check", "--no-light"], good: [0, 3] },
          ...(theirs ? [theirs.contender] : []),
          ...(threaded ? [threaded.contender] : []),
        ];
        const results = await compare(contenders, runs);
        const size = statSync(out).size;
        const base = results.get("lastwords")!;
        for (const [name, figures] of results) {
          if (figures instanceof Error) {
            note(`${name} -d ${level} ${flag} failed: ${figures.message}`);
            continue;
          }
          const label = name === "lastwords" ? "lastwords save" : name === "unchecked" ? "  --no-check --no-light" : name;
          const what = `${label} -d ${level} (${codec})`;
          if (!name.startsWith("makedumpfile")) rows.push({ what, figures, size });
          else if (theirs && existsSync(theirs.output)) {
            const other = statSync(theirs.output).size;
            const timesOurs = base instanceof Error ? NaN : figures.seconds / base.seconds;
            rows.push({ what, figures, size: other, timesOurs, sizesOurs: other / size });
          }
        }
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}
