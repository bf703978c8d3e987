/**
 * Mutates dumps of every format and runs the whole report on them.
 *
 *     node fuzz/run.ts [--count N] [--seed S] [--case I]
 *
 * Ends with status 1 when a case lets anything but a DumpError escape, takes over five seconds or 512 MiB.
 */
import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";

const { values } = parseArgs({
  options: { count: { type: "string", default: "10000" }, seed: { type: "string" }, case: { type: "string" } },
});
const seed = Number(values.seed ?? Math.floor(Date.now() / 1000));
const started = Date.now();
const result = await fuzz(seed, Number(values.count), values.case === undefined ? undefined : Number(values.case), (done) => {
  if (process.stderr.isTTY) process.stderr.write(`\r${done} cases`);
});
const seconds = (Date.now() - started) / 1000;
for (const failure of result.failures) process.stdout.write(`${failure}\n\n`);
const outcomes = Object.entries(result.outcomes).map(([name, count]) => `${count} ${name === "report" ? "reports" : "errors"}`);
process.stdout.write(
  `seed ${seed}: ${result.cases} cases in ${seconds.toFixed(0)} s (${(result.cases / seconds).toFixed(0)} a second), ${outcomes.join(", ")}, at most ${Math.round(result.peakRss / 2 ** 20)} MiB, ${result.failures.length} failures\n`,
);
process.exitCode = result.failures.length > 0 ? 1 : 0;
