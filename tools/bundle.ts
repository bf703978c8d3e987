import { build, type Plugin } from "esbuild";

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
