/**
 * What the report says in words, on evidence that is partial, mixed or hostile. Its whole text for each sample is held by
 * the goldens of test/cli.
 *
 * A case under `test.fails` is a fault that is known and not mended yet: mending it fails the test until `.fails` is gone.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { asPaddr, asVaddr, type Pfn } from "../../src/bytes/index.ts";
import { escapeControl } from "../../src/cli/terminal.ts";
import { type DumpFile, openDump } from "../../src/format/index.ts";
import { Kernel } from "../../src/kernel/index.ts";
import { buildReport, renderReport, type Report } from "../../src/report/index.ts";
import { runMain } from "../cli/memory-sink.ts";

const SAMPLE = join("samples", "debian-6.1-sysrq.vmcore");
const EVIDENCE = "../shared/evidence";
const scratch = mkdtempSync(join(tmpdir(), "lastwords-report-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A folder with these files. */
function folder(name: string, files: Readonly<Record<string, string | Uint8Array>>): string {
  const path = join(scratch, name);
  mkdirSync(path);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), content);
  return path;
}

/** The report of a log and nothing else. */
function reportOfLog(text: string): Report {
  const evidence = {
    pieces: [],
    pstore: [],
    logs: [],
    story: { crash: undefined, capture: undefined },
    notes: [],
    dump: undefined,
    log: { path: "console.log", text },
  };
  return buildReport({ evidence, kernel: undefined, kernelFailure: undefined, version: "test" });
}

function textOf(report: Report): string {
  return renderReport(report, { paint: (_style, text) => text, escape: escapeControl, logLines: 1000 });
}

async function jsonOf(...paths: string[]): Promise<{ readonly code: number; readonly report: Report }> {
  const { code, out } = await runMain(["report", "--json", ...paths]);
  return { code, report: JSON.parse(out) as Report };
}

/** The end of a log as the kernel of an x86 machine writes it: the header lines, a trace, and what follows. */
function crashLog(header: readonly string[], functions: readonly string[], end: readonly string[] = []): string {
  const lines = [
    "Linux version 6.1.0-test (gcc) #1 SMP",
    ...header,
    "CPU: 2 PID: 77 Comm: worker Not tainted 6.1.0-test #1",
    `RIP: 0010:${functions[0]}+0x12/0x40`,
    "Call Trace:",
    " <TASK>",
    ...functions.slice(1).map((name) => ` ${name}+0x10/0x100`),
    " </TASK>",
    ...end,
  ];
  return lines.map((line, i) => `[   ${(10 + i / 1000).toFixed(6)}] ${line}\n`).join("");
}

const SYSCALL = ["ksys_write", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"];

describe("the summary says in plain words what happened", () => {
  const CASES: readonly (readonly [words: string, log: string])[] = [
    [
      "the kernel used a pointer that was NULL",
      crashLog(
        ["BUG: kernel NULL pointer dereference, address: 0000000000000018", "Oops: 0002 [#1] PREEMPT SMP"],
        ["frob_device", "frob_store", ...SYSCALL],
      ),
    ],
    [
      "the kernel used an address that is not mapped",
      crashLog(
        ["BUG: unable to handle page fault for address: ffffc90000abc000", "Oops: 0000 [#1] PREEMPT SMP"],
        ["frob_device", "frob_store", ...SYSCALL],
      ),
    ],
    [
      "the kernel used an address that cannot exist",
      crashLog(
        ["general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP"],
        ["frob_device", "frob_store", ...SYSCALL],
      ),
    ],
    [
      "a check inside the kernel failed (BUG)",
      crashLog(
        ["------------[ cut here ]------------", "kernel BUG at drivers/frob/frob.c:42!", "invalid opcode: 0000 [#1] SMP"],
        ["frob_device", "frob_store", ...SYSCALL],
      ),
    ],
    ["somebody asked for a crash through SysRq", crashLog(["Kernel panic - not syncing: sysrq triggered crash"], ["panic", ...SYSCALL])],
    [
      "the machine ran out of memory",
      crashLog(["Kernel panic - not syncing: Out of memory: system-wide panic_on_oom is enabled"], ["panic", ...SYSCALL]),
    ],
    ["the first process (init) died", crashLog(["Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100"], ["panic"])],
    [
      "the root file system could not be mounted",
      crashLog(["Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"], ["panic"]),
    ],
    [
      "the hardware reported an error that cannot be corrected",
      crashLog(["Kernel panic - not syncing: Fatal machine check on current CPU"], ["panic"]),
    ],
    ["a non-maskable interrupt asked for a panic", crashLog(["Kernel panic - not syncing: NMI: Not continuing"], ["panic"])],
    [
      "a CPU did not schedule for too long",
      crashLog(
        ["watchdog: BUG: soft lockup - CPU#2 stuck for 26s! [worker:77]"],
        ["frob_spin", "frob_store", ...SYSCALL],
        ["Kernel panic - not syncing: softlockup: hung tasks"],
      ),
    ],
    ["a CPU did not take interrupts for too long", crashLog(["Kernel panic - not syncing: Hard LOCKUP"], ["panic"])],
    [
      "a kernel stack was overwritten",
      crashLog(["Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: frob_device+0x7/0x8"], ["panic"]),
    ],
    [
      "the kernel used memory that it had freed",
      crashLog(
        ["BUG: KASAN: use-after-free in frob_device+0x12/0x40", "Read of size 8 at addr ffff888012345678 by task worker/77"],
        ["frob_device", "frob_store", ...SYSCALL],
      ),
    ],
  ];

  test.each(CASES)("%s", (words, log) => {
    const { summary } = reportOfLog(log);
    expect(summary).toContain(words);
    // For people who read nothing else: one sentence, with a full stop.
    expect(summary).toMatch(/^[^\n]+\.$/);
  });

  test("with function, task and CPU", () => {
    expect(reportOfLog(CASES[0]![1]).summary).toBe(
      'Linux 6.1.0-test crashed 10 s after boot: the kernel used a pointer that was NULL ("BUG: kernel NULL pointer dereference, address: 0000000000000018") in frob_device, running worker (pid 77), on CPU 2.',
    );
  });

  test("no log, no crash and a log without one are told apart", () => {
    expect(reportOfLog("").summary).toBe("The evidence does not say what happened.");
    expect(reportOfLog("[    1.000000] Linux version 6.1.0-test\n").summary).toBe("The log holds no crash of a kernel.");
  });

  test("each sample: its release, when, and who", async () => {
    for (const file of readdirSync("samples").filter((name) => name.endsWith(".vmcore"))) {
      const { report } = await jsonOf(join("samples", file));
      const { summary, kernel, panic } = report;
      expect(summary).toContain(`Linux ${kernel!.release} crashed`);
      expect(summary).toContain(kernel!.crashTime!.replace("T", " at ").replace("Z", " UTC"));
      expect(summary).toContain(`running ${panic.task!.comm} (pid ${panic.task!.pid}), on CPU ${panic.cpu}`);
    }
  });

  test("the panic's words are passed over where they only say that there was a fault before", () => {
    const log = crashLog(
      ["WARNING: CPU: 2 PID: 77 at drivers/frob/frob.c:42 frob_device+0x12/0x40"],
      ["frob_device", ...SYSCALL],
      ["Kernel panic - not syncing: panic_on_warn set ..."],
    );
    expect(reportOfLog(log).summary).not.toMatch(/crashed: panic_on_warn set/);
  });

  test("a function is named once", () => {
    const log = crashLog(["INFO: task worker:77 blocked for more than 120 seconds."], ["frob_device", "frob_store", ...SYSCALL]);
    expect(reportOfLog(log).summary.match(/ in \w+/g)?.length ?? 0).toBeLessThanOrEqual(1);
  });

  test("a warning alone is no crash", () => {
    const log = crashLog(
      ["------------[ cut here ]------------", "WARNING: CPU: 2 PID: 77 at drivers/frob/frob.c:42 frob_device+0x12/0x40"],
      ["frob_device", "frob_store", ...SYSCALL],
    );
    expect(reportOfLog(log).summary).not.toContain("crashed");
  });

  test("the words are about what happened, not about letters in a function's name", () => {
    const log = crashLog(
      ["------------[ cut here ]------------", "kernel BUG at net/core/skbuff.c:104!", "invalid opcode: 0000 [#1] SMP"],
      ["frob_check_headroom", "frob_store", ...SYSCALL],
    );
    expect(reportOfLog(log).summary).toContain("a check inside the kernel failed");
  });

  test("RCU that is used wrongly is not RCU that is held up, and the other way round", () => {
    const header = ["=============================", "WARNING: suspicious RCU usage", "6.1.0-test #1 Not tainted"];
    expect(reportOfLog(crashLog(header, ["frob_device", "frob_store", ...SYSCALL])).summary).not.toContain("held up RCU");
    const stall = ["rcu: INFO: rcu_preempt self-detected stall on CPU", "rcu: \t2-....: (5249 ticks this GP)"];
    expect(reportOfLog(crashLog(stall, ["frob_spin", "frob_store", ...SYSCALL])).summary).toContain("held up RCU");
  });

  test.each(["kernel: panic_on_warn set ...", "panic_on_kmsan set ...", "Machine halted."])("nor %s", (words) => {
    const log = crashLog(["PANIC: double fault, error_code: 0x0"], ["frob_device", ...SYSCALL], [`Kernel panic - not syncing: ${words}`]);
    expect(reportOfLog(log).summary).not.toContain(words);
  });

  test.each([
    "BUG: sleeping function called from invalid context at drivers/frob/frob.c:42",
    "BUG: using smp_processor_id() in preemptible [00000000] code: worker/77",
  ])("a kernel that goes on after %s has not crashed", (header) => {
    expect(reportOfLog(crashLog([header], ["frob_device", "frob_store", ...SYSCALL])).summary).not.toContain("crashed");
  });

  test("the frame that lockdep draws around its words is none of them", () => {
    const log = crashLog(
      ["=========================", "[ BUG: held lock freed! ]", "6.1.0-test #1 Not tainted"],
      ["frob_device", ...SYSCALL],
    );
    expect(reportOfLog(log).panic.message).toBe("BUG: held lock freed!");
  });
});

describe("a log and nothing else", () => {
  const LOG = crashLog(
    ["BUG: kernel NULL pointer dereference, address: 0000000000000018", "Oops: 0002 [#1] PREEMPT SMP"],
    ["frob_device", "frob_store", ...SYSCALL],
    ["Kernel panic - not syncing: Fatal exception"],
  );

  test("tells the crash, the task and the CPU", async () => {
    const { code, report } = await jsonOf(join(folder("log-only", { "console.log": LOG }), "console.log"));
    expect(code).toBe(0);
    expect(report).toMatchObject({
      title: "BUG: unable to handle kernel NULL pointer dereference in frob_device",
      dump: null,
      kernel: { release: "6.1.0-test", version: "#1 SMP", machine: "x86_64", uptimeSeconds: 10.012, kaslrOffset: null },
      panic: { function: "frob_device", cpu: 2, task: { pid: 77, comm: "worker", address: null }, registers: null },
      tasks: [],
      log: { format: "text", lines: LOG.split("\n").length - 1, text: LOG },
    });
    expect(report.receipts["/panic/task"]).toEqual({ confidence: "decoded", rule: "kernel log" });
  });

  test("the text ends with the log and where it came from", async () => {
    const { out } = await runMain(["report", "--log-lines", "1", join(folder("log-text", { "console.log": LOG }), "console.log")]);
    expect(out).toContain(`Kernel log (last 1 of ${LOG.split("\n").length - 1} lines)\n`);
    expect(out).toMatch(/\n {2}good {5}log file: .*console\.log \(text, \d+ bytes\)\n$/);
  });

  test("is not thrown off by an unfinished last line", async () => {
    const { report } = await jsonOf(join(folder("log-cut", { "console.log": LOG.trimEnd() }), "console.log"));
    expect(report.panic.function).toBe("frob_device");
  });

  test("from a serial console, with carriage returns", async () => {
    const { report } = await jsonOf(join(folder("log-crlf", { "console.log": LOG.replaceAll("\n", "\r\n") }), "console.log"));
    expect(report.panic.message).toBe("Fatal exception");
    const { out } = await runMain(["report", join(scratch, "log-crlf", "console.log")]);
    expect(out).not.toContain("\\x0d");
  });

  test("is UTF-8, as the log of a dump", async () => {
    const text = LOG.replace("worker", "café");
    const { report } = await jsonOf(join(folder("log-utf8", { "console.log": text }), "console.log"));
    expect(report.log.text).toBe(text);
    expect(report.panic.task?.comm).toBe("café");
  });
});

/** Consoles of the machines whose dumps are the evidence: the same crash must come out of either. */
const CONSOLES = ["debian-6.1-sysrq", "debian-6.12-oom", "evidence-6.1-oops", "evidence-6.1-hung-task"];

describe("the console.log of each evidence dump (skipped where the folder is not beside the repository)", () => {
  test.skipIf(!existsSync(EVIDENCE)).each(CONSOLES)("%s: title, function, task and CPU as from the dump", async (name) => {
    const fromLog = (await jsonOf(join(EVIDENCE, name, "console.log"))).report;
    const fromDump = (await jsonOf(join(EVIDENCE, name, "vmcore"))).report;
    const facts = ({ title, panic }: Report): unknown => [title, panic.type, panic.function, panic.cpu, panic.task?.pid, panic.task?.comm];
    expect(facts(fromLog)).toEqual(facts(fromDump));
  });

  test.skipIf(!existsSync(EVIDENCE))("no log of syzkaller's collection upsets the report", () => {
    const corpus = join(EVIDENCE, "syzkaller-reports");
    for (const file of readdirSync(corpus)) {
      const report = reportOfLog(readFileSync(join(corpus, file), "latin1"));
      expect(report.summary, file).toMatch(/^[^\n]+\.$/);
      expect(textOf(report).split("\n")[0], file).toBe(escapeControl(report.title));
    }
  });
});

describe("a folder", () => {
  const LATER = "[    1.000000] Linux version 6.1.0-capture\n[    2.000000] kdump: saving vmcore\n";
  const CRASH = crashLog(["Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009"], ["panic", "do_exit"]);

  test("with a dump and a console: the dump's own log counts, and both are listed", async () => {
    const path = folder("both", { "console.log": LATER });
    copyFileSync(SAMPLE, join(path, "vmcore"));
    const { code, report } = await jsonOf(path);
    const alone = (await jsonOf(SAMPLE)).report;
    expect(code).toBe(0);
    expect(report.log).toEqual(alone.log);
    expect(report.panic).toEqual(alone.panic);
    expect(report.summary).toBe(alone.summary);
    expect(report.evidence.slice(0, 2)).toMatchObject([
      { kind: "log file", source: join(path, "console.log"), health: "good" },
      { kind: "dump", source: join(path, "vmcore"), health: "good" },
    ]);
  });

  test("with a dump that was cut off early and a console: the console tells", async () => {
    const path = folder("cut", { "console.log": CRASH, vmcore: readFileSync(SAMPLE).subarray(0, 6000) });
    const { report } = await jsonOf(path);
    expect(report.panic.message).toBe("Attempted to kill init! exitcode=0x00000009");
    expect(report.evidence.find((piece) => piece.kind === "dump")!.health).not.toBe("good");
  });

  test("of folders", async () => {
    const path = folder("outer", {});
    mkdirSync(join(path, "127.0.0.1-2026-11-21"));
    copyFileSync(SAMPLE, join(path, "127.0.0.1-2026-11-21", "vmcore"));
    expect((await jsonOf(path)).report.panic.message).toBe("sysrq triggered crash");
  });

  test("with nothing of a crash is no evidence", async () => {
    const { code, report } = await jsonOf(folder("nothing", { "a.bin": new Uint8Array(5000), "b.txt": "hello\n", empty: "" }));
    expect(code).toBe(4);
    expect(report.evidence.map(({ health }) => health)).toEqual(["unusable", "good", "unusable"]);
  });

  test("as kdump leaves it without a vmcore: the log with the crash counts, not the capture kernel's", async () => {
    const { report } = await jsonOf(folder("kdump", { "kexec-dmesg.log": LATER, "vmcore-dmesg.txt": CRASH }));
    expect(report.panic.message).toBe("Attempted to kill init! exitcode=0x00000009");
  });
});

describe("text of the dump cannot command a terminal", () => {
  /** Retitles a terminal, recolours it (once with the 8-bit introducer), goes up a line, and turns the reading order. */
  const HOSTILE = "\x1b]0;gone\x07\x9b31m\x1b[1A\r\u202egnp.exe\u2066";
  // oxlint-disable-next-line no-control-regex
  const UNSAFE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;
  /** Words and numbers of ours, which no dump can write. */
  const OURS = new Set(
    "schema health kind confidence rule address value bytes crashTime letters words state format containers taint end registers".split(" "),
  );

  function deface(node: unknown, key = ""): unknown {
    if (typeof node === "string") return OURS.has(key) ? node : `${HOSTILE}${node}`;
    if (Array.isArray(node)) return node.map((item) => deface(item, key));
    if (typeof node !== "object" || node === null) return node;
    return Object.fromEntries(
      Object.entries(node).map(([name, value]) => [name, OURS.has(name) && typeof value === "string" ? value : deface(value, name)]),
    );
  }

  test.each(readdirSync("samples").filter((file) => file.endsWith(".vmcore")))(
    "whatever field of the report of %s it is in",
    async (file) => {
      const { report } = await jsonOf(join("samples", file));
      const text = textOf(deface(report) as Report);
      // Title, message, names, frames, hints, pieces of evidence: shown, and none of them raw.
      expect(text.split("\\x1b]0;gone\\x07\\x9b31m\\x1b[1A\\x0d\\u202egnp.exe\\u2066").length).toBeGreaterThan(30);
      expect(UNSAFE.exec(text)).toBeNull();
    },
  );

  test("in a log file", async () => {
    const log = crashLog([`Kernel panic - not syncing: ${HOSTILE}`], ["panic"]).replace("worker", HOSTILE);
    const { out } = await runMain(["report", join(folder("hostile", { "console.log": log }), "console.log")]);
    expect(out).toContain("\\x1b]0;gone\\x07");
    expect(UNSAFE.exec(out)).toBeNull();
  });

  /** The report of the sample with other bytes in the name of the task that crashed. */
  async function withComm(comm: string): Promise<Report> {
    const { dump } = await openDump([SAMPLE]);
    try {
      const kernel = new Kernel(dump);
      const { report } = await jsonOf(SAMPLE);
      const at = BigInt(report.panic.task!.address!) + BigInt(kernel.types.offset("task_struct", "comm"));
      const place = asPaddr(kernel.memory.translate(asVaddr(at)));
      const bytes = Buffer.from(`${comm}\0`.padEnd(16, "\0"));
      const readPage = (pfn: Pfn, into: Uint8Array): void => {
        dump.readPage(pfn, into);
        if (pfn === Math.floor(place / dump.pageSize)) into.set(bytes.subarray(0, 16), place % dump.pageSize);
      };
      const patched = new Proxy<DumpFile>(dump, {
        get: (target, key) => {
          if (key === "readPage") return readPage;
          const value: unknown = Reflect.get(target, key, target);
          // Bound to the dump itself: its private fields are not the proxy's.
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      });
      const evidence = {
        pieces: [],
        pstore: [],
        logs: [],
        story: { crash: undefined, capture: undefined },
        notes: [],
        dump: { dump: patched, containers: [], problems: [] },
        log: undefined,
      };
      return buildReport({ evidence, kernel: new Kernel(patched), kernelFailure: undefined, version: "test" });
    } finally {
      dump.close();
    }
  }

  test("in the name of a task, which any process may choose", async () => {
    const report = await withComm("\x1b[2J\u202e日本");
    expect(report.panic.task!.comm).toBe("\x1b[2J\u202e日本");
    expect(textOf(report)).toContain("Call trace of \\x1b[2J\\u202e日本 (pid 1) on CPU 1\n");
  });

  test("nor forge a line of the report", async () => {
    const text = textOf(await withComm("x\nMissing\n  all"));
    expect(text.split("\n")).not.toContain("Missing");
  });
});
