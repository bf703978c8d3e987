import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { LabError } from "./error.ts";

/**
 * One entry of apt's sources, in either of its two notations. `fields` keeps what else was said (Signed-By, Trusted …)
 * under deb822's names, values untouched, so that an entry derived from this one is trusted in the same way.
 */
export interface AptSource {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly fields: ReadonlyMap<string, string>;
}

/** Suites of Debian proper. Another vendor's archive may use one of these names too; see {@link deriveSuite}. */
const DEBIAN_SUITES = new Set("buster bullseye bookworm trixie forky duke sid unstable testing stable oldstable oldoldstable".split(" "));

/** deb822 fields that make no sense in an entry for another suite. */
const NOT_CARRIED = new Set(["types", "uris", "suites", "components", "enabled", "architectures", "languages", "targets"]);

/** Reads a `*.sources` file (deb822). Disabled entries and `deb-src` are left out. */
export function parseDeb822Sources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const stanza of text.split(/\n[ \t]*\n/)) {
    const fields = new Map<string, string>();
    let name = "";
    for (const line of stanza.split("\n")) {
      if (line.startsWith("#")) continue;
      const field = /^([A-Za-z0-9-]+):[ \t]*(.*)$/.exec(line);
      if (field !== null) {
        name = field[1] ?? "";
        fields.set(name, (field[2] ?? "").trim());
      } else if (/^[ \t]+\S/.test(line) && name !== "") {
        fields.set(name, `${fields.get(name) ?? ""}\n${line}`); // an embedded key goes over several lines
      }
    }
    const get = (wanted: string): string => [...fields].find(([key]) => key.toLowerCase() === wanted)?.[1] ?? "";
    if (!words(get("types")).includes("deb") || get("enabled").toLowerCase() === "no") continue;
    sources.push({
      uris: words(get("uris")),
      suites: words(get("suites")),
      components: words(get("components")),
      fields: new Map([...fields].filter(([key]) => !NOT_CARRIED.has(key.toLowerCase()))),
    });
  }
  return sources;
}

/** Reads a `*.list` file, one entry a line: `deb [signed-by=… arch=…] URI SUITE COMPONENT…`. */
export function parseListSources(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split("\n")) {
    const entry = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (entry === null) continue;
    const fields = new Map<string, string>();
    for (const option of words(entry[1] ?? "")) {
      const [key = "", value = ""] = option.split("=", 2);
      if (key === "signed-by") fields.set("Signed-By", value.replaceAll(",", " "));
      else if (key === "trusted") fields.set("Trusted", value);
      else if (key === "check-valid-until") fields.set("Check-Valid-Until", value);
    }
    sources.push({ uris: [entry[2] ?? ""], suites: [entry[3] ?? ""], components: words(entry[4] ?? ""), fields });
  }
  return sources;
}

/** All entries of this machine's apt. A folder that is not there is an apt without entries. */
export async function readAptSources(folder = "/etc/apt"): Promise<AptSource[]> {
  const files = [join(folder, "sources.list")];
  const parts = join(folder, "sources.list.d");
  const names = await readdir(parts).catch(() => [] as string[]);
  files.push(...names.toSorted().map((name) => join(parts, name)));
  const sources: AptSource[] = [];
  for (const file of files) {
    const text = await readFile(file, "utf8").catch(() => "");
    if (file.endsWith(".sources")) sources.push(...parseDeb822Sources(text));
    else if (file.endsWith(".list")) sources.push(...parseListSources(text));
  }
  return sources;
}

/** The Debian suite this machine itself follows: the one of its best entry of Debian's archive. */
export function ownSuite(sources: readonly AptSource[]): string {
  const suite = mainSource(sources).suites.find((name) => DEBIAN_SUITES.has(name));
  if (suite === undefined) throw noArchive();
  return suite;
}

/**
 * The text of a deb822 sources file for another suite of the archive this machine already uses (its mirror, its keys),
 * with the suite's security updates where the machine has those of its own. The project itself names no host.
 * @throws LabError UNREACHABLE when no entry of the machine is Debian's.
 */
export function deriveSuite(sources: readonly AptSource[], suite: string): string {
  const stanzas = [stanza(mainSource(sources), suite)];
  const security = sources.find(
    (source) => source.components.includes("main") && source.suites.some((name) => /^[a-z]+(-security|\/updates)$/.test(name)),
  );
  // sid has no security suite: fixes go straight into it.
  if (security !== undefined && suite !== "sid" && suite !== "unstable") stanzas.push(stanza(security, `${suite}-security`));
  return stanzas.join("\n");
}

function stanza(source: AptSource, suite: string): string {
  const lines = ["Types: deb", `URIs: ${source.uris.join(" ")}`, `Suites: ${suite}`, "Components: main"];
  for (const [name, value] of source.fields) lines.push(`${name}: ${value}`);
  return `${lines.join("\n")}\n`;
}

/**
 * The entry that is Debian's own archive. Other vendors publish under Debian's suite names too, so the marks of the
 * real one are counted: the path every mirror has, Debian's keyring, and an -updates suite beside the plain one.
 */
function mainSource(sources: readonly AptSource[]): AptSource {
  let best: AptSource | undefined;
  let bestScore = 0;
  for (const source of sources) {
    if (!source.components.includes("main") || !source.suites.some((name) => DEBIAN_SUITES.has(name))) continue;
    let score = 1;
    if (source.uris.some((uri) => /\/debian\/?$/.test(uri) || uri.startsWith("mirror+file:"))) score += 2;
    if (/debian-archive/.test(source.fields.get("Signed-By") ?? "")) score += 2;
    const updates = sources.filter((other) => other.uris.some((uri) => source.uris.includes(uri)));
    if (updates.some((other) => other.suites.some((name) => name.endsWith("-updates")))) score += 1;
    if (score > bestScore) [best, bestScore] = [source, score];
  }
  if (best === undefined) throw noArchive();
  return best;
}

function noArchive(): LabError {
  return new LabError("UNREACHABLE", "no entry of /etc/apt is Debian's archive, so its kernels cannot be found from here");
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
