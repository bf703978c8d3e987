import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defaultCacheFolder } from "../../src/lab/index.ts";
import { copyQuickjs, fetchQuickjs, quickjsCommand } from "../../src/lab/quickjs.ts";
import { bundleForQuickjs } from "../../tools/bundle.ts";

const folder = mkdtempSync(join(tmpdir(), "lastwords-quickjs-"));
const bundle = join(folder, "record.js");
let child: ChildProcess | undefined;

beforeAll(async () => {
  await copyQuickjs(await fetchQuickjs({ cache: defaultCacheFolder() }), join(folder, "lib"));
  await bundleForQuickjs(fileURLToPath(new URL("../../src/recorder/quickjs-main.ts", import.meta.url)), bundle, "1.2.3");
});

afterAll(() => {
  child?.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

type Engine = "node" | "quickjs";
const command = (engine: Engine, args: readonly string[]): [string, ...string[]] =>
  engine === "quickjs"
    ? quickjsCommand(join(folder, "lib"), bundle, args)
    : [process.execPath, fileURLToPath(new URL("../../bin/lastwords.js", import.meta.url)), "record", ...args];

/** Storage with what was written before, and a configuration that uses it. */
function prepare(name: string): string {
  const place = join(folder, name);
  mkdirSync(join(place, "lögs"), { recursive: true });
  for (const file of ["region", "region-ecc", "device", "ring"])
    writeFileSync(join(place, file), Buffer.alloc(256 * 1024, file === "device" ? 0xee : 0));
  writeFileSync(join(place, "lögs", "pmsg-directory-0"), "from before\n");
  const sizes = "mem_size=256K record_size=16K console_size=16K ftrace_size=16K pmsg_size=16K tty_size=16K";
  writeFileSync(
    join(place, "conf"),
    `frontend pmsg fifo=${place}/fifo socket=${place}/socket\nbanner no
backend ramoops path=${place}/region ${sizes}
backend ramoops path=${place}/region-ecc ${sizes} ecc=1
backend pstore_blk blkdev=${place}/device kmsg_size=16 pmsg_size=16 console_size=16
backend memconsole path=${place}/ring size=8K
backend directory path=${place}/lögs size=4K files=20\n`,
  );
  return place;
}

async function run(
  engine: Engine,
  inputs: readonly string[],
): Promise<{ files: Record<string, string>; memory: string | undefined; code: unknown[] }> {
  const place = prepare(engine);
  const [program, ...args] = command(engine, ["--config", join(place, "conf")]);
  child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr!.on("data", (text: Buffer) => (errors += text.toString("utf8")));
  await expect.poll(() => errors, { timeout: 20_000 }).toContain("frontend pmsg: what programs write to");
  expect(errors).not.toContain("NOT RECORDING");
  let size = "from before\n".length;
  for (const input of inputs) {
    writeFileSync(join(place, "fifo"), input, "latin1");
    size += input.length;
    // One piece after the other: how they are cut decides where files rotate.
    await expect
      .poll(() => readFileSync(join(place, "device")).includes(Buffer.from(input.slice(-20), "latin1")), { timeout: 20_000 })
      .toBe(true);
  }
  const memory = /VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1];
  writeFileSync(join(place, "fifo"), "last words, in the FIFO when the signal comes\n");
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const code = await ended;
  expect(existsSync(join(place, "fifo"))).toBe(false);
  const files: Record<string, string> = {};
  for (const name of ["region", "region-ecc", "device", "ring"]) files[name] = readFileSync(join(place, name), "latin1");
  for (const name of readdirSync(join(place, "lögs"))) files[name] = readFileSync(join(place, "lögs", name), "latin1");
  return { files, memory, code };
}

test("QuickJS stores what Node stores, byte for byte", async () => {
  const every = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join("");
  const inputs = Array.from(
    { length: 30 },
    (_, i) => `${i}: ${(i % 3 === 0 ? every : `line ${i}\n`).repeat(1 + (i % 12))} end of ${String(i).padStart(12, "0")}\n`,
  );
  const onNode = await run("node", inputs);
  const onQuickjs = await run("quickjs", inputs);
  console.log(`RSS of the recorder: ${onNode.memory} KiB on Node, ${onQuickjs.memory} KiB on QuickJS`);
  expect(onNode.code).toEqual([null, "SIGTERM"]);
  expect(onQuickjs.code).toEqual([0, null]);
  expect(Object.keys(onQuickjs.files)).toEqual(Object.keys(onNode.files));
  expect(Object.keys(onNode.files).filter((name) => name.startsWith("pmsg")).length).toBeGreaterThan(1);
  for (const [name, text] of Object.entries(onNode.files)) {
    expect(Buffer.compare(Buffer.from(onQuickjs.files[name]!, "latin1"), Buffer.from(text, "latin1")), name).toBe(0);
    if (!name.startsWith("pmsg-directory-") || name === "pmsg-directory-0") expect(text, name).toContain("last words, in the FIFO");
  }
  const log = Object.keys(onNode.files)
    .filter((name) => name.startsWith("pmsg"))
    .toSorted((a, b) => Number(b.split("-")[2]) - Number(a.split("-")[2]))
    .map((name) => onNode.files[name])
    .join("");
  expect(log).toBe(`from before\n${inputs.join("")}last words, in the FIFO when the signal comes\n`);
});

test("QuickJS refuses what Node refuses, in the same words", () => {
  const place = prepare("wrong");
  for (const text of [
    "backend ramoops mem_sise=1M\nfrontend pmsg",
    "frontend tty\nfrontend tty\nbackend directory path=/x",
    `backend directory path=${place}/lögs size=1\nfrontend pmsg fifo=${place}/fifo`,
    "backend udp",
    "banner perhaps",
    "",
  ]) {
    writeFileSync(join(place, "conf"), text);
    const said = (["node", "quickjs"] as const).map((engine) => {
      const [program, ...args] = command(engine, ["--config", join(place, "conf")]);
      return spawnSync(program, args, { encoding: "utf8", timeout: 20_000 });
    });
    expect(
      said.map(({ status }) => status),
      text,
    ).toEqual([2, 2]);
    if (text !== "") expect(said[1]!.stderr.split("\n")[0], text).toBe(said[0]!.stderr.split("\n")[0]);
  }
});

test("without a frontend that works it ends", () => {
  const place = prepare("none");
  const [program, ...args] = command("quickjs", ["--frontend", `kmsg:path=${place}/none`, "--backend", `directory:path=${place}/lögs`]);
  expect(spawnSync(program, args, { encoding: "utf8", timeout: 20_000 })).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("NOT RECORDING"),
  });
});
