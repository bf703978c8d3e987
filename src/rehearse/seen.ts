/** What a machine left behind, looked at with the readers of this project and nothing else. */
import { isDumpError, MemorySource } from "../bytes/index.ts";
import { checkDump } from "../capture/index.ts";
import { type DumpFile, NT_VMCOREDD, openDump } from "../format/index.ts";
import type { Settings } from "../panic/index.ts";
import { decompressPayload, type PstoreRecord, ramoopsZones, readRamoops } from "../pstore/index.ts";
import { says, splitAtCapture } from "./console.ts";
import { REGION_SIZES } from "./guest.ts";
import type { Seen, SeenEvidence } from "./model.ts";
import type { Remains } from "./scenario.ts";
import type { RehearsalWay } from "./way.ts";

/** Each kind of evidence once. */
export async function seenEvidence(way: RehearsalWay, settings: Settings, remains: Remains): Promise<SeenEvidence[]> {
  const [crashed, capture] = splitAtCapture(remains.console);
  const records = readRegion(remains.region);
  const banner = capture?.split("\n", 1)[0];
  return [
    { kind: "serial console", ...seenConsole(way, crashed) },
    { kind: "console zone", ...seenZone(way, records) },
    { kind: `record in ${settings.backends[0]?.name ?? "pstore"}`, ...seenRecord(records) },
    ...(await seenVmcore(remains.vmcore, capture)),
    banner === undefined
      ? { kind: "capture kernel's console", seen: "lost", detail: "no second kernel speaks on the serial line" }
      : { kind: "capture kernel's console", seen: "kept", detail: `${capture!.split("\n").length - 1} lines of a second kernel` },
  ];
}

type Found = Pick<SeenEvidence, "seen" | "detail">;

/** Kept where the line is there that says why; what came before it is a part. */
function seenConsole(way: RehearsalWay, text: string): Found {
  if (way.says !== undefined && says(text, way.says)) return { seen: "kept", detail: "the message is on the serial line" };
  return text.trim() === ""
    ? { seen: "lost", detail: "nothing on the serial line" }
    : { seen: "partly", detail: "what was printed before, and no message" };
}

/** All that a kernel with ramoops would show of the region, and what lies around in it besides. */
export function readRegion(region: Uint8Array): readonly PstoreRecord[] {
  // No zones whose order differs between kernels are asked for.
  const layout = { slots: ramoopsZones(REGION_SIZES, "pmsg-first", 1), eccSize: REGION_SIZES.eccSize, littleEndian: true };
  return readRamoops(new MemorySource(region, "ramoops region"), layout, decompressPayload).records;
}

function seenRecord(records: readonly PstoreRecord[]): Found {
  const dmesg = records.filter((record) => record.type === "dmesg");
  const whole = dmesg.filter((record) => record.state === "kept" && record.content.length > 0);
  const name = (record: PstoreRecord): string => `${record.reason ?? "a record"}, ${record.content.length} bytes`;
  if (whole.length > 0) return { seen: "kept", detail: whole.map(name).join("; ") };
  return dmesg.length > 0
    ? { seen: "partly", detail: "text without a record's header" }
    : { seen: "lost", detail: "no dmesg record in the region" };
}

function seenZone(way: RehearsalWay, records: readonly PstoreRecord[]): Found {
  const zone = records.find((record) => record.type === "console" && record.state === "kept" && record.content.length > 0);
  if (zone === undefined) return { seen: "lost", detail: "the console zone is empty" };
  const text = Buffer.from(zone.content).toString("latin1");
  // Where the way says nothing, what was printed before is all that there is.
  const whole = way.says === undefined || says(text, way.says);
  return { seen: whole ? "kept" : "partly", detail: `${zone.content.length} bytes${whole ? "" : ", without the message"}` };
}

/** The dump and its device dumps: a dump is kept when an investigator has all that he needs of it. */
async function seenVmcore(path: string | undefined, capture: string | undefined): Promise<SeenEvidence[]> {
  const none = { kind: "device dumps", seen: "lost", detail: "none in a vmcore" } as const;
  if (path === undefined) return [{ kind: "vmcore", seen: "lost", detail: `no vmcore on the disk${lastWords(capture)}` }, none];
  let dump: DumpFile;
  try {
    ({ dump } = await openDump([path]));
  } catch (error) {
    if (!isDumpError(error)) throw error;
    return [{ kind: "vmcore", seen: "partly", detail: `it cannot be opened: ${error.message}` }, none];
  }
  try {
    const checks = checkDump(dump);
    const wrong = [
      ...checks.filter(({ ok }) => !ok).map(({ what, detail }) => `${what}: ${detail}`),
      ...dump.problems.map((problem) => problem.message),
    ];
    const seen: Seen = wrong.length === 0 ? "kept" : "partly";
    const devices = dump.notes.filter((note) => note.type === NT_VMCOREDD).length;
    return [
      { kind: "vmcore", seen, detail: wrong.length === 0 ? checks.map(({ detail }) => detail).join(", ") : wrong.join("; ") },
      devices === 0 ? none : { kind: "device dumps", seen: "kept", detail: `${devices} notes` },
    ];
  } finally {
    dump.close();
  }
}

/** Lines in which a capture kernel says what it lacks, in the order in which they are said. */
const COMPLAINTS = [
  /Initramfs unpacking failed: .*/,
  /Out of memory: .*/,
  /Kernel panic - not syncing: .*/,
  /(?<=^lastwords-lab: )(?:no target: .*|not saved)/m,
];

function lastWords(capture: string | undefined): string {
  if (capture === undefined) return "";
  const said = COMPLAINTS.flatMap((complaint) => complaint.exec(capture)?.[0] ?? []);
  return said.length === 0 ? "" : `; the capture kernel says: ${said.join("; ")}`;
}
