/** What the commands print with --json follows the schemas in schema/, and those say no more and no less. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { collectEvidence } from "../../src/evidence/index.ts";
import { Kernel } from "../../src/kernel/index.ts";
import { buildReport, type Report } from "../../src/report/index.ts";
import { runMain } from "../cli/memory-sink.ts";

const ajv = new Ajv2020({
  strict: true,
  allErrors: true,
  allowUnionTypes: true,
  formats: { "date-time": (text: string) => !Number.isNaN(Date.parse(text)) },
});

function schemaOf(name: string): { readonly json: Record<string, unknown>; readonly validate: ValidateFunction } {
  const json = JSON.parse(readFileSync(join("schema", `${name}-1.schema.json`), "utf8")) as Record<string, unknown>;
  return { json, validate: ajv.getSchema(`lastwords-${name}-1`) ?? ajv.compile(json) };
}

const samples = readdirSync("samples").filter((file) => file.endsWith(".vmcore"));

async function reportOf(path: string, withKernel = true): Promise<Report> {
  const evidence = await collectEvidence([path], {});
  try {
    const kernel = withKernel && evidence.dump ? new Kernel(evidence.dump.dump) : undefined;
    return buildReport({ evidence, kernel, kernelFailure: undefined, version: "0" });
  } finally {
    evidence.dump?.dump.close();
  }
}

describe.each(samples)("report of %s", (file) => {
  test("follows its schema", async () => {
    const { validate } = schemaOf("report");
    validate(JSON.parse(JSON.stringify(await reportOf(join("samples", file)))));
    expect(validate.errors).toBeNull();
  });

  test("every receipt points at something", async () => {
    const report = await reportOf(join("samples", file));
    expect(Object.keys(report.receipts).length).toBeGreaterThan(10);
    for (const pointer of Object.keys(report.receipts)) expect(resolve(report, pointer), pointer).not.toBeUndefined();
  });
});

test("a report without a kernel follows the schema, too", async () => {
  const { validate } = schemaOf("report");
  validate(JSON.parse(JSON.stringify(await reportOf(join("samples", samples[0]!), false))));
  expect(validate.errors).toBeNull();
});

test("a report with a wrong or missing property does not follow it", async () => {
  const { validate } = schemaOf("report");
  const report = JSON.parse(JSON.stringify(await reportOf(join("samples", samples[0]!)))) as Record<string, unknown>;
  expect(validate({ ...report, surprise: 1 })).toBe(false);
  expect(validate({ ...report, title: undefined })).toBe(false);
  expect(validate({ ...report, tasks: [{ pid: "1" }] })).toBe(false);
});

const COMMANDS: readonly (readonly [name: string, ...args: string[]])[] = [
  ["info"],
  ["notes"],
  ["dmesg"],
  ["ps"],
  ["mod"],
  ["bt", "--tasks"],
  ["bt", "-a"],
  ["read", "--physical", "1000", "--length", "32", "--zero-excluded"],
];

describe.each(COMMANDS)("%s %s", (name, ...args) => {
  test.each(samples)("of %s follows its schema", async (file) => {
    const { out, code } = await runMain([name, join("samples", file), "--json", "-q", ...args]);
    expect([0, 3]).toContain(code);
    const { validate } = schemaOf(name);
    validate(JSON.parse(out));
    expect(validate.errors).toBeNull();
  });
});

test("the schema and the model name the same properties", () => {
  // Every property of the schema stands in the model's source and the other way round: neither drifts from the other.
  const model = readFileSync("src/report/model.ts", "utf8");
  const declared = new Set([...model.matchAll(/readonly (\w+)\??:/g)].map((match) => match[1]!));
  const described = new Set<string>();
  collectProperties(schemaOf("report").json, described);
  expect([...described].sort()).toEqual([...declared].sort());
});

function collectProperties(node: unknown, into: Set<string>): void {
  if (typeof node !== "object" || node === null) return;
  const properties = (node as { properties?: Record<string, unknown> }).properties;
  for (const name of Object.keys(properties ?? {})) into.add(name);
  for (const value of Object.values(node)) collectProperties(value, into);
}

/** RFC 6901, without escapes but for settings' names, which have none. */
function resolve(report: Report, pointer: string): unknown {
  return pointer
    .split("/")
    .slice(1)
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], report);
}
