/**
 * Makes a small sample of a real dump: a kdump-compressed file (zstd) with just the pages that a full report touches.
 *
 *     node tools/make-sample.ts VMCORE OUT
 *
 * It stays a dump that other tools open; to them the rest is excluded. A report that reads more than before finds
 * pages missing: make the samples again then (samples/README.md).
 */
import { writeFileSync } from "node:fs";
import { constants, zstdCompressSync } from "node:zlib";
import { collectEvidence } from "../src/evidence/index.ts";
import type { DumpFile } from "../src/format/index.ts";
import type { Kallsyms, KallsymsTables } from "../src/kernel/kallsyms.ts";
import { Kernel, moduleBtf, readCpus, readTasks, TaskReader } from "../src/kernel/index.ts";
import { writeNotes } from "../test/writers/elf.ts";
import { buildReport, traceOf, traceTasks } from "../src/report/index.ts";

const BLOCK = 4096;
const HEADER_VERSION = 6;
const COMPRESSED_ZSTD = 0x20;

const [input, output] = process.argv.slice(2);
if (input === undefined || output === undefined) {
  process.stderr.write("usage: node tools/make-sample.ts VMCORE OUT\n");
  process.exit(2);
}

const evidence = await collectEvidence([input], {});
const opened = evidence.dump;
if (!opened) throw new Error(`${input} is no dump`);
const dump = opened.dump;
const touched = new Set<number>();
const recording: DumpFile = {
  format: dump.format,
  pageSize: dump.pageSize,
  littleEndian: dump.littleEndian,
  wordSize: dump.wordSize,
  arch: dump.arch,
  maxPfn: dump.maxPfn,
  notes: dump.notes,
  get vmcoreinfo() {
    return vmcoreinfo;
  },
  problems: dump.problems,
  pageState: (pfn) => dump.pageState(pfn),
  readPage: (pfn, into) => {
    dump.readPage(pfn, into);
    touched.add(pfn);
  },
  nextStored: (pfn) => dump.nextStored(pfn),
  info: () => dump.info(),
  close: () => dump.close(),
};

// Where the symbols are found by searching the kernel image (5.10), the sample need not hold the image: tell this run
// where they are, and the search will find them in the sample as well.
const first = new Kernel(dump);
const tables = (first.vmlinuxSymbols as Partial<Kallsyms> | undefined)?.tables;
const named = dump.vmcoreinfo?.includes("SYMBOL(kallsyms_names)") ?? false;
const vmcoreinfo = tables && !named ? `${dump.vmcoreinfo ?? ""}\n${tableSymbols(tables)}` : dump.vmcoreinfo;

// What every command may ask for: a report, the users and symbols of each module, module types.
const kernel = new Kernel(recording);
const report = buildReport({
  evidence: { ...evidence, dump: { ...opened, dump: recording } },
  kernel,
  kernelFailure: undefined,
  version: "0",
});
for (const module of kernel.modules()) {
  module.usedBy();
  module.symbols();
  module.orc();
  moduleBtf(kernel, module);
}
// A single trace probes the tables in another order than a report does.
for (const number of report.cpus.keys()) {
  const alone = new Kernel(recording);
  const cpu = readCpus(alone)[number];
  const task = readTasks(alone).find((t) => t.address === cpu?.current);
  traceOf(alone, task ?? new TaskReader(alone).read(cpu!.current!), cpu);
}
const allCpus = new Kernel(recording);
const cpus = readCpus(allCpus);
const idle = new TaskReader(allCpus);
for (const cpu of cpus) traceOf(allCpus, idle.read(cpu.current!), cpu);
for (const { pid } of report.tasks) {
  const alone = new Kernel(recording);
  const running = readCpus(alone);
  const task = readTasks(alone).find((t) => t.pid === pid)!;
  traceOf(
    alone,
    task,
    running.find((cpu) => cpu.current === task.address),
  );
}
traceTasks(new Kernel(recording), cpus);
// The release string for other tools, and all functions by name, so that a changed search order finds its pages.
kernel.vmlinuxSymbols?.prefetch(["no such symbol"]);
kernel.types.btf?.count();

writeFileSync(
  output,
  encode(
    dump,
    [...touched].sort((a, b) => a - b),
  ),
);
process.stderr.write(`${output}: ${touched.size} pages, ${report.tasks.length} tasks, ${report.missing.length} missing\n`);
dump.close();

/** The tables as VMCOREINFO of newer kernels names them; a variable that holds relative_base and num_syms stands before each. */
function tableSymbols(tables: KallsymsTables): string {
  const entry = (name: string, address: bigint): string => `SYMBOL(kallsyms_${name})=${address.toString(16)}`;
  const base = tables.offsets < tables.names ? tables.names - 16n : tables.offsets + BigInt(Math.ceil((tables.num_syms * 4) / 8) * 8);
  return [
    entry("names", tables.names),
    entry("num_syms", tables.names - 8n),
    entry("token_table", tables.token_table),
    entry("token_index", tables.token_index),
    entry("offsets", tables.offsets),
    ...(tables.relative_base === 0n ? [] : [entry("relative_base", base)]),
  ].join("\n");
}

/** makedumpfile:diskdump_mod.h, header version 6: header, sub header with notes, two bitmaps, descriptors, data. */
function encode(source: DumpFile, pages: readonly number[]): Buffer {
  const notes = writeNotes(source.notes);
  const subSize = 104;
  const subBlocks = Math.ceil((subSize + notes.length) / BLOCK);
  const bitmapBytes = Math.ceil(Math.ceil(source.maxPfn / 8) / BLOCK) * BLOCK;
  const descriptorsAt = (1 + subBlocks) * BLOCK + 2 * bitmapBytes;
  const head = Buffer.alloc(descriptorsAt);
  head.write("KDUMP   ", 0, "latin1");
  head.writeInt32LE(HEADER_VERSION, 8);
  head.write("Linux", 12, "latin1");
  head.write(report.kernel?.nodename ?? "", 12 + 65, "utf8");
  head.write(report.kernel?.release ?? "", 12 + 130, "utf8");
  head.write(report.kernel?.version ?? "", 12 + 195, "utf8");
  head.write(source.arch ?? "", 12 + 260, "latin1");
  head.writeUInt32LE(COMPRESSED_ZSTD, 424);
  head.writeInt32LE(BLOCK, 428);
  head.writeInt32LE(subBlocks, 432);
  head.writeUInt32LE((2 * bitmapBytes) / BLOCK, 436);
  head.writeUInt32LE(Math.min(source.maxPfn, 0xffffffff), 440);
  head.writeInt32LE(source.notes.filter((note) => note.name === "CORE" && note.type === 1).length, 460);
  const sub = BLOCK;
  const physBase = /^NUMBER\(phys_base\)=(-?\d+)$/m.exec(report.dump === null ? "" : (source.vmcoreinfo ?? ""))?.[1];
  head.writeBigInt64LE(BigInt(physBase ?? 0), sub);
  head.writeInt32LE(31, sub + 8);
  const vmcoreinfo = notes.indexOf(source.vmcoreinfo ?? "\0none", 0, "latin1");
  if (vmcoreinfo >= 0) {
    head.writeBigUInt64LE(BigInt(sub + subSize + vmcoreinfo), sub + 32);
    head.writeBigUInt64LE(BigInt(source.vmcoreinfo!.length), sub + 40);
  }
  head.writeBigUInt64LE(BigInt(sub + subSize), sub + 48);
  head.writeBigUInt64LE(BigInt(notes.length), sub + 56);
  head.writeBigUInt64LE(BigInt(source.maxPfn), sub + 96);
  notes.copy(head, sub + subSize);
  const ram = (1 + subBlocks) * BLOCK;
  for (let pfn = 0; pfn < source.maxPfn; pfn++) {
    if (source.pageState(pfn as Parameters<DumpFile["pageState"]>[0]) !== "absent") head[ram + (pfn >> 3)]! |= 1 << (pfn & 7);
  }
  const descriptors = Buffer.alloc(pages.length * 24);
  const data: Buffer[] = [];
  let at = descriptorsAt + descriptors.length;
  const page = new Uint8Array(source.pageSize);
  pages.forEach((pfn, i) => {
    head[ram + bitmapBytes + (pfn >> 3)]! |= 1 << (pfn & 7);
    source.readPage(pfn as Parameters<DumpFile["readPage"]>[0], page);
    const packed = zstdCompressSync(page, { params: { [constants.ZSTD_c_compressionLevel]: 19 } });
    const smaller = packed.length < page.length;
    const bytes = smaller ? packed : Buffer.from(page);
    descriptors.writeBigInt64LE(BigInt(at), i * 24);
    descriptors.writeUInt32LE(bytes.length, i * 24 + 8);
    descriptors.writeUInt32LE(smaller ? COMPRESSED_ZSTD : 0, i * 24 + 12);
    data.push(bytes);
    at += bytes.length;
  });
  return Buffer.concat([head, descriptors, ...data]);
}
