import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BootCounter } from "./boots.ts";
import { rawAddresses, readBanner, readFacts } from "./facts.ts";
import { parseHead } from "./head.ts";
import { ofSameCaller } from "./interleave.ts";
import { kernelTextOf, type LogLine, MAX_SHOWN, openKernelText, parseLine, readLines } from "./lines.ts";
import { recogniseText } from "./recognise.ts";
import { bytesStream } from "./stream.ts";

/** Lines of a text given as it is in a file. */
function linesOf(text: string): LogLine[] {
  return [...readLines(openKernelText(bytesStream(Buffer.from(text))))];
}

function textsOf(text: string): string[] {
  return linesOf(text).map((line) => line.text);
}

describe("heads", () => {
  test.each([
    ["[    1.234567] text", { time: 1.234567, logger: false }],
    ["[    1.234567][  T12] text", { time: 1.234567, caller: "T12" }],
    ["<4>[    1.234567][    C3] text", { level: 4, caller: "C3" }],
    ["[2J[    0.000000] text", { time: 0 }],
    ["** 3 printk messages dropped ** [    1.2] text", { time: 1.2 }],
    ["host login: [    1.2] text", { time: 1.2 }],
    ["[  T12] text", { caller: "T12", time: undefined }],
    ["[Mon Aug 17 12:34:56 2026] text", { logger: false }],
    ["kern  :warn  : [    1.500000] text", { time: 1.5, logger: true }],
    ["Nov 20 23:53:37 web-1 kernel: [    1.2][  T12] text", { logger: true, caller: "T12" }],
    ["Nov 20 23:53:37 web-1 kernel: text", { logger: true, time: undefined }],
    ["Nov 20 23:53:37 192.0.2.7 [    1.234567] text", { logger: true, time: 1.234567 }],
    ["2026-11-20T23:53:37.123456+01:00 web-1 kernel: [    1.2] text", { logger: true, time: 1.2 }],
    ["2026-11-20 23:53:37 [    1.2] text", { logger: true, time: 1.2 }],
    ["Fri 2026-11-20 23:53:37 UTC web-1 kernel: text", { logger: true }],
    ["1795218817.123456 web-1 kernel: text", { logger: true }],
    ["[    1.234567 <    0.000012>] web-1 kernel: text", { logger: true }],
    ["[    1.234567] web-1 kernel: text", { time: 1.234567 }],
    ["<6>1 2026-11-20T23:53:37Z web-1 kernel - - - text", { logger: true }],
    ["[2026-11-20 23:53:37] [    1.2] text", { logger: true, time: 1.2 }],
    ["6,339,5140900,-;text", { level: 6, time: 5.1409 }],
    ["6.9.1-arch1,6,339,5140900,-,caller=C0;text", { caller: "C0", time: 5.1409 }],
  ])("%j", (line, head) => {
    const parsed = parseHead(line);
    expect(parsed).toMatchObject(head);
    expect(line.slice(parsed?.length)).toBe("text");
  });

  test.each(["text", "", "[nouveau] text", "Nov 20 23:53:37 web-1 app[1]: text", "12,34 text", "a: b : c"])("%j has none", (line) => {
    expect(parseHead(line)).toBeUndefined();
  });
});

describe("recognised without being told", () => {
  test.each([
    ["console", "[    1.000000] a\n[    1.100000] b\n"],
    ["console", ""],
    ["console", "BUG: {\n"],
    ["kmsg", "6,1,1000,-;a\n6,2,2000,-;b\n"],
    ["parts", "Panic#1 Part2\n<6>[    1.000000] a\n"],
    ["journal-export", "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1\nMESSAGE=a\n\n"],
    ["journal-json", '{"__CURSOR":"s=1","MESSAGE":"a"}\n'],
    ["journal-json", '\x1e{"_TRANSPORT":"kernel","MESSAGE":"a"}\n'],
  ])("%s: %j", (kind, text) => {
    expect(recogniseText(text).kind).toBe(kind);
  });
});

describe("lines", () => {
  test("keep number, offset, original, time and caller", () => {
    const text = "[    1.000000][   T1] caf\u00e9\r\n\n\x1b[31m[    2.000000]\x1b[0m red\nno end";
    const lines = linesOf(text);
    expect(lines.map(({ number, offset }) => [number, offset])).toEqual([
      [0, 0],
      [1, 29],
      [2, 30],
      [3, 58],
    ]);
    expect(lines[0]).toMatchObject({ raw: "[    1.000000][   T1] caf\u00e9\r", text: "caf\u00e9", time: 1, caller: "T1", kernel: true });
    expect(lines[2]).toMatchObject({ text: "red", time: 2 });
    expect(lines[3]).toMatchObject({ text: "no end", kernel: false });
    for (const { offset, raw } of lines) expect(Buffer.from(text).subarray(offset).toString().startsWith(raw)).toBe(true);
  });

  test("of a collector that nobody knows, from printk's head on", () => {
    const text = [1, 2, 3, 4].map((n) => `rack7/u12 console$ 12:00:0${n} | [    ${n}.000000] line ${n}\n`).join("");
    expect(textsOf(text)).toEqual(["line 1", "line 2", "line 3", "line 4"]);
    // Lines that ran into each other are no collector's.
    expect(recogniseText("Sep 2[    1.000000] a\n:17 sy[    1.100000] b\nrn.err [[    1.200000] c\n").prefixed).toBe(false);
  });

  test.each(["utf16le", "utf-16be"] as const)("in %s, as terminal programs save", (encoding) => {
    const bytes = Buffer.from("\ufeff[    1.000000] caf\u00e9\r\n[    2.000000] b\r\n", "utf16le");
    if (encoding === "utf-16be") bytes.swap16();
    expect([...readLines(openKernelText(bytesStream(bytes)))].map(({ text }) => text)).toEqual(["caf\u00e9", "b"]);
  });

  test("of pstore's parts, the first words first", () => {
    const text = "Panic#1 Part1\n<0>[    3.000000] end\nPanic#1 Part2\n<6>[    1.000000] begin\n<6>[    2.000000] middle\n";
    expect(textsOf(text)).toEqual(["begin", "middle", "end"]);
  });

  test("of netconsole's fragments, put together", () => {
    const whole = "6,416,1758426,-;the first half, the second one\n";
    const parts = "6,416,1758426,-,ncfrag=0/31;the first half,\n6,416,1758426,-,ncfrag=15/31; the second one\n";
    expect(textsOf(`6,1,1,-;a\n${parts}6,2,2000000,-;b\n`)).toEqual(["a", ...textsOf(whole), "b"]);
    // Packets do not end in a line feed.
    expect(textsOf(`6,1,1,-;a\n${parts.replace(",\n", ",")}6,2,2000000,-;b\n`)).toEqual(["a", ...textsOf(whole), "b"]);
    // One that was lost takes nothing else with it.
    expect(textsOf("6,1,1,-;a\n6,416,1758426,-,ncfrag=0/31;the first half,\n6,417,2,-;b\n")).toEqual(["a", "the first half,", "b"]);
  });
});

describe("the journal", () => {
  const entries = [
    {
      _TRANSPORT: "kernel",
      PRIORITY: "6",
      _SOURCE_MONOTONIC_TIMESTAMP: "1500000",
      __MONOTONIC_TIMESTAMP: "9000000",
      MESSAGE: "Linux version 6.1.0",
    },
    { _TRANSPORT: "syslog", SYSLOG_IDENTIFIER: "app", MESSAGE: "BUG: not the kernel's" },
    { _TRANSPORT: "kernel", PRIORITY: "1", __MONOTONIC_TIMESTAMP: "2000000", MESSAGE: "BUG: caf\u00e9\nsecond line" },
  ];
  const expected = ["<6>[    1.500000] Linux version 6.1.0", "<1>[    2.000000] BUG: caf\u00e9", "<1>[    2.000000] second line"];

  function exported(binary: boolean): Buffer {
    const parts: Buffer[] = [];
    for (const entry of entries) {
      parts.push(Buffer.from("__CURSOR=x\n__REALTIME_TIMESTAMP=1\n"));
      for (const [name, value] of Object.entries(entry)) {
        if (value.includes("\n") || (binary && name === "MESSAGE")) {
          const data = Buffer.from(value);
          const length = Buffer.alloc(8);
          length.writeBigUInt64LE(BigInt(data.length));
          parts.push(Buffer.from(`${name}\n`), length, data, Buffer.from("\n"));
        } else parts.push(Buffer.from(`${name}=${value}\n`));
      }
      parts.push(Buffer.from("\n"));
    }
    return Buffer.concat(parts);
  }

  test.each([false, true])("as -o export, binary fields everywhere: %s", (binary) => {
    const lines = [...readLines(openKernelText(bytesStream(exported(binary))))];
    expect(lines.map(({ raw }) => raw)).toEqual(expected);
  });

  test.each([
    ["json", (entry: object) => `${JSON.stringify({ __CURSOR: "x", ...entry })}\n`],
    ["json-seq", (entry: object) => `\x1e${JSON.stringify({ __CURSOR: "x", ...entry })}\n`],
    ["json-sse", (entry: object) => `data: ${JSON.stringify({ __CURSOR: "x", ...entry })}\n\n`],
    ["json-pretty", (entry: object) => `${JSON.stringify({ __CURSOR: "x", ...entry }, undefined, "\t")}\n`],
    [
      "json with bytes",
      (entry: { MESSAGE: string }) => `${JSON.stringify({ __CURSOR: "x", ...entry, MESSAGE: [...Buffer.from(entry.MESSAGE)] })}\n`,
    ],
  ])("as -o %s", (_, write) => {
    expect(linesOf(entries.map(write).join("")).map(({ raw }) => raw)).toEqual(expected);
  });

  test("damaged: what is whole is read", () => {
    const whole = JSON.stringify({ __CURSOR: "x", ...entries[0] });
    expect(linesOf(`${whole}\n${whole.slice(0, -9)}\n[1,2]\nnull\n${whole}\n`).map(({ raw }) => raw)).toEqual([expected[0], expected[0]]);
    const bytes = exported(true);
    for (let end = 0; end < bytes.length; end += 3) {
      const lines = [...readLines(openKernelText(bytesStream(bytes.subarray(0, end))))];
      expect(lines.length).toBeLessThanOrEqual(expected.length);
    }
    // A length that no field has.
    const huge = Buffer.concat([Buffer.from("__CURSOR=x\nMESSAGE\n"), Buffer.alloc(8, 0xff), Buffer.from("abc\n\n")]);
    expect([...readLines(openKernelText(bytesStream(huge)))]).toEqual([]);
  });
});

test("boots are told by the first words, and by a clock that goes back", () => {
  const counter = new BootCounter();
  const text = "[    5.0] x\n[    4.9] late\n[    0.0] Linux version 6.1.0\n[   50.0] y\n[    3.0] first words lost\n";
  expect(linesOf(text).map((line) => [counter.see(line), counter.boot, counter.banner])).toEqual([
    [false, 0, undefined],
    [false, 0, undefined],
    [true, 1, "Linux version 6.1.0"],
    [false, 1, "Linux version 6.1.0"],
    [true, 2, undefined],
  ]);
});

test("lines of one caller, and those of the CPUs that it asked", () => {
  const lines = ["[    1.0][  T1] a", "[    1.0][  T2] b", "user", "[    1.0][  T1] c"].map((line, i) => parseLine(line, i, 0));
  expect(ofSameCaller(lines).map(({ text }) => text)).toEqual(["a", "c"]);
  const asked = ["[    1.0][  C1] Sending NMI from CPU 1 to CPUs 0:", "[    1.0][  C0] d"].map((line, i) => parseLine(line, i, 0));
  expect(ofSameCaller(asked)).toHaveLength(2);
});

describe("facts of a crash", () => {
  test("on x86-64", () => {
    const facts = readFacts([
      "[   1.000000] BUG: unable to handle page fault for address: ffffc90000000018",
      "[   1.000001] Oops: 0002 [#1] PREEMPT SMP NOPTI",
      "[   1.000002] CPU: 3 UID: 0 PID: 77 Comm: kworker/3:1 x Kdump: loaded Tainted: G        W  O       6.12.1-test #7 PREEMPT(full) 0123456789abcdef0123456789abcdef01234567",
      "[   1.000003] Hardware name: Vendor Board/1, BIOS 2 01/01/2026",
      "[   1.000004] RIP: 0010:frob+0x12/0x40 [frob]",
      "[   1.000005] Code: 48 8b 07 <c7> 00 01",
      "[   1.000006] RSP: 0018:ffffc90000013e10 EFLAGS: 00010246",
      "[   1.000007] RAX: 0000000000000000 RBX: ffff88800584d000 RCX: 0000000000000003",
      "[   1.000008] R08: 0000000000000008 R09: 0000000000000009 R10: 000000000000000a",
      "[   1.000009] CR2: ffffc90000000018 CR3: 0000000000b2c000 CR4: 00000000007506a0",
      "[   1.000010] Call Trace:",
      "[   1.000011]  <TASK>",
      "[   1.000012]  ? __die+0x23/0x70",
      "[   1.000013]  frob_store+0x10/0x20 [frob 0123456789abcdef0123456789abcdef01234567]",
      "[   1.000014]  [<ffffffff81234567>] 0xffffffff81234567",
      "[   1.000015]  do_syscall_64+0x5c/0x90 arch/x86/entry/common.c:83",
      "[   1.000016] RIP: 0033:0x47b7a0",
      "[   1.000017] RSP: 002b:00007fff00000000 EFLAGS: 00000246 ORIG_RAX: 0000000000000001",
      "[   1.000018]  </TASK>",
      "[   1.000019] Modules linked in: frob(O) nf_tables(+) bridge [last unloaded: bridge]",
      "[   1.000020] Kernel Offset: 0x2e000000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)",
    ]);
    expect(facts).toMatchObject({
      cpu: 3,
      pid: 77,
      comm: "kworker/3:1 x",
      release: "6.12.1-test",
      version: "#7 PREEMPT(full)",
      buildId: "0123456789abcdef0123456789abcdef01234567",
      taint: "GWO",
      hardware: "Vendor Board/1, BIOS 2 01/01/2026",
      machine: "x86_64",
      kaslrOffset: 0x2e000000n,
      modules: [
        { name: "frob", taint: "O" },
        { name: "nf_tables", taint: "+" },
        { name: "bridge", taint: "" },
      ],
    });
    expect(
      facts.frames.map(({ symbol, offset, address, reliable, module, user }) => [symbol ?? address, offset, reliable, module, user]),
    ).toEqual([
      ["frob", 0x12, true, "frob", false],
      ["__die", 0x23, false, undefined, false],
      ["frob_store", 0x10, true, "frob", false],
      [0xffffffff81234567n, undefined, true, undefined, false],
      ["do_syscall_64", 0x5c, true, undefined, false],
      [0x47b7a0n, undefined, true, undefined, true],
    ]);
    expect(Object.fromEntries(facts.registers)).toMatchObject({
      sp: 0xffffc90000013e10n,
      flags: 0x10246n,
      ax: 0n,
      r8: 8n,
      r10: 10n,
      cr2: 0xffffc90000000018n,
    });
    // User mode's are not those of the fault.
    expect(facts.registers.has("orig_ax")).toBe(false);
  });

  test("on aarch64", () => {
    const facts = readFacts([
      "[   1.000000] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000018",
      "[   1.000001] Modules linked in: frob(OE)",
      "[   1.000002] CPU: 5 PID: 12 Comm: sh Not tainted 6.6.0-arm64 #1 Debian 6.6.1-1",
      "[   1.000003] pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)",
      "[   1.000004] pc : frob+0x12/0x40 [frob]",
      "[   1.000005] lr : frob_store+0x20/0x60 [frob]",
      "[   1.000006] sp : ffff80008000bd10",
      "[   1.000007] x29: ffff80008000bd10 x28: ffff000002f1b800 x27: 0000000000000000",
      "[   1.000008] x2 : 0000000000000001 x1 : ffff000002f1b800 x0 : 0000000000000018",
      "[   1.000009] Call trace:",
      "[   1.000010]  frob+0x12/0x40 [frob] (P)",
      "[   1.000011]  frob_store+0x20/0x60 [frob]",
      "[   1.000012]  el0t_64_sync+0x190/0x198",
      "[   1.000013] Code: d503201f aa0003f3 (b9001801) a94153f3",
      "[   1.000014] ---[ end trace 0000000000000000 ]---",
    ]);
    expect(facts).toMatchObject({ cpu: 5, pid: 12, comm: "sh", release: "6.6.0-arm64", taint: "", machine: "aarch64" });
    expect(facts.frames.map(({ symbol, module }) => [symbol, module])).toEqual([
      ["frob", "frob"],
      ["frob_store", "frob"],
      ["el0t_64_sync", undefined],
    ]);
    expect(Object.fromEntries(facts.registers)).toEqual({
      pstate: 0x60400005n,
      sp: 0xffff80008000bd10n,
      x29: 0xffff80008000bd10n,
      x28: 0xffff000002f1b800n,
      x27: 0n,
      x2: 1n,
      x1: 0xffff000002f1b800n,
      x0: 0x18n,
    });
  });

  test("of a hung task: it is one task, who reports it another", () => {
    const lines = [
      "INFO: task worker:77 blocked for more than 120 seconds.",
      "      Not tainted 6.1.0 #1",
      "Call Trace:",
      " __schedule+0x1/0x2",
      " frob_wait+0x1/0x2",
      "Kernel panic - not syncing: hung_task: blocked tasks",
      "CPU: 1 PID: 23 Comm: khungtaskd Not tainted 6.1.0 #1",
      "Call Trace:",
      " panic+0x1/0x2",
      " watchdog+0x1/0x2",
    ];
    const facts = readFacts(lines);
    expect(facts).toMatchObject({ cpu: 1, pid: 23, comm: "khungtaskd", hung: { pid: 77, comm: "worker", seconds: 120 } });
    expect(facts.hung?.frames.map(({ symbol }) => symbol)).toEqual(["__schedule", "frob_wait"]);
    expect(facts.frames.map(({ symbol }) => symbol)).toEqual(["panic", "watchdog"]);
    expect(readFacts(lines.slice(0, 5))).toMatchObject({ cpu: undefined, pid: 77, comm: "worker", release: "6.1.0" });
  });

  test("the first words of a kernel", () => {
    expect(readBanner("Linux version 6.1.0-9-amd64 (me@host) (gcc-12 (Debian 12.2.0) 12.2.0, GNU ld 2.40) #1 SMP Debian 6.1.27-1")).toEqual(
      {
        release: "6.1.0-9-amd64",
        builder: "me@host",
        version: "#1 SMP Debian 6.1.27-1",
      },
    );
  });

  test("addresses without a name", () => {
    const lines = [
      "[ 1.0] RIP: 0010:0xffffffff81000010",
      "[ 1.0]  [<ffffffff81000020>] f+0x1/0x2",
      "[ 1.0] RAX: ffffffff81000030",
      "[ 1.0] [<ffffffff81000040>] ?",
    ];
    expect([...rawAddresses(lines)]).toEqual([0xffffffff81000010n, 0xffffffff81000040n]);
  });
});

const words = fc.constantFrom(
  ..."[    1.234567] |[    1.2][  T12] |<4>|Linux version |\r|\0|\x1b[31m|\n|\n|Aug 17 12:34:56 h kernel: |6,339,5140900,-;|,ncfrag=0/9;".split(
    "|",
  ),
  ...'Panic#1 Part1\n|{"_TRANSPORT":"kernel","MESSAGE":"|"}|MESSAGE\n|MESSAGE=|__CURSOR=x\n|_TRANSPORT=kernel\n|CPU: 1 PID: 2 Comm: '.split(
    "|",
  ),
  ..."Not tainted 6.1 #1|Call Trace:\n| f+0x1/0x2\n|RIP: 0010:|[<ffffffff81234567>]|x29: ffff000000000000 |Modules linked in: a b(O)|\u202e|\ufeff|INFO: task a:1 blocked for more than 1 seconds\n".split(
    "|",
  ),
);
const anything = fc
  .array(fc.oneof({ weight: 4, arbitrary: words }, fc.string({ unit: "binary", maxLength: 12 })), { maxLength: 80, size: "max" })
  .map((pieces) => pieces.join(""));

test("any text has lines and facts, whatever pieces it comes in", () => {
  fc.assert(
    fc.property(anything, fc.integer({ min: 1, max: 64 }), (text, size) => {
      const bytes = Buffer.from(text);
      const stream = bytesStream(bytes);
      const slow = { ...stream, read: (into: Uint8Array) => stream.read(into.subarray(0, Math.min(into.length, size))) };
      const whole = [...readLines(openKernelText(bytesStream(bytes)))];
      expect([...readLines(openKernelText(slow))]).toEqual(whole);
      expect([...readLines(kernelTextOf(bytes.toString("latin1")))]).toEqual(whole);
      for (const [i, line] of whole.entries()) {
        expect(line.number).toBe(i);
        expect(line.text.length).toBeLessThanOrEqual(line.raw.length);
      }
      const facts = readFacts(whole.map(({ raw }) => raw));
      expect(facts.frames.length).toBeLessThanOrEqual(257);
      rawAddresses(whole.map(({ raw }) => raw));
    }),
    { numRuns: 300 },
  );
});

describe("hostile", () => {
  test.each([
    ["one line of 64 MB", "a"],
    ["64 MB of NULs", "\0"],
    ["64 MB of login prompts", " login:"],
    ["64 MB of brackets", "["],
    ["64 MB of escape sequences", "\x1b["],
    ["64 MB of line feeds", "\n"],
    ["64 MB of digits", "6,1,"],
  ])("%s", (_, unit) => {
    const block = Buffer.from(unit.repeat(Math.ceil(65536 / unit.length)));
    let left = 64e6;
    const text = openKernelText({
      name: "hostile",
      read: (into) => {
        const got = Math.min(into.length, block.length, left);
        into.set(block.subarray(0, got));
        left -= got;
        return got;
      },
      close: () => {},
    });
    const start = performance.now();
    for (const line of readLines(text)) if (line.raw.length > MAX_SHOWN) throw new Error("a line is too long");
    // A tenth of it on an idle machine; what this guards against takes minutes.
    expect(performance.now() - start).toBeLessThan(50_000);
  });
});

test("lines are read at 50 MB/s or more", () => {
  const unit = "[    4.519483][    T1] Freeing unused kernel image (rodata/data gap) memory: 1280K\n".repeat(1000);
  const text = unit.repeat(300);
  const seconds = Array.from({ length: 5 }, () => {
    const start = performance.now();
    let count = 0;
    for (const line of readLines(kernelTextOf(text))) count += line.kernel ? 1 : 0;
    expect(count).toBe(300_000);
    return (performance.now() - start) / 1000;
  });
  // The best of five: another test may have the CPU.
  expect(text.length / 1e6 / Math.min(...seconds)).toBeGreaterThan(50);
});
