/** Runs cases FROM, FROM + STEP, … below COUNT in this process, and tells the parent about each. */
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { makeSeeds } from "./seeds.ts";
import { runCase } from "./target.ts";

/** To the parent. */
export type Message =
  | { readonly kind: "start"; readonly index: number; readonly seed: string }
  | { readonly kind: "done"; readonly index: number; readonly outcome: string; readonly rss: number }
  | { readonly kind: "failed"; readonly index: number; readonly seed: string; readonly error: string };

const [seed, from, step, count] = process.argv.slice(2).map(Number) as [number, number, number, number];
const seeds = makeSeeds();
for (let index = from; index < count; index += step) {
  const random = new Random(seed, index);
  // A whole kernel finds more than a header does; every third case is one.
  const chosen = index % 3 === 0 ? seeds[random.below(2)]! : random.pick(seeds);
  send({ kind: "start", index, seed: chosen.name });
  try {
    const outcome = await runCase(chosen, mutate(chosen, random), random);
    send({ kind: "done", index, outcome, rss: process.memoryUsage.rss() });
  } catch (error) {
    send({ kind: "failed", index, seed: chosen.name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
process.disconnect?.();

function send(message: Message): void {
  process.send!(message);
}
