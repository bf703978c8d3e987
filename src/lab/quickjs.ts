import { access, copyFile, mkdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { DebianArchive, type FetchOptions } from "./debian-archive.ts";
import { LabError } from "./error.ts";
import type { Initramfs } from "./initramfs.ts";

/** Where a guest has QuickJS: in a folder of its own, for its C library may be another than that of the guest's programs. */
export const QUICKJS_FOLDER: string = "/lib/lastwords";

/** Of the suite that has the version the recorder is written for. */
const SUITE = "trixie";
const PACKAGES = /^(quickjs|libc6)$/;
const LOADER = "ld-linux-x86-64.so.2";
/** All that `qjs` needs: it names libc and libm only. */
const FILES = ["usr/bin/qjs", ...["libc.so.6", "libm.so.6", LOADER].map((name) => `usr/lib/x86_64-linux-gnu/${name}`)];

/** QuickJS out of Debian's archive, not installed. */
export interface Quickjs {
  /** Paths of `qjs`, its libraries and their loader, on this machine. */
  readonly files: readonly string[];
}

/**
 * QuickJS from the cache when it is there, else downloaded (3.3 MB) and unpacked.
 * @throws LabError UNREACHABLE when it cannot be had.
 */
export async function fetchQuickjs(options: FetchOptions): Promise<Quickjs> {
  const folder = join(options.cache, "tool", "quickjs");
  const files = FILES.map((file) => join(folder, file));
  if (await areThere(files)) return { files };
  const archive = await DebianArchive.open(SUITE, options);
  const packages = await archive.find(PACKAGES);
  await archive.unpack(packages, folder);
  if (await areThere(files)) return { files };
  throw new LabError("UNREACHABLE", `Debian ${SUITE} has no quickjs with ${FILES.map((file) => basename(file)).join(", ")}`);
}

async function areThere(files: readonly string[]): Promise<boolean> {
  return Promise.all(files.map((file) => access(file))).then(
    () => true,
    () => false,
  );
}

/** Program and arguments that run a module: through QuickJS's own loader, with its own libraries. */
export function quickjsCommand(folder: string, script: string, args: readonly string[] = []): [program: string, ...args: string[]] {
  return [join(folder, LOADER), "--library-path", folder, join(folder, "qjs"), "--module", script, ...args];
}

/** Copies QuickJS into one new folder, as a guest has it in {@link QUICKJS_FOLDER}. */
export async function copyQuickjs(quickjs: Quickjs, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const file of quickjs.files) await copyFile(file, join(folder, basename(file)));
}

/** Puts QuickJS into a guest, in {@link QUICKJS_FOLDER}. */
export async function addQuickjs(initramfs: Initramfs, quickjs: Quickjs): Promise<void> {
  for (const file of quickjs.files) initramfs.addFile(`${QUICKJS_FOLDER}/${basename(file)}`, await readFile(file), "program");
}
