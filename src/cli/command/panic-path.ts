import { writeFileSync } from "node:fs";
import { DumpError } from "../../bytes/index.ts";
import { reason } from "../../format/index.ts";
import {
  type CaseResult,
  defaultSettings,
  describeSettings,
  drawFlow,
  evidenceText,
  type Exploration,
  explore,
  type Finding,
  findings,
  type Flow,
  flow,
  formatFinding,
  formatFlow,
  promises,
  runCase,
  seedCases,
  type Settings,
  type Variant,
  type VariantName,
  variantNames,
  variants,
} from "../../panic/index.ts";
import { exitCode } from "../exit-code.ts";
import type { Context } from "../table.ts";
import { formatTable } from "../terminal.ts";

/** The arguments, as the table has them. */
export interface PanicPathArgs {
  readonly variant: string;
  readonly cpus: number;
  readonly faults: number;
  readonly explain: boolean;
  readonly svg: string | undefined;
  readonly cases: boolean;
  readonly oops: boolean;
  readonly crashImage: string;
  readonly postNotifiers: boolean;
  readonly panicTimeout: number;
  readonly backends: number;
  readonly notifiers: string;
  readonly capture: string;
  readonly deviceDumps: boolean;
  readonly forceCpu: boolean;
  readonly json: boolean;
}

/** `lastwords panic-path`. */
export function run(context: Context, args: PanicPathArgs): number {
  const chosen = (args.variant === "all" ? variantNames : [args.variant as VariantName]).map((name) => variants[name]);
  const settings = settingsOf(args);
  const entry = args.oops ? "oops" : "panic";
  if (args.svg !== undefined) {
    const [only, ...more] = chosen;
    if (only === undefined || more.length > 0) throw new DumpError("BAD_ARGUMENT", "--svg draws one kernel; --variant says which");
    write(args.svg, drawFlow(flow(only, settings, entry)));
    if (!args.explain && !args.cases && !args.json) return exitCode.good;
  }
  if (args.explain) print(context, args, settings, { flows: chosen.map((variant) => flow(variant, settings, entry)) });
  else if (args.cases)
    print(context, args, settings, {
      cases: chosen.map((variant) => ({ variant, results: seedCases.map((one) => runCase(variant, one)) })),
    });
  else {
    const options = { cpus: args.cpus, faults: args.faults };
    const explored = chosen.map((variant) => ({
      variant,
      result: explore(variant, settings, options),
      found: findings(variant, settings, options),
    }));
    print(context, args, settings, { explored });
    if (explored.some(({ result }) => !result.complete)) return exitCode.partial;
  }
  return exitCode.good;
}

function settingsOf(args: PanicPathArgs): Settings {
  return {
    ...defaultSettings,
    crashImage: args.crashImage as Settings["crashImage"],
    postNotifiers: args.postNotifiers,
    panicTimeout: args.panicTimeout,
    backends: defaultSettings.backends.slice(0, args.backends),
    notifiers: args.notifiers as Settings["notifiers"],
    capture: args.capture as Settings["capture"],
    deviceDumps: args.deviceDumps,
    forceCpu: args.forceCpu,
  };
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new DumpError("IO", `${path}: ${reason(error)}`, { cause: error });
  }
}

interface Parts {
  readonly flows?: readonly Flow[];
  readonly cases?: readonly { readonly variant: Variant; readonly results: readonly CaseResult[] }[];
  readonly explored?: readonly Explored[];
}

interface Explored {
  readonly variant: Variant;
  readonly result: Exploration;
  readonly found: readonly Finding[];
}

function print(context: Context, args: PanicPathArgs, settings: Settings, parts: Parts): void {
  if (args.json) {
    const document = {
      schema: "lastwords-panic-path-1",
      settings: describeSettings(settings),
      flows: (parts.flows ?? []).map(flowJson),
      cases: (parts.cases ?? []).map(({ variant, results }) => ({ variant: variant.name, results })),
      explorations: (parts.explored ?? []).map(explorationJson),
    };
    context.out.write(`${JSON.stringify(document)}\n`);
    return;
  }
  const texts = [
    ...(parts.flows ?? []).map((one) => formatFlow(one)),
    ...(parts.cases ?? []).map(({ variant, results }) => casesText(variant, results)),
    ...(parts.explored ?? []).map((one) => explorationText(one, settings)),
  ];
  context.out.write(texts.join("\n"));
}

function flowJson(the: Flow): unknown {
  return {
    variant: the.variant.name,
    entry: the.entry,
    end: the.end,
    evidence: the.evidence,
    steps: the.steps.map(({ step, gains, atStake, otherwise }) => ({
      name: step.name,
      cites: step.cites,
      needs: step.needs,
      gains,
      atStake,
      otherwise: otherwise ?? null,
    })),
  };
}

function explorationJson({ variant, result, found }: Explored): unknown {
  const { states, transitions, depth, complete, cpus, faults, ends } = result;
  return {
    variant: variant.name,
    cpus,
    faults,
    states,
    transitions,
    depth,
    complete,
    ends,
    findings: found.map((finding) => ({
      promise: promises[finding.promise],
      faults: finding.faults,
      end: finding.end,
      evidence: finding.evidence,
      forcedCpu: finding.forcedCpu ?? null,
      schedule: finding.schedule.map(({ cpu, kind, text, cites }) => ({ cpu, kind, text, cites })),
    })),
  };
}

function casesText(variant: Variant, results: readonly CaseResult[]): string {
  const rows = results.map((one) => [
    String(one.number),
    one.agrees ? "agrees" : "differs",
    String(one.ends.length),
    one.condition,
    one.seedResult,
  ]);
  const table = formatTable(
    [
      { header: "CASE", align: "right" },
      { header: "MODEL" },
      { header: "ENDS", align: "right" },
      { header: "CONDITION" },
      { header: "THE SEED'S RESULT" },
    ],
    rows,
  );
  return `${variant.title}: the seed's eight cases, all interleavings of two CPUs\n\n${table}`;
}

function explorationText({ variant, result, found }: Explored, settings: Settings): string {
  const rows = result.ends
    .filter((end) => end.faults.length <= 1)
    .map((end) => [
      end.kind,
      end.faults.join(", ") || "none",
      String(end.steps),
      end.evidence.map((name) => evidenceText[name]).join(", "),
    ]);
  const table = formatTable([{ header: "END" }, { header: "FAULT" }, { header: "STEPS", align: "right" }, { header: "THERE IS" }], rows);
  return [
    `${variant.title}: ${describeSettings(settings)}`,
    `${result.cpus} CPUs, up to ${result.faults} faults: ${result.states} states, ${result.transitions} transitions, ${result.ends.length} different ends${result.complete ? "" : "; ended early, too many states"}`,
    "",
    `${table}`,
    ...(found.length === 0 ? ["Every promise is kept."] : found.map((finding) => formatFinding(finding, variant, settings))),
    "",
  ].join("\n");
}
