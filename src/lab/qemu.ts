import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync, readSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { missingTool } from "./command.ts";
import { LabError } from "./error.ts";
import { QmpClient } from "./qmp.ts";
import { findProgram } from "./tools.ts";

/** A disk of a machine: an NVMe namespace over a raw file. The guest finds it by its serial number. */
export interface MachineDisk {
  /** Path of the raw image; must exist. */
  readonly path: string;
  /** What the guest reads in `/sys/block/nvme*n1/device/serial`. Letters and digits, at most 20. */
  readonly serial: string;
}

/** A machine to be started. Always emulated in software: it works in every container and needs no root. */
export interface MachineOptions {
  /** Path of a bzImage. */
  readonly kernel: string;
  /** Path of an initramfs. */
  readonly initramfs: string;
  /** Kernel command line; {@link EMULATED} is put in front. */
  readonly append: string;
  readonly memoryMiB: number;
  readonly cpus: number;
  readonly disks?: readonly MachineDisk[];
  /** What happens when the guest resets itself: the machine ends, or boots again with its memory as it was. Default `exit`. */
  readonly onReset?: "exit" | "reboot";
  /** Further arguments for QEMU, e.g. `["-device", "vmcoreinfo"]`. */
  readonly extra?: readonly string[];
  /** The machine is killed after this time. Default 5 minutes. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** All console text is written there when the machine has ended. */
  readonly consoleFile?: string;
  /** Told that a machine is started once more, see {@link Machine.boot}. */
  readonly progress?: ((message: string) => void) | undefined;
}

/** How often the console is looked at. */
const CONSOLE_INTERVAL_MS = 25;

/**
 * What every kernel in an emulated machine is told. The timer's interrupts are not counted: on a busy host they come too late, and the
 * kernel panics ("IO-APIC + timer doesn't work!", linux:arch/x86/kernel/apic/io_apic.c:check_timer).
 */
export const EMULATED = "console=ttyS0 no_timer_check";

/** From the start of a machine to the first words of its user space; and how long its kernel may be silent before. */
const BOOT_LIMIT_MS = 120_000;
const SILENCE_MS = 30_000;

/** A kernel's last line (linux:kernel/panic.c:panic). */
const DEATH = /^(?:\[[^\]\n]*\] )?Kernel panic - not syncing/m;

/** Characters of console text kept; a guest that says more is broken. */
const CONSOLE_LIMIT = 64 * 1024 * 1024;

/**
 * A running QEMU machine: its console, its control channel and its end. Dispose it with `await using`; that kills what still runs.
 * Nothing is left behind in the file system: console and control go through file descriptors that the child inherits.
 */
export class Machine implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #qmp: QmpClient;
  readonly #startedAt: number = performance.now();
  readonly #waiting: Set<() => void> = new Set();
  readonly #exited: Promise<void>;
  readonly #timer: NodeJS.Timeout;
  readonly #timeoutMs: number;
  readonly #consoleFd: number = openConsole();
  #consoleBytes = 0;
  #console = "";
  #stderr = "";
  /** How the machine ended, for messages. */
  #end = "";
  #registers = "";
  #ended = false;
  #failure: unknown;

  /**
   * Starts a machine; returns when QEMU listens, long before the guest has booted.
   * @throws LabError MISSING_TOOL without QEMU.
   */
  static async start(options: MachineOptions): Promise<Machine> {
    const program = await findProgram("qemu-system-x86_64");
    if (program === undefined) throw missingTool("qemu-system-x86_64");
    options.signal?.throwIfAborted();
    const machine = new Machine(program, options);
    const ready = await machine.#qmp.ready.then(
      () => true,
      () => false, // QEMU's complaint is on its standard error, complete when it has ended
    );
    if (!ready) {
      await machine.kill();
      machine.#check();
      throw new LabError("GUEST", `QEMU ended at once: ${machine.#stderr.trim()}`);
    }
    return machine;
  }

  /**
   * Starts a machine and waits for the first words of its user space. A kernel that dies or falls silent before is started once more: software
   * emulation can kill or hang one by a fault that is not the kernel's own, and until user space speaks nothing has been done to the disks.
   * @param words what its init says first, within two minutes.
   * @throws LabError as {@link start} and {@link waitFor}.
   */
  static async boot(options: MachineOptions, words: RegExp): Promise<Machine> {
    for (let again = false; ; again = true) {
      const machine = await Machine.start(options);
      try {
        await machine.#firstWords(words);
        return machine;
      } catch (error) {
        await machine.kill();
        const what = DEATH.test(machine.console) ? "died" : error instanceof LabError && error.reason === "TIMEOUT" ? "hung" : undefined;
        if (again || what === undefined) throw error;
        options.progress?.(`the kernel ${what} before its user space began, and is started once more; ${machine.#last()}`);
      }
    }
  }

  async #firstWords(words: RegExp): Promise<void> {
    for (;;) {
      const before = this.#consoleBytes;
      try {
        await this.waitFor(words, SILENCE_MS);
        return;
      } catch (error) {
        const isSlow = error instanceof LabError && error.reason === "TIMEOUT" && this.#consoleBytes > before;
        if (!isSlow || this.elapsedMs > BOOT_LIMIT_MS) throw error;
      }
    }
  }

  private constructor(program: string, options: MachineOptions) {
    const child = spawn(program, machineArguments(options), { stdio: ["pipe", this.#consoleFd, "pipe", "pipe"] });
    this.#child = child;
    this.#qmp = new QmpClient(child.stdio[3] as Duplex, (name, data) => {
      if (name === "SHUTDOWN") void this.#shutDown(String(data["reason"]));
    });
    this.#timeoutMs = options.timeoutMs ?? 300_000;
    this.#timer = setTimeout(() => this.#fail(this.#timeout("the machine ran", this.#timeoutMs)), this.#timeoutMs);
    options.signal?.addEventListener("abort", () => this.#fail(options.signal?.reason), { once: true });
    child.stdin?.on("error", () => {}); // the machine may end while something is typed
    const listener = setInterval(() => this.#listen(), CONSOLE_INTERVAL_MS);
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr = (this.#stderr + text).slice(-4096)));
    // A tool that ends while its machine runs must not leave it behind.
    const killer = (): void => void child.kill("SIGKILL");
    process.once("exit", killer);
    this.#exited = new Promise((resolve) => {
      const end = (error?: unknown): void => {
        if (this.#ended) return;
        this.#failure ??= error;
        clearTimeout(this.#timer);
        clearInterval(listener);
        this.#listen();
        closeSync(this.#consoleFd);
        try {
          if (options.consoleFile !== undefined) writeFileSync(options.consoleFile, this.#console, "latin1");
        } catch (problem) {
          this.#failure ??= problem;
        }
        this.#ended = true;
        process.off("exit", killer);
        for (const wake of this.#waiting) wake();
        resolve();
      };
      child.on("error", end);
      // close, not exit: its standard error has been read to the end
      child.on("close", (code, signal) => {
        if (this.#end === "") this.#end = signal === null ? `QEMU ended with ${code}` : `QEMU was ended by ${signal}`;
        end();
      });
    });
  }

  /** Takes over what the guest has written to its console since the last time. */
  #listen(): void {
    const chunk = Buffer.alloc(64 * 1024);
    for (;;) {
      const length = readSync(this.#consoleFd, chunk, 0, chunk.length, this.#consoleBytes);
      if (length === 0) return;
      this.#consoleBytes += length;
      if (this.#console.length > CONSOLE_LIMIT) continue;
      this.#console += chunk.toString("latin1", 0, length).replaceAll("\r", "");
      for (const wake of this.#waiting) wake();
    }
  }

  /**
   * The guest has switched itself off, and QEMU waits (`-action shutdown=pause`). The registers of a guest that reset itself are all
   * there is to say why where its kernel said nothing: a triple fault resets a PC too.
   */
  async #shutDown(reason: string): Promise<void> {
    if (this.#end !== "") return; // what follows is our own quit
    this.#end = `the guest's end was ${reason}`;
    try {
      if (reason === "guest-reset") this.#registers = await this.registers();
      await this.#qmp.execute("quit", {});
    } catch {
      // It has been killed meanwhile.
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#child.kill("SIGKILL");
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #timeout(what: string, timeoutMs: number): LabError {
    return new LabError("TIMEOUT", `${what} for more than ${timeoutMs / 1000} s; its console ends with:\n${this.consoleTail()}`);
  }

  /** Everything the guest wrote to its console up to now, one byte a character, without carriage returns. */
  get console(): string {
    return this.#console;
  }

  /** How the machine ended, and its last words. */
  #last(): string {
    const rest = [this.consoleTail(60), this.#stderr.trim(), this.#registers.trim()].filter((text) => text !== "").join("\n");
    return `${this.#end}; its console ends with:\n${rest}`;
  }

  /** The last lines of the console, for error messages. */
  consoleTail(lines = 15): string {
    return this.#console.trimEnd().split("\n").slice(-lines).join("\n");
  }

  /** Milliseconds since the machine was started. */
  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /**
   * Waits until the console shows the pattern, looking at all of it from the start.
   * @throws LabError TIMEOUT, or GUEST when the machine ends first, both with the end of the console.
   */
  async waitFor(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(this.#console);
      if (match !== null) return match;
      this.#check();
      if (this.#ended) throw new LabError("GUEST", `the machine ended without saying ${pattern.source}: ${this.#last()}`);
      const left = deadline - performance.now();
      if (left <= 0) throw this.#timeout(`the machine did not say ${pattern.source}`, timeoutMs);
      await this.#news(left);
    }
  }

  #news(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      this.#waiting.add(wake);
    });
  }

  /** Types on the serial console. */
  type(text: string): void {
    this.#child.stdin?.write(text, "latin1");
  }

  /** A serial break followed by a key: sysrq, handled in the UART's interrupt. */
  async sendSysrq(key: string): Promise<void> {
    await this.command("chardev-send-break", { id: "console" });
    // The kernel takes the next character within five seconds as the key; it must not overtake the break.
    await new Promise((resolve) => setTimeout(resolve, 200));
    this.type(key);
  }

  /** A command of QEMU's machine protocol (QMP), e.g. `("inject-nmi")` or `("dump-guest-memory", {…})`. */
  command(name: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return this.#qmp.execute(name, args);
  }

  /** The registers of all its CPUs, as QEMU prints them. */
  async registers(): Promise<string> {
    return String(await this.command("human-monitor-command", { "command-line": "info registers -a" }));
  }

  /** Waits until the machine has ended by itself. @throws LabError TIMEOUT when its time is over. */
  async exited(): Promise<void> {
    await this.#exited;
    this.#check();
  }

  /** Ends the machine now. Safe to call at any time. */
  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined) {
      const closed = once(this.#child, "exit");
      this.#child.kill("SIGKILL"); // there is nothing to save: disks are scratch
      await closed;
    }
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/**
 * A file without a name for the console's text. Not a pipe: Node's are sockets, full after some hundred writes of a byte
 * each, and QEMU's serial port drops a character that it could not write in four attempts (hw/char/serial.c).
 */
function openConsole(): number {
  const path = join(tmpdir(), `lastwords-console-${randomUUID()}`);
  const fd = openSync(path, "wx+", 0o600);
  unlinkSync(path);
  return fd;
}

function machineArguments(options: MachineOptions): string[] {
  const args = ["-nodefaults", "-no-user-config", "-display", "none"];
  // One thread for all CPUs, a sixth slower to boot. With a thread for each, one boot in twelve dies on a busy host: a kernel that patches its
  // code (a static key, at the latest at sched_clock_init_late) traps to an int3 that is no longer there, and more of that kind.
  args.push("-accel", "tcg,thread=single", "-cpu", "max");
  args.push("-smp", String(options.cpus), "-m", String(options.memoryMiB));
  args.push("-kernel", options.kernel, "-initrd", options.initramfs, "-append", `${EMULATED} ${options.append}`);
  // signal=off: Ctrl-C is for the tool, the tool ends the machine.
  args.push("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console");
  args.push("-chardev", "socket,id=control,fd=3", "-mon", "chardev=control,mode=control");
  args.push("-action", "shutdown=pause");
  if ((options.onReset ?? "exit") === "exit") args.push("-no-reboot");
  for (const [i, disk] of (options.disks ?? []).entries()) {
    args.push("-blockdev", JSON.stringify({ driver: "raw", "node-name": `disk${i}`, file: { driver: "file", filename: disk.path } }));
    args.push("-device", `nvme,drive=disk${i},serial=${disk.serial}`);
  }
  args.push(...(options.extra ?? []));
  return args;
}
