import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { register as registerDevcoredump } from "./builtin/devcoredump.ts";
import { RAL, register as registerE1000, readPhysical, REGISTERS } from "./builtin/e1000.ts";
import { register as registerPciConfig } from "./builtin/pci-config.ts";
import { collectDeviceDumps, type CollectOptions } from "./collectors.ts";
import { type CollectedDumps, DeviceDumps } from "./registry.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "collectors-"));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (name: string, text: string, mode = 0o644): void => {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), mode);
};
const collect = (options: CollectOptions = {}): Promise<CollectedDumps> =>
  collectDeviceDumps({ directory: folder, builtIn: [], timeoutMs: 1500, ...options });
const texts = (result: CollectedDumps): unknown[] =>
  result.dumps.map(({ name, data }) => [name, Buffer.from(data).toString("latin1").replace(/\0+$/, "")]);

describe("modules of the drop-in directory", () => {
  test("register, and run by name", async () => {
    put(
      "20-two.mjs",
      `export function register(dumps) {
         for (const name of ["a", "b"]) dumps.addDeviceDump({ name, size: 10, collect: (buffer) => buffer.set(Buffer.from("says " + name)) });
       }`,
    );
    put(
      "10-typed.ts",
      `export async function register(dumps: { addDeviceDump(request: object): void }): Promise<void> {
         console.log("noise on standard output");
         dumps.addDeviceDump({ name: "typed", size: 5000, collect: async (buffer: Uint8Array) => void buffer.fill(65) });
       }`,
    );
    const result = await collect();
    expect(result.lost).toEqual([]);
    expect(texts(result)).toEqual([
      ["typed", "A".repeat(5000)],
      ["a", "says a"],
      ["b", "says b"],
    ]);
    expect(result.dumps.map(({ data }) => data.length)).toEqual([5000, 10, 10]);
  });

  test("that hang, die or throw lose their own dump and no other", async () => {
    put(
      "bad.mjs",
      `const say = (text) => (buffer) => buffer.set(Buffer.from(text));
       const bad = {
         one: say("1"),
         spins: () => { for (;;); },
         two: say("2"),
         never: () => new Promise(() => {}),
         never2: () => new Promise(() => {}),
         waits: () => new Promise((resolve) => setTimeout(resolve, 1e6)),
         exits: () => process.exit(3),
         dies: () => process.kill(process.pid, "SIGSEGV"),
         three: say("3"),
         throws: () => { throw new Error("bus error"); },
         rejects: () => { Promise.reject(new Error("nobody listens")); return new Promise(() => {}); },
         four: say("4"),
       };
       export function register(dumps) { for (const [name, collect] of Object.entries(bad)) dumps.addDeviceDump({ name, size: 8, collect }); }`,
    );
    put("worse.mjs", "for (;;);");
    put("wrong.mjs", "export const register = 5;");
    put("z.mjs", `export const register = (dumps) => dumps.addDeviceDump({ name: "last", size: 8, collect: (b) => b.fill(90) });`);
    const result = await collect();
    expect(texts(result)).toEqual([
      ["one", "1"],
      ["two", "2"],
      ["three", "3"],
      ["four", "4"],
      ["last", "ZZZZZZZZ"],
    ]);
    expect(result.lost).toEqual([
      { name: "spins", reason: "not done after 1.5 s" },
      { name: "never", reason: "it waits for something that will not happen" },
      { name: "never2", reason: "it waits for something that will not happen" },
      { name: "waits", reason: "not done after 1.5 s" },
      { name: "exits", reason: "its process ended with status 3" },
      { name: "dies", reason: "its process ended with SIGSEGV" },
      { name: "throws", reason: "bus error" },
      { name: "rejects", reason: "its process ended with status 1: Error: nobody listens" },
      { name: "worse.mjs", reason: "not done after 1.5 s" },
      { name: "wrong.mjs", reason: "it does not export a function register(dumps)" },
    ]);
  });

  test("that register too much keep what is valid", async () => {
    put(
      "a.mjs",
      `export function register(dumps) {
         dumps.addDeviceDump({ name: "good", size: 1, collect: (b) => b.fill(71) });
         dumps.addDeviceDump({ name: "x".repeat(44), size: 1, collect() {} });
       }`,
    );
    put("b.mjs", `export const register = (dumps) => dumps.addDeviceDump({ name: "huge", size: 3e9, collect() {} });`);
    const result = await collect();
    expect(texts(result)).toEqual([["good", "G"]]);
    expect(result.lost).toEqual([
      { name: "a.mjs", reason: expect.stringMatching(/^the name "x+" is 44 bytes long/) },
      { name: "huge", reason: expect.stringMatching(/^its note needs 3000000512 bytes, 134213632 are left/) },
    ]);
  });

  test("that write nonsense to the descriptor of the frames are ended", async () => {
    put("a.mjs", `import { writeSync } from "node:fs"; export function register() { writeSync(3, Buffer.alloc(64, 255)); for (;;); }`);
    const result = await collect();
    expect(result.lost).toEqual([{ name: "a.mjs", reason: "the collector's process wrote something else than frames" }]);
  });
});

describe("executables of the drop-in directory", () => {
  test("give what they print", async () => {
    put("fw-log.sh", "#!/bin/sh\nprintf 'firmware says hello'; echo noise >&2\n", 0o755);
    put("nothing-here", "#!/bin/sh\nexit 0\n", 0o755);
    const result = await collect();
    expect(texts(result)).toEqual([["fw-log", "firmware says hello"]]);
    expect(result.dumps[0]!.data).toHaveLength(19);
    expect(result.lost).toEqual([]);
  });

  test("that fail, hang or print without end", async () => {
    put("a-fails", "#!/bin/sh\necho half; echo 'no such card' >&2; exit 5\n", 0o755);
    put("b-hangs", `#!/bin/sh\necho begun; (sleep 1000; echo late > ${folder}/late) & sleep 1000\n`, 0o755);
    put("c-endless", "#!/bin/sh\nyes\n", 0o755);
    put("d-no-interpreter", "#!/no/such/thing\n", 0o755);
    put("e-good", "#!/bin/sh\necho good\n", 0o755);
    const result = await collect({ maxDumpBytes: 6 });
    expect(texts(result)).toEqual([
      ["c-endless", "y\ny\ny\n"],
      ["e-good", "good\n"],
    ]);
    expect(result.lost).toEqual([
      { name: "a-fails", reason: "its process ended with status 5: no such card" },
      { name: "b-hangs", reason: "not done after 1.5 s" },
      { name: "c-endless", reason: "its output was cut after 6 bytes" },
      { name: "d-no-interpreter", reason: "no such file or directory" },
    ]);
  });

  test("the whole has a time limit of its own", async () => {
    for (const name of ["a", "b", "c"]) put(name, "#!/bin/sh\nsleep 100\n", 0o755);
    const start = performance.now();
    const result = await collect({ overallTimeoutMs: 400 });
    expect(performance.now() - start).toBeLessThan(3000);
    expect(result.lost.map(({ name }) => name)).toEqual(["a", "b", "c"]);
    expect(result.lost[2]!.reason).toBe("all collectors together took more than 0.4 s");
  });
});

test("the examples run as they are", async () => {
  const examples = new URL("../../../examples/collectors/", import.meta.url);
  put("acpi-errors.mjs", readFileSync(new URL("acpi-errors.mjs", examples), "utf8"));
  put("bus-map.sh", readFileSync(new URL("bus-map.sh", examples), "utf8"), 0o755);
  const result = await collect({ timeoutMs: 10_000 });
  expect(result.lost).toEqual([]);
  const map = result.dumps.find(({ name }) => name === "bus-map");
  expect(Buffer.from(map!.data).toString("latin1")).toMatch(/^== \/proc\/iomem\n/);
});

describe("the drop-in directory", () => {
  test("may be missing", async () => {
    expect(await collect({ directory: join(folder, "none") })).toMatchObject({ dumps: [], lost: [] });
    expect(await collect({ directory: undefined })).toMatchObject({ dumps: [], lost: [] });
  });

  test("runs nothing that others may have written, and says what cannot run", async () => {
    put("forgotten-chmod", "#!/bin/sh\necho x\n");
    put("open.sh", "#!/bin/sh\necho x\n", 0o777);
    put("README.md", "text");
    put("old.sh~", "#!/bin/sh\necho x\n", 0o755);
    symlinkSync("/no/where", join(folder, "dangling"));
    const result = await collect();
    expect(result.dumps).toEqual([]);
    expect(result.lost).toEqual([
      { name: "dangling", reason: "no such file or directory" },
      { name: "forgotten-chmod", reason: "it is neither a module (.js, .mjs, .ts) nor executable" },
      { name: "open.sh", reason: "it may be written by others than its owner (chmod go-w)" },
    ]);
    chmodSync(folder, 0o777);
    expect((await collect()).lost).toEqual([
      { name: folder, reason: "the directory may be written by others than its owner (chmod go-w)" },
    ]);
  });
});

describe("the built-in collectors", () => {
  const device = (address: string, files: Record<string, string | Uint8Array>): string => {
    const path = join(folder, "bus/pci/devices", address);
    mkdirSync(path, { recursive: true });
    for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
    return path;
  };

  test("run on this machine in one process, and lose nothing", async () => {
    const result = await collect({ builtIn: ["pci-config", "devcoredump"], timeoutMs: 10_000 });
    expect(result.lost).toEqual([]);
  });

  test("PCI configuration: a dump per device, of the size it has", async () => {
    device("0000:00:03.0", { config: new Uint8Array(256).fill(3) });
    device("0000:00:01.0", { config: new Uint8Array(4096).fill(1) });
    const dumps = new DeviceDumps();
    registerPciConfig(dumps, folder);
    const { dumps: collected } = await dumps.collectAll();
    expect(collected.map(({ name, data }) => [name, data.length, data[255]])).toEqual([
      ["pci:0000:00:01.0", 4096, 1],
      ["pci:0000:00:03.0", 256, 3],
    ]);
    const none = new DeviceDumps();
    registerPciConfig(none, join(folder, "none"));
    expect(none.requests).toEqual([]);
  });

  test("devcoredump: each file, named after the device that failed", async () => {
    for (const [name, size] of [
      ["devcd10", 3],
      ["devcd2", 300_000],
      ["devcd3", 0],
    ] as const) {
      const path = join(folder, "class/devcoredump", name);
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, "data"), new Uint8Array(size).fill(size & 255));
      if (name !== "devcd10") symlinkSync("../../../devices/pci0000:00/0000:03:00.0", join(path, "failing_device"));
    }
    writeFileSync(join(folder, "class/devcoredump/disabled"), "0");
    const dumps = new DeviceDumps();
    registerDevcoredump(dumps, folder);
    const { dumps: collected } = await dumps.collectAll();
    expect(collected.map(({ name, data }) => [name, data.length, data[0]])).toEqual([
      ["devcd2:0000:03:00.0", 300_000, 300_000 & 255],
      ["devcd10", 3, 3],
    ]);
  });

  describe("e1000", () => {
    const BAR = "0x00000000febc0000 0x00000000febdffff 0x0000000000040200\n0x0 0x0 0x0\n";
    const card = (config: Uint8Array, resource = BAR): string =>
      device("0000:00:03.0", { vendor: "0x8086\n", device: "0x100e\n", resource, config });
    const config = (command: number): Uint8Array => {
      const bytes = new Uint8Array(256);
      bytes[4] = command;
      return bytes;
    };
    const registersOf = async (readRegister: (address: number) => number): Promise<CollectedDumps> => {
      const dumps = new DeviceDumps();
      registerE1000(dumps, { sysfs: folder, readRegister });
      return dumps.collectAll();
    };

    test("reads each register once, at its own offset, and leaves other cards alone", async () => {
      card(config(6));
      device("0000:00:04.0", { vendor: "0x1af4\n", device: "0x1000\n" });
      const seen: number[] = [];
      const { dumps, lost } = await registersOf((address) => {
        seen.push(address - 0xfebc0000);
        return address;
      });
      expect(lost).toEqual([]);
      expect(dumps.map(({ name }) => name)).toEqual(["e1000:0000:00:03.0"]);
      expect(seen).toEqual(REGISTERS);
      const view = Buffer.from(dumps[0]!.data);
      expect(view.readUInt32LE(RAL)).toBe(0xfebc5400);
      expect(view.readUInt32LE(0xc0)).toBe(0); // ICR clears when read
    });

    test("switches memory decoding on for the time, and only then", async () => {
      const path = card(config(1));
      let during = -1;
      await registersOf(() => {
        during = readFileSync(join(path, "config"))[4]!;
        return 1;
      });
      expect([during, readFileSync(join(path, "config"))[4]]).toEqual([3, 1]);
      await registersOf(() => {
        throw new Error("hung");
      });
      expect(readFileSync(join(path, "config"))[4]).toBe(1);
    });

    test("says why there are none", async () => {
      card(config(2));
      expect((await registersOf(() => 0xffff_ffff)).lost).toEqual([
        { name: "e1000:0000:00:03.0", reason: "every register reads as ffffffff: the card does not answer" },
      ]);
      card(config(2), "0x0 0x0 0x0\n");
      expect((await registersOf(() => 0)).lost[0]!.reason).toMatch(/^BAR 0 is not mapped/);
      symlinkSync("../../../bus/pci/drivers/e1000", join(card(config(2)), "driver"));
      expect((await registersOf(() => 0)).lost[0]!.reason).toMatch(/^the driver e1000 has the card by now/);
    });

    test("physical memory is read four bytes at a time", () => {
      const memory = join(folder, "mem");
      writeFileSync(
        memory,
        Uint8Array.from({ length: 64 }, (_, i) => i),
      );
      expect(readPhysical(8, memory)).toBe(0x0b0a0908);
    });
  });
});
