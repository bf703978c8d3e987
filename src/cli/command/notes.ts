import { writeFileSync } from "node:fs";
import { DumpError, hex } from "../../bytes/index.ts";
import type { ElfNote } from "../../format/index.ts";
import { deviceData, noteOf } from "../../report/index.ts";
import { exitCode } from "../exit-code.ts";
import { openDumpOf, recordStats } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";
import { escapeLine, formatTable } from "../terminal.ts";

/** `lastwords notes FILE...`. */
export async function run(context: Context, args: Args<"notes">): Promise<number> {
  const { dump, problems } = await openDumpOf(context, args, args.files);
  try {
    const notes = dump.notes.map((note) => noteOf(note));
    recordStats(context, args.files, 0);
    if (args.extract !== undefined) {
      const note = choose(dump.notes, args.extract);
      if (!note) {
        context.note(
          `no note "${args.extract}" among the ${notes.length} of the dump; \`lastwords notes ${args.files.join(" ")}\` lists them`,
        );
        return exitCode["no-evidence"];
      }
      // Of a device dump the device's data are wanted, not the kernel's header.
      const bytes = noteOf(note).device === null ? note.desc : deviceData(note);
      if (args.output === undefined) context.out.write(bytes);
      else save(args.output, bytes);
      return exitCode.good;
    }
    if (args.json) {
      context.out.write(`${JSON.stringify({ schema: "lastwords-notes-1", notes })}\n`);
    } else {
      const rows = notes.map((note, i) => [
        String(i),
        escapeLine(note.name),
        hex(note.type),
        String(note.size),
        String(note.offset),
        note.device === null ? note.what : `${note.what} of ${escapeLine(note.device)}`,
      ]);
      context.out.write(
        formatTable(
          [
            { header: "#", align: "right" },
            { header: "OWNER" },
            { header: "TYPE", align: "right" },
            { header: "SIZE", align: "right" },
            { header: "OFFSET", align: "right" },
            { header: "WHAT" },
          ],
          rows,
        ),
      );
    }
    if (notes.length === 0) return exitCode["no-evidence"];
    return problems.length + dump.problems.length > 0 ? exitCode.partial : exitCode.good;
  } finally {
    dump.close();
  }
}

/** By number in the list, by device, or by owner when only one note has it. */
function choose(notes: readonly ElfNote[], wanted: string): ElfNote | undefined {
  if (/^\d+$/.test(wanted)) return notes[Number(wanted)];
  const named = notes.filter((note) => noteOf(note).device === wanted || note.name === wanted);
  if (named.length > 1) throw new DumpError("BAD_ARGUMENT", `${named.length} notes are called ${wanted}; give the number of one`);
  return named[0];
}

function save(path: string, bytes: Uint8Array): void {
  try {
    // A device's registers may be secret: for the owner alone, as kdump keeps them.
    writeFileSync(path, bytes, { mode: 0o600 });
  } catch (error) {
    throw new DumpError("IO", `cannot write ${path}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
