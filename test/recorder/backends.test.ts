import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MemorySource } from "../../src/bytes/index.ts";
import type { Backend } from "../../src/pstore/backend/backend.ts";
import { openBackend } from "../../src/pstore/backend/open.ts";
import { fragments } from "../../src/pstore/backend/udp.ts";
import type { FrontendRecord, StreamName } from "../../src/pstore/frontend/frontend.ts";
import { decodeLatin1, encodeLatin1 } from "../../src/bytes/latin1.ts";
import { readChangli } from "../../src/pstore/memconsole/changli.ts";
import { decompressPayload } from "../../src/pstore/payload.ts";
import { type Port, PortError } from "../../src/pstore/port.ts";
import { ramoopsZones } from "../../src/pstore/ramoops/layout.ts";
import { readRamoops } from "../../src/pstore/ramoops/read.ts";
import { parseConfigured } from "../../src/pstore/record-config.ts";
import { recordFileName } from "../../src/pstore/record.ts";
import { pszZones } from "../../src/pstore/zone/layout.ts";
import { readPsz } from "../../src/pstore/zone/read.ts";
import { nodePort } from "../../src/recorder/node-port.ts";
import { FaultyPort } from "./faulty-port.ts";

let folder: string;
const port = nodePort();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lastwords-backends-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

const ALL: readonly StreamName[] = ["console", "tty", "pmsg"];

function open(spec: string, streams: readonly StreamName[] = ALL, on: Port = port): Backend {
  const { name, words } = parseConfigured("backend", spec.replaceAll("@", folder));
  return openBackend(on, name, words, new Set(streams));
}

function record(text: string, reason = "Panic", seconds = 1_700_000_000): FrontendRecord {
  return { type: "dmesg", time: { seconds, nanoseconds: 5_000_000 }, text: encodeLatin1(text), reason };
}

const bytes = encodeLatin1;

describe("ramoops", () => {
  const SIZES = { recordSize: 4096, consoleSize: 8192, ftraceSize: 8192, pmsgSize: 4096, ttySize: 0 };
  const KiB = 1024;

  /** What a kernel finds that is told so much memory. */
  function kernelFiles(memSize: number, eccSize: number): Map<string, string> {
    const region = readFileSync(join(folder, "region")).subarray(0, memSize);
    const slots = ramoopsZones({ ...SIZES, memSize, eccSize }, "pmsg-first", 1);
    const { records } = readRamoops(new MemorySource(region), { slots, eccSize, littleEndian: true }, decompressPayload);
    return new Map(records.filter(({ state }) => state === "kept").map((one) => [recordFileName(one), decodeLatin1(one.content)]));
  }

  test.each([0, 16])("a kernel told mem_size less tty_size finds its zones, with %i ECC bytes; tty is behind them", (eccSize) => {
    writeFileSync(join(folder, "region"), new Uint8Array(72 * KiB));
    const spec = `ramoops:path=@/region,mem_size=72K,record_size=4K,console_size=8K,ftrace_size=8K,pmsg_size=4K,tty_size=8K${eccSize ? ",ecc=1" : ""}`;
    for (const round of [1, 2]) {
      const backend = open(spec);
      for (const stream of ALL) backend.write(stream, bytes(`${stream} ${round}\n`));
      backend.close();
    }
    const files = kernelFiles(64 * KiB, eccSize);
    expect(files.get("console-ramoops-0")).toBe("console 1\nconsole 2\n");
    expect(files.get("pmsg-ramoops-0")).toBe("pmsg 1\npmsg 2\n");
    expect([...files.keys()].filter((name) => name.startsWith("tty"))).toEqual([]);
    const tty = readRamoops(
      new MemorySource(readFileSync(join(folder, "region"))),
      { slots: [{ type: "tty", index: 0, offset: 64 * KiB, size: 8 * KiB }], eccSize, littleEndian: true },
      decompressPayload,
    );
    expect(tty.records.map(({ content }) => decodeLatin1(content))).toEqual(["tty 1\ntty 2\n"]);
  });

  test("records go to empty zones, then over the oldest; one that was written without a clock is no empty one", () => {
    writeFileSync(join(folder, "region"), new Uint8Array(40 * KiB));
    const spec = "ramoops:path=@/region,mem_size=40K,record_size=4K,console_size=8K,ftrace_size=8K,pmsg_size=4K";
    const ids = (text: string): string[] =>
      [...kernelFiles(40 * KiB, 0)].filter(([, content]) => content.includes(text)).map(([name]) => name);
    const write = (...records: FrontendRecord[]): void => {
      const backend = open(spec);
      for (const one of records) backend.writeRecord!(one);
      backend.close();
    };
    // 5 zones. Times as of a machine without clock.
    write(record("first", "Oops", 0), record("second", "Panic", 1));
    expect([ids("first"), ids("second")]).toEqual([["dmesg-ramoops-0"], ["dmesg-ramoops-1"]]);
    write(record("third", "Panic", 100));
    write(record("fourth", "Panic", 200), record("fifth", "Panic", 300));
    expect(kernelFiles(40 * KiB, 0).size).toBe(5);
    write(record("sixth", "Panic", 400));
    expect(ids("first")).toEqual([]);
    expect([ids("second"), ids("sixth")]).toEqual([["dmesg-ramoops-1"], ["dmesg-ramoops-0"]]);
  });

  test("a long log has at most half of the zones, newest first, each from a line's beginning", () => {
    writeFileSync(join(folder, "region"), new Uint8Array(40 * KiB));
    const backend = open("ramoops:path=@/region,mem_size=40K,record_size=4K,console_size=8K,ftrace_size=8K,pmsg_size=4K");
    const lines = Array.from({ length: 2000 }, (_, i) => `line ${i}\n`);
    backend.writeRecord!(record(lines.join("")));
    backend.close();
    const files = kernelFiles(40 * KiB, 0);
    expect([...files.keys()]).toEqual(["dmesg-ramoops-0", "dmesg-ramoops-1", "dmesg-ramoops-2"]);
    const parts = [...files.values()].map((text) => text.split("\n"));
    expect(parts.map(([head]) => head)).toEqual(["Panic#1 Part1", "Panic#1 Part2", "Panic#1 Part3"]);
    const joined = parts.toReversed().flatMap(([, ...rest]) => rest.filter((text) => text !== ""));
    expect(joined).toEqual(lines.slice(-joined.length).map((text) => text.trimEnd()));
  });

  test("a region that is too short, or not there, is the system's refusal, and leaves nothing open", () => {
    writeFileSync(join(folder, "region"), new Uint8Array(100));
    const spec = "ramoops:path=@/region,mem_size=64K,console_size=8K";
    expect(() => open(spec)).toThrow(PortError);
    expect(() => open(spec.replace("region", "none"))).toThrow(/no such file/);
    expect(existsSync(join(folder, "none"))).toBe(false);
    const faulty = new FaultyPort();
    expect(() => open(spec, ALL, faulty.port)).toThrow(PortError);
    expect(faulty.open.size).toBe(0);
  });
});

describe("memory that is somebody's", () => {
  const IOMEM = `00001000-0009ffff : System RAM
00100000-05ffffff : System RAM
  01000000-01ffffff : Kernel code
06000000-060fffff : Reserved
06100000-0fffffff : System RAM
100000000-13fffffff : Persistent Memory
  100000000-10fffffff : System RAM (kmem)
20000000-200fffff : Reserved
  20000000-2000ffff : ramoops:dump(0/14)
`;
  const at = (address: string, files: Record<string, string>): (() => Backend) => {
    const faulty = new FaultyPort();
    for (const [path, text] of Object.entries({ "/proc/iomem": IOMEM, ...files })) faulty.files.set(path, text);
    // What is not refused goes no further here.
    faulty.faults.set("open /dev/mem", new PortError("EACCES", "as far as the device"));
    return () => open(`ramoops:mem_address=${address},mem_size=1M,console_size=64K`, ALL, faulty.port);
  };

  test("is refused by /proc/iomem, to the byte", () => {
    expect(at("0x6000000", {})).toThrow("as far as the device");
    expect(at("0x5ffffff", {})).toThrow(
      "0x5ffffff to 0x60ffffe is System RAM in /proc/iomem: reserve it first, as with memmap=1024K$0x5ffffff",
    );
    expect(at("0x6000001", {})).toThrow("System RAM");
    expect(at("0x0", {})).toThrow("System RAM");
    expect(at("0x108000000", {})).toThrow("System RAM");
    expect(at("0x120000000", {})).toThrow("as far as the device");
    expect(at("0x20000000", {})).toThrow("the ramoops driver has 0x20000000 to 0x2000ffff");
  });

  test("is refused, too, where /proc/iomem does not tell, or is longer than usual", () => {
    expect(at("0x6000000", { "/proc/iomem": "" })).toThrow("/proc/iomem does not tell");
    expect(at("0x6000000", { "/proc/iomem": IOMEM.replace(/^( *)[0-9a-f]+-[0-9a-f]+/gm, "$100000000-00000000") })).toThrow("does not tell");
    const many = Array.from({ length: 3000 }, (_, i) => `f${String(i).padStart(7, "0")}-f${String(i).padStart(7, "0")} : device\n`).join(
      "",
    );
    expect(at("0x7000000", { "/proc/iomem": many + IOMEM })).toThrow("is System RAM");
  });

  test("is refused where the ramoops module is loaded for it, wherever the two overlap", () => {
    const loaded = (address: number, size: number): Record<string, string> => ({
      "/sys/module/ramoops/parameters/mem_address": `${address}\n`,
      "/sys/module/ramoops/parameters/mem_size": `${size}\n`,
    });
    expect(at("0x6000000", loaded(0x6000000, 0x100000))).toThrow("the ramoops module is loaded for 0x6000000");
    expect(at("0x6000000", loaded(0x5f80000, 0x100000))).toThrow("module is loaded");
    expect(at("0x6000000", loaded(0x60fffff, 0x1000))).toThrow("module is loaded");
    expect(at("0x6000000", loaded(0x5f00000, 0x100000))).toThrow("as far as the device");
    expect(at("0x6000000", loaded(0x6100000, 0x100000))).toThrow("as far as the device");
    expect(at("0x6000000", loaded(0, 0))).toThrow("as far as the device");
  });

  test("and a memconsole's likewise", () => {
    const faulty = new FaultyPort();
    faulty.files.set("/proc/iomem", IOMEM);
    expect(() => open("memconsole:address=0x5fff000", ALL, faulty.port)).toThrow("System RAM");
    expect(faulty.opened).not.toContain("read-write /dev/mem");
  });
});

describe("pstore_blk", () => {
  const read = (): Map<string, string> => {
    const device = readFileSync(join(folder, "device"));
    const sizes = { totalSize: device.length, kmsgSize: 16384, pmsgSize: 16384, consoleSize: 16384, ftraceSize: 0, ttySize: 16384 };
    const { records } = readPsz(new MemorySource(device), { slots: pszZones(sizes, 1), littleEndian: true }, decompressPayload);
    return new Map(records.map((one) => [recordFileName(one), decodeLatin1(one.content)]));
  };

  test("streams append, records are counted by their reasons", () => {
    writeFileSync(join(folder, "device"), new Uint8Array(1024 * 1024));
    for (const round of [1, 2]) {
      const backend = open("pstore_blk:blkdev=@/device,kmsg_size=16,pmsg_size=16,console_size=16,tty_size=16");
      for (const stream of ALL) backend.write(stream, bytes(`${stream} ${round}\n`));
      backend.writeRecord!(record(`panic ${round}`));
      backend.writeRecord!(record(`oops ${round}`, "Oops"));
      backend.close();
    }
    const files = read();
    for (const stream of ALL) expect(files.get(`${stream}-pstore_blk-0`)).toBe(`${stream} 1\n${stream} 2\n`);
    expect([...files].filter(([name]) => name.startsWith("dmesg"))).toEqual([
      ["dmesg-pstore_blk-0", "Panic: Total 1 times\nPanic#1 Part1\npanic 1"],
      ["dmesg-pstore_blk-1", "Oops: Total 1 times\nOops#1 Part1\noops 1"],
      ["dmesg-pstore_blk-2", "Panic: Total 2 times\nPanic#1 Part1\npanic 2"],
      ["dmesg-pstore_blk-3", "Oops: Total 2 times\nOops#1 Part1\noops 2"],
    ]);
  });

  test("what lies outside the zones stays", () => {
    writeFileSync(join(folder, "device"), Buffer.alloc(40000, 0xaa));
    const backend = open("pstore_blk:blkdev=@/device,console_size=32,kmsg_size=0");
    backend.write("console", bytes("x".repeat(100_000)));
    backend.close();
    expect(
      readFileSync(join(folder, "device"))
        .subarray(32768)
        .every((byte) => byte === 0xaa),
    ).toBe(true);
    expect(statSync(join(folder, "device")).size).toBe(40000);
  });
});

test("memconsole: all streams in one ring, a record's end, and what was there before", () => {
  writeFileSync(join(folder, "ring"), new Uint8Array(8192));
  const backend = open("memconsole:path=@/ring,size=8192");
  for (const stream of ALL) backend.write(stream, bytes(`${stream}\n`));
  backend.close();
  const again = open("memconsole:path=@/ring,size=8192,base=0xffff888006000000", ["kmsg", "console"]);
  expect([again.accepts("kmsg"), again.accepts("console")]).toEqual([true, false]);
  again.writeRecord!(record(`${"old\n".repeat(2000)}new\n`));
  again.close();
  const [found] = readChangli(new MemorySource(readFileSync(join(folder, "ring"))), { wordSize: 8 });
  const text = decodeLatin1(found!.content);
  expect(text).toMatch(/^console\ntty\npmsg\n(?:-- the kernel that crashed .*\n)?old\nold\n/);
  expect(text.endsWith("old\nnew\n")).toBe(true);
  expect(text.length).toBeLessThan(2048 + 200);
});

describe("directory", () => {
  const files = (): Record<string, string> =>
    Object.fromEntries(readdirSync(join(folder, "d")).map((name) => [name, readFileSync(join(folder, "d", name), "latin1")]));

  test("files rotate, and what is there is kept", () => {
    for (const round of [1, 2, 3]) {
      const backend = open("directory:path=@/d,size=1K,files=3");
      backend.write("tty", bytes(`${round}`.repeat(700)));
      backend.write("tty", bytes("\n"));
      backend.close();
    }
    expect(files()).toEqual({
      "tty-directory-0": `${"3".repeat(700)}\n`,
      "tty-directory-1": `${"2".repeat(700)}\n`,
      "tty-directory-2": `${"1".repeat(700)}\n`,
    });
    const backend = open("directory:path=@/d,size=1K,files=3");
    backend.write("tty", bytes(`${"4".repeat(1024)}5`));
    backend.close();
    expect(files()).toEqual({ "tty-directory-0": "5", "tty-directory-1": "4".repeat(1024), "tty-directory-2": `${"3".repeat(700)}\n` });
  });

  test("with one file, that one begins anew; each record has a file of its own", () => {
    const backend = open("directory:path=@/d,size=1024,files=1");
    for (const text of ["a".repeat(600), "b".repeat(600)]) backend.write("console", bytes(text));
    for (const text of ["first", "second"]) backend.writeRecord!(record(text));
    backend.close();
    expect(files()).toEqual({ "console-directory-0": "b".repeat(600), "dmesg-directory-0": "first", "dmesg-directory-1": "second" });
    expect(statSync(join(folder, "d", "dmesg-directory-0")).mode & 0o777).toBe(0o600);
  });

  test("a place that is no folder is refused at once", () => {
    writeFileSync(join(folder, "d"), "");
    expect(() => open("directory:path=@/d")).toThrow(PortError);
    mkdirSync(join(folder, "e", ".lastwords"), { recursive: true });
    expect(() => open("directory:path=@/e")).toThrow(PortError);
  });
});

describe("udp", () => {
  let receiver: Socket;
  let got: string[];
  let to: number;

  beforeEach(async () => {
    got = [];
    receiver = createSocket("udp4");
    receiver.on("message", (message) => got.push(message.toString("latin1")));
    receiver.bind(0, "127.0.0.1");
    await once(receiver, "listening");
    to = (receiver.address() as AddressInfo).port;
  });

  afterEach(() => void receiver.close());

  const receive = (count: number): Promise<void> => expect.poll(() => got.length, { timeout: 5000 }).toBe(count);

  test("the kernel's messages go as they are, lines of others with a header, and the rest of a line when it closes", async () => {
    const backend = open(`udp:host=127.0.0.1,port=${to}`, ["kmsg", "console", "tty"]);
    expect([backend.accepts("kmsg"), backend.accepts("console"), backend.accepts("tty")]).toEqual([true, false, true]);
    const message = "6,339,5140900,-,caller=T1;NET: \\x0a family 10\n SUBSYSTEM=x\n";
    backend.write("kmsg", bytes("[    5.140900] NET: family 10\n"), bytes(message));
    backend.write("tty", bytes("ls\r\nfile\\ \x1b[0m\xe4\0no"));
    backend.write("tty", bytes("t yet\nlast"));
    backend.writeRecord!(record("Oops\n\nend\n"));
    backend.close();
    await receive(6);
    expect(got[0]).toBe(message);
    const lines = got.slice(1).map((text) => /^14,(\d+),(\d+),-;(.*)\n$/.exec(text)!);
    expect(lines.map((match) => match[3])).toEqual([
      "tty: ls",
      "tty: file\\x5c \\x1b[0m\\xe4\\x00not yet",
      "vmcore: Oops",
      "vmcore: end",
      "tty: last",
    ]);
    expect(lines.map((match) => match[1])).toEqual(["0", "1", "2", "3", "4"]);
  });

  test("long ones in fragments of 1000 bytes, as netconsole cuts them", async () => {
    const message = `6,339,5140900,-;${"0123456789".repeat(250)}\n`;
    const backend = open(`udp:host=127.0.0.1,port=${to}`);
    backend.write("kmsg", bytes("x"), bytes(message));
    backend.close();
    await receive(3);
    expect(got).toEqual(kernelFragments(message));
    expect(got.map((one) => one.length)).toEqual([1000, 1000, expect.any(Number)]);
  });

  /** linux:drivers/net/netconsole.c:send_ext_msg_udp of 6.1, as its source reads. */
  function kernelFragments(message: string): string[] {
    if (message.length <= 1000) return [message];
    const header = message.slice(0, message.indexOf(";"));
    const body = message.slice(header.length + 1);
    const sent: string[] = [];
    for (let offset = 0; offset < body.length;) {
      const head = `${header},ncfrag=${offset}/${body.length};`;
      const chunk = Math.min(body.length - offset, 1000 - head.length);
      sent.push(head + body.slice(offset, offset + chunk));
      offset += chunk;
    }
    return sent;
  }

  test("fragments are the kernel's for every length, and a header without room does not go on forever", () => {
    for (const length of [0, 983, 984, 985, 1900, 1961, 1962, 9999]) {
      const message = `6,1,2,-;${"x".repeat(length)}`;
      expect(fragments(message)).toEqual(kernelFragments(message));
    }
    for (const length of [970, 980, 990, 5000])
      for (const one of fragments(`${"h".repeat(length)};${"x".repeat(2000)}`)) expect(one.length).toBeLessThanOrEqual(1000);
  });

  test("a name is looked up, and what was written meanwhile goes out though it closes", async () => {
    const backend = open(`udp:host=localhost,port=${to}`);
    backend.write("tty", bytes("one\ntwo\n"));
    backend.close();
    await receive(2);
  });

  test("an address that nothing can be sent to fails what comes next, and says how much is gone", async () => {
    const backend = open("udp:host=name.invalid,port=9");
    backend.write("tty", bytes("one\ntwo\n"));
    await expect
      .poll(
        () => {
          try {
            backend.write("tty", bytes(""));
            return "";
          } catch (error) {
            return (error as Error).message;
          }
        },
        { timeout: 20_000 },
      )
      .toMatch(/^cannot send to name\.invalid port 9: .*; [12] datagrams before did not go out$/);
    backend.close();
  });
});
