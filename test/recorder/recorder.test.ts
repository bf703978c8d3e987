import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { PortError } from "../../src/pstore/port.ts";
import { parseConfigured } from "../../src/pstore/record-config.ts";
import { Recorder, type Status } from "../../src/pstore/recorder.ts";
import { FaultyPort } from "./faulty-port.ts";

let folder: string;
let recorder: Recorder | undefined;
let faulty: FaultyPort;
let statuses: Status[];
let writer: number | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lastwords-recorder-"));
  faulty = new FaultyPort();
  statuses = [];
  writer = undefined;
});

afterEach(() => {
  recorder?.stop();
  recorder = undefined;
  if (writer !== undefined) closeSync(writer);
  rmSync(folder, { recursive: true, force: true });
});

const KMSG = (seq: number, text = `m${seq}`): string => `6,${seq},${seq * 1000},-;${text}\n`;
const pmsgWords = (): string => `pmsg:fifo=${folder}/pmsg,socket=${folder}/socket`;

function start(frontends: readonly string[], backends: readonly string[], options: { banner?: boolean; dry?: boolean } = {}): Recorder {
  recorder = new Recorder(
    faulty.port,
    {
      frontends: frontends.map((text) => parseConfigured("frontend", text)),
      backends: backends.map((text) => parseConfigured("backend", text)),
      banner: options.banner ?? false,
      version: "1.2.3",
      dry: options.dry ?? false,
    },
    (status) => statuses.push(status),
  );
  return recorder;
}

/** Writes to the FIFO as a program does. */
function say(text: string): void {
  writer ??= openSync(`${folder}/pmsg`, "w");
  writeSync(writer, text);
}

const textOf = (name: string): string => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), "latin1") : "");
const arrived = (name: string, text: string): Promise<void> => expect.poll(() => textOf(name), { timeout: 5000 }).toBe(text);
/** What was said of it: true, or why it cannot. */
function about(name: string): (boolean | string)[] {
  return statuses.filter((status) => status.name === name).map(({ works, about: text }) => works || text);
}

describe("a backend that fails", () => {
  test("does so alone, is tried again after longer and longer, and its log tells what it missed", async () => {
    start([pmsgWords()], [`directory:path=${folder}/a`, `directory:path=${folder}/b`]);
    const [a, b] = ["a/pmsg-directory-0", "b/pmsg-directory-0"];
    say("one\n");
    await arrived(a, "one\n");
    faulty.faults.set(`write ${folder}/${a}`, new PortError("ENOSPC", "cannot write: no space left on device"));
    say("two\n");
    await arrived(b, "one\ntwo\n");
    say("three\n");
    await arrived(b, "one\ntwo\nthree\n");
    expect(textOf(a)).toBe("one\n");
    faulty.pass(200_000);
    // It opens every time; that alone is no success.
    expect(faulty.waits.filter((wait) => wait >= 1000)).toEqual([1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
    expect(statuses.filter(({ index, kind, works }) => kind === "backend" && index === 0 && works)).toHaveLength(1);
    faulty.faults.clear();
    say("four\n");
    await arrived(b, "one\ntwo\nthree\nfour\n");
    faulty.pass(60_000);
    expect(textOf(a)).toBe("one\n-- 15 bytes lost: cannot write: no space left on device --\n");
    say("five\n");
    await arrived(a, "one\n-- 15 bytes lost: cannot write: no space left on device --\nfive\n");
    expect(statuses.at(-1)).toMatchObject({ kind: "backend", index: 0, works: true });
    // Once it works, the next failure is tried again soon.
    faulty.waits.length = 0;
    faulty.faults.set(`write ${folder}/${a}`, new PortError("EIO", "broken"));
    say("six\n");
    await arrived(b, "one\ntwo\nthree\nfour\nfive\nsix\n");
    expect(faulty.waits).toEqual([1000]);
  });

  test("a full device, and no file there at all: what never opened begins with the banner, then says what it missed", async () => {
    const region = join(folder, "region");
    start(
      [pmsgWords()],
      [
        `memconsole:path=/dev/full,size=4096`,
        `ramoops:path=${region},mem_size=64K,pmsg_size=32K,record_size=0,console_size=0,ftrace_size=0`,
        `directory:path=${folder}/b`,
      ],
      { banner: true },
    );
    expect(about("memconsole")[0]).toMatch(/no space left on device|bytes at/);
    expect(about("ramoops")[0]).toMatch(/cannot open .*region: no such file/);
    say("hello\n");
    await expect
      .poll(() => textOf("b/pmsg-directory-0"))
      .toMatch(/^-- lastwords 1\.2\.3: Linux \S+, .*boot [0-9a-f]{8}, 2023-11-14T22:13:20Z --\nhello\n$/);
    writeFileSync(region, new Uint8Array(65536));
    faulty.pass(1000);
    expect(about("ramoops").at(-1)).toBe(true);
    const text = readFileSync(region, "latin1");
    expect(text).toMatch(/-- lastwords 1\.2\.3: [^\n]*\n-- 6 bytes lost: cannot open [^\n]*region: no such file or directory --\n/);
    expect(statuses.filter(({ name, works }) => name === "directory" && !works)).toEqual([]);
  });

  test("a folder that goes away comes back, with all that comes later", async () => {
    start([pmsgWords()], [`directory:path=${folder}/a`]);
    say("one\n");
    await arrived("a/pmsg-directory-0", "one\n");
    renameSync(join(folder, "a"), join(folder, "away"));
    faulty.pass(2000);
    say("two\n");
    await arrived("a/pmsg-directory-0", "two\n");
    expect(textOf("away/pmsg-directory-0")).toBe("one\n");
  });

  test("what cannot be undone by waiting does not end the recorder when it comes later", async () => {
    const device = join(folder, "device");
    writeFileSync(device, new Uint8Array(65536));
    start([pmsgWords()], [`pstore_blk:blkdev=${device},pmsg_size=32`, `directory:path=${folder}/b`]);
    faulty.faults.set(`write ${device}`, new PortError("EIO", "pulled"));
    say("one\n");
    await arrived("b/pmsg-directory-0", "one\n");
    // Another, smaller device is plugged in: the zones do not fit.
    faulty.faults.clear();
    writeFileSync(device, new Uint8Array(4096));
    faulty.pass(1000);
    expect(about("pstore_blk").at(-1)).toBe("the device has 4096 bytes, zones up to pmsg need 32768");
    say("two\n");
    await arrived("b/pmsg-directory-0", "one\ntwo\n");
    writeFileSync(device, new Uint8Array(65536));
    faulty.pass(2000);
    expect(readFileSync(device, "latin1")).toContain("-- 8 bytes lost: the device has 4096 bytes");
  });

  test("leaves no descriptor open, however often it fails, and no timer when it is stopped", async () => {
    const device = join(folder, "device");
    writeFileSync(device, new Uint8Array(4096));
    const before = faulty.open.size;
    faulty.faults.set(`write ${device}`, new PortError("EIO", "broken"));
    faulty.faults.set(`close ${device}`, new PortError("EIO", "broken too"));
    start([pmsgWords()], [`memconsole:path=${device},size=4096`]);
    faulty.pass(600_000);
    expect([...faulty.open.values()].filter((path) => path === device)).toEqual([]);
    say("x");
    recorder!.stop();
    expect(faulty.open.size).toBe(before);
    expect(faulty.pending).toBe(0);
    expect(about("memconsole")).not.toContain("broken too");
  });

  test("has a last chance when the recorder stops", async () => {
    start([pmsgWords()], [`directory:path=${folder}/a`, `directory:path=${folder}/b`]);
    const fault = `write ${folder}/a/pmsg-directory-0`;
    faulty.faults.set(fault, new PortError("EIO", "a hiccup"));
    say("one\n");
    await arrived("b/pmsg-directory-0", "one\n");
    faulty.faults.clear();
    recorder!.stop();
    expect(textOf("a/pmsg-directory-0")).toBe("-- 4 bytes lost: a hiccup --\n");
  });
});

describe("frontends", () => {
  test("what is in the FIFO when the recorder stops is recorded", () => {
    start([pmsgWords()], [`directory:path=${folder}/a`]);
    say("last words\n");
    expect(recorder!.stop()).toEqual([]);
    expect(textOf("a/pmsg-directory-0")).toBe("last words\n");
    expect(existsSync(join(folder, "pmsg"))).toBe(false);
    expect(faulty.open.size).toBe(0);
    expect(recorder!.stop()).toEqual([]);
  });

  test("kmsg and console both: a shared ring holds the first, files have each; `frontends=` chooses", async () => {
    const [kmsg, console] = [join(folder, "kmsg"), join(folder, "console")];
    faulty.files.set("/proc/sys/kernel/printk", "4 4 1 7");
    for (const fifo of [kmsg, console]) faulty.port.makeFifo!(fifo);
    for (const name of ["ring", "other"]) writeFileSync(join(folder, name), new Uint8Array(4096));
    start(
      [`kmsg:path=${kmsg}`, `console:path=${console}`],
      [
        `memconsole:path=${folder}/ring,size=4096`,
        `memconsole:path=${folder}/other,size=4096,frontends=console`,
        `directory:path=${folder}/a`,
      ],
    );
    const ends = [openSync(kmsg, "w"), openSync(console, "w")];
    writeSync(ends[0]!, KMSG(1, "from kmsg"));
    writeSync(ends[1]!, KMSG(1, "quiet").replace("6,", "6,"));
    await arrived("a/kmsg-directory-0", "[    0.001000] from kmsg\n");
    writeSync(ends[1]!, KMSG(2, "from console").replace("6,", "3,"));
    await arrived("a/console-directory-0", "[    0.002000] from console\n");
    for (const end of ends) closeSync(end);
    expect(textOf("ring")).toContain("from kmsg");
    expect(textOf("ring")).not.toContain("from console");
    expect(textOf("other")).toContain("from console");
    expect(textOf("other")).not.toContain("from kmsg");
  });

  test("what overran stands before what came after it", async () => {
    const kmsg = join(folder, "kmsg");
    writeFileSync(kmsg, "");
    faulty.port.makeFifo!(`${kmsg}.fifo`);
    start([`kmsg:path=${kmsg}.fifo`], [`directory:path=${folder}/a`]);
    const end = openSync(`${kmsg}.fifo`, "w");
    writeSync(end, KMSG(1));
    await arrived("a/kmsg-directory-0", "[    0.001000] m1\n");
    writeSync(end, KMSG(4));
    await arrived("a/kmsg-directory-0", "[    0.001000] m1\n-- 2 messages lost: the kernel's log buffer overran --\n[    0.004000] m4\n");
    closeSync(end);
  });

  test("one that ends says so in its log and to whoever runs it; the others go on", async () => {
    // A file has an end, other than /dev/kmsg.
    writeFileSync(join(folder, "kmsg"), KMSG(1));
    const running = start([`kmsg:path=${folder}/kmsg`, pmsgWords()], [`directory:path=${folder}/a`]);
    expect(running.alive).toBe(2);
    await arrived("a/kmsg-directory-0", `[    0.001000] m1\n-- kmsg ended: ${folder}/kmsg ended --\n`);
    expect(running.alive).toBe(1);
    expect(running.works).toBe(true);
    expect(statuses.at(-1)).toMatchObject({ kind: "frontend", name: "kmsg", works: false });
    say("still\n");
    await arrived("a/pmsg-directory-0", "still\n");
  });

  test("one that cannot be had is left out", () => {
    const running = start([`kmsg:path=${folder}/none`, "tty:tracefs=/none", pmsgWords()], [`directory:path=${folder}/a`]);
    expect(about("kmsg")[0]).toContain("no such file");
    expect(about("tty")[0]).toContain("no tracefs in /none");
    expect(running.alive).toBe(1);
  });

  test.each([
    [["pmsg:fifoo=x"], ["directory:path=@"], "frontend pmsg has no 'fifoo='; it has fifo, socket"],
    [["kmsg:since=ever"], ["directory:path=@"], "since=ever: boot or now is wanted"],
    [["kmsg", "kmsg"], ["directory:path=@"], "frontend kmsg is configured twice"],
    [["tty:buffer=lots"], ["directory:path=@"], "buffer=lots: a number such as"],
    [["pmsg"], ["directory:path=@,frontends=consle+tty"], "frontends=consle+tty: there is no frontend 'consle'; there are kmsg"],
    [["pmsg"], ["directory:path=@,sise=1M"], "a directory backend has no 'sise='; it has path, size, files and frontends"],
    [["pmsg"], ["directory:path=@,size=0"], "size=0: files of at least 1024 bytes are wanted"],
    [["pmsg"], ["directory:path=@,files=1G"], "files=1073741824: 1 to 1000 is wanted"],
    [["pmsg"], ["directory"], "a directory backend needs path="],
    [["pmsg"], ["udp:port=1"], "a udp backend needs host="],
    [["pmsg"], ["udp:host=localhost,port=0"], "port=0: 1 to 65535 is wanted"],
    [["pmsg"], ["udp:host=localhost,prot=1"], "a udp backend has no 'prot='"],
    [["pmsg"], ["memconsole:path=@/x,base=abc"], "base=abc: the virtual address of a page is wanted"],
    [["pmsg"], ["memconsole"], "a memconsole backend needs address="],
    [["pmsg"], ["ramoops:mem_size=1M"], "a ramoops backend needs mem_address, mem_size and sizes"],
    [["pmsg"], ["ramoops:path=@/x,mem_size=1M,console_size=64K,order=random"], "order=random: pmsg-first"],
    [["pmsg"], ["ramoops:path=@/x,mem_sise=1M"], "ramoops has no parameter 'mem_sise'"],
    [["pmsg"], ["pstore_blk:pmsg_size=64"], "a pstore_blk backend needs blkdev="],
  ])("%j into %j is refused, with nothing left behind", (frontends, backends, message) => {
    const withPath = backends.map((text) => text.replace("@", folder));
    // The first frontend has been started by then.
    const first = frontends.includes("pmsg") ? [] : [pmsgWords()];
    expect(() => start([...first, ...frontends.map((text) => (text === "pmsg" ? pmsgWords() : text))], withPath)).toThrow(message);
    expect(faulty.open.size).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
  });
});

test("dry, nothing is stored, and nothing is taken from a recorder that runs", () => {
  const region = join(folder, "region");
  writeFileSync(region, Buffer.alloc(65536, "x"));
  faulty.port.makeFifo!(`${folder}/pmsg`);
  const other = openSync(`${folder}/pmsg`, "r+");
  writeSync(other, "for the other\n");
  const sum = (): string => createHash("sha256").update(readFileSync(region)).digest("hex");
  const before = sum();
  const running = start(
    [pmsgWords()],
    [
      `ramoops:path=${region},mem_size=64K,console_size=16K,pmsg_size=16K,record_size=4K,ecc=1`,
      `pstore_blk:blkdev=${region},pmsg_size=16,kmsg_size=16`,
      `memconsole:path=${region},size=4096`,
      `directory:path=${folder}/a`,
    ],
    { dry: true, banner: true },
  );
  expect(running.works).toBe(true);
  expect(statuses.filter(({ works }) => !works)).toEqual([]);
  expect(running.stop()).toEqual([]);
  expect(sum()).toBe(before);
  expect(readdirSync(join(folder, "a"))).toEqual([]);
  expect(existsSync(`${folder}/pmsg`)).toBe(true);
  const into = Buffer.alloc(100);
  expect(faulty.port.read(faulty.port.open(`${folder}/pmsg`, "read"), into)).toBe("for the other\n".length);
  closeSync(other);
});
