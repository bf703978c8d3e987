import { statSync } from "node:fs";
import { DumpError } from "../../bytes/index.ts";
import { reason } from "../../format/index.ts";
import {
  type Cell,
  evidenceMatrix,
  type Finding,
  findProblems,
  fixPlan,
  type HostFacts,
  type Matrix,
  readHost,
  type Receipt,
  Root,
  severities,
  type Severity,
} from "../../host/index.ts";
import { headOf, outcomeLooks } from "../evidence-table.ts";
import { exitCode } from "../exit-code.ts";
import type { Context } from "../table.ts";
import { escapeLine, formatTable, type Style } from "../terminal.ts";

interface DoctorArgs {
  readonly root: string | undefined;
  readonly json: boolean;
  readonly fixPlan: boolean;
}

/** `lastwords doctor`. */
export function run(context: Context, args: DoctorArgs): number {
  const root = new Root(args.root ?? "/");
  checkFolder(root.folder);
  const facts = readHost(root);
  if (!facts.anything) throw new DumpError("BAD_ARGUMENT", `${root.folder} holds neither /etc nor /proc nor /sys of a host`);
  const findings = findProblems(facts);
  if (args.fixPlan) {
    context.out.write(fixPlan(findings, escapeLine));
  } else {
    const matrix = evidenceMatrix(facts, findings);
    if (args.json) printJson(context, root, facts, findings, matrix);
    else {
      printFindings(context, facts, findings);
      printMatrix(context, matrix);
    }
  }
  return statusOf(findings);
}

function checkFolder(path: string): void {
  try {
    if (statSync(path).isDirectory()) return;
  } catch (error) {
    throw new DumpError("IO", `cannot look at ${path}: ${reason(error)}`, { cause: error });
  }
  throw new DumpError("BAD_ARGUMENT", `${path} is no folder`);
}

/** By the worst of all findings. */
function statusOf(findings: readonly Finding[]): number {
  if (findings.some((finding) => finding.severity === "error")) return exitCode["no-evidence"];
  return findings.some((finding) => finding.severity === "warning") ? exitCode.partial : exitCode.good;
}

// --------------------------------------------------------------------------------------------------------------- text

const looks: Readonly<Record<Severity, Style>> = { error: "bad", warning: "warning", info: "dim" };

function printFindings({ out }: Context, facts: HostFacts, findings: readonly Finding[]): void {
  const name = facts.system.name?.value ?? "this host";
  const release = facts.system.release === undefined ? "" : `, kernel ${facts.system.release.value}`;
  out.line(out.paint("heading", escapeLine(`${name}${release}`)));
  const counts = severities.flatMap((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length;
    return count === 0 || severity === "info" ? [] : [`${count} ${severity}${count === 1 ? "" : "s"}`];
  });
  out.line(counts.length === 0 ? "Nothing is wrong with what is set up to keep evidence." : counts.join(", "));
  for (const finding of findings) {
    out.line("");
    out.line(`${out.paint(looks[finding.severity], finding.severity)}: ${escapeLine(finding.text)} ${out.paint("dim", `[${finding.id}]`)}`);
    out.line(`  ${finding.why}`);
    out.line(out.paint("dim", `  seen in ${finding.sources.map(describeSource).join(", ")}`));
    for (const command of finding.fix) out.line(`  ${out.paint("name", escapeLine(command.startsWith("#") ? command : `$ ${command}`))}`);
  }
}

function describeSource({ path, line }: Receipt): string {
  return escapeLine(line === null ? path : `${path}:${line}`);
}

/** The table, and the reasons that its numbers stand for. */
function printMatrix({ out }: Context, matrix: Matrix): void {
  out.line("");
  out.line(out.paint("heading", "What would be left"));
  const notes = new Map<string, { readonly number: number; readonly ways: string[]; readonly cell: Cell }>();
  const rows = matrix.rows.map((row) => [
    row.way,
    ...row.cells.map((cell) => {
      const word = cell.outcome === "not-configured" ? "-" : cell.outcome;
      if (cell.outcome === "kept") return out.paint(outcomeLooks.kept, word);
      const key = `${cell.kind}\n${cell.why}\n${cell.fix?.text ?? ""}`;
      const note = notes.get(key) ?? { number: notes.size + 1, ways: [], cell };
      note.ways.push(row.way);
      notes.set(key, note);
      return out.paint(outcomeLooks[cell.outcome], `${word} ${note.number}`);
    }),
  ]);
  const columns = [{ header: "WAY TO DIE" }, ...matrix.kinds.map((kind) => ({ header: headOf(kind) }))];
  out.write(formatTable(columns, rows, { paint: out.paint }));
  out.line("");
  for (const { number, cell } of notes.values()) {
    out.line(`${String(number).padStart(3)}  ${escapeLine(cell.kind)}: ${escapeLine(cell.why)}`);
    out.line(
      `     ${cell.fix === null ? out.paint("dim", "no single change here helps") : out.paint("name", `to mend: ${escapeLine(cell.fix.text)}`)}`,
    );
  }
}

// --------------------------------------------------------------------------------------------------------------- JSON

function printJson({ out }: Context, root: Root, facts: HostFacts, findings: readonly Finding[], matrix: Matrix): void {
  const value = {
    schema: "lastwords-doctor-1",
    root: root.folder,
    host: {
      name: facts.system.name?.value ?? null,
      release: facts.system.release?.value ?? null,
      family: facts.flavor ?? null,
      running: facts.running,
      crashKernel: {
        loaded: facts.crashKernel.loaded?.value ?? null,
        reserved: facts.crashKernel.reserved?.value ?? null,
      },
      target:
        facts.kdump === undefined
          ? null
          : { kind: facts.kdump.target.kind, folder: facts.kdump.target.folder, device: facts.kdump.target.device ?? null },
      pstoreBackend: facts.pstore.backend?.value ?? null,
    },
    worst: findings[0]?.severity ?? null,
    findings,
    settings: matrix.settings,
    variant: matrix.variant,
    matrix: matrix.rows.map(({ way, about, cells }) => ({ way, about, cells })),
  };
  out.write(`${JSON.stringify(value)}\n`);
}
