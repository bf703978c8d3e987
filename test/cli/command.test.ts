/** Every command on every sample, against golden output; `npx vitest run test/cli -u` writes it anew. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runMain } from "./memory-sink.ts";

const samples = readdirSync("samples").filter((file) => file.endsWith(".vmcore"));

const COMMANDS: readonly (readonly [golden: string, name: string, ...args: string[]])[] = [
  ["report", "report"],
  ["info", "info"],
  ["notes", "notes"],
  ["ps", "ps"],
  ["bt", "bt"],
  ["bt-all", "bt", "-a"],
  ["mod", "mod"],
];

describe.each(samples)("%s", (file) => {
  const path = join("samples", file);
  const folder = join("golden", file.replace(/\.vmcore$/, ""));

  test.each(COMMANDS)("%s", async (golden, name, ...args) => {
    const { code, out, err } = await runMain([name, path, ...args]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    await expect(out).toMatchFileSnapshot(join(folder, `${golden}.txt`));
  });

  test("dmesg prints the log that drgn has", async () => {
    const { out } = await runMain(["dmesg", path]);
    const oracle = JSON.parse(readFileSync(path.replace(/\.vmcore$/, ".drgn.json"), "utf8")) as { dmesg_sha256: string };
    expect(createHash("sha256").update(out, "utf8").digest("hex")).toBe(oracle.dmesg_sha256);
  });

  test("dmesg --raw has a level before each record", async () => {
    const { out } = await runMain(["dmesg", path, "--raw"]);
    expect(out).toMatch(/^<5>Linux version /);
  });
});

describe("read", () => {
  const path = join("samples", "evidence-6.1-oops.vmcore");

  test("virtual memory: the banner where its symbol is", async () => {
    const info = JSON.parse((await runMain(["info", path, "--json"])).out) as {
      sections: { title: string; fields: Record<string, string> }[];
    };
    const address = info.sections.find((section) => section.title === "VMCOREINFO")!.fields["SYMBOL(init_uts_ns)"]!;
    const { code, out } = await runMain(["read", path, "--virtual", address, "--length", "512", "--raw"]);
    expect(code).toBe(0);
    expect(out).toContain("6.1.192-evidence");
    const dump = (await runMain(["read", path, "--virtual", address, "--length", "0x20"])).out;
    expect(dump.split("\n")[0]).toMatch(new RegExp(`^${address}  [0-9a-f]{2} `));
  });

  test("an excluded page is an error that names it, or zeroes when asked", async () => {
    const refused = await runMain(["read", path, "--physical", "1000", "--length", "16"]);
    expect(refused).toMatchObject({ code: 3, out: "" });
    expect(refused.err).toContain("page at 0x1000 was left out of the dump");
    const zeroes = await runMain(["read", path, "--physical", "1000", "--length", "16", "--zero-excluded"]);
    expect(zeroes.code).toBe(0);
    expect(zeroes.out).toMatch(/^0000000000001000 {2}(00 ){8} (00 ){8}/);
    expect(zeroes.err).toContain("1 excluded page is shown as zeroes");
  });

  test("no RAM is another answer", async () => {
    const { code, err } = await runMain(["read", path, "--physical", "fffffff000", "--length", "16", "--zero-excluded"]);
    expect(code).toBe(3);
    expect(err).toContain("is not RAM of the dumped machine");
  });

  test("an address that is not mapped", async () => {
    const { code, err } = await runMain(["read", path, "--virtual", "ffffeeee00000000", "--length", "16"]);
    expect(code).toBe(3);
    expect(err).toContain("is not mapped");
  });
});

describe("notes", () => {
  const path = join("samples", "evidence-6.1-oops.vmcore");

  test("a device dump comes out as the driver wrote it", async () => {
    const { code, out } = await runMain(["notes", path, "--extract", "nic0_regs"]);
    expect(code).toBe(0);
    expect(out.startsWith("HWSTATE ")).toBe(true);
  });

  test("a name that is not there", async () => {
    const { code, err } = await runMain(["notes", path, "--extract", "nic9"]);
    expect(code).toBe(4);
    expect(err).toContain('no note "nic9" among the 5 of the dump');
  });

  test("a name that several have", async () => {
    const { code, err } = await runMain(["notes", path, "--extract", "CORE"]);
    expect(code).toBe(2);
    expect(err).toContain("2 notes are called CORE; give the number of one");
  });
});

describe("wrong input", () => {
  test("a text that is no dump", async () => {
    const { code, err } = await runMain(["ps", "README.md"]);
    expect(code).toBe(5);
    expect(err).toContain("README.md is no dump format known here");
  });

  test("a log without a crash", async () => {
    expect(await runMain(["report", "README.md"])).toMatchObject({ code: 4 });
  });

  test("a task that is not there", async () => {
    const { code, err } = await runMain(["bt", join("samples", "evidence-6.1-oops.vmcore"), "99999"]);
    expect(code).toBe(4);
    expect(err).toContain("the dump has no task 99999");
  });
});

describe("files that the user gives", () => {
  const path = join("samples", "evidence-6.1-oops.vmcore");

  test.each([
    ["--vmlinux", path, 5, "is no 64-bit ELF file"],
    ["--btf", "README.md", 5, "is no 64-bit ELF file"],
    ["--symbols", "README.md", 1, "it is no System.map"],
    ["--vmlinux", "/nonexistent", 1, "no such file"],
  ])("%s %s is refused in words", async (option, file, status, words) => {
    const { code, out, err } = await runMain(["report", path, option, file]);
    expect({ code, out }).toEqual({ code: status, out: "" });
    expect(err).toContain(words);
  });
});
