import { describe, expect, test } from "vitest";
import { defaultSettings, type Settings } from "../panic/index.ts";
import { firstCommandLine, firstInit } from "./guest.ts";
import { applySetting, goodSettings, machineSettings, settableNames } from "./settings.ts";
import { wayOf } from "./way.ts";

describe("machineSettings", () => {
  test("what is good can be shown whole", () => {
    expect(machineSettings(goodSettings, false).settings).toEqual(goodSettings);
  });

  test("what a host has and a virtual machine has not is left out, and said", () => {
    const host: Settings = {
      ...defaultSettings,
      backends: [{ name: "efi_pstore", medium: "firmware" }],
      serialConsole: false,
      deviceDumps: true,
      capture: "no-target",
      watchdog: { softLockupPanics: false, hardLockupPanics: true, device: true },
      panicTimeout: 30,
    };
    const { settings, notShown } = machineSettings(host, true);
    expect(settings).toMatchObject({
      backends: [],
      serialConsole: true,
      consoleZone: false,
      deviceDumps: false,
      capture: "works",
      panicTimeout: 1,
      watchdog: { device: false },
    });
    const said = notShown.map(({ what }) => what).join("\n");
    for (const word of ["efi_pstore", "console", "watchdog device", "device dumps", "no-target", "disks and network"])
      expect(said).toContain(word);
  });

  test("a console zone needs ramoops and a kernel that writes it", () => {
    expect(machineSettings(goodSettings, true).settings.consoleZone).toBe(true);
    expect(machineSettings({ ...goodSettings, backends: [] }, true).settings.consoleZone).toBe(false);
  });
});

describe("applySetting", () => {
  test.each<[string, Partial<Settings>]>([
    ["kdump=0", { crashImage: "absent" }],
    ["kdump=1", { crashImage: "loaded" }],
    ["ramoops=0", { backends: [] }],
    ["crash_kexec_post_notifiers=1", { postNotifiers: true }],
    ["kernel.panic=0", { panicTimeout: 0 }],
    ["kernel.panic=-1", { panicTimeout: -1 }],
    ["kernel.panic_on_oops=0", { panicOnOops: false }],
    ["kernel.unknown_nmi_panic=0", { panicOnNmi: false }],
    ["kernel.softlockup_panic=0", { watchdog: { ...goodSettings.watchdog, softLockupPanics: false } }],
  ])("%s", (text, change) => {
    expect(applySetting(goodSettings, text)).toEqual({ ...goodSettings, ...change });
  });

  test("each name can be set", () => {
    for (const name of settableNames) expect(() => applySetting(goodSettings, `${name}=1`)).not.toThrow();
  });

  test.each(["kdump", "kdump=yes", "kernel.hardlockup_panic=1", "toString=1", "=1", "kdump=1;reboot", ""])("refuses '%s'", (text) => {
    expect(() => applySetting(goodSettings, text)).toThrow(/cannot be set; NAME=NUMBER/);
  });
});

describe("the guest is told what the model is", () => {
  test("on its command line", () => {
    expect(firstCommandLine(goodSettings, 128)).toBe(
      "panic=1 crashkernel=128M memmap=0x100000$0x6000000 ramoops.mem_address=0x6000000 ramoops.mem_size=0x100000 ramoops.record_size=0x10000 ramoops.console_size=0x10000 ramoops.ftrace_size=0 ramoops.pmsg_size=0 ramoops.ecc=1",
    );
    const changed = { ...goodSettings, backends: [], crashImage: "absent", postNotifiers: true, panicTimeout: 0 } as const;
    expect(firstCommandLine(changed, 128)).toBe("panic=0 memmap=0x100000$0x6000000 crash_kexec_post_notifiers");
  });

  test("by sysctls, after the way's own", () => {
    const init = firstInit(wayOf("oops"), { ...goodSettings, panicOnOops: false, backends: [], crashImage: "absent" });
    expect(init).toContain("echo 0 > /proc/sys/kernel/panic_on_oops");
    expect(init).not.toMatch(/echo 1 > \/proc\/sys\/kernel\/panic_on_oops|ramoops|kexec -p/);
  });
});
