import { execFile } from "node:child_process";
import { LabError } from "./error.ts";

/** Programs the lab calls, and the Debian package that has each of them. */
const PACKAGES: Readonly<Record<string, string>> = {
  "qemu-system-x86_64": "qemu-system-x86 and seabios",
  "apt-get": "apt",
  "apt-cache": "apt",
  "dpkg-deb": "dpkg",
  ldd: "libc-bin",
  xz: "xz-utils",
};

/** How {@link runCommand} shall run a program. */
export interface CommandOptions {
  /** Working folder; the process's own when absent. */
  readonly cwd?: string;
  /** Bytes for the standard input. */
  readonly input?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  /** Limit of the standard output in bytes; 256 MiB when absent. */
  readonly maxOutputBytes?: number;
}

/** The error for a program that is not there, naming the Debian package to install. */
export function missingTool(program: string): LabError {
  const name = PACKAGES[program] ?? program;
  return new LabError("MISSING_TOOL", `${program} is not installed (Debian: apt-get install ${name.replace(" and", "")})`);
}

/**
 * Runs a program without a shell and gives its standard output.
 * @throws LabError MISSING_TOOL when it is not installed.
 * @throws Error with the last lines of its standard error when it fails.
 */
export function runCommand(program: string, args: readonly string[], options: CommandOptions = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      {
        cwd: options.cwd,
        encoding: "buffer",
        maxBuffer: options.maxOutputBytes ?? 256 * 1024 * 1024,
        signal: options.signal,
        // Messages are matched and shown; they must not depend on who runs the lab.
        env: { ...process.env, LC_ALL: "C", PATH: `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin` },
      },
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        if (error.code === "ENOENT") return reject(missingTool(program));
        const said = stderr.toString("utf8").trim().split("\n").slice(-4).join("; ");
        reject(new Error(`${program}: ${said === "" ? error.message : said}`, { cause: error }));
      },
    );
    child.stdin?.on("error", () => {}); // a program that does not read its input says so by its exit code
    child.stdin?.end(options.input);
  });
}
