import { expect, test } from "vitest";
import { fuzz } from "../../fuzz/fuzz.ts";

/** Changes with nothing but the code: a failure here is told again by the command that it names. */
const SEED = 1;

test("500 mutated dumps: no exception but DumpError, no hang, no swelling", { timeout: 300_000 }, async () => {
  const { cases, outcomes, failures } = await fuzz(SEED, 500);
  expect(failures).toEqual([]);
  expect(cases).toBe(500);
  // Both kinds of answer must occur, or the fuzzer mutates too little or too much.
  expect(outcomes["report"]).toBeGreaterThan(50);
  expect(outcomes["error"]).toBeGreaterThan(10);
});

test("200 mutated storages of pstore: an answer to each", { timeout: 300_000 }, async () => {
  const { cases, outcomes, failures } = await fuzz(SEED, 200, undefined, undefined, "storages");
  expect(failures).toEqual([]);
  expect(cases).toBe(200);
  expect(outcomes["report"]).toBeGreaterThan(50);
  expect(outcomes["error"]).toBeGreaterThan(10);
});
