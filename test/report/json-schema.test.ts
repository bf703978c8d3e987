/** What the commands print with --json follows the schemas in schema/, and those say no more and no less. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { collectEvidence } from "../../src/evidence/index.ts";
import { Kernel } from "../../src/kernel/index.ts";
import { buildReport, type Report } from "../../src/report/index.ts";
import { runMain } from "../cli/memory-sink.ts";
import { evidence as storage } from "../pstore/evidence.ts";
import { cperRecord } from "../writers/erst.ts";

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

/** The dumps of the repository, and those of the evidence folder where that is beside it. */
const EVIDENCE = "../shared/evidence";
const samples = readdirSync("samples")
  .filter((file) => file.endsWith(".vmcore"))
  .map((file) => join("samples", file));
const dumps = [
  ...samples,
  ...(existsSync(EVIDENCE) ? readdirSync(EVIDENCE) : []).map((name) => join(EVIDENCE, name, "vmcore")).filter((path) => existsSync(path)),
];
const logs = (existsSync(EVIDENCE) ? readdirSync(EVIDENCE) : [])
  .map((name) => join(EVIDENCE, name, "console.log"))
  .filter((path) => existsSync(path));

async function reportOf(path: string, withKernel = true): Promise<Report> {
  const evidence = await collectEvidence([path], {});
  try {
    const kernel = withKernel && evidence.dump ? new Kernel(evidence.dump.dump) : undefined;
    return buildReport({ evidence, kernel, kernelFailure: undefined, version: "0" });
  } finally {
    evidence.dump?.dump.close();
  }
}

describe.each(dumps)("report of %s", (file) => {
  test("follows its schema", async () => {
    const { validate } = schemaOf("report");
    validate(JSON.parse(JSON.stringify(await reportOf(file))));
    expect(validate.errors).toBeNull();
  });

  test("every receipt points at something", async () => {
    const report = await reportOf(file);
    expect(Object.keys(report.receipts).length).toBeGreaterThan(10);
    // A receipt for what is not there would be a claim about nothing.
    for (const pointer of Object.keys(report.receipts)) expect(resolve(report, pointer) ?? null, pointer).not.toBeNull();
  });
});

test("a report without a kernel follows the schema, too", async () => {
  const { validate } = schemaOf("report");
  validate(JSON.parse(JSON.stringify(await reportOf(samples[0]!, false))));
  expect(validate.errors).toBeNull();
});

if (logs.length === 0) test.skip(`skipped: ${EVIDENCE} is not beside the repository`, () => {});
test.each(logs)("a report of %s alone follows the schema, and its receipts point at something", async (file) => {
  const { validate } = schemaOf("report");
  const report = await reportOf(file);
  validate(JSON.parse(JSON.stringify(report)));
  expect(validate.errors).toBeNull();
  for (const pointer of Object.keys(report.receipts)) expect(resolve(report, pointer) ?? null, pointer).not.toBeNull();
});

test("a report with a wrong or missing property does not follow it", async () => {
  const { validate } = schemaOf("report");
  const report = JSON.parse(JSON.stringify(await reportOf(samples[0]!))) as Record<string, unknown>;
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
  test.each(dumps)("of %s follows its schema", async (file) => {
    const { out, code } = await runMain([name, file, "--json", "-q", ...args]);
    expect([0, 3]).toContain(code);
    const { validate } = schemaOf(name);
    validate(JSON.parse(out));
    expect(validate.errors).toBeNull();
  });
});

describe("pstore", () => {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-schema-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const path = (name: string): string => join(folder, name);

  beforeAll(() => {
    for (const name of ["pstore-ramoops-deflate-ecc", "pstore-blk-lz4", "hung-task-after-capture"])
      writeFileSync(path(name), storage(name));
    // Blocks beyond mending and a time that is no date.
    const damaged = storage("pstore-ramoops-deflate-ecc");
    damaged.fill(0xa5, 0xf0000 + 200, 0xf0000 + 500);
    writeFileSync(path("damaged"), damaged);
    writeFileSync(path("erst"), cperRecord({ id: 2n ** 64n - 1n, data: Buffer.from("<0>last\n"), seconds: 2n ** 52n }));
    writeFileSync(path("zeros"), new Uint8Array(4096));
    mkdirSync(path("records"));
    writeFileSync(path("records/pmsg-ramoops-0"), Uint8Array.of(0xff, 0x41, 0));
  });

  const FILES = ["pstore-ramoops-deflate-ecc", "pstore-blk-lz4", "hung-task-after-capture", "damaged", "erst", "zeros", "records"];
  test.each(FILES.flatMap((file) => [[file, "ls"] as const, [file, "cat"] as const]))("%s: %s follows its schema", async (file, action) => {
    const { out, code } = await runMain(["pstore", action, path(file), "--json", "-q"]);
    expect([0, 3, 4]).toContain(code);
    const { validate } = schemaOf("pstore");
    const value = JSON.parse(out) as { storages: { records: Record<string, unknown>[] }[] };
    validate(value);
    expect(validate.errors).toBeNull();
    for (const record of value.storages.flatMap(({ records }) => records)) expect("text" in record).toBe(action === "cat");
  });

  test("a record with a wrong or surplus property does not follow it", async () => {
    const { validate } = schemaOf("pstore");
    const value = JSON.parse((await runMain(["pstore", "ls", path("damaged"), "--json", "-q"])).out) as {
      storages: { records: Record<string, unknown>[] }[];
    };
    value.storages[0]!.records[0]!["surprise"] = 1;
    expect(validate(value)).toBe(false);
    delete value.storages[0]!.records[0]!["surprise"];
    expect(validate(value)).toBe(true);
    value.storages[0]!.records[0]!["state"] = "lost";
    expect(validate(value)).toBe(false);
  });
});

/** Interfaces of the model as declared: their own properties and those of object types written in place. */
function declaredIn(source: string): Map<string, { readonly required: Set<string>; readonly optional: Set<string> }> {
  const interfaces = new Map<string, { readonly required: Set<string>; readonly optional: Set<string> }>();
  const bases = new Map<string, string>();
  for (const [, name, base, body] of source.matchAll(/^export interface (\w+)(?: extends (\w+))? \{\n([\s\S]*?)^\}/gm)) {
    const properties = [...body!.matchAll(/readonly (\w+)(\??):/g)];
    interfaces.set(name!, {
      required: new Set(properties.filter((match) => match[2] === "").map((match) => match[1]!)),
      optional: new Set(properties.filter((match) => match[2] === "?").map((match) => match[1]!)),
    });
    if (base !== undefined) bases.set(name!, base);
  }
  for (const [name, base] of bases) for (const property of interfaces.get(base)!.required) interfaces.get(name)!.required.add(property);
  return interfaces;
}

/** Interfaces that the schema writes in place, where the model has a name for them. */
const INLINE: Readonly<Record<string, readonly string[]>> = { PanicReport: ["RegisterReport", "CodeReport", "TaskName"] };

describe("the schema and the model name the same properties, interface by interface", () => {
  // Neither may drift from the other: what is in one and not in the other is named by the failure.
  const model = declaredIn(readFileSync("src/report/model.ts", "utf8"));
  const { json } = schemaOf("report");
  const parts = new Map<string, unknown>([["Report", { ...json, $defs: {} }]]);
  for (const [name, part] of Object.entries(json["$defs"] as Record<string, unknown>)) {
    const capital = name[0]!.toUpperCase() + name.slice(1);
    parts.set(model.has(`${capital}Report`) ? `${capital}Report` : capital, part);
  }

  test("there is a definition for each", () => {
    const inline = Object.values(INLINE).flat();
    expect([...model.keys()].filter((name) => !parts.has(name) && !inline.includes(name))).toEqual([]);
    expect([...parts.keys()].filter((name) => !model.has(name))).toEqual([]);
  });

  test.each([...parts.keys()])("%s", (name) => {
    const declared = [name, ...(INLINE[name] ?? [])].map((each) => model.get(each)!);
    const described = { all: new Set<string>(), required: new Set<string>() };
    collectProperties(parts.get(name), described);
    expect([...described.required].sort()).toEqual([...new Set(declared.flatMap(({ required }) => [...required]))].sort());
    expect([...described.all].sort()).toEqual(
      [...new Set(declared.flatMap(({ required, optional }) => [...required, ...optional]))].sort(),
    );
  });
});

/** Every object of the schemas is closed and says of each property what it is: they are read by people, too. */
test.each(readdirSync("schema"))("%s is strict and described", (file) => {
  const json = JSON.parse(readFileSync(join("schema", file), "utf8")) as { $id: string };
  expect(json.$id).toBe(`lastwords-${file.replace(".schema.json", "")}`);
  const faults: string[] = [];
  visit(json, "", (node, path) => {
    if (node["type"] === "object" && node["additionalProperties"] === undefined) faults.push(`${path} is open`);
    for (const [name, property] of Object.entries((node["properties"] ?? {}) as Record<string, Record<string, unknown>>)) {
      if (property["description"] === undefined && property["const"] === undefined && property["$ref"] === undefined)
        faults.push(`${path}/${name} has no description`);
    }
  });
  expect(faults).toEqual([]);
});

function visit(node: unknown, path: string, see: (node: Record<string, unknown>, path: string) => void): void {
  if (typeof node !== "object" || node === null) return;
  see(node as Record<string, unknown>, path);
  for (const [key, value] of Object.entries(node)) visit(value, `${path}/${key}`, see);
}

function collectProperties(node: unknown, into: { readonly all: Set<string>; readonly required: Set<string> }): void {
  visit(node, "", (part) => {
    // A schema has its properties as an object; a property that is called so would have one, too, but none is.
    for (const name of Object.keys((part["properties"] ?? {}) as object)) into.all.add(name);
    if (Array.isArray(part["required"])) for (const name of part["required"] as string[]) into.required.add(name);
  });
}

/** A JSON pointer of RFC 6901. */
function resolve(report: Report, pointer: string): unknown {
  return pointer
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], report);
}
