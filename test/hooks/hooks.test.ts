/** The hooks of initramfs-tools, dracut and systemd: their syntax, what they build into a folder, and what they start. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { nodePort } from "../../src/recorder/node-port.ts";
import { parseRecordConfig } from "../../src/pstore/record-config.ts";
import { type Port, PortError } from "../../src/pstore/port.ts";
import { Recorder, type Status } from "../../src/pstore/recorder.ts";
import { bundleForQuickjs } from "../../tools/bundle.ts";

const hooks = fileURLToPath(new URL("../../hooks", import.meta.url));
const INITRAMFS_HOOK = join(hooks, "initramfs-tools/hooks/lastwords");
const INIT_TOP = join(hooks, "initramfs-tools/scripts/init-top/lastwords");
const MODULE_SETUP = join(hooks, "dracut/90lastwords/module-setup.sh");
const DRACUT_START = join(hooks, "dracut/90lastwords/lastwords-start.sh");
const DRACUT_UNIT = join(hooks, "dracut/90lastwords/lastwords-record.service");
const UNIT = join(hooks, "systemd/lastwords-record.service");

const has = (program: string): boolean => spawnSync(program, ["--version"]).error === undefined;

const top = mkdtempSync(join(tmpdir(), "lastwords-hooks-"));
let root = "";
let number = 0;
beforeEach(() => {
  root = join(top, String(++number));
  mkdirSync(root);
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

function put(path: string, text: string, mode = 0o644): string {
  const file = join(root, path);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, text, { mode });
  return file;
}

/** A copy of a script that sees the test's folder where it would see the root. */
function inFolder(script: string, to: string): string {
  const text = readFileSync(script, "utf8").replaceAll(/(?<![\w.$}])\/(usr|etc|run|proc|sys)\b/g, `${root}/$1`);
  return put(to, text.replace(`#!${root}/`, "#!/"), 0o755);
}

const exists = (path: string): boolean => existsSync(join(root, path));

describe("syntax", () => {
  test.each([
    ["sh", INITRAMFS_HOOK],
    ["sh", INIT_TOP],
    ["bash", MODULE_SETUP],
    ["sh", DRACUT_START],
  ])("%s takes %s", (shell, file) => {
    expect(spawnSync(shell, ["-n", file], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
    // initramfs-tools ignores what cannot be run.
    expect(statSync(file).mode & 0o111).toBe(0o111);
  });

  test.skipIf(!has("busybox"))("busybox takes what runs in an initramfs", () => {
    for (const file of [INIT_TOP, DRACUT_START]) expect(spawnSync("busybox", ["sh", "-n", file])).toMatchObject({ status: 0 });
  });

  test.skipIf(!has("shellcheck"))("shellcheck finds nothing", () => {
    const files = [INITRAMFS_HOOK, INIT_TOP, MODULE_SETUP, DRACUT_START];
    // 1091: files that are on the target only. 2154, 2034: dracut's variables.
    const { status, stdout } = spawnSync("shellcheck", ["-e", "SC1091,SC2154,SC2034", ...files], { encoding: "utf8" });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });

  test("initramfs-tools asks both scripts for what goes before them", () => {
    for (const file of [INITRAMFS_HOOK, INIT_TOP]) expect(execFileSync("sh", [file, "prereqs"], { encoding: "utf8" })).toBe("\n");
  });

  test.skipIf(!has("systemd-analyze"))("systemd understands the units", () => {
    // The programs they start are on the target only.
    for (const [unit, start] of [
      [UNIT, "/usr/bin/lastwords record"],
      [DRACUT_UNIT, "/bin/sh /usr/lib/lastwords/lastwords-start.sh --foreground"],
    ] as const) {
      const text = readFileSync(unit, "utf8");
      expect(text).toContain(`ExecStart=${start}\n`);
      const file = put("lastwords-record.service", text.replace(`ExecStart=${start}`, "ExecStart=/bin/true"));
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8" });
      const about = stderr.split("\n").filter((line) => line.includes("lastwords-record.service"));
      expect([status, about]).toEqual([0, []]);
    }
  });
});

describe("record.conf", () => {
  const text = readFileSync(join(hooks, "record.conf"), "utf8");
  const examples = [...text.matchAll(/^#((?:frontend|backend|banner) .*)$/gm)].map(([, line]) => line!);

  test("as it is, it configures nothing", () => {
    expect(parseRecordConfig(text, "record.conf")).toEqual({ frontends: [], backends: [], banner: true });
  });

  test("every example is understood", () => {
    const { frontends, backends } = parseRecordConfig(examples.join("\n"), "record.conf");
    expect(frontends.map(({ name }) => name).toSorted()).toEqual(["console", "kmsg", "pmsg", "tty", "vmcore"]);
    expect(backends.map(({ name }) => name)).toEqual(["ramoops", "pstore_blk", "memconsole", "directory", "udp"]);
    // A system that has nothing: what it lacks is a status, and only a word that there is not is thrown.
    const refuse = (): never => {
      throw new PortError("ENOENT", "not here");
    };
    const { clock } = nodePort();
    const after = (): (() => void) => () => {};
    const port = { name: "none", clock, after, open: refuse, makeFolder: refuse, makeFifo: refuse } as unknown as Port;
    for (const [kind, list] of Object.entries({ frontend: frontends, backend: backends })) {
      for (const one of list) {
        const about: Status[] = [];
        const config = { frontends: [], backends: [], [`${kind}s`]: [one], banner: false, version: "0" };
        const recorder = new Recorder(port, config, (status) => about.push(status));
        expect(about).toMatchObject([{ kind, name: one.name, works: false }]);
        expect(recorder.works).toBe(false);
      }
    }
  });

  test("every word is explained", () => {
    for (const line of examples) {
      for (const [, word] of line.matchAll(/ (\w+)=/g)) expect(text, word).toMatch(new RegExp(`^# .*\\b${word}\\b`, "m"));
    }
  });
});

describe("initramfs-tools' hook", () => {
  /** What initramfs-tools has for hooks, as far as ours uses it. */
  const FUNCTIONS = `
copy_file() { [ -f "$2" ] || return 2; [ -e "$DESTDIR/\${3:-$2}" ] && return 1; mkdir -p "$DESTDIR/$(dirname "\${3:-$2}")"; cp "$2" "$DESTDIR/\${3:-$2}"; }
copy_exec() { copy_file binary "$1" "$2" || return $(($? - 1)); }
`;
  const run = (confdir = "/var/lib/kdump/initramfs-tools", busybox = "auto"): { status: number | null; stderr: string } => {
    put("usr/share/initramfs-tools/hook-functions", FUNCTIONS);
    const script = inFolder(INITRAMFS_HOOK, "hook");
    // Where the hook puts things is inside the initramfs.
    writeFileSync(script, readFileSync(script, "utf8").replaceAll(/(put copy_\w+ .*) \S*?(\/(?:usr|etc)\/\S+)$/gm, "$1 $2"));
    const env = { PATH: `${root}/usr/bin:/usr/bin:/bin`, DESTDIR: join(root, "dest"), CONFDIR: confdir, BUSYBOX: busybox };
    const { status, stderr } = spawnSync("sh", [script], { encoding: "utf8", env });
    return { status, stderr };
  };
  const complete = (): void => {
    put("usr/bin/qjs", "qjs", 0o755);
    put("usr/lib/lastwords/lastwords-record.js", "bundle");
    put("etc/lastwords/record.conf", "record");
  };
  const landed = (path: string): string => readFileSync(join(root, "dest", path), "utf8");

  test("brings QuickJS, bundle and configuration", () => {
    complete();
    expect(run()).toEqual({ status: 0, stderr: "" });
    expect(landed("usr/lib/lastwords/qjs")).toBe("qjs");
    expect(landed("usr/lib/lastwords/@lastwords")).toBe("qjs");
    expect(landed("usr/lib/lastwords/lastwords-record.js")).toBe("bundle");
    expect(landed("etc/lastwords/record.conf")).toBe("record");
    // A second time all is there already.
    expect(run()).toEqual({ status: 0, stderr: "" });
  });

  test("the capture kernel's own configuration goes before the common one", () => {
    complete();
    put("etc/lastwords/capture.conf", "capture");
    expect(run().status).toBe(0);
    expect(landed("etc/lastwords/record.conf")).toBe("capture");
  });

  test("finds the bundle beside the command, wherever npm put it", () => {
    complete();
    rmSync(join(root, "usr/lib/lastwords"), { recursive: true });
    put("opt/lib/node_modules/lastwords/bin/lastwords.js", "");
    put("opt/lib/node_modules/lastwords/dist/lastwords-record.js", "from npm");
    symlinkSync(join(root, "opt/lib/node_modules/lastwords/bin/lastwords.js"), join(root, "usr/bin/lastwords"));
    expect(run()).toEqual({ status: 0, stderr: "" });
    expect(landed("usr/lib/lastwords/lastwords-record.js")).toBe("from npm");
  });

  test("the initramfs of every day gets it only where that is asked for", () => {
    complete();
    expect(run("/etc/initramfs-tools")).toEqual({ status: 0, stderr: "" });
    expect(exists("dest")).toBe(false);
    put("etc/default/lastwords", "LASTWORDS_INITRAMFS=all\n");
    expect(run("/etc/initramfs-tools").status).toBe(0);
    expect(exists("dest/usr/lib/lastwords/qjs")).toBe(true);
  });

  test.each([
    ["etc/lastwords/record.conf", /^W: lastwords: neither .*capture\.conf nor .*record\.conf is there: the initramfs records nothing\n$/],
    ["usr/bin/qjs", /^W: lastwords: qjs is not installed/],
    ["usr/lib/lastwords/lastwords-record.js", /^W: lastwords: lastwords-record\.js is not there/],
  ])("without %s the initramfs is built all the same", (path, message) => {
    complete();
    rmSync(join(root, path));
    const { status, stderr } = run();
    expect(status).toBe(0);
    expect(stderr).toMatch(message);
    expect(exists("dest")).toBe(false);
  });
});

describe.each([
  ["init-top", INIT_TOP, "sh"],
  ["dracut's hook", DRACUT_START, "source"],
  ["dracut's unit", DRACUT_START, "foreground"],
])("%s", (_name, file, way) => {
  /** Runs the script with a qjs that tells how it was called. */
  const run = (cmdline: string, { vmcore = false, qjs = true } = {}): string => {
    if (qjs) put("usr/lib/lastwords/@lastwords", `#!/bin/sh\necho "$$ $(tr '\\0' ' ' </proc/$$/cmdline)" >${root}/started\n`, 0o755);
    put("usr/lib/lastwords/lastwords-record.js", "");
    put("proc/cmdline", `${cmdline}\n`);
    if (vmcore) put("proc/vmcore", "");
    const script = inFolder(file, "start");
    const args = { sh: [script], source: ["-ec", `. ${script}; echo alive`], foreground: [script, "--foreground"] }[way]!;
    const { status, stdout, stderr } = spawnSync("sh", args, { encoding: "utf8", cwd: root });
    expect([status, stderr]).toEqual([0, ""]);
    if (way === "source") expect(stdout).toBe("alive\n");
    for (let i = 0; i < 40 && exists("run/lastwords/initrd.pid") && !exists("started"); i++) execFileSync("sleep", ["0.05"]);
    return exists("started") ? readFileSync(join(root, "started"), "utf8") : "";
  };

  test("a capture kernel records", () => {
    const [, pid] = /^(\d+) .*--module .*\/lastwords-record\.js/.exec(run("quiet elfcorehdr=0x1000 ro"))!;
    expect(readFileSync(join(root, "run/lastwords/initrd.pid"), "utf8")).toBe(`${pid}\n`);
  });

  test("as does one that is told by /proc/vmcore alone", () => expect(run("quiet", { vmcore: true })).not.toBe(""));
  test("an ordinary kernel does not", () => expect(run("quiet noelfcorehdr=1")).toBe(""));
  test("unless told to", () => expect(run("quiet rd.lastwords=1")).not.toBe(""));
  test("nor a capture kernel that is told not to", () => expect(run("rd.lastwords=0 elfcorehdr=1", { vmcore: true })).toBe(""));
  test("nothing happens without QuickJS", () => expect(run("elfcorehdr=1", { qjs: false })).toBe(""));
});

describe("dracut's module", () => {
  const run = (systemd: boolean): string => {
    put("usr/bin/qjs", "", 0o755);
    put("usr/lib/lastwords/lastwords-record.js", "");
    put("etc/lastwords/record.conf", "");
    const script = inFolder(MODULE_SETUP, "module-setup.sh");
    const stubs = ["inst_multiple", "inst_binary", "inst_simple", "inst_script", "inst_hook", "derror", "systemctl", "ln"]
      .map((name) => `${name}() { echo ${name} "$@"; }`)
      .join("\n");
    const text = `${stubs}\ndracut_module_included() { ${systemd}; }\nSYSTEMCTL=systemctl moddir=MOD initdir=INIT systemdsystemunitdir=UNITS
. ${script}; check; echo "check $?"; install; echo "install $?"`;
    const env = { PATH: `${root}/usr/bin:/usr/bin:/bin` };
    return execFileSync("bash", ["--norc", "-c", text], { encoding: "utf8", env }).replaceAll(root, "");
  };

  test("with systemd it installs a unit, without it a hook", () => {
    const common = `check 255
inst_multiple mkfifo mkdir mount sh
inst_binary /usr/bin/qjs /usr/lib/lastwords/qjs
ln -sf qjs INIT/usr/lib/lastwords/@lastwords
inst_simple /usr/lib/lastwords/lastwords-record.js /usr/lib/lastwords/lastwords-record.js
inst_simple /etc/lastwords/record.conf /etc/lastwords/record.conf
`;
    expect(run(false)).toBe(`${common}inst_hook cmdline 00 MOD/lastwords-start.sh\ninstall 0\n`);
    expect(run(true)).toBe(`${common}inst_script MOD/lastwords-start.sh /usr/lib/lastwords/lastwords-start.sh
inst_simple MOD/lastwords-record.service UNITS/lastwords-record.service
systemctl -q --root INIT add-wants sysinit.target lastwords-record.service
install 0
`);
  });
});

test("the bundle is one file that names its version", async () => {
  const file = join(root, "lastwords-record.js");
  await bundleForQuickjs(fileURLToPath(new URL("../../src/recorder/quickjs-main.ts", import.meta.url)), file, "1.2.3-test");
  expect(readFileSync(file, "utf8")).toContain("1.2.3-test");
  expect(statSync(file).size).toBeLessThan(256 * 1024);
});
