/** Builds the page of `report --html`: one file without any reference to another. `tools/build.ts` runs it. */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { Plugin, UserConfig } from "vite";

const root = fileURLToPath(new URL("report", import.meta.url));

/** Puts script and style into the page, and allows these two, by their hashes, and nothing else. */
function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_options, bundle) {
      const page = Object.values(bundle).find((file) => file.fileName.endsWith(".html"));
      if (page?.type !== "asset") throw new Error("no page was built");
      let script = "";
      let style = "";
      for (const file of Object.values(bundle)) {
        if (file === page) continue;
        if (file.type === "chunk") script += file.code;
        else if (file.fileName.endsWith(".css")) style += String(file.source);
        else throw new Error(`${file.fileName} would be a second file`);
        delete bundle[file.fileName];
      }
      // Ends of elements inside strings; both mean the same to a script.
      script = script.trim().replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
      style = style.trim();
      const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
      const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; img-src data:; base-uri 'none'; form-action 'none'`;
      page.source = String(page.source)
        .replace(/<script[^>]*\bsrc=[^>]*><\/script>\s*/g, "")
        .replace(/<link[^>]*rel="stylesheet"[^>]*>\s*/g, "")
        .replace("<!--policy-->", () => `<meta http-equiv="Content-Security-Policy" content="${policy}">`)
        .replace("<!--style-->", () => `<style>${style}</style>`)
        .replace("<!--script-->", () => `<script type="module">${script}</script>`);
      if (!page.source.includes(script) || !page.source.includes(style)) throw new Error("the page has no place for script or style");
      page.fileName = "report.html";
    },
  };
}

const config: UserConfig = {
  root,
  base: "./",
  logLevel: "warn",
  build: {
    outDir: fileURLToPath(new URL("../dist", import.meta.url)),
    emptyOutDir: false,
    target: "es2022",
    assetsInlineLimit: 1 << 20,
    cssCodeSplit: false,
    modulePreload: false,
    rollupOptions: { output: { codeSplitting: false } },
  },
  plugins: [oneFile()],
};

export default config;
