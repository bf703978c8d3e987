/** The model against the seed's cases, its invariants and its own goldens. `vitest -u` rewrites those. */
import { describe, expect, test } from "vitest";
import { runCase, seedCases } from "./cases.ts";
import { explore, findings, type Promise_ } from "./explore.ts";
import { flow, formatFlow } from "./explain.ts";
import { FIRST_STEP, type FaultKind, locks, type Step, type Variant } from "./model.ts";
import { predict, predictAll, waysToDie } from "./predict.ts";
import { defaultSettings, describeSettings, type Settings } from "./settings.ts";
import { drawFlow } from "./svg.ts";
import { formatFinding } from "./trace.ts";
import { variantOf, variants } from "./variant/index.ts";

/** Compares with a file of test/panic/golden. */
async function expectGolden(name: string, text: string): Promise<void> {
  await expect(text).toMatchFileSnapshot(`../../test/panic/golden/${name}`);
}

const all = Object.values(variants);

/** The settings that a kernel's order depends on. */
function settingsOf(variant: Variant): readonly Settings[] {
  const images = (["loaded", "absent"] as const).map((crashImage): Settings => ({ ...defaultSettings, crashImage }));
  if (variant.name === "before-seed" || variant.name === "seed") return images;
  const orders = images.flatMap((one) => [one, { ...one, postNotifiers: true }]);
  return variant.name === "newest" ? orders.flatMap((one) => [one, { ...one, forceCpu: true }]) : orders;
}

describe("transition tables", () => {
  test.each(all)("$name: names are unique, every next exists and is reached, every function is cited", (variant) => {
    const names = variant.steps.map((step) => step.name);
    expect(new Set(names).size).toBe(names.length);
    const reached = new Set([
      variant.entry.panic,
      variant.entry.oops,
      ...variant.steps.flatMap((step) => [step.next ?? "", step.otherwise ?? ""]),
    ]);
    for (const step of variant.steps) {
      expect(reached, step.name).toContain(step.name);
      expect(step.cites).toMatch(/^linux:[\w/.-]+\.c:\w+( \((with|of) the seed's patch\))?$/);
      expect(step.needs).not.toBe("");
      for (const next of [step.next, step.otherwise]) if (next !== undefined) expect(names).toContain(next);
      const { effect } = step;
      if (effect.do === "try" || effect.do === "claim" || effect.do === "ask") expect(step.otherwise, step.name).toBeDefined();
      if (effect.do === "release" || effect.do === "spin") expect(locks).toContain(effect.lock);
      const ends = effect.do === "idle" || effect.do === "halt" || effect.do === "reboot";
      expect(step.next === undefined, step.name).toBe(ends);
    }
    expect(names.length + FIRST_STEP).toBeLessThan(256);
  });
});

describe("the seed's eight cases", () => {
  test.each(seedCases)("case $number: $condition", (one) => {
    const result = runCase(variants.seed, one);
    expect(result.agrees).toBe(true);
    expect(result.ends).toHaveLength(1);
  });

  test("in all kernels", async () => {
    const lines = all.flatMap((variant) => [
      `${variant.title}`,
      ...seedCases.map((one) => {
        const { agrees, ends, states } = runCase(variant, one);
        const seen = ends.map((end) => `${end.kind} (${end.evidence.join(" ")})`).sort();
        return [`  case ${one.number} ${agrees ? "agrees " : "differs"} ${states} states`, ...seen.map((end) => `      ${end}`)].join("\n");
      }),
      "",
    ]);
    await expectGolden("cases.txt", lines.join("\n"));
  });

  test("2.6.38 without the patch loses in cases 7 and 8, which the patch is for", () => {
    expect(seedCases.filter((one) => !runCase(variants["before-seed"], one).agrees).map((one) => one.number)).toEqual([7, 8]);
  });
});

describe("invariants, four CPUs, two faults", () => {
  for (const variant of all) {
    for (const settings of settingsOf(variant)) {
      test(`${variant.name}: ${describeSettings(settings)}`, async () => {
        const began = performance.now();
        const result = explore(variant, settings, { cpus: 4, faults: 2 });
        console.log(
          `${variant.name}: ${result.states} states, ${result.transitions} transitions, ${Math.round(performance.now() - began)} ms: ${describeSettings(settings)}`,
        );
        expect(result.complete).toBe(true);
        const { states, transitions, depth, ends } = result;
        const lines = [
          `${variant.title}: ${result.settings}`,
          `${states} states, ${transitions} transitions, depth ${depth}, ${ends.length} ends`,
          "",
          ...ends.map(
            (end) =>
              `${end.kind.padEnd(9)} ${end.evidence.join(" ") || "nothing"} | ${end.faults.join(", ") || "no fault"} | ${end.states} states, ${end.steps} steps`,
          ),
          "",
        ];
        await expectGolden(`ends-${fileName(variant, settings)}.txt`, lines.join("\n"));
        // From 4.5 on panic_cpu keeps its word, whatever goes wrong.
        const dumpers = result.findings.filter((finding) => finding.promise === "one dumper");
        if (variant.name === "v6.1" || variant.name === "newest") expect(dumpers).toEqual([]);
        // Without faults the patch and every order since keep all they promise; panic_force_cpu does not.
        const faultless = result.findings.filter((finding) => finding.faults.length === 0);
        if (!settings.forceCpu) expect(faultless).toEqual([]);
      });
    }
  }
});

describe("findings", () => {
  for (const variant of all) {
    for (const settings of settingsOf(variant)) {
      test(`${variant.name}: ${describeSettings(settings)}`, async () => {
        const found = findings(variant, settings, { cpus: 4, faults: 2 });
        const texts = found.map((finding) => formatFinding(finding, variant, settings));
        await expectGolden(
          `findings-${fileName(variant, settings)}.txt`,
          texts.length === 0 ? "Every promise is kept.\n" : texts.join("\n"),
        );
      });
    }
  }

  const kinds = (variant: Variant, settings: Partial<Settings>, promise: Promise_): readonly (readonly FaultKind[])[] =>
    findings(variant, { ...defaultSettings, ...settings }, { cpus: 3, faults: 1 })
      .filter((finding) => finding.promise === promise)
      .map((finding) => finding.faults);

  test("two CPUs of 2.6.38 that panic can stop each other", () => {
    expect(kinds(variants["before-seed"], { crashImage: "absent" }, "no deadlock")).toEqual([["second CPU panics"]]);
  });

  test("the seed: a panic within the panic waits for itself; an oops elsewhere starts kdump without lock or record", () => {
    expect(kinds(variants.seed, {}, "no deadlock")).toEqual([["panic within the panic"]]);
    expect(kinds(variants.seed, {}, "one dumper")).toEqual([["second CPU panics"]]);
    expect(kinds(variants.seed, {}, "record")).toContainEqual(["second CPU panics"]);
  });

  test("6.1 and 7.0 with post_notifiers: a CPU stopped in an oops write takes the buffer lock along", () => {
    for (const name of ["v6.1", "newest"] as const)
      expect(kinds(variants[name], { postNotifiers: true }, "record")).toContainEqual(["second CPU panics"]);
  });

  test("7.0 with panic_force_cpu: the forced CPU panicking while crash_kexec has panic_cpu ends in a deadlock", () => {
    expect(kinds(variants.newest, { crashImage: "absent", forceCpu: true }, "no deadlock")).toEqual([
      ["CPU ignores the stop"],
      ["second CPU panics"],
    ]);
  });

  test("with post_notifiers and one backend that works, no single fault outside of the panic path loses the record", () => {
    const settings: Settings = { ...defaultSettings, postNotifiers: true, backends: defaultSettings.backends.slice(0, 1) };
    const result = explore(variants["v6.1"], settings, {
      cpus: 4,
      faults: 2,
      kinds: ["CPU ignores the stop", "memory corrupts the crash image", "CPU in kexec_load", "capture kernel fails"],
    });
    expect(result.findings.filter((finding) => finding.promise === "record")).toEqual([]);
  });
});

describe("the exploration itself", () => {
  const small = all.flatMap((variant) =>
    [2, 3].flatMap((cpus) => [0, 1, 2].map((faults) => ({ variant, cpus, faults: cpus === 3 ? Math.min(faults, 1) : faults }))),
  );

  test.each(small)("$variant.name, $cpus CPUs, $faults faults: symmetry leaves nothing out", ({ variant, cpus, faults }) => {
    for (const settings of settingsOf(variant)) {
      const reduced = explore(variant, settings, { cpus, faults });
      const whole = explore(variant, settings, { cpus, faults, symmetry: false });
      const ends = (result: typeof reduced): readonly string[] =>
        result.ends.map((end) => `${end.kind} ${end.evidence.join()} ${end.faults.join()} ${end.steps}`).sort();
      expect(ends(reduced)).toEqual(ends(whole));
      expect(reduced.depth).toBe(whole.depth);
      const broken = (result: typeof reduced): readonly string[] =>
        result.findings
          .map((finding) => `${finding.promise} ${[...new Set(finding.faults)].sort().join()} ${finding.schedule.length}`)
          .sort();
      expect(broken(reduced)).toEqual(broken(whole));
      // panic_force_cpu tells one of the CPUs apart; of two, none can then be swapped.
      if (settings.forceCpu && cpus === 2) expect(reduced.states).toBe(whole.states);
      else expect(reduced.states).toBeLessThan(whole.states);
      // An orbit of n CPUs has at most n! states.
      expect(whole.states).toBeLessThanOrEqual(reduced.states * (cpus === 2 ? 2 : 6));
    }
  });

  test("the same twice", () => {
    const settings: Settings = { ...defaultSettings, forceCpu: true };
    const run = (): string =>
      JSON.stringify([
        explore(variants.newest, settings, { cpus: 3, faults: 2 }),
        findings(variants.newest, settings, { cpus: 3, faults: 2 }),
      ]);
    expect(run()).toBe(run());
  });

  test("a limit ends it early, and it says so", () => {
    const result = explore(variants.newest, defaultSettings, { cpus: 4, faults: 2, maxStates: 100 });
    expect(result.complete).toBe(false);
    expect(result.states).toBeGreaterThan(100);
  });

  test("more faults only add states and ends", () => {
    const run = (faults: number): readonly string[] =>
      explore(variants["v6.1"], defaultSettings, { cpus: 2, faults }).ends.map(
        (end) => `${end.kind} ${end.evidence.join()} ${end.faults.join()}`,
      );
    const [none, one, two] = [run(0), run(1), run(2)];
    for (const end of none) expect(one).toContain(end);
    for (const end of one) expect(two).toContain(end);
    expect(two.length).toBeGreaterThan(one.length);
  });
});

describe("a lock broken in a table is found out", () => {
  const broken = (variant: Variant, name: string, change: (step: Step) => Step): Variant => {
    expect(variant.steps.map((step) => step.name)).toContain(name);
    return { ...variant, steps: variant.steps.map((step) => (step.name === name ? change(step) : step)) };
  };
  const go = (step: Step): Step => {
    const { otherwise: _, ...rest } = step;
    return { ...rest, effect: { do: "go" } };
  };
  const promisesBroken = (variant: Variant, settings: Partial<Settings>): readonly string[] =>
    explore(variant, { ...defaultSettings, ...settings }, { cpus: 2, faults: 1, kinds: ["second CPU panics"] }).findings.map(
      (finding) => finding.promise,
    );

  test("6.1 without panic_cpu lets two CPUs dump", () => {
    const settings: Settings = { ...defaultSettings, postNotifiers: true };
    const run = (variant: Variant): readonly string[] =>
      explore(variant, settings, { cpus: 2, faults: 2, kinds: ["second CPU panics", "CPU ignores the stop"] }).findings.map(
        (finding) => finding.promise,
      );
    expect(run(variants["v6.1"])).not.toContain("one dumper");
    expect(run(broken(variants["v6.1"], "panic: claim panic_cpu", go))).toContain("one dumper");
  });

  test("6.1 where panic_cpu is never reset after an oops' crash_kexec: the panic goes on, since it is this CPU's", () => {
    expect(promisesBroken(broken(variants["v6.1"], "oops: crash_kexec: reset panic_cpu", go), { crashImage: "absent" })).toEqual([]);
  });

  test("6.1 where the panicking CPU fails its own cmpxchg waits for itself after an oops", () => {
    const strict = broken(broken(variants["v6.1"], "oops: crash_kexec: reset panic_cpu", go), "panic: claim panic_cpu", (step) => ({
      ...step,
      effect: { do: "try", lock: "panic" },
    }));
    expect(promisesBroken(strict, { crashImage: "absent" })).toContain("no deadlock");
  });

  test("6.1 that does not wait for the others dumps while they run", () => {
    const hasty = broken(variants["v6.1"], "crash_smp_send_stop: wait", go);
    const all = (variant: Variant): readonly string[] =>
      explore(variant, defaultSettings, { cpus: 2, faults: 0 }).findings.map((finding) => finding.promise);
    expect(all(variants["v6.1"])).toEqual([]);
    expect(all(hasty)).toContain("all stopped");
  });

  test("the seed without panic_mutex: two panics meet in the dump, and stop each other", () => {
    const seed = broken(variants.seed, "panic: try panic_mutex", go);
    expect(promisesBroken(seed, { crashImage: "absent" })).toContain("no deadlock");
  });
});

describe("explain", () => {
  test.each([
    ["before-seed", {}],
    ["seed", {}],
    ["seed", { crashImage: "absent" }],
    ["v6.1", {}],
    ["v6.1", { postNotifiers: true }],
    ["newest", { deviceDumps: true }],
    ["newest", { crashImage: "absent", panicTimeout: 0, backends: [] }],
  ] as const)("%s %j", async (name, settings) => {
    const merged: Settings = { ...defaultSettings, ...settings };
    const variant = variants[name];
    const the = flow(variant, merged);
    await expectGolden(`flow-${fileName(variant, merged)}.txt`, formatFlow(the));
    const drawing = drawFlow(the);
    expect(drawing).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" /);
    expect(drawing).toContain("prefers-color-scheme: dark");
    for (const { step } of the.steps)
      if (step.effect.do !== "ask") expect(drawing).toContain(`>${step.name.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}<`);
    // Self-contained: nothing is fetched.
    expect(drawing).not.toMatch(/href|url\((?!#tip)|@import/);
    const tags = [...drawing.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)];
    const open: string[] = [];
    for (const [, slash, tag, closed] of tags) {
      if (slash === "/") expect(open.pop()).toBe(tag);
      else if (closed !== "/") open.push(tag!);
    }
    expect(open).toEqual([]);
  });

  test("what is at stake shrinks from step to step, to nothing", () => {
    for (const variant of all) {
      const { steps } = flow(variant, defaultSettings, "oops");
      const stakes = steps.map((one) => one.atStake.length);
      expect(stakes).toEqual([...stakes].sort((a, b) => b - a));
      expect(stakes.at(-1)).toBe(0);
    }
  });

  test("the drawing of the seed", async () => {
    await expectGolden("flow-seed.svg", drawFlow(flow(variants.seed, defaultSettings)));
  });
});

describe("predict", () => {
  const outcomes = (settings: Partial<Settings>, way: keyof typeof waysToDie): Readonly<Record<string, string>> =>
    Object.fromEntries(predict({ ...defaultSettings, ...settings }, way).map((one) => [one.kind, one.outcome]));

  test("every way, by default and with post_notifiers", async () => {
    const text = ([{}, { postNotifiers: true }, { crashImage: "absent" }] as const)
      .map((settings) => {
        const merged: Settings = { ...defaultSettings, ...settings };
        const ways = Object.entries(predictAll(merged)).map(([way, list]) =>
          [way, ...list.map((one) => `  ${one.kind.padEnd(26)}${one.outcome.padEnd(16)}${one.why}`)].join("\n"),
        );
        return [describeSettings(merged), "", ...ways, ""].join("\n");
      })
      .join("\n");
    await expectGolden("predict.txt", text);
  });

  test("kinds are the same for every way", () => {
    for (const settings of [defaultSettings, { ...defaultSettings, backends: [], deviceDumps: true }]) {
      const kinds = Object.values(predictAll(settings)).map((list) => list.map((one) => one.kind));
      for (const list of kinds) expect(list).toEqual(kinds[0]);
    }
  });

  test("kdump first means no record, post_notifiers means both", () => {
    expect(outcomes({}, "oops in interrupt")).toMatchObject({ "record in A": "lost", vmcore: "kept" });
    expect(outcomes({ postNotifiers: true }, "oops in interrupt")).toMatchObject({ "record in A": "kept", vmcore: "kept" });
  });

  test("a backend that hangs takes what comes after it along", () => {
    const backends = [{ name: "efi", medium: "firmware", hangs: true } as const, { name: "ramoops", medium: "ram" } as const];
    const predicted = predict({ ...defaultSettings, postNotifiers: true, backends }, "NMI");
    expect(predicted.find((one) => one.kind === "record in ramoops")).toMatchObject({
      outcome: "lost",
      why: "The backend before it hangs.",
    });
    expect(predicted.find((one) => one.kind === "vmcore")).toMatchObject({
      outcome: "lost",
      why: "A backend hangs before kdump is tried.",
    });
  });

  test("RAM that does not survive keeps nothing; a task's oops that does not panic leaves a record", () => {
    expect(outcomes({ crashImage: "absent", ramSurvivesReset: false }, "oops in interrupt")).toMatchObject({
      "record in A": "lost",
      "record in B": "kept",
    });
    expect(outcomes({ panicOnOops: false }, "oops in a task")).toMatchObject({ "record in A": "kept", vmcore: "lost" });
  });

  test("no crash kernel and no backend is not a loss but not configured", () => {
    for (const way of Object.keys(waysToDie) as (keyof typeof waysToDie)[])
      expect(outcomes({ crashImage: "absent", backends: [] }, way)).toMatchObject({
        vmcore: "not-configured",
        "record in pstore": "not-configured",
      });
  });
});

function fileName(variant: Variant, settings: Settings): string {
  return [
    variant.name,
    settings.crashImage,
    ...(settings.postNotifiers ? ["post"] : []),
    ...(settings.forceCpu ? ["force"] : []),
    ...(settings.deviceDumps ? ["device"] : []),
    ...(settings.backends.length === 0 ? ["none"] : []),
  ].join("-");
}

test.each([
  ["5.10.0-46-cloud-amd64", "v6.1"],
  ["6.12.117+deb13-cloud-amd64", "v6.1"],
  ["7.2.13+deb14-cloud-amd64", "newest"],
])("%s is nearest to %s", (release, variant) => {
  expect(variantOf(release)).toBe(variant);
});
