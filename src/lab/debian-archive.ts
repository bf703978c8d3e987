import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deriveSuite, readAptSources } from "./apt-source.ts";
import { runCommand } from "./command.ts";
import { LabError } from "./error.ts";

/** Package lists younger than this are not fetched again. */
const LIST_AGE_MS = 24 * 3600 * 1000;

/** A package of the archive, as `apt-cache show` describes its candidate version. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  /** Names of the packages it depends on, first alternatives only, versions left out. */
  readonly depends: readonly string[];
  /** Size of the .deb in bytes. */
  readonly size: number;
}

/** Told of what takes time, in words for a person. */
export type LabProgress = (message: string) => void;

/** Options of everything that may download. */
export interface FetchOptions {
  /** Folder that keeps what was downloaded; see `defaultCacheFolder`. */
  readonly cache: string;
  readonly progress?: LabProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * One suite of Debian's archive, seen through apt with lists and settings of its own: the machine's package system
 * is neither changed nor asked, and no root is needed.
 */
export class DebianArchive {
  readonly suite: string;
  readonly #options: FetchOptions;
  readonly #apt: readonly string[];

  private constructor(suite: string, options: FetchOptions, apt: readonly string[]) {
    this.suite = suite;
    this.#options = options;
    this.#apt = apt;
  }

  /**
   * Makes the suite's lists available in `<cache>/apt/<suite>`, about 10 MB when they have to be fetched.
   * @throws LabError UNREACHABLE when the archive cannot be reached or has no such suite.
   */
  static async open(suite: string, options: FetchOptions): Promise<DebianArchive> {
    const folder = join(options.cache, "apt", suite);
    await mkdir(join(folder, "lists/partial"), { recursive: true });
    await mkdir(join(folder, "cache/archives/partial"), { recursive: true });
    const file = join(folder, "archive.sources");
    await writeFile(file, deriveSuite(await readAptSources(), suite));
    const settings = {
      "Dir::Etc::sourcelist": file,
      "Dir::Etc::sourceparts": "/dev/null",
      "Dir::State::lists": join(folder, "lists"),
      "Dir::Cache": join(folder, "cache"),
      "Debug::NoLocking": "1",
      // apt's unprivileged user could not write here, and translations are of no use.
      "APT::Sandbox::User": "",
      "Acquire::Languages": "none",
      "APT::Update::Error-Mode": "any",
      "Acquire::Retries": "2",
    };
    const apt = Object.entries(settings).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
    const archive = new DebianArchive(suite, options, apt);
    await archive.#update(join(folder, "updated"));
    return archive;
  }

  async #update(stamp: string): Promise<void> {
    const age = await stat(stamp).then(
      (found) => Date.now() - found.mtimeMs,
      () => Infinity,
    );
    if (age < LIST_AGE_MS) return;
    this.#options.progress?.(`fetching the package lists of Debian ${this.suite}`);
    await this.#run("apt-get", ["-qq", "update"], `the package lists of Debian ${this.suite} cannot be fetched`);
    await writeFile(stamp, "");
  }

  async #run(program: string, args: readonly string[], problem: string, cwd?: string): Promise<string> {
    try {
      const where = cwd === undefined ? {} : { cwd };
      const output = await runCommand(program, [...this.#apt, ...args], { signal: this.#options.signal, ...where });
      return output.toString("utf8");
    } catch (error) {
      if (error instanceof LabError || this.#options.signal?.aborted === true) throw error;
      throw new LabError("UNREACHABLE", `${problem}: ${error instanceof Error ? error.message : String(error)}`, error);
    }
  }

  /** The packages whose whole name matches, newest version first. An empty list when there is none. */
  async find(name: RegExp): Promise<DebianPackage[]> {
    // apt's own patterns are POSIX and slow on descriptions: take all names of the suite and match here.
    const names = (await this.#run("apt-cache", ["pkgnames"], "apt-cache failed")).split("\n");
    const wanted = names.filter((candidate) => name.exec(candidate)?.[0] === candidate && candidate !== "");
    if (wanted.length === 0) return [];
    const text = await this.#run("apt-cache", ["show", "--no-all-versions", ...wanted], "apt-cache failed");
    const packages = text.split(/\n\n+/).flatMap(parsePackage);
    // Enough for the versions of one kernel series; dpkg's full order knows more ("~").
    const order = new Intl.Collator("en", { numeric: true });
    return packages.toSorted((a, b) => order.compare(b.version, a.version) || order.compare(b.name, a.name));
  }

  /**
   * Downloads packages and unpacks them one over the other into a new folder, without installing anything.
   * The folder appears whole or not at all.
   * @throws LabError UNREACHABLE when the archive no longer has one of them.
   */
  async unpack(packages: readonly DebianPackage[], folder: string): Promise<void> {
    const work = `${folder}-incomplete-${process.pid}`;
    await rm(work, { recursive: true, force: true });
    await mkdir(join(work, "deb"), { recursive: true });
    try {
      const total = packages.reduce((sum, wanted) => sum + wanted.size, 0);
      const names = packages.map((wanted) => wanted.name).join(", ");
      this.#options.progress?.(`downloading ${names} (${(total / 1e6).toFixed(1)} MB)`);
      const specs = packages.map((wanted) => `${wanted.name}=${wanted.version}`);
      await this.#run("apt-get", ["-qq", "download", ...specs], `${names} cannot be downloaded`, join(work, "deb"));
      for (const deb of await readdir(join(work, "deb"))) {
        await runCommand("dpkg-deb", ["-x", join(work, "deb", deb), join(work, "root")], { signal: this.#options.signal });
      }
      await mkdir(join(folder, ".."), { recursive: true });
      await rm(folder, { recursive: true, force: true });
      await rename(join(work, "root"), folder);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
}

function parsePackage(stanza: string): DebianPackage[] {
  const field = (name: string): string => new RegExp(`^${name}: (.*)$`, "m").exec(stanza)?.[1] ?? "";
  const name = field("Package");
  if (name === "") return [];
  const depends = field("Depends")
    .split(",")
    .map((part) => part.trim().split(/[\s(|:]/)[0] ?? "")
    .filter((part) => part !== "");
  return [{ name, version: field("Version"), depends, size: Number(field("Size")) }];
}
