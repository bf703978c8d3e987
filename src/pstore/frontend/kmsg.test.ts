import { decodeLatin1, encodeLatin1 } from "../../bytes/index.ts";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Port, PortError } from "../port.ts";
import type { FrontendSink } from "./frontend.ts";
import { consoleLevel, consoleText, type KmsgOptions, parseKmsg, startKmsgFrontend } from "./kmsg.ts";

describe("parseKmsg", () => {
  // linux:Documentation/ABI/testing/dev-kmsg
  it("reads the examples of the kernel's documentation", () => {
    expect(
      parseKmsg(
        "7,160,424069,-;pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7] (ignored)\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n",
      ),
    ).toEqual({
      facility: 0,
      level: 7,
      seq: 160,
      microseconds: 424069,
      caller: undefined,
      text: "pci_root PNP0A03:00: host bridge window [io  0x0000-0x0cf7] (ignored)",
    });
    expect(parseKmsg("6,339,5140900,-;NET: Registered protocol family 10\n")).toMatchObject({
      level: 6,
      seq: 339,
      text: "NET: Registered protocol family 10",
    });
    expect(parseKmsg("30,340,5690716,-;udevd[80]: starting version 181\n")).toMatchObject({ facility: 3, level: 6 });
  });

  it("reads callers, continued messages, and fields that are not known yet", () => {
    expect(parseKmsg("6,1,2,-,caller=T1;x\n")?.caller).toBe("T1");
    expect(parseKmsg("6,1,2,c,caller=C12;x\n")?.caller).toBe("C12");
    expect(parseKmsg("6,1,2,-,new=1,caller=T7,other;x\n")?.caller).toBe("T7");
    expect(parseKmsg("6,1,2,-,caller=X7;x\n")?.caller).toBeUndefined();
  });

  it("decodes escapes to what was logged", () => {
    expect(parseKmsg("6,1,2,-;a\\x0ab\\x5cx41\\x1b[0m\\xc3\\xa4\n")?.text).toBe("a\nb\\x41\x1b[0m\xc3\xa4");
    expect(parseKmsg("6,1,2,-;\\x4 \\xZZ;;\n")?.text).toBe("\\x4 \\xZZ;;");
    expect(parseKmsg("6,1,2,-;\n")?.text).toBe("");
  });

  it.each(["", "6", "6,1,2,-", "x,1,2,-;t", "6,1;t", "6,-1,2,-;t", "6,1,9999999999999999,-;t", ";", "6,1,2.5,-;t"])(
    "has %j for none",
    (text) => {
      expect(parseKmsg(text)).toBeUndefined();
    },
  );

  it("stands any bytes, and takes back what the kernel's escaping made of any text", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void parseKmsg(decodeLatin1(bytes))));
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(..."0126,;-\n=callerT\\x") }), (text) => void parseKmsg(text)));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(191), fc.nat(2 ** 31), (bytes, priority, seq) => {
        // linux:kernel/printk/printk.c:msg_add_ext_text
        let escaped = "";
        for (const byte of bytes)
          escaped += byte < 32 || byte >= 127 || byte === 92 ? `\\x${byte.toString(16).padStart(2, "0")}` : String.fromCharCode(byte);
        const record = parseKmsg(`${priority},${seq},5,-,caller=T1;${escaped}\n SUBSYSTEM=x\n`);
        expect(record).toEqual({
          facility: priority >> 3,
          level: priority & 7,
          seq,
          microseconds: 5,
          caller: "T1",
          text: decodeLatin1(bytes),
        });
      }),
    );
  });

  it("does not take long for a header without end", () => {
    const start = performance.now();
    expect(parseKmsg(`6,1,2${",".repeat(8180)}`)).toBeUndefined();
    expect(performance.now() - start).toBeLessThan(200);
  });
});

describe("consoleText", () => {
  const record = { facility: 0, level: 6, seq: 1, microseconds: 12_345_678, caller: undefined, text: "one\ntwo" };

  it("has the kernel's prefix before each line", () => {
    expect(consoleText(record, true)).toBe("[   12.345678] one\n[   12.345678] two\n");
    expect(consoleText(record, false)).toBe("one\ntwo\n");
    expect(consoleText({ ...record, caller: "T1" }, true)).toBe("[   12.345678][    T1] one\n[   12.345678][    T1] two\n");
    expect(consoleText({ ...record, caller: "C4095", text: "" }, false)).toBe("[ C4095] \n");
    expect(consoleText({ ...record, microseconds: 123_456_000_001, text: "x" }, true)).toBe("[123456.000001] x\n");
  });
});

/** A port with nothing but files, and a /dev/kmsg that gives what is in its queue: text, or an error's code. */
class KmsgPort {
  readonly files: Record<string, string> = {};
  readonly queue: string[] = [];
  readonly closed: number[] = [];
  seconds = 1000;
  #onBytes: ((bytes: Uint8Array) => void) | undefined;
  #onEnd: ((error?: PortError) => void) | undefined;
  #isPassing: ((error: PortError) => boolean) | undefined;
  readonly #reads: Map<number, string> = new Map();
  #next = 10;

  readonly port = {
    name: "test",
    open: (path: string) => {
      if (path === "/dev/kmsg") return 3;
      const text = this.files[path];
      if (text === undefined) throw new PortError("ENOENT", `no ${path}`);
      this.#reads.set(this.#next, text);
      return this.#next++;
    },
    close: (fd: number) => void this.closed.push(fd),
    read: (fd: number, into: Uint8Array) => {
      const text = fd === 3 ? this.queue.shift() : (this.#reads.get(fd) ?? "");
      if (text === undefined) throw new PortError("EAGAIN", "later");
      if (/^E[A-Z]+$/.test(text)) throw new PortError(text, text);
      this.#reads.set(fd, "");
      into.set(encodeLatin1(text));
      return text.length;
    },
    poll: (
      _fd: number,
      _into: Uint8Array,
      onBytes: (bytes: Uint8Array) => void,
      onEnd: (error?: PortError) => void,
      isPassing: (error: PortError) => boolean,
    ) => {
      [this.#onBytes, this.#onEnd, this.#isPassing] = [onBytes, onEnd, isPassing];
      return () => (this.#onBytes = undefined);
    },
    clock: () => ({ seconds: this.seconds, nanoseconds: 0 }),
  } as unknown as Port;

  /** As the port polls: what is there goes to who polls. */
  turn(): void {
    for (let text; (text = this.queue.shift()) !== undefined;) {
      if (!/^E[A-Z]+$/.test(text)) this.#onBytes?.(encodeLatin1(text));
      else if (this.#isPassing?.(new PortError(text, text)) !== true) return this.#onEnd?.(new PortError(text, text));
    }
  }
}

function start(port: KmsgPort, options: Partial<KmsgOptions> = {}): { said: string[]; records: string[]; stop(): void; about: string } {
  const said: string[] = [];
  const records: string[] = [];
  const sink: FrontendSink = {
    text: (bytes, record) => {
      said.push(decodeLatin1(bytes));
      records.push(decodeLatin1(record!));
    },
    record: () => {},
    lost: (count, unit, reason) => said.push(`lost ${count} ${unit}: ${reason}`),
    ended: (reason) => said.push(`ended ${reason}`),
  };
  const running = startKmsgFrontend(port.port, { console: false, fromNow: false, ...options }, sink);
  return { said, records, stop: () => void running.stop(), about: running.about };
}

const line = (seq: number, level = 6): string => `${level},${seq},${seq * 1000},-;m${seq}\n`;

describe("startKmsgFrontend", () => {
  it("hands on records, as text and as they are, and counts what overran", () => {
    const port = new KmsgPort();
    const { said, records } = start(port);
    port.queue.push(line(5), "EPIPE", line(9), line(10), "nonsense\n", line(11));
    port.turn();
    expect(said).toEqual([
      "[    0.005000] m5\n",
      "lost 3 messages: the kernel's log buffer overran",
      "[    0.009000] m9\n",
      "[    0.010000] m10\n",
      "lost 1 messages: /dev/kmsg gave a record that is none",
      "[    0.011000] m11\n",
    ]);
    expect(records).toEqual([line(5), line(9), line(10), line(11)]);
  });

  it("takes times off where the kernel does", () => {
    const port = new KmsgPort();
    port.files["/sys/module/printk/parameters/time"] = "N\n";
    const { said } = start(port);
    port.queue.push(line(1));
    port.turn();
    expect(said).toEqual(["m1\n"]);
  });

  it("lets through what the console's level does, and no gap is made of what it does not", () => {
    const port = new KmsgPort();
    port.files["/proc/sys/kernel/printk"] = "4\t4\t1\t7\n";
    const { said, about } = start(port, { console: true });
    expect(about).toBe("messages below console log level 4");
    port.queue.push(line(1, 3), line(2, 4), line(3, 6), line(4, 0));
    port.turn();
    expect(said.map((text) => text.slice(15))).toEqual(["m1\n", "m4\n"]);
    // The level changes: looked up again after a while, also when the clock was set back.
    port.files["/proc/sys/kernel/printk"] = "8\t4\t1\t7\n";
    port.seconds -= 500;
    port.queue.push(line(5, 7));
    port.turn();
    expect(said.at(-1)).toContain("m5");
    port.files["/proc/sys/kernel/printk"] = "0\t4\t1\t7\n";
    port.seconds += 2;
    port.queue.push(line(6, 0));
    port.turn();
    expect(said.at(-1)).toContain("m5");
    port.files["/sys/module/printk/parameters/ignore_loglevel"] = "Y\n";
    port.seconds += 2;
    port.queue.push(line(7, 7));
    port.turn();
    expect(said.at(-1)).toContain("m7");
  });

  it("knows every form of the level", () => {
    const port = new KmsgPort();
    expect(consoleLevel(port.port)).toBe(Number.POSITIVE_INFINITY);
    port.files["/proc/sys/kernel/printk"] = "garbage";
    expect(consoleLevel(port.port)).toBe(Number.POSITIVE_INFINITY);
    port.files["/proc/sys/kernel/printk"] = "15 4 1 7";
    expect(consoleLevel(port.port)).toBe(15);
  });

  it("begins now by what is there at the start, not by a clock", () => {
    const port = new KmsgPort();
    port.queue.push(line(1), "EPIPE", line(7));
    const { said } = start(port, { fromNow: true });
    port.queue.push(line(8), line(10));
    port.turn();
    expect(said).toEqual(["[    0.008000] m8\n", "lost 1 messages: the kernel's log buffer overran", "[    0.010000] m10\n"]);
  });

  it("hands on what is there when it is stopped", () => {
    const port = new KmsgPort();
    const { said, stop } = start(port);
    port.queue.push(line(1), "EPIPE", line(2));
    stop();
    expect(said).toEqual(["[    0.001000] m1\n", "[    0.002000] m2\n"]);
    expect(port.closed.filter((fd) => fd === 3)).toEqual([3]);
  });

  it("ends by itself, and closes its descriptor once", () => {
    const port = new KmsgPort();
    const { said, stop } = start(port);
    port.queue.push("EIO");
    port.turn();
    expect(said).toEqual(["ended EIO"]);
    stop();
    expect(port.closed.filter((fd) => fd === 3)).toEqual([3]);
  });
});
