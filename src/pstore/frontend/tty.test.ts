import { inflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TracePageWriter } from "../../../test/writers/trace-page.ts";
import { type OpenMode, type Port, PortError } from "../port.ts";
import { parseEventFormat } from "./event-format.ts";
import { parseCpuList, probeSets, startTtyFrontend, TimeMerger, type TtyOptions, TtyWriteReader } from "./tty.ts";

/** 7.2.13: `nr=$arg4:u64 name=tty->name:string bytes=+0($arg3):u64[8]`. */
const NAMED =
  "eNrt0T9KxEAUx/HnLgYc9gJWPhdZcSttt9rCxlrQRpSJ+yTBSSbMTBLSeAEb8QI2exwvoNewslh04h8ICaLsgtX7QMhACF9+yeLhZQ5e1oMPm/6yAcCav+9E" +
  "z/dv3sbnIziDAKZTNJRbEqMRpjIh3L7BYeaS8VBgx7nIpLF0QcZoM8GjtJDOVcf7dae87bU7e42OjSZYmtgRfr18SEV8SaiN71udG38Oc1uJXzpPjyedPVvt" +
  "PYkupMIyipXPpTJUNMMrGSsr/tx5vVt09gSNTkRKaQFLqzsH9XebnwY/d9bBVRnNVuj4X1nPgWr3etDu9Bt7JISwiu89jDHGGGOMMcb+xztmYYHP";

/** 6.1: `nr=%cx:u64 buf=+0(%dx):string` of writes of "hello\n", "a\0b\0c", 300 times "a" and "end\n". */
const STRINGS =
  "eNqLa/MsYACCC4wMYMAJxAWsDAwgbsPnlx3/gYANIsUgw8DOkJGak5PPxcCQ0cfIiq6OFa6OiSERSN/7mx/KBBULYMQ0V4cRpl6XMXEUEA1AYbay8Jkaeniy" +
  "wMOflSE1L4WLYRSMglEwCkbBKBgFo2AUjIJRMApGwSiAAgBo6pw4";

const PAGE = { timestampOffset: 0, commitOffset: 8, commitSize: 8, dataOffset: 16, pageSize: 4096 };

const HEADER_PAGE = `\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;
\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;
`;
const HEADER_EVENT = `\ttype_len    :    5 bits
\ttime_delta  :   27 bits
\tpadding     : type == 29
\ttime_extend : type == 30
\tdata max type_len  == 28
`;

/** A format file as the kernel makes it of these fields: type, name, size. */
function formatText(id: number, fields: readonly (readonly [type: string, name: string, size: number])[]): string {
  let offset = 16;
  const lines = ["\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;"];
  for (const [type, name, size] of fields) {
    lines.push(`\tfield:${type} ${name};\toffset:${offset};\tsize:${size};\tsigned:0;`);
    offset += size;
  }
  return `name: x\nID: ${id}\nformat:\n${lines.join("\n")}\n`;
}

const NR = ["u64", "nr", 8] as const;
const NAME = ["__data_loc char[]", "name", 4] as const;
const BUF = ["__data_loc char[]", "buf", 4] as const;
const [EXACT, , STRING] = probeSets();

/** An event of an exact probe without name. */
function exactEvent(id: number, nr: number, content: Uint8Array): Buffer {
  const event = Buffer.alloc(24 + content.length);
  event.writeUInt16LE(id, 0);
  event.writeUInt32LE(nr, 16);
  event.set(content, 24);
  return event;
}

interface Taken {
  text: string;
  readonly lost: [count: number | undefined, unit: string, reason: string][];
}

function readWith(set: typeof EXACT & {}, formats: readonly string[], page: Uint8Array, masters = false): Taken {
  const taken: Taken = { text: "", lost: [] };
  new TtyWriteReader(
    PAGE,
    set,
    formats.map((text) => parseEventFormat(text)),
    masters,
    (_high, _low, bytes) => (taken.text += Buffer.from(bytes).toString("latin1")),
    (...loss) => taken.lost.push(loss),
  ).read(page);
  return taken;
}

const unpack = (text: string): Uint8Array => inflateSync(Buffer.from(text, "base64"));

describe("TtyWriteReader", () => {
  const formats = (small: number): string[] => [
    formatText(small, [NR, NAME, ["u64", "bytes0[]", 64]]),
    formatText(2, [NR, NAME, ["u64", "bytes0[]", 512]]),
    formatText(3, [NR, NAME, ["u64", "bytes0[]", 512]]),
  ];

  it("reads exact writes of a real kernel, without what was typed", () => {
    if (EXACT === undefined) throw new Error("no probes");
    const said = "@@ reuse\nsh: write error: Device or resource busy\n@@ removal while enabled fails\n";
    expect(readWith(EXACT, formats(0x673), unpack(NAMED))).toEqual({ text: `${said}hello\na\0b`, lost: [] });
    expect(readWith(EXACT, formats(0x673), unpack(NAMED), true).text).toBe(`${said}hello\ntyped\na\0b`);
    // Events of somebody else.
    expect(readWith(EXACT, formats(0x674), unpack(NAMED))).toEqual({ text: "", lost: [] });
  });

  it("reads strings of a real kernel, and says what they lack", () => {
    if (STRING === undefined) throw new Error("no probes");
    expect(readWith(STRING, [formatText(0x570, [NR, BUF])], unpack(STRINGS))).toEqual({
      text: `hello\na${"a".repeat(300)}end\n`,
      lost: [[4, "bytes", expect.stringContaining("NUL")]],
    });
  });

  it("takes each write once where every probe saw it", () => {
    const set = probeSets()[1];
    if (set === undefined) throw new Error("no probes");
    const writer = new TracePageWriter(0n);
    for (const nr of [1, 64, 65]) {
      for (const [id, size] of [
        [1, 64],
        [2, 512],
      ] as const)
        writer.event(1n, exactEvent(id, nr, Buffer.alloc(size, id)));
    }
    const plain = [1, 2, 3].map((id) => formatText(id, [NR, ["u64", "bytes0[]", 64 * 8 ** (id - 1)]]));
    expect(readWith(set, plain, writer.encode())).toEqual({ text: "\x01".repeat(65) + "\x02".repeat(65), lost: [] });
    const long = new TracePageWriter(0n).event(1n, exactEvent(3, 3000, Buffer.alloc(2048, 0x61)));
    expect(readWith(set, plain, long.encode(5))).toEqual({
      text: "a".repeat(2048),
      lost: [
        [952, "bytes", "a write is longer than the probe fetches"],
        [5, "writes", "the trace ring was full"],
      ],
    });
  });

  it("stands any bytes", () => {
    fc.assert(
      fc.property(fc.constantFrom(NAMED, STRINGS), fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 20 }), (text, changes) => {
        const page = unpack(text);
        for (const [at, value] of changes) page[at] = value;
        if (EXACT === undefined || STRING === undefined) throw new Error("no probes");
        expect(readWith(EXACT, formats(0x673), page).text.length).toBeLessThan(5000);
        readWith(STRING, [formatText(0x570, [NR, BUF])], page);
      }),
    );
  });
});

/** A system with these files. Writes are noted, timers run by hand, and rings give pages when told to. */
class FakePort implements Port {
  readonly name = "fake";
  readonly files: Map<string, string>;
  readonly log: string[] = [];
  readonly rings: Map<string, (bytes: Uint8Array | PortError | undefined) => void> = new Map();
  readonly timers: Set<{ readonly at: number; readonly action: () => void }> = new Set();
  /** What a command to kprobe_events comes to. */
  refuse: (command: string) => string | undefined = () => undefined;
  now = 0;
  #paths: string[] = [];
  #read: Set<number> = new Set();

  constructor(files: Readonly<Record<string, string>>) {
    this.files = new Map(Object.entries(files));
  }

  open(path: string, mode: OpenMode): number {
    if (!this.files.has(path) && !path.includes("trace_pipe_raw") && mode === "read") throw new PortError("ENOENT", `no ${path}`);
    return this.#paths.push(path) - 1;
  }

  close(): void {}

  read(fd: number, into: Uint8Array): number {
    const text = this.files.get(this.#paths[fd] ?? "");
    if (text === undefined) throw new PortError("EAGAIN", "nothing");
    if (this.#read.has(fd)) return 0;
    this.#read.add(fd);
    into.set(Buffer.from(text));
    return text.length;
  }

  write(fd: number, bytes: Uint8Array): void {
    const path = this.#paths[fd] ?? "";
    const text = Buffer.from(bytes).toString().trimEnd();
    if (path.endsWith("kprobe_events")) {
      const code = this.refuse(text);
      if (code !== undefined) throw new PortError(code, code);
      const lines = (this.files.get(path) ?? "")
        .split("\n")
        .filter((line) => !text.startsWith("-:") || !line.startsWith(`p:${text.slice(2)} `));
      this.files.set(path, [...lines, ...(text.startsWith("-:") ? [] : [text])].join("\n"));
    }
    this.log.push(`${path.replace(/.*(instances.lastwords|tracing)\//, "")} ${text}`);
  }

  seek(): void {}

  size(): number {
    return 0;
  }

  poll(fd: number, _into: Uint8Array, onBytes: (bytes: Uint8Array) => void, onEnd: (error?: PortError) => void): () => void {
    const path = this.#paths[fd] ?? "";
    this.rings.set(/cpu\d+/.exec(path)?.[0] ?? "", (bytes) => (bytes instanceof Uint8Array ? onBytes(bytes) : onEnd(bytes)));
    return () => {};
  }

  clock(): { seconds: number; nanoseconds: number } {
    return { seconds: 0, nanoseconds: 0 };
  }

  after(milliseconds: number, action: () => void): () => void {
    const timer = { at: this.now + milliseconds, action };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** Lets time pass. */
  pass(milliseconds: number): void {
    this.now += milliseconds;
    for (const timer of [...this.timers].filter(({ at }) => at <= this.now)) {
      this.timers.delete(timer);
      timer.action();
    }
  }

  makeFolder(path: string): void {
    this.log.push(`mkdir ${path}`);
  }

  rename(): void {}

  remove(): void {}

  removeFolder(path: string): void {
    this.log.push(`rmdir ${path}`);
  }
}

const TRACEFS = "/sys/kernel/tracing";
const INSTANCE = `${TRACEFS}/instances/lastwords`;

function fakeSystem(online = "0-1"): FakePort {
  const event = `${INSTANCE}/events/lastwords`;
  return new FakePort({
    [`${TRACEFS}/kprobe_events`]: "p:other/thing vfs_read",
    [`${INSTANCE}/events/header_page`]: HEADER_PAGE,
    [`${INSTANCE}/events/header_event`]: HEADER_EVENT,
    [`${INSTANCE}/trace_clock`]: "[local] global counter",
    [`${event}/tty_write_64/format`]: formatText(1, [NR, ["u64", "bytes0[]", 64]]),
    [`${event}/tty_write_512/format`]: formatText(2, [NR, ["u64", "bytes0[]", 512]]),
    [`${event}/tty_write_2048/format`]: formatText(3, [NR, ["u64", "bytes0[]", 512]]),
    [`${event}/tty_write/format`]: formatText(4, [NR, BUF]),
    "/sys/devices/system/cpu/online": `${online}\n`,
  });
}

function start(port: FakePort, options: TtyOptions = {}) {
  const said: string[] = [];
  const frontend = startTtyFrontend(port, options, {
    onBytes: (bytes) => said.push(Buffer.from(bytes).toString("latin1")),
    onLost: (count, unit, reason) => said.push(`lost ${count} ${unit}: ${reason}`),
    onEnd: (error) => said.push(`end: ${error.message}`),
  });
  return { frontend, said };
}

const small = (time: bigint, text: string): Buffer =>
  new TracePageWriter(time).event(time, exactEvent(1, text.length, Buffer.from(text.padEnd(64, "?")))).encode();

describe("startTtyFrontend", () => {
  it("sets up, records in order over CPUs, and undoes it all", () => {
    const port = fakeSystem();
    const { frontend, said } = start(port);
    expect(frontend).toMatchObject({ fetch: "exact", named: true });
    expect(port.log).toMatchInlineSnapshot(`
      [
        "mkdir /sys/kernel/tracing/instances/lastwords",
        "kprobe_events p:lastwords/tty_write_64 n_tty_write nr=$arg4:u64 name=tty->name:string bytes0=+0($arg3):u64[8]",
        "kprobe_events p:lastwords/tty_write_512 n_tty_write nr=$arg4:u64 name=tty->name:string bytes0=+0($arg3):u64[64]",
        "kprobe_events p:lastwords/tty_write_2048 n_tty_write nr=$arg4:u64 name=tty->name:string bytes0=+0($arg3):u64[64] bytes512=+512($arg3):u64[64] bytes1024=+1024($arg3):u64[64] bytes1536=+1536($arg3):u64[64]",
        "trace_clock global",
        "buffer_size_kb 1024",
        "buffer_percent 0",
        "options/overwrite 1",
        "options/record-cmd 0",
        "events/lastwords/tty_write_64/filter nr > 0 && nr <= 64",
        "events/lastwords/tty_write_512/filter nr > 64 && nr <= 512",
        "events/lastwords/tty_write_2048/filter nr > 512",
        "tracing_on 1",
        "events/lastwords/tty_write_64/enable 1",
        "events/lastwords/tty_write_512/enable 1",
        "events/lastwords/tty_write_2048/enable 1",
      ]
    `);
    port.log.length = 0;
    port.rings.get("cpu1")?.(small(20n, "two "));
    port.rings.get("cpu0")?.(small(10n, "one "));
    port.rings.get("cpu0")?.(small(30n, "three "));
    expect(said).toEqual([]);
    port.pass(20);
    expect(said).toEqual(["one two "]);
    port.rings.get("cpu0")?.(new TracePageWriter(40n).encode(3));
    expect(frontend.stop()).toEqual([]);
    expect(said).toEqual(["one two ", "three ", "lost 3 writes: the trace ring was full"]);
    expect(port.log).toMatchInlineSnapshot(`
      [
        "events/lastwords/tty_write_64/enable 0",
        "events/lastwords/tty_write_512/enable 0",
        "events/lastwords/tty_write_2048/enable 0",
        "events/lastwords/tty_write_64/enable 0",
        "kprobe_events -:lastwords/tty_write_64",
        "events/lastwords/tty_write_512/enable 0",
        "kprobe_events -:lastwords/tty_write_512",
        "events/lastwords/tty_write_2048/enable 0",
        "kprobe_events -:lastwords/tty_write_2048",
        "rmdir /sys/kernel/tracing/instances/lastwords",
      ]
    `);
    expect(port.files.get(`${TRACEFS}/kprobe_events`)).toBe("p:other/thing vfs_read");
    expect(frontend.stop()).toEqual([]);
    expect(port.timers.size).toBe(0);
  });

  it("does not wait where there is one CPU", () => {
    const port = fakeSystem("0");
    const { said } = start(port);
    port.rings.get("cpu0")?.(small(10n, "now"));
    expect(said).toEqual(["now"]);
  });

  it("takes CPUs that come later", () => {
    const port = fakeSystem();
    const { said } = start(port);
    port.files.set("/sys/devices/system/cpu/online", "0-2");
    port.pass(10_000);
    port.rings.get("cpu2")?.(small(10n, "late"));
    port.pass(20);
    expect(said).toEqual(["late"]);
  });

  it("probes as the kernel lets it", () => {
    const port = fakeSystem();
    port.refuse = (command) => (command.includes("tty->name") ? "EINVAL" : undefined);
    expect(start(port).frontend).toMatchObject({ fetch: "exact", named: false });
    const old = fakeSystem();
    old.refuse = (command) => (command.includes("$arg") || command.includes("%d") ? "EINVAL" : undefined);
    expect(start(old).frontend).toMatchObject({ fetch: "string", named: false });
    expect(old.files.get(`${TRACEFS}/kprobe_events`)).toContain("p:lastwords/tty_write n_tty_write nr=%x3:u64 buf=+0(%x2):string");
  });

  it("takes over the probes of a recorder that died", () => {
    const port = fakeSystem();
    start(port);
    port.log.length = 0;
    start(port);
    expect(port.log.filter((line) => line.startsWith("kprobe_events"))).toEqual([]);
  });

  it("says what the system lacks or refuses", () => {
    const said = (port: FakePort): string => {
      try {
        start(port);
      } catch (error) {
        if (error instanceof PortError) return error.message;
      }
      return "";
    };
    expect(said(new FakePort({}))).toMatch(/^no tracefs in .sys.kernel.tracing or .*mount -t tracefs tracefs .sys.kernel.tracing"$/);
    expect(said(new FakePort({ [`${TRACEFS}/trace_clock`]: "[local]" }))).toMatch(/CONFIG_KPROBE_EVENTS$/);
    const refusing = fakeSystem();
    refusing.refuse = () => "EINVAL";
    refusing.files.set(`${TRACEFS}/error_log`, "[ 1.5] trace_kprobe: error: Invalid probed address or symbol\n  Command: x\n");
    expect(said(refusing)).toBe("the kernel refuses a probe on n_tty_write: EINVAL (Invalid probed address or symbol)");
    expect(refusing.log.at(-1)).toBe(`rmdir ${INSTANCE}`);
    const strange = fakeSystem();
    strange.files.set(`${INSTANCE}/events/header_page`, "");
    expect(said(strange)).toBe("the format of this kernel's trace pages is not understood");
  });

  it("goes on where a read gave nothing, and ends with an error", () => {
    const port = fakeSystem();
    const { said } = start(port);
    port.rings.get("cpu1")?.(undefined);
    port.rings.delete("cpu1");
    port.pass(8);
    port.rings.get("cpu1")?.(small(10n, "more"));
    port.pass(20);
    expect(said).toEqual(["more"]);
    port.rings.get("cpu1")?.(new PortError("ENODEV", "gone"));
    port.rings.get("cpu0")?.(new PortError("ENODEV", "gone, too"));
    expect(said).toEqual(["more", "end: gone"]);
    expect(port.log.at(-1)).toBe(`rmdir ${INSTANCE}`);
    expect(port.timers.size).toBe(0);
  });
});

describe("TimeMerger", () => {
  it("puts in order whatever comes within the window, and loses nothing", () => {
    const arrival = fc.record({ cpu: fc.nat(3), time: fc.nat(50), wait: fc.nat(6) });
    fc.assert(
      fc.property(fc.array(arrival, { maxLength: 60 }), (arrivals) => {
        const port = new FakePort({});
        const out: number[] = [];
        const merger = new TimeMerger(port, 20, (bytes) => out.push(...bytes));
        // An event is written at its arrival less a delay shorter than the window.
        const times: number[] = [];
        for (const { time, wait } of arrivals) {
          const written = port.now + 100 - (time % 20);
          times.push(written);
          merger.push(written >>> 4, written & 15, Uint8Array.of(written & 0xff));
          merger.settle();
          for (let i = 0; i < wait; i++) port.pass(1);
        }
        merger.flush();
        expect(out).toEqual(times.sort((a, b) => a - b).map((time) => time & 0xff));
        expect(port.timers.size).toBe(0);
      }),
    );
  });
});

describe("parseCpuList", () => {
  it("reads the kernel's lists", () => {
    expect(parseCpuList("0\n")).toEqual([0]);
    expect(parseCpuList("0-2,5,7-8\n")).toEqual([0, 1, 2, 5, 7, 8]);
    expect(parseCpuList("")).toEqual([]);
    expect(parseCpuList("x,3-,99999")).toEqual([]);
  });
});
