/**
 * Mutates dumps of every format and runs the whole report on them, and storages of pstore's backends and reads those.
 *
 *     node fuzz/run.ts [--target dumps|storages] [--count N] [--seed S] [--case I]
 *
 * Without a target, N cases of each. Ends with status 1 when a case lets anything but a DumpError escape, takes over five seconds or 512 MiB.
 */
import { parseArgs } from "node:util";
import { fuzz, targets } from "./fuzz.ts";

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    count: { type: "string", default: "10000" },
    seed: { type: "string" },
    case: { type: "string" },
  },
});
const seed = Number(values.seed ?? Math.floor(Date.now() / 1000));
const only = values.case === undefined ? undefined : Number(values.case);
const chosen = targets.filter((target) => target === (values.target ?? target));
if (chosen.length === 0) throw new Error(`--target ${values.target}: there are ${targets.join(" and ")}`);
for (const target of chosen) {
  const started = Date.now();
  const progress = (done: number): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r${done} cases`);
  };
  const result = await fuzz(seed, Number(values.count), only, progress, target);
  const seconds = (Date.now() - started) / 1000;
  for (const failure of result.failures) process.stdout.write(`${failure}\n\n`);
  const outcomes = Object.entries(result.outcomes).map(([name, count]) => `${count} ${name}s`);
  process.stdout.write(
    `${target}, seed ${seed}: ${result.cases} cases in ${seconds.toFixed(0)} s (${(result.cases / seconds).toFixed(0)} a second), ${outcomes.join(", ")}, at most ${Math.round(result.peakRss / 2 ** 20)} MiB, ${result.failures.length} failures\n`,
  );
  if (result.failures.length > 0) process.exitCode = 1;
}
