/** The three generations of the kernel log, each in a synthetic machine. */
import { describe, expect, test } from "vitest";
import { Kernel, logText, readLog } from "../../src/kernel/index.ts";
import { Machine } from "../writers/machine.ts";

describe("characters (to 3.4)", () => {
  function machine(text: string, size: number, end: number, logged: number): Kernel {
    const m = new Machine();
    const buffer = Buffer.alloc(size);
    const bytes = Buffer.from(text, "latin1");
    for (let i = 0; i < bytes.length; i++) buffer[(((end - bytes.length + i) % size) + size) % size] = bytes[i]!;
    m.variable("log_buf", m.place(buffer), 8);
    m.variable("log_buf_len", BigInt(size), 4);
    m.variable("log_end", BigInt(end), 4);
    m.variable("logged_chars", BigInt(logged), 4);
    return new Kernel(m.dump());
  }

  test("not wrapped", () => {
    const text = "<6>first\n<3>second\n";
    const log = readLog(machine(text, 64, text.length, text.length));
    expect(log).toMatchObject({ format: "characters", lost: 0 });
    expect(log.records.map(({ level, text: line, timeNs }) => [level, line, timeNs])).toEqual([
      [6, "first", undefined],
      [3, "second", undefined],
    ]);
  });

  test("wrapped: the oldest text comes first", () => {
    const text = "<6>kept line\n<4>newest line of all\n";
    const log = readLog(machine(text, text.length, 1000, text.length));
    expect(logText(log)).toBe("kept line\nnewest line of all\n");
  });

  test("log_end of garbage", () => {
    expect(() => readLog(machine("<6>x\n", 64, 0xffffffff, 0xffffffff))).not.toThrow();
  });
});

describe("records (3.5 to 5.9)", () => {
  const HEADER = 16;

  function record(text: string, timeNs: bigint, level: number): Buffer {
    const size = Math.ceil((HEADER + text.length) / 8) * 8;
    const bytes = Buffer.alloc(size);
    bytes.writeBigUInt64LE(timeNs, 0);
    bytes.writeUInt16LE(size, 8);
    bytes.writeUInt16LE(text.length, 10);
    bytes[15] = level << 5;
    bytes.write(text, HEADER, "latin1");
    return bytes;
  }

  function machine(buffer: Buffer, first: number, next: number): Kernel {
    const m = new Machine();
    m.variable("log_buf", m.place(buffer), 8);
    m.variable("log_buf_len", BigInt(buffer.length), 4);
    m.variable("log_first_idx", BigInt(first), 4);
    m.variable("log_next_idx", BigInt(next), 4);
    m.offsets("printk_log", HEADER, { ts_nsec: 0, len: 8, text_len: 10, dict_len: 12 });
    return new Kernel(m.dump());
  }

  test("in order, with time and level", () => {
    const buffer = Buffer.alloc(256);
    const records = Buffer.concat([record("hello", 1_500_000_000n, 6), record("a longer line\nof two", 2_000_001_000n, 3)]);
    records.copy(buffer);
    const log = readLog(machine(buffer, 0, records.length));
    expect(log).toMatchObject({ format: "records", lost: 0 });
    expect(log.records.map((r) => r.level)).toEqual([6, 3]);
    expect(logText(log)).toBe("[    1.500000] hello\n[    2.000001] a longer line\nof two\n");
  });

  test("a record of length 0 leads back to the start", () => {
    const newest = record("newest", 3n, 6);
    const oldest = record("oldest", 1n, 6);
    const buffer = Buffer.alloc(128);
    newest.copy(buffer, 0);
    oldest.copy(buffer, 64);
    expect(readLog(machine(buffer, 64, newest.length)).records.map((r) => r.text)).toEqual(["oldest", "newest"]);
  });

  test.each([
    ["a length that leads outside", (b: Buffer) => b.writeUInt16LE(0xfff0, 8)],
    ["a length shorter than the header", (b: Buffer) => b.writeUInt16LE(4, 8)],
  ])("%s ends the walk", (_, spoil) => {
    const buffer = Buffer.alloc(256);
    const records = Buffer.concat([record("good", 1n, 6), record("bad", 2n, 6)]);
    records.copy(buffer);
    spoil(buffer.subarray(record("good", 1n, 6).length));
    const log = readLog(machine(buffer, 0, records.length));
    expect(log.records.map((r) => r.text)).toEqual(["good"]);
    expect(log.lost).toBe(1);
  });

  test("a loop of zeros ends", () => {
    expect(readLog(machine(Buffer.alloc(128), 64, 32)).records).toEqual([]);
  });
});

describe("ring buffer (5.10 on)", () => {
  const COUNT_BITS = 3;
  const SIZE_BITS = 8;
  const DESC = 24;
  const INFO = 88;
  const FINALIZED = 2n;
  const MASK = (1n << 62n) - 1n;

  interface Entry {
    readonly text?: string;
    readonly state?: bigint;
    /** Logical positions where they are not those of a block. */
    readonly lpos?: readonly [begin: bigint, next: bigint];
    readonly length?: number;
    /** Id that the descriptor claims. */
    readonly id?: bigint;
  }

  /** @param start logical position of the first block; @param firstId id of the first entry. */
  function machine(
    entries: readonly Entry[],
    start = 0n,
    firstId = 0n,
    change: (m: Machine, prb: bigint) => void = () => undefined,
  ): Kernel {
    const m = new Machine();
    const count = 1 << COUNT_BITS;
    const size = 1 << SIZE_BITS;
    const data = m.room(size);
    const descs = m.room(count * DESC);
    const infos = m.room(count * INFO);
    let lpos = start;
    entries.forEach((entry, i) => {
      const id = (firstId + BigInt(i)) & MASK;
      const index = Number(id % BigInt(count));
      const desc = m.at(descs) + index * DESC;
      const info = m.at(infos) + index * INFO;
      const text = Buffer.from(entry.text ?? "", "latin1");
      m.u64(desc, ((entry.state ?? FINALIZED) << 62n) | (entry.id ?? id));
      let [begin, next] = entry.lpos ?? [0n, 0n];
      if (!entry.lpos) {
        const block = BigInt(Math.ceil((8 + text.length) / 8) * 8);
        begin = lpos;
        // A block that does not fit up to the end is stored at the start of the next lap.
        let at = begin % BigInt(size);
        if (at + block > BigInt(size)) {
          next = (begin / BigInt(size) + 1n) * BigInt(size) + block;
          at = 0n;
        } else next = begin + block;
        m.u64(m.at(data) + Number(at), id);
        m.memory.set(text, m.at(data) + Number(at) + 8);
        lpos = next;
      }
      m.u64(desc + 8, begin);
      m.u64(desc + 16, next);
      m.u64(info, BigInt(100 + i));
      m.u64(info + 8, BigInt(i) * 1_000_000_000n);
      m.view.setUint16(info + 16, entry.length ?? text.length, true);
      m.memory[info + 18] = 0;
      m.memory[info + 19] = 6 << 5;
      m.view.setUint32(info + 20, 7, true);
    });
    const prb = m.room(128);
    const at = m.at(prb);
    m.view.setUint32(at, COUNT_BITS, true);
    m.u64(at + 8, descs);
    m.u64(at + 16, infos);
    m.u64(at + 24, (firstId + BigInt(entries.length - 1)) & MASK);
    m.u64(at + 32, firstId);
    m.view.setUint32(at + 48, SIZE_BITS, true);
    m.u64(at + 56, data);
    m.variable("prb", prb, 8);
    m.offsets("printk_ringbuffer", 88, { desc_ring: 0, text_data_ring: 48, fail: 80 });
    m.offsets("prb_desc_ring", 48, { count_bits: 0, descs: 8, infos: 16, head_id: 24, tail_id: 32 });
    m.offsets("prb_desc", DESC, { state_var: 0, text_blk_lpos: 8 });
    m.offsets("prb_data_blk_lpos", 16, { begin: 0, next: 8 });
    m.offsets("printk_info", INFO, { seq: 0, ts_nsec: 8, text_len: 16, caller_id: 20, dev_info: 24 });
    m.offsets("prb_data_ring", 32, { size_bits: 0, data: 8, head_lpos: 16, tail_lpos: 24 });
    change(m, prb);
    return new Kernel(m.dump());
  }

  const texts = (kernel: Kernel): string[] => readLog(kernel).records.map((record) => record.text);

  test("in order, with sequence numbers, time, level and caller", () => {
    const log = readLog(machine([{ text: "one" }, { text: "two\nlines" }, { text: "" }]));
    expect(log).toMatchObject({ format: "ringbuffer", lost: 0 });
    expect(log.records.map(({ seq, level, caller }) => [seq, level, caller])).toEqual([
      [100, 6, 7],
      [101, 6, 7],
      [102, 6, 7],
    ]);
    expect(logText(log)).toBe("[    0.000000] one\n[    1.000000] two\nlines\n[    2.000000] \n");
  });

  test("a block that wraps, and ids that wrap", () => {
    const long = "x".repeat(60);
    expect(texts(machine([{ text: long }, { text: "after the wrap" }], 200n, MASK - 0n))).toEqual([long, "after the wrap"]);
  });

  test("a block that fits exactly to the end (7.0 on)", () => {
    const text = "y".repeat(48);
    expect(texts(machine([{ text }, { text: "next lap" }], 200n))).toEqual([text, "next lap"]);
  });

  test("records without data: lost, and empty lines", () => {
    const log = readLog(machine([{ lpos: [1n, 1n] }, { lpos: [3n, 3n] }, { text: "last" }]));
    expect(log.records.map((record) => record.text)).toEqual(["", "", "last"]);
    expect(log.lost).toBe(1);
  });

  test("descriptors that are being written, reused or of another id are passed over", () => {
    const log = readLog(
      machine([
        { text: "a", state: 0n },
        { text: "b", state: 3n },
        { text: "c", id: 77n },
        { text: "d", state: 1n },
      ]),
    );
    expect(log.records.map((record) => record.text)).toEqual(["d"]);
    expect(log.lost).toBe(2);
  });

  test("a length larger than the block is cut to it", () => {
    expect(texts(machine([{ text: "12345678", length: 60000 }, { text: "z" }]))).toEqual(["12345678", "z"]);
  });

  test("UTF-8 is text, other bytes are U+FFFD", () => {
    expect(logText(readLog(machine([{ text: Buffer.from("größe").toString("latin1") }, { text: "\xff" }])))).toBe(
      "[    0.000000] größe\n[    1.000000] �\n",
    );
  });

  test.each([
    ["2^63 descriptors", (m: Machine, prb: bigint) => m.view.setUint32(m.at(prb), 63, true)],
    ["2^63 bytes", (m: Machine, prb: bigint) => m.view.setUint32(m.at(prb) + 48, 63, true)],
    ["descriptors nowhere", (m: Machine, prb: bigint) => m.u64(m.at(prb) + 8, 0xdead000000000000n)],
  ])("%s: an error, not a hang", (_, spoil) => {
    expect(() => readLog(machine([{ text: "x" }], 0n, 0n, spoil))).toThrowError(expect.objectContaining({ name: "DumpError" }));
  });
});
