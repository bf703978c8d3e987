import { copyFileSync, readdirSync } from "node:fs";
import { build, type BuildOptions, type Plugin } from "esbuild";

/** Modules that QuickJS itself has. */
const QUICKJS_MODULES = ["std", "os"];

/** An import of Node that nothing in the bundle uses any more goes away, instead of being kept for what it may do when it runs. */
const LEAVE_OUT_NODE: Plugin = {
  name: "leave-out-node",
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, external: true, sideEffects: false }));
  },
};

/**
 * Makes one file of a program and all it imports, for `qjs --module`: a capture kernel's initramfs has no room for more.
 *
 * @param version what the program calls itself.
 * @throws Error when something in it asks for Node.
 */
export async function bundleForQuickjs(entry: string, outfile: string, version = "0"): Promise<void> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "es2023",
    external: QUICKJS_MODULES,
    plugins: [LEAVE_OUT_NODE],
    minify: true,
    treeShaking: true,
    // QuickJS reads UTF-8, and escapes are longer.
    charset: "utf8",
    define: { LASTWORDS_VERSION: JSON.stringify(version) },
    metafile: true,
    logLevel: "silent",
    outfile,
  });
  const asked = Object.values(result.metafile.outputs).flatMap((output) => output.imports.map((one) => one.path));
  const strange = asked.filter((path) => !QUICKJS_MODULES.includes(path));
  if (strange.length > 0) throw new Error(`${entry} imports ${strange.join(", ")}, which QuickJS does not have`);
}

/**
 * Takes what Node has by `process.getBuiltinModule`: an import looks at all a module exports, and makes Node load what hides behind
 * accessors (`fs.promises`, `util.diff`), which takes a program and each of its threads 2 ms.
 */
const NODE_WITHOUT_ACCESSORS: Plugin = {
  name: "node-without-accessors",
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: "node" }));
    build.onLoad({ filter: /./, namespace: "node" }, ({ path }) => {
      const module = process.getBuiltinModule(path) as object;
      const plain = Object.entries(Object.getOwnPropertyDescriptors(module)).filter(
        ([name, { get }]) => get === undefined && name !== "default",
      );
      const names = plain.map(([name]) => name).filter((name) => /^[A-Za-z_$][\w$]*$/.test(name));
      const builtin = `process.getBuiltinModule(${JSON.stringify(path)})`;
      return { contents: `const builtin = ${builtin};\nexport default builtin;\nexport const { ${names.join(", ")} } = builtin;\n` };
    });
  },
};

/** Files that a thread or a process of their own begins with, by the name that they are looked for with. */
const OWN_STARTS: Readonly<Record<string, string>> = {
  worker: "capture/save/worker.ts",
  "collector-child": "capture/device-dump/collector-child.ts",
};
/** Modules that are loaded by their names, from a folder of this name beside what loads them. */
const BUILT_IN = "capture/device-dump/builtin";

/**
 * Makes the program that `bin/lastwords.js` starts: a file for each command and what they share. Node takes longer to find and link a
 * hundred small modules than many a command takes to run. All files are in one folder, two below the package's as the sources' are:
 * what is looked for beside a source, or from there up, is found.
 *
 * @param source the folder of the sources.
 * @param outdir a folder of its own.
 */
export async function bundleProgram(source: string, outdir: string): Promise<void> {
  const common: BuildOptions = {
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node24",
    // Has a WebAssembly file of its own beside it.
    external: ["iced-x86"],
    plugins: [NODE_WITHOUT_ACCESSORS],
    outdir,
    logLevel: "warning",
  };
  await build({ ...common, entryPoints: { main: `${source}/cli/main.ts` }, splitting: true, chunkNames: "[name]-[hash]" });
  // Whole, so that a thread reads one file; it shares no state with the program but what it is sent.
  for (const [name, entry] of Object.entries(OWN_STARTS)) await build({ ...common, entryPoints: { [name]: `${source}/${entry}` } });
  const builtIn = readdirSync(`${source}/${BUILT_IN}`).map((file) => `${source}/${BUILT_IN}/${file}`);
  await build({ ...common, entryPoints: builtIn, outdir: `${outdir}/builtin` });
  copyFileSync(`${source}/codec/kernels/page.wasm`, `${outdir}/page.wasm`);
}
