/** The tools that people use today, where they are installed: on this machine, or in a root folder with newer ones. */
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve, sep } from "node:path";
import type { Contender } from "./measure.ts";

/** drgn's way to what a report holds: every task's stack. Fails where it has none, so that no failure passes for speed. */
const DRGN_ALL_STACKS = `
import sys, drgn
from drgn.helpers.linux.pid import for_each_task
prog = drgn.Program()
prog.set_core_dump(sys.argv[1])
prog.load_debug_info([sys.argv[2]])
count = 0
for task in for_each_task(prog):
    try:
        print(task.pid.value_(), prog.stack_trace(task))
        count += 1
    except Exception:
        # Zombies have no stack.
        pass
sys.exit(count == 0)
`;
const CRASH_COMMANDS = "bt -a\nps\nlog\nquit\n";

/** Files for the peers, and the commands that use them. Call {@link close} at the end. */
export class Peers {
  readonly #root: string | undefined;
  readonly #folder: string;
  /** Path outside to path as the peers see it. */
  readonly #seen: Map<string, string> = new Map();

  /** @param root root folder that holds the peers, for chroot(8); undefined for those of this machine. */
  constructor(root: string | undefined) {
    this.#root = root === undefined ? undefined : resolve(root);
    this.#folder = mkdtempSync(join(this.#root ?? "", this.#root === undefined ? tmpdir() : "tmp", "lastwords-bench-"));
  }

  /** crash's `bt -a; ps; log`. Undefined when it is not there. */
  crash(dump: string, vmlinux: string): Contender | undefined {
    const script = this.#write("crash-commands", CRASH_COMMANDS);
    return this.#contender("crash", "crash", ["-s", "-i", script, this.#visible(vmlinux), this.#visible(dump)]);
  }

  /** drgn, all stacks. */
  drgn(dump: string, vmlinux: string): Contender | undefined {
    const script = this.#write("stacks.py", DRGN_ALL_STACKS);
    if (this.#find("drgn") === undefined) return undefined;
    return this.#contender("drgn", "python3", [script, this.#visible(dump), this.#visible(vmlinux)]);
  }

  /** `makedumpfile --dump-dmesg`; it writes the log to a file and says so on standard output. */
  makedumpfile(dump: string): Contender | undefined {
    const log = join(this.#inside(this.#folder), "dmesg");
    return this.#contender("makedumpfile", "makedumpfile", ["--dump-dmesg", "-f", this.#visible(dump), log]);
  }

  /**
   * makedumpfile as what it is for: filters and compresses. Its file is at `output`.
   *
   * @param synced with a sync(1) of the file behind it, as kdump's scripts run it: then its file is as safe as ours.
   */
  makedumpfileSave(dump: string, args: readonly string[], synced = false): { contender: Contender; output: string } | undefined {
    const output = join(this.#folder, "saved");
    const inside = this.#inside(output);
    const name = synced ? "makedumpfile, then sync" : args.includes("--num-threads") ? "makedumpfile, threads" : "makedumpfile";
    const contender = this.#contender(name, "makedumpfile", ["-f", ...args, this.#visible(dump), inside], synced ? inside : undefined);
    return contender && { contender, output };
  }

  /** Removes what was put into the peers' root. */
  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** @param synced a file that is synced behind it. */
  #contender(name: string, program: string, args: readonly string[], synced?: string): Contender | undefined {
    const path = this.#find(program);
    if (path === undefined) return undefined;
    const plain = [path, ...args];
    const command = synced === undefined ? plain : ["sh", "-c", `${plain.join(" ")} && sync ${synced}`];
    return { name, command: this.#root === undefined ? command : ["chroot", this.#root, ...command] };
  }

  /** Path of a program as the peers see it. */
  #find(program: string): string | undefined {
    return ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin", "/sbin"]
      .map((folder) => join(folder, program))
      .find((path) => existsSync(join(this.#root ?? "/", path)));
  }

  #inside(path: string): string {
    return this.#root === undefined ? path : path.slice(this.#root.length);
  }

  #write(name: string, text: string): string {
    const path = join(this.#folder, name);
    writeFileSync(path, text);
    return this.#inside(path);
  }

  /** A file that is not in the peers' root is copied there once: a link or a mount would leave traces when we are killed. */
  #visible(path: string): string {
    const full = resolve(path);
    if (this.#root === undefined) return full;
    if (full.startsWith(this.#root + sep)) return this.#inside(full);
    let seen = this.#seen.get(full);
    if (seen === undefined) {
      const copy = join(this.#folder, `${this.#seen.size}-${basename(full)}`);
      copyFileSync(full, copy);
      seen = this.#inside(copy);
      this.#seen.set(full, seen);
    }
    return seen;
  }
}
