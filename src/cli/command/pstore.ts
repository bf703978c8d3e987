import { closeSync, fchmodSync, futimesSync, mkdirSync, openSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { asVaddr, DumpError, hex, latin1, utf8 } from "../../bytes/index.ts";
import { type PstoreStorage, readStorages } from "../../evidence/index.ts";
import { reason } from "../../format/index.ts";
import type { Kernel } from "../../kernel/index.ts";
import { formatFtrace, joinParts, type PstoreRecord, recordFileBytes, recordFileName, type RecordTime } from "../../pstore/index.ts";
import { exitCode } from "../exit-code.ts";
import { openOptions, recordStats } from "../open-kernel.ts";
import { storageHints } from "../storage-hints.ts";
import type { Args, Context } from "../table.ts";
import { escapeControl, escapeLine, formatBytes, formatTable } from "../terminal.ts";

/** `lastwords pstore ls|cat|extract PATH...`. */
export async function run(context: Context, args: Args<"pstore">): Promise<number> {
  if (args.action === "extract" && args.output === undefined) {
    throw new DumpError("BAD_ARGUMENT", "extract needs --output DIR: the folder to write to");
  }
  const set = await readStorages(
    args.paths,
    { ...storageHints(args), ...(args.backend === undefined ? {} : { backend: args.backend }) },
    openOptions(context, args),
  );
  try {
    for (const note of set.notes) context.note(note);
    const wanted = chosen(set.storages, args);
    switch (args.action) {
      case "ls":
        if (args.json) printJson(context, wanted, false);
        else for (const [i, storage] of wanted.entries()) list(context, storage, args, i > 0);
        break;
      case "cat":
        if (args.json) printJson(context, wanted, true);
        else cat(context, wanted, args);
        break;
      case "extract":
        extract(context, wanted, args.output!);
        break;
    }
    recordStats(context, args.paths, 0);
    const records = wanted.flatMap((storage) => storage.records);
    if (records.length === 0) return exitCode["no-evidence"];
    const damaged =
      wanted.some((storage) => storage.problems.length > 0) ||
      records.some((record) => record.state === "kept" && record.problems.length > 0);
    return damaged ? exitCode.partial : exitCode.good;
  } finally {
    set.close();
  }
}

/** The storages with the records that were asked for by name. @throws BAD_ARGUMENT for a name that is nowhere. */
function chosen(storages: readonly PstoreStorage[], args: Args<"pstore">): PstoreStorage[] {
  const keep = (record: PstoreRecord): boolean =>
    (!args.noCarved || record.state === "kept") && (args.record.length === 0 || args.record.includes(recordFileName(record)));
  const wanted = storages.map((storage) => ({ ...storage, records: storage.records.filter(keep) }));
  for (const name of args.record) {
    if (!wanted.some((storage) => storage.records.some((record) => recordFileName(record) === name))) {
      throw new DumpError("BAD_ARGUMENT", `there is no record ${name}; \`lastwords pstore ls\` names those that there are`);
    }
  }
  return args.record.length === 0 ? wanted : wanted.filter((storage) => storage.records.length > 0);
}

// ----------------------------------------------------------------------------------------------------------------- ls

function list(context: Context, storage: PstoreStorage, args: Args<"pstore">, again: boolean): void {
  const { out } = context;
  if (again) out.line("");
  const size = storage.size === undefined ? "" : `, ${formatBytes(storage.size)}`;
  const at = storage.address === undefined ? "" : ` at ${hex(storage.address)}`;
  out.line(out.paint("heading", `${escapeLine(storage.backend)}  ${escapeLine(storage.source)}${at}${size}`));
  if (storage.layout) {
    out.line(`layout: ${storage.layout.layout}`);
    out.line(out.paint("dim", `        ${storage.layout.reason}`));
    for (const other of storage.alternatives) out.line(out.paint("dim", `also possible: ${other.layout}; ${other.reason}`));
  }
  for (const problem of storage.problems) out.line(out.paint("warning", `problem: ${escapeLine(problem)}`));
  if (args.zones && storage.zones.length > 0) {
    const rows = storage.zones.map((zone) => [
      `${zone.type} ${zone.index}`,
      hex(zone.offset),
      String(zone.size),
      zone.status,
      String(zone.used),
      String(zone.capacity),
    ]);
    out.write(
      formatTable(
        [
          { header: "ZONE" },
          { header: "OFFSET", align: "right" },
          { header: "SIZE", align: "right" },
          { header: "STATUS" },
          { header: "USED", align: "right" },
          { header: "ROOM", align: "right" },
        ],
        rows,
        { paint: out.paint },
      ),
    );
  }
  if (storage.records.length === 0) {
    out.line("no records");
    return;
  }
  const rows = storage.records.map((record) => [
    escapeLine(recordFileName(record)),
    String(record.content.length),
    record.time ? isoTime(record.time) : "-",
    escapeLine(about(record)),
  ]);
  out.write(
    formatTable([{ header: "RECORD" }, { header: "SIZE", align: "right" }, { header: "TIME" }, { header: "ABOUT" }], rows, {
      paint: out.paint,
    }),
  );
}

/** What there is to say of a record, in a line. */
function about(record: PstoreRecord): string {
  const parts: string[] = [];
  if (record.reason !== undefined) parts.push(`${record.reason}${record.count === undefined ? "" : `#${record.count}`}`);
  if (record.part !== undefined) parts.push(`part ${record.part}`);
  if (record.compression !== "none") parts.push(record.compression);
  if (record.ecc) {
    const { corrected, lostBlocks } = record.ecc;
    parts.push(corrected === 0 && lostBlocks === 0 ? "ECC: no errors" : `ECC: ${corrected} bytes corrected, ${lostBlocks} blocks lost`);
  }
  if (record.state === "carved") parts.push("carved");
  parts.push(...record.problems);
  return parts.join(", ");
}

function isoTime({ seconds, nanoseconds }: RecordTime): string {
  // Beyond what a Date can be the crashed machine's clock was wrong, or the bytes are.
  const milliseconds = seconds * 1000 + Math.floor(nanoseconds / 1e6);
  return Math.abs(milliseconds) <= 8.64e15 ? `${new Date(milliseconds).toISOString().slice(0, 19)}Z` : `${seconds} s`;
}

// ---------------------------------------------------------------------------------------------------------------- cat

function cat(context: Context, storages: readonly PstoreStorage[], args: Args<"pstore">): void {
  const { out } = context;
  const several = storages.reduce((sum, storage) => sum + storage.records.length, 0) > 1;
  for (const storage of storages) {
    for (const record of storage.records) {
      if (several && !args.raw) out.line(out.paint("heading", `==> ${escapeLine(recordFileName(record))} <==`));
      const bytes = contentOf(record, storage);
      if (args.raw) out.write(bytes);
      else {
        const text = escapeControl(utf8(latin1(bytes)).replaceAll("\r\n", "\n"));
        out.write(text.endsWith("\n") || text === "" ? text : `${text}\n`);
      }
      for (const problem of record.problems) context.note(`${recordFileName(record)}: ${problem}`);
    }
  }
}

/** A record's bytes for people: function traces as the lines that the kernel shows. */
function contentOf(record: PstoreRecord, storage: PstoreStorage): Uint8Array {
  if (record.type !== "ftrace" || storage.address === undefined) return record.content;
  const { kernel } = storage;
  return Buffer.from(formatFtrace(record.content, storage.littleEndian, kernel && ((address) => nameOf(kernel, address))), "latin1");
}

function nameOf(kernel: Kernel, address: bigint): string | undefined {
  const place = kernel.find(asVaddr(address));
  return place && `${place.name}+0x${place.offset.toString(16)}${place.module === undefined ? "" : ` [${place.module}]`}`;
}

// ------------------------------------------------------------------------------------------------------------ extract

function extract(context: Context, storages: readonly PstoreStorage[], folder: string): void {
  const used = new Map<string, number>();
  for (const storage of storages) {
    if (storage.records.length === 0) continue;
    const number = (used.get(storage.backend) ?? 0) + 1;
    used.set(storage.backend, number);
    // A backend's name is the kernel's; from a file's name it has been checked to be one.
    const target = join(folder, number === 1 ? storage.backend : `${storage.backend}-${number}`);
    makeFolder(target);
    const fallback = statSync(storage.source, { throwIfNoEntry: false });
    let files = 0;
    let notices = 0;
    const names = new Set<string>();
    const write = (name: string, bytes: Uint8Array, time: RecordTime | undefined): void => {
      // Damaged storage can hold one number twice: nothing may be lost over that.
      let unique = name;
      for (let i = 2; names.has(unique); i++) unique = `${name}~${i}`;
      names.add(unique);
      save(join(target, unique), bytes, time ? time.seconds + time.nanoseconds / 1e9 : (fallback?.mtimeMs ?? 0) / 1000);
      files++;
    };
    for (const record of storage.records) {
      const name = recordFileName(record);
      write(name, record.type === "ftrace" ? contentOf(record, storage) : recordFileBytes(record), record.time);
      if (record.notice !== undefined && record.type !== "ftrace") notices++;
    }
    for (const dump of joinParts(storage.records)) {
      if (dump.parts.length < 2) continue;
      write(`dmesg-${storage.backend}-${dump.parts.at(-1)!.id}.joined`, dump.text, dump.time);
      if (dump.missing.length > 0)
        context.note(`${storage.backend}: part ${dump.missing.join(", ")} of ${dump.reason ?? "a dump"} is missing`);
    }
    context.out.line(`${escapeLine(target)}: ${files} file${files === 1 ? "" : "s"}`);
    if (notices > 0) {
      context.note(
        `${storage.backend}: ${notices} of the files end with the ECC notice that the kernel appends; \`lastwords pstore cat --raw\` prints the text alone`,
      );
    }
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new DumpError("IO", `cannot make ${path}: ${reason(error)}`);
  }
}

/** @param time mtime in seconds. */
function save(path: string, bytes: Uint8Array, time: number): void {
  let fd: number | undefined;
  try {
    // Never over a file that is there: it may be the only copy of an earlier crash.
    fd = openSync(path, "wx", 0o600);
    fchmodSync(fd, 0o600);
    for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
    futimesSync(fd, time, time);
  } catch (error) {
    throw new DumpError("IO", `cannot write ${path}: ${reason(error)}`, { cause: error });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

// --------------------------------------------------------------------------------------------------------------- JSON

function printJson(context: Context, storages: readonly PstoreStorage[], withText: boolean): void {
  const value = {
    schema: "lastwords-pstore-1",
    storages: storages.map((storage) => ({
      backend: storage.backend,
      source: storage.source,
      address: storage.address === undefined ? null : hex(storage.address),
      size: storage.size ?? null,
      layout: storage.layout ?? null,
      alternatives: storage.alternatives,
      zones: storage.zones.map(({ type, index, offset, size, status, used, capacity }) => ({
        type,
        index,
        offset,
        size,
        status,
        used,
        capacity,
      })),
      problems: storage.problems,
      records: storage.records.map((record) => ({
        name: recordFileName(record),
        type: record.type,
        id: record.id,
        size: record.content.length,
        time: record.time ? isoTime(record.time) : null,
        reason: record.reason ?? null,
        count: record.count ?? null,
        part: record.part ?? null,
        compression: record.compression,
        state: record.state,
        offset: record.at.offset,
        length: record.at.length,
        ecc: record.ecc ?? null,
        problems: record.problems,
        ...(withText ? { text: utf8(latin1(contentOf(record, storage))) } : {}),
      })),
    })),
  };
  context.out.write(`${JSON.stringify(value)}\n`);
}
