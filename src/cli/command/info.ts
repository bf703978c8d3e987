import { type InfoSection } from "../../format/index.ts";
import { residentInDump, residentSection } from "../../capture/softboot/index.ts";
import { type Kernel, orMissing, readCommandLine, readClocks, readLog, readSettings, readUptime, readUtsName } from "../../kernel/index.ts";
import { describeSeconds } from "../../report/index.ts";
import { exitCode } from "../exit-code.ts";
import { openDumpOf, recordStats, tryKernel } from "../open-kernel.ts";
import type { Args, Context } from "../table.ts";
import { escapeLine } from "../terminal.ts";

/** `lastwords info FILE...`. */
export async function run(context: Context, args: Args<"info">): Promise<number> {
  const opened = await openDumpOf(context, args, args.files);
  const { dump } = opened;
  try {
    const result = tryKernel(context, args, opened);
    const sections: InfoSection[] = [];
    if ("value" in result) sections.push(kernelSection(result.value));
    else context.note(`the kernel cannot be understood: ${result.failure.message}`);
    sections.push({
      title: "dump",
      fields: [
        ["format", dump.format],
        ["containers", opened.containers.join(", ") || "none"],
        ["architecture", dump.arch ?? "not said"],
        ["byte order", dump.littleEndian ? "little endian" : "big endian"],
        ["word size", dump.wordSize],
        ["page size", dump.pageSize],
        ["highest page frame", dump.maxPfn === 0 ? 0 : dump.maxPfn - 1],
        ["notes", dump.notes.length],
      ],
    });
    sections.push(...dump.info());
    const commandLine = "value" in result ? readCommandLine(result.value)?.value : undefined;
    const resident = residentInDump(dump, args.files[0]!, commandLine);
    if (resident) sections.push(residentSection(resident.resident), ...resident.dump.info());
    const info = "value" in result ? result.value.vmcoreinfo : undefined;
    if (info) sections.push({ title: "VMCOREINFO", fields: [...info.keys()].map((key) => [key, info.get(key) ?? ""] as const) });
    const problems = [...opened.problems, ...dump.problems, ...(resident?.problems ?? [])];
    if (args.json) {
      const json = sections.map((section) => ({
        title: section.title,
        fields: Object.fromEntries(
          section.fields.map(([name, value]) => [name, typeof value === "bigint" ? `0x${value.toString(16)}` : value]),
        ),
      }));
      context.out.write(`${JSON.stringify({ schema: "lastwords-info-1", sections: json, problems })}\n`);
    } else {
      for (const section of sections) {
        context.out.line(context.out.paint("heading", escapeLine(section.title)));
        const width = Math.min(28, Math.max(0, ...section.fields.map(([name]) => name.length)));
        for (const [name, value] of section.fields)
          context.out.line(`  ${context.out.paint("dim", escapeLine(name).padEnd(width))}  ${escapeLine(String(value))}`);
      }
    }
    recordStats(context, args.files, 0);
    return problems.length > 0 || "failure" in result ? exitCode.partial : exitCode.good;
  } finally {
    dump.close();
  }
}

function kernelSection(kernel: Kernel): InfoSection {
  const uts = readUtsName(kernel)?.value;
  const log = orMissing([], "log", "", () => readLog(kernel));
  const last = log?.records.at(-1)?.timeNs;
  const uptime = readUptime(kernel, last === undefined ? undefined : Number(last) / 1e9)?.value ?? readClocks(kernel)?.value.uptimeSeconds;
  return {
    title: "kernel",
    fields: [
      ["release", kernel.vmcoreinfo.get("OSRELEASE") ?? uts?.release ?? "not known"],
      ["version", uts?.version ?? "not known"],
      ["machine", uts?.machine ?? "not known"],
      ["nodename", uts?.nodename ?? "not known"],
      ["build id", kernel.vmcoreinfo.get("BUILD-ID") ?? "not known"],
      ["uptime", uptime === undefined ? "not known" : describeSeconds(uptime)],
      ["symbols", kernel.symbolsSource],
      ["types", kernel.typesSource],
      ["log records", log?.records.length ?? "not readable"],
      ...[...readSettings(kernel)].map(([name, setting]) => [name, setting.value] as const),
    ],
  };
}
