/**
 * What `save` writes, as makedumpfile, crash, drgn and readelf see it, and the pages that it keeps beside those that makedumpfile keeps.
 *
 * Runs where a root folder with these tools (LASTWORDS_PEERS, else ../lab/sid) and dumps of the lab with their vmlinux (LASTWORDS_LAB, else
 * ../lab) are, and the user is root, for chroot(8); is skipped elsewhere. Files are linked into that root for the time of the test.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asPfn, type Pfn } from "../../src/bytes/index.ts";
import { fileOutput, Helpers, type SaveCodec, saveElf, saveKdump } from "../../src/capture/index.ts";
import { flattenedOutput } from "../../src/capture/save/output.ts";
import { type DumpFile, openDump } from "../../src/format/index.ts";
import { closeSync, openSync } from "node:fs";

const ROOT = resolve(process.env["LASTWORDS_PEERS"] ?? "../lab/sid");
const LAB = resolve(process.env["LASTWORDS_LAB"] ?? "../lab");
const KERNELS = ["5.10", "6.1", "6.12", "7.2"] as const;
type Kernel = (typeof KERNELS)[number];
const LEVELS = [0, 1, 2, 4, 8, 16, 31] as const;

const vmcoreOf = (kernel: Kernel): string => join(LAB, "dumps", `${kernel}-sysrq`, "vmcore");
const vmlinuxOf = (kernel: Kernel): string => join(LAB, "vmlinux", `vmlinux-${kernel}`);
const has = (program: string): boolean => ["/usr/bin", "/usr/sbin"].some((folder) => existsSync(join(ROOT, folder, program)));
const ready = process.getuid?.() === 0 && existsSync(join(ROOT, "proc/self")) && has("makedumpfile");
const present = (kernel: Kernel): boolean => ready && existsSync(vmcoreOf(kernel)) && existsSync(vmlinuxOf(kernel));

/** Pages that makedumpfile leaves out and we keep, and why that is right. We leave out none that it keeps. */
const KNOWN: readonly { readonly kernels: readonly Kernel[]; readonly reason: string; readonly fits: (page: Difference) => boolean }[] = [
  {
    kernels: KERNELS,
    reason: "the last page of low RAM is there in part: makedumpfile drops it, though what the dump has of it may be wanted",
    fits: ({ dump, pfn }) => {
      const segment = dump.segments!.find(({ paddr, size }) => paddr < (pfn + 1) * 4096 && paddr + size > pfn * 4096)!;
      return (segment.paddr + segment.size) % 4096 !== 0 && Math.floor((segment.paddr + segment.size) / 4096) === pfn;
    },
  },
  {
    kernels: ["7.2"],
    reason:
      "makedumpfile 1.7.8 does not know page.compound_info: tail pages of a compound page that is kept are classed by themselves, by what is no class of theirs",
    fits: ({ isTail }) => isTail,
  },
];

interface Difference {
  readonly dump: DumpFile;
  readonly pfn: number;
  readonly isTail: boolean;
}

let folder: string;
const inside = (path: string): string => path.slice(ROOT.length);
const used = new Set<number>();

beforeAll(() => {
  if (!ready) return;
  folder = mkdtempSync(join(ROOT, "tmp", "lastwords-save-"));
});
afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

const answers = new Map<string, unknown>();

/** What a peer says of the source does not change. */
function once<T>(key: string, ask: () => T): T {
  if (!answers.has(key)) answers.set(key, ask());
  return answers.get(key) as T;
}

/** A file as the peers see it: another name for it where that can be. */
function visible(path: string, name: string): string {
  const to = join(folder, name);
  if (existsSync(to)) return to;
  try {
    linkSync(path, to);
  } catch {
    copyFileSync(path, to);
  }
  return to;
}

function peer(program: string, args: readonly string[], input = ""): { status: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync("chroot", [ROOT, program, ...args], {
    encoding: "utf8",
    input,
    timeout: 240_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  return { status, text: stdout + stderr };
}

async function opened<T>(path: string, use: (dump: DumpFile) => T | Promise<T>): Promise<T> {
  const { dump } = await openDump([path]);
  try {
    return await use(dump);
  } finally {
    dump.close();
  }
}

async function save(from: string, to: string, level: number, codec: SaveCodec | "elf" | "stream"): Promise<void> {
  await opened(from, async (dump) => {
    const helpers = new Helpers(2);
    const options = { paths: [from], level, codec: codec === "elf" ? "none" : codec === "stream" ? "lzo" : codec, helpers } as const;
    const fd = codec === "stream" ? openSync(to, "w") : -1;
    const output = codec === "stream" ? flattenedOutput(fd, to) : fileOutput(to, true);
    try {
      await (codec === "elf" ? saveElf : saveKdump)(dump, output, options);
    } finally {
      output.close();
      helpers.close();
      if (fd >= 0) closeSync(fd);
    }
  });
}

function storedOf(dump: DumpFile): number[] {
  const list: number[] = [];
  for (let pfn: Pfn | undefined = dump.nextStored(asPfn(0)); pfn !== undefined; pfn = dump.nextStored(asPfn(pfn + 1))) list.push(pfn);
  return list;
}

describe.each(KERNELS)("%s", (kernel) => {
  const work = describe.skipIf(!present(kernel));

  work("keeps the pages that makedumpfile keeps", () => {
    test.each(LEVELS)(
      "at level %i",
      async (level) => {
        const from = visible(vmcoreOf(kernel), `${kernel}-vmcore`);
        const ours = join(folder, "ours");
        const theirs = join(folder, "theirs");
        await save(from, ours, level, "lzo");
        const { status, text } = peer("makedumpfile", ["-f", "-l", "-d", `${level}`, inside(from), inside(theirs)]);
        expect(status, text).toBe(0);
        const [mine, other] = [await opened(ours, storedOf), await opened(theirs, storedOf)];
        const mineSet = new Set(mine);
        const otherSet = new Set(other);
        expect(other.filter((pfn) => !mineSet.has(pfn))).toEqual([]);
        const more = mine.filter((pfn) => !otherSet.has(pfn));
        const tails = more.length === 0 ? new Set<number>() : tailsOf(kernel, from, more);
        await opened(from, (dump) => {
          const unknown = more.filter((pfn) => {
            const known = KNOWN.findIndex((entry) => entry.kernels.includes(kernel) && entry.fits({ dump, pfn, isTail: tails.has(pfn) }));
            if (known >= 0) used.add(known);
            return known < 0;
          });
          expect(unknown).toEqual([]);
          // And each is as it was, in theirs too.
          return opened(ours, async (copy) =>
            opened(theirs, (their) => {
              const pages = [0, 1, 2].map(() => new Uint8Array(4096)) as [Uint8Array, Uint8Array, Uint8Array];
              const wrong = mine.filter((pfn, i) => {
                dump.readPage(asPfn(pfn), pages[0]);
                copy.readPage(asPfn(pfn), pages[1]);
                if (Buffer.compare(pages[0], pages[1]) !== 0) return true;
                // Reading theirs as well takes a while: one in 16.
                if (i % 16 !== 0 || !otherSet.has(pfn)) return false;
                their.readPage(asPfn(pfn), pages[2]);
                return Buffer.compare(pages[0], pages[2]) !== 0;
              });
              expect(wrong).toEqual([]);
            }),
          );
        });
      },
      300_000,
    );
  });

  work("is taken by the tools that are in use", () => {
    test.each(["none", "zlib", "lzo", "snappy", "zstd", "elf", "stream"] as const)(
      "%s",
      async (codec) => {
        const from = visible(vmcoreOf(kernel), `${kernel}-vmcore`);
        const vmlinux = inside(visible(vmlinuxOf(kernel), `${kernel}-vmlinux`));
        const ours = join(folder, `${kernel}-${codec}`);
        await save(from, ours, 31, codec);

        const commands = join(folder, "commands");
        writeFileSync(commands, "bt\nps\nquit\n");
        // crash of sid cannot read the modules of 7.2.
        const crash = (dump: string): string =>
          peer("crash", ["-s", "--no_modules", "-i", inside(commands), vmlinux, inside(dump)]).text.replaceAll(inside(dump), "DUMP");
        const said = crash(ours);
        expect(said).toContain("COMMAND:");
        expect(said).not.toMatch(/incomplete|seek error|read error|WARNING: .*dump/i);
        expect(said).toBe(once(`${kernel}-crash`, () => crash(from)));

        const script = join(folder, "tasks.py");
        writeFileSync(
          script,
          "import sys, drgn\nfrom drgn.helpers.linux.pid import for_each_task\nprog = drgn.Program()\nprog.set_core_dump(sys.argv[1])\nprog.load_debug_info([sys.argv[2]])\nfor t in for_each_task(prog):\n  print(t.pid.value_(), t.comm.string_().decode())\n",
        );
        const drgn = (dump: string): { status: number | null; text: string } => peer("python3", [inside(script), inside(dump), vmlinux]);
        // Of a stream libkdumpfile says that it would be quicker rearranged.
        const tasks = drgn(ours);
        const text = tasks.text.replace(/^the given file is in the makedumpfile flattened format.*\n/m, "");
        expect({ ...tasks, text }).toEqual(once(`${kernel}-drgn`, () => drgn(from)));

        // Debian builds makedumpfile without snappy; what it says then is in the build, not in the dump.
        if (codec === "snappy") return;
        const dmesg = join(folder, "dmesg");
        const log = (dump: string): string => {
          const { status, text } = peer("makedumpfile", ["-f", "--dump-dmesg", inside(dump), inside(dmesg)]);
          expect(status, text).toBe(0);
          return readFileSync(dmesg, "latin1");
        };
        if (codec === "stream") {
          const whole = join(folder, `${kernel}-whole`);
          writeFileSync(join(folder, "rearrange"), `makedumpfile -f -R ${inside(whole)} < ${inside(ours)}\n`);
          expect(peer("sh", [inside(join(folder, "rearrange"))]).status).toBe(0);
          await opened(whole, (dump) => expect(dump.problems).toEqual([]));
          return;
        }
        expect(log(ours)).toBe(once(`${kernel}-log`, () => log(from)));
        const again = peer("makedumpfile", ["-f", "-l", "-d", "31", inside(ours), inside(join(folder, "again"))]);
        expect(again.status, again.text).toBe(0);
        if (codec === "elf") {
          const readelf = execFileSync("readelf", ["-lnW", ours], { encoding: "utf8" });
          expect(readelf).toMatch(/Type is CORE|type is CORE/);
          expect(readelf).toContain("VMCOREINFO");
          expect(readelf).not.toMatch(/warning|error/i);
        }
        rmSync(ours);
      },
      300_000,
    );
  });
});

test.skipIf(!KERNELS.every(present))("every known difference is met", () => {
  expect(KNOWN.filter((_, i) => !used.has(i)).map(({ reason }) => reason)).toEqual([]);
});

/** Which of the frames are tails of compound pages, as drgn sees it with debug info. */
function tailsOf(kernel: Kernel, dump: string, frames: readonly number[]): Set<number> {
  mkdirSync(folder, { recursive: true });
  const script = join(folder, "tails.py");
  writeFileSync(
    script,
    "import sys, drgn\nfrom drgn.helpers.linux.mm import pfn_to_page\nprog = drgn.Program()\nprog.set_core_dump(sys.argv[1])\nprog.load_debug_info([sys.argv[2]])\nfor line in open(sys.argv[3]):\n  page = pfn_to_page(prog, int(line))\n  try:\n    word = page.compound_info\n  except AttributeError:\n    word = page.compound_head\n  if word.value_() & 1:\n    print(int(line))\n",
  );
  const list = join(folder, "frames");
  writeFileSync(list, frames.join("\n"));
  const vmlinux = visible(vmlinuxOf(kernel), `${kernel}-vmlinux`);
  const { status, text } = peer("python3", [inside(script), inside(dump), inside(vmlinux), inside(list)]);
  expect(status, text).toBe(0);
  return new Set(
    text
      .trim()
      .split("\n")
      .filter((line) => /^\d+$/.test(line))
      .map(Number),
  );
}
