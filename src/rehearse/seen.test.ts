import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { encodeLatin1 } from "../bytes/index.ts";
import { RamoopsZoneWriter } from "../pstore/ramoops/write.ts";
import { ramoopsZones } from "../pstore/index.ts";
import { says, splitAtCapture } from "./console.ts";
import { REGION_SIZES } from "./guest.ts";
import type { SeenEvidence } from "./model.ts";
import type { Remains } from "./scenario.ts";
import { seenEvidence } from "./seen.ts";
import { goodSettings } from "./settings.ts";
import { wayOf } from "./way.ts";

const BOOT = "[    0.000000] Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org)\n";
const MESSAGE = "[    5.123456] Kernel panic - not syncing: sysrq triggered crash\n";
const VMCORE = "samples/debian-6.1-sysrq.vmcore";

/** A region with this text in its first dmesg zone, or in its console zone. */
function region(type: "dmesg" | "console", text: string): Uint8Array {
  const bytes = new Uint8Array(REGION_SIZES.memSize);
  const slot = ramoopsZones(REGION_SIZES, "pmsg-first", 1).find((each) => each.type === type)!;
  const zone = bytes.subarray(slot.offset, slot.offset + slot.size);
  const store = {
    read: (offset: number, into: Uint8Array): void => into.set(zone.subarray(offset, offset + into.length)),
    write: (offset: number, from: Uint8Array): void => zone.set(from, offset),
  };
  new RamoopsZoneWriter(store, slot.size, REGION_SIZES.eccSize).write(encodeLatin1(text));
  return bytes;
}

async function seen(remains: Partial<Remains>, way: "sysrq" | "reset" = "sysrq"): Promise<Record<string, string>> {
  const whole: Remains = {
    console: BOOT,
    region: new Uint8Array(REGION_SIZES.memSize),
    vmcore: undefined,
    stages: [],
    end: "reset",
    seconds: 1,
    memory: null,
    ...remains,
  };
  const evidence: SeenEvidence[] = await seenEvidence(wayOf(way), goodSettings, whole);
  return Object.fromEntries(evidence.map((each) => [each.kind, each.seen]));
}

describe("console", () => {
  test.each([
    ["without a time", "Kernel panic - not syncing: sysrq triggered crash\n"],
    ["with one", MESSAGE],
    ["with a caller", "[    5.123456][  T101] Kernel panic - not syncing: sysrq triggered crash\n"],
  ])("a message %s is found", (_, text) => {
    expect(says(text, wayOf("sysrq").says!)).toBe(true);
    expect(says(`${text.trim()} or so\n`, wayOf("sysrq").says!)).toBe(false);
  });

  test("the capture kernel begins at the second banner", () => {
    expect(splitAtCapture(BOOT + MESSAGE)).toEqual([BOOT + MESSAGE, undefined]);
    expect(splitAtCapture(BOOT + MESSAGE + BOOT)).toEqual([BOOT + MESSAGE, BOOT]);
  });
});

describe("seenEvidence", () => {
  const folder = mkdtempSync(join(tmpdir(), "lastwords-seen-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("nothing but the text before", async () => {
    expect(await seen({})).toEqual({
      "serial console": "partly",
      "console zone": "lost",
      "record in ramoops": "lost",
      vmcore: "lost",
      "device dumps": "lost",
      "capture kernel's console": "lost",
    });
    expect((await seen({ console: "" }))["serial console"]).toBe("lost");
  });

  test("the message of the capture kernel's own panic is not the one that is looked for", async () => {
    expect(await seen({ console: BOOT + BOOT + MESSAGE })).toMatchObject({
      "serial console": "partly",
      "capture kernel's console": "kept",
    });
    expect(await seen({ console: BOOT + MESSAGE + BOOT })).toMatchObject({ "serial console": "kept", "capture kernel's console": "kept" });
  });

  test("a record, and what is left of one", async () => {
    const record = `====1700000000.000000-D\nPanic#1 Part1\n<0>${MESSAGE}`;
    const whole = region("dmesg", record);
    expect((await seen({ region: whole }))["record in ramoops"]).toBe("kept");
    whole.fill(0, 0, 12); // the zone's header
    whole.fill(0, 0x1_0000 - 16, 0x1_0000); // and its parity
    expect((await seen({ region: whole }))["record in ramoops"]).toBe("partly");
  });

  test("a console zone, with and without the message", async () => {
    expect((await seen({ region: region("console", BOOT + MESSAGE) }))["console zone"]).toBe("kept");
    expect((await seen({ region: region("console", BOOT) }))["console zone"]).toBe("partly");
    // A reset has no message: what was printed before is all.
    expect((await seen({ region: region("console", BOOT) }, "reset"))["console zone"]).toBe("kept");
  });

  test("a capture kernel that saves nothing is quoted", async () => {
    const words = "[    2.1] Initramfs unpacking failed: write error\n[    2.7] Kernel panic - not syncing: VFS: Unable to mount root fs\n";
    const remains = { console: BOOT + MESSAGE + BOOT + words, region: new Uint8Array(REGION_SIZES.memSize), vmcore: undefined };
    const evidence = await seenEvidence(wayOf("sysrq"), goodSettings, { ...remains, stages: [], end: "reset", seconds: 1, memory: null });
    expect(evidence.find(({ kind }) => kind === "vmcore")!.detail).toBe(
      "no vmcore on the disk; the capture kernel says: Initramfs unpacking failed: write error; Kernel panic - not syncing: VFS: Unable to mount root fs",
    );
  });

  test("a vmcore that is whole, cut short, and none", async () => {
    expect((await seen({ vmcore: VMCORE })).vmcore).toBe("kept");
    const cut = join(folder, "cut");
    writeFileSync(cut, readFileSync(VMCORE).subarray(0, 400_000));
    expect((await seen({ vmcore: cut })).vmcore).toBe("partly");
    writeFileSync(cut, "no dump");
    expect((await seen({ vmcore: cut })).vmcore).toBe("partly");
  });
});
