import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import type { FrontendRecord, FrontendSink } from "../../src/pstore/frontend/frontend.ts";
import { readCrashedLog, startVmcoreFrontend } from "../../src/pstore/frontend/vmcore.ts";
import { decodeLatin1 } from "../../src/bytes/latin1.ts";
import { PortError } from "../../src/pstore/port.ts";
import { nodePort } from "../../src/recorder/node-port.ts";
import { FaultyPort } from "./faulty-port.ts";

const folder = mkdtempSync(join(tmpdir(), "lastwords-vmcore-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Dumps of the lab; ELF, of several kernels. */
const DUMPS = process.env["LASTWORDS_LAB_DUMPS"] ?? "";
const MAIN = fileURLToPath(new URL("../../bin/lastwords.js", import.meta.url));

/** The start of a log of Linux 5.10 and later (linux:kernel/printk/printk_ringbuffer.h), with records one behind the other. */
interface Small {
  readonly texts: readonly (readonly [microseconds: number, text: string])[];
  readonly vmcoreinfo?: (text: string) => string;
}

const VIRT = 0xffff888000000000n;

function smallVmcore({ texts, vmcoreinfo = (text) => text }: Small): Uint8Array {
  // struct printk_ringbuffer at 0x100, prb pointer at 0x80, descriptors at 0x400, infos at 0x1000, text at 0x4000.
  const bits = 4;
  const memory = new Uint8Array(0x8000);
  const view = new DataView(memory.buffer);
  const word = (at: number, value: bigint): void => view.setBigUint64(at, BigInt.asUintN(64, value), true);
  const count = 1 << bits;
  word(0x80, VIRT + 0x100n);
  view.setUint32(0x100, bits, true); // desc_ring.count_bits
  word(0x108, VIRT + 0x400n); // .descs
  word(0x110, VIRT + 0x1000n); // .infos
  const idOf = (i: number): bigint => BigInt(i);
  word(0x118, idOf(texts.length - 1)); // .head_id
  word(0x120, idOf(0)); // .tail_id
  view.setUint32(0x130, 12, true); // text_data_ring.size_bits
  word(0x138, VIRT + 0x4000n); // .data
  word(0x140, 0n);
  word(0x148, 0n);
  let at = 0;
  for (const [i, [microseconds, text]] of texts.entries()) {
    const desc = 0x400 + i * 24;
    const length = (8 + text.length + 7) & ~7;
    word(desc, (2n << 62n) | idOf(i)); // finalized
    word(desc + 8, BigInt(at));
    word(desc + 16, BigInt(at + length));
    word(0x4000 + at, idOf(i));
    memory.set(Buffer.from(text, "latin1"), 0x4000 + at + 8);
    const info = 0x1000 + i * 88;
    word(info, BigInt(i));
    word(info + 8, BigInt(microseconds) * 1000n);
    view.setUint16(info + 16, text.length, true);
    memory[info + 19] = 6 << 5;
    at += length;
  }
  word(0x140, BigInt(at));
  expect(texts.length).toBeLessThanOrEqual(count);
  const symbol = (name: string, offset: number): string => `SYMBOL(${name})=${(VIRT + BigInt(offset)).toString(16)}`;
  const info = vmcoreinfo(
    [
      "OSRELEASE=6.1.0-test",
      "PAGESIZE=4096",
      symbol("prb", 0x80),
      symbol("printk_rb_static", 0x100),
      symbol("clear_seq", 0x90),
      "SIZE(printk_ringbuffer)=80",
      "OFFSET(printk_ringbuffer.desc_ring)=0",
      "OFFSET(printk_ringbuffer.text_data_ring)=48",
      "OFFSET(printk_ringbuffer.fail)=72",
      "SIZE(prb_desc_ring)=48",
      "OFFSET(prb_desc_ring.count_bits)=0",
      "OFFSET(prb_desc_ring.descs)=8",
      "OFFSET(prb_desc_ring.infos)=16",
      "OFFSET(prb_desc_ring.head_id)=24",
      "OFFSET(prb_desc_ring.tail_id)=32",
      "SIZE(prb_desc)=24",
      "OFFSET(prb_desc.state_var)=0",
      "OFFSET(prb_desc.text_blk_lpos)=8",
      "SIZE(prb_data_blk_lpos)=16",
      "OFFSET(prb_data_blk_lpos.begin)=0",
      "OFFSET(prb_data_blk_lpos.next)=8",
      "SIZE(printk_info)=88",
      "OFFSET(printk_info.seq)=0",
      "OFFSET(printk_info.ts_nsec)=8",
      "OFFSET(printk_info.text_len)=16",
      "OFFSET(printk_info.caller_id)=20",
      "OFFSET(printk_info.dev_info)=24",
      "SIZE(dev_printk_info)=64",
      "OFFSET(dev_printk_info.subsystem)=0",
      "LENGTH(printk_info_subsystem)=16",
      "OFFSET(dev_printk_info.device)=16",
      "LENGTH(printk_info_device)=48",
      "SIZE(prb_data_ring)=32",
      "OFFSET(prb_data_ring.size_bits)=0",
      "OFFSET(prb_data_ring.data)=8",
      "OFFSET(prb_data_ring.head_lpos)=16",
      "OFFSET(prb_data_ring.tail_lpos)=24",
      "SIZE(atomic_long_t)=8",
      "OFFSET(atomic_long_t.counter)=0",
      "SIZE(latched_seq)=32",
      "OFFSET(latched_seq.val)=8",
    ].join("\n") + "\n",
  );
  // ELF header, PT_NOTE, PT_LOAD; the writer of test/writers gives no virtual addresses.
  const note = Buffer.concat([
    Buffer.from([11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from("VMCOREINFO\0\0"),
    Buffer.from(info),
    Buffer.alloc(-info.length & 3),
  ]);
  note.writeUInt32LE(info.length, 4);
  const head = Buffer.alloc(64 + 2 * 56);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  head.writeUInt16LE(4, 16);
  head.writeUInt16LE(62, 18);
  head.writeUInt32LE(1, 20);
  head.writeBigUInt64LE(64n, 32);
  head.writeUInt16LE(64, 52);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(2, 56);
  const segment = (i: number, type: number, offset: number, vaddr: bigint, paddr: bigint, size: number): void => {
    const base = 64 + i * 56;
    head.writeUInt32LE(type, base);
    for (const [k, value] of [BigInt(offset), vaddr, paddr, BigInt(size), BigInt(size)].entries())
      head.writeBigUInt64LE(value, base + 8 + 8 * k);
  };
  segment(0, 4, head.length, 0n, 0n, note.length);
  segment(1, 1, head.length + note.length, VIRT, 0x100000n, memory.length);
  return Buffer.concat([head, note, memory]);
}

const TEXTS = [
  [1_000_000, "Linux version 6.1.0-test"],
  [2_500_001, "two\nlines"],
  [12_345_678, "Kernel panic - not syncing: end"],
] as const;

function place(bytes: Uint8Array): string {
  const path = join(folder, "vmcore");
  writeFileSync(path, bytes);
  return path;
}

describe("a small vmcore", () => {
  test("its log, as the kernel prints it", () => {
    expect(readCrashedLog(nodePort(), place(smallVmcore({ texts: TEXTS })))).toBe(
      "[    1.000000] Linux version 6.1.0-test\n[    2.500001] two\n[    2.500001] lines\n[   12.345678] Kernel panic - not syncing: end\n",
    );
  });

  test("the frontend hands it on once, also when it is stopped before it came to that", () => {
    const faulty = new FaultyPort();
    const path = place(smallVmcore({ texts: TEXTS }));
    const records: FrontendRecord[] = [];
    const sink = { record: (one) => records.push(one), text: () => {}, lost: () => {}, ended: () => {} } as FrontendSink;
    const running = startVmcoreFrontend(faulty.port, sink, path);
    expect(records).toEqual([]);
    faulty.pass(1);
    running.stop();
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ type: "dmesg", reason: "Panic", time: { seconds: 1_700_000_000 } });
    startVmcoreFrontend(faulty.port, sink, place(smallVmcore({ texts: [[1, "BUG: unable to handle"]] }))).stop();
    expect(records[1]!.reason).toBe("Oops");
    expect(decodeLatin1(records[1]!.text)).toBe("[    0.000001] BUG: unable to handle\n");
    expect([faulty.open.size, faulty.pending]).toEqual([0, 0]);
  });

  test("one that does not tell is an error with words, and leaves nothing open", () => {
    const faulty = new FaultyPort();
    const read =
      (bytes: Uint8Array): (() => string) =>
      () =>
        readCrashedLog(faulty.port, place(bytes));
    expect(read(new Uint8Array())).toThrow();
    expect(read(new Uint8Array(5000))).toThrow();
    expect(read(smallVmcore({ texts: TEXTS, vmcoreinfo: (text) => text.replace(/SYMBOL\(prb\)=.*\n/, "") }))).toThrow();
    expect(
      read(smallVmcore({ texts: TEXTS, vmcoreinfo: (text) => text.replace(/SYMBOL\(prb\)=.*/, "SYMBOL(prb)=ffffffff81000000") })),
    ).toThrow(/no program header covers/);
    expect(() => readCrashedLog(faulty.port, join(folder, "none"))).toThrow(PortError);
    const whole = smallVmcore({ texts: TEXTS });
    for (const length of [3, 64, 100, 400, 3000, whole.length - 0x5000]) expect(read(whole.subarray(0, length))).toThrow();
    expect(faulty.open.size).toBe(0);
  });
});

describe("vmcores of the lab", () => {
  for (const name of ["5.10-sysrq", "6.1-sysrq", "6.12-oops", "7.2-sysrq"]) {
    const path = join(DUMPS, name, "vmcore");
    test.skipIf(!existsSync(path))(`${name}: the log that dmesg prints`, () => {
      const log = readCrashedLog(nodePort(), path);
      const printed = spawnSync(process.execPath, [MAIN, "dmesg", path], { encoding: "utf8", maxBuffer: 2 ** 28 });
      expect(printed.status).toBe(0);
      const [ours, theirs] = [Buffer.from(log, "latin1").toString("utf8").split("\n"), printed.stdout.split("\n")];
      expect(ours.length).toBeGreaterThan(100);
      // As the kernel's consoles print it, each line of a message has the prefix; dmesg has it before the first only.
      let prefix = "";
      const withPrefix = theirs.map((text) => {
        const own = /^(?:\[ *\d+\.\d+\])(?:\[ *[TC]\d+\])? /.exec(text)?.[0];
        prefix = own ?? prefix;
        return own === undefined && text !== "" ? prefix + text : text;
      });
      expect(ours).toEqual(withPrefix);
    });
  }
});
