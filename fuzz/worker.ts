/** Runs cases FROM, FROM + STEP, … below COUNT in this process, and tells the parent about each. */
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { makeSeeds } from "./seeds.ts";
import { makeStorageSeeds, runStorage } from "./storages.ts";
import { runCase } from "./target.ts";

/** To the parent. */
export type Message =
  | { readonly kind: "start"; readonly index: number; readonly seed: string }
  | { readonly kind: "done"; readonly index: number; readonly outcome: string; readonly rss: number }
  | { readonly kind: "failed"; readonly index: number; readonly seed: string; readonly error: string };

const [seed, from, step, count] = process.argv.slice(3).map(Number) as [number, number, number, number];
const pickCase = process.argv[2] === "storages" ? storageCases() : dumpCases();
for (let index = from; index < count; index += step) {
  const random = new Random(seed, index);
  const chosen = pickCase(index, random);
  // zlib gives back what failed streams held when the event loop turns: each case begins with a clean house.
  await new Promise((resolve) => setImmediate(resolve));
  send({ kind: "start", index, seed: chosen.name });
  try {
    const outcome = await chosen.run();
    send({ kind: "done", index, outcome, rss: process.memoryUsage.rss() });
  } catch (error) {
    send({ kind: "failed", index, seed: chosen.name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
process.disconnect?.();

/** A case: what of, and what to do. */
type Pick = (index: number, random: Random) => { readonly name: string; readonly run: () => Promise<string> };

function dumpCases(): Pick {
  const seeds = makeSeeds();
  return (index, random) => {
    // A whole kernel finds more than a header does; every third case is one.
    const chosen = index % 3 === 0 ? seeds[random.below(2)]! : random.pick(seeds);
    return { name: chosen.name, run: () => runCase(chosen, mutate(chosen, random), random) };
  };
}

function storageCases(): Pick {
  const seeds = makeStorageSeeds();
  return (_, random) => {
    const chosen = random.pick(seeds);
    return { name: chosen.name, run: () => runStorage(chosen, mutate(chosen, random)) };
  };
}

function send(message: Message): void {
  process.send!(message);
}
