import { asPaddr, asVaddr, DumpError, encodeLatin1, hex16, type Paddr, type Vaddr } from "../../bytes/index.ts";
import type { DumpFile } from "../../format/dump.ts";
import { elfFormat } from "../../format/elf/read.ts";
import { logPrefix, readLog } from "../../kernel/printk.ts";
import { Types } from "../../kernel/types.ts";
import { Vmcoreinfo } from "../../kernel/vmcoreinfo.ts";
import { type AddressSpace, VirtualMemory } from "../../memory/virtual.ts";
import { PhysicalMemory } from "../../memory/physical.ts";
import type { Port } from "../port.ts";
import type { FrontendSink, RunningFrontend } from "./frontend.ts";
import { PortSource } from "./port-source.ts";

/** Translation by the program headers of /proc/vmcore: the kernel's image and its direct map, where the log lies. */
class SegmentSpace implements AddressSpace {
  readonly pageShift = 12;
  readonly #segments: NonNullable<DumpFile["segments"]>;

  constructor(segments: NonNullable<DumpFile["segments"]>) {
    this.#segments = segments;
  }

  translate(address: Vaddr): Paddr {
    for (const { vaddr, paddr, size } of this.#segments) {
      // Ranges that the kernel has no address for carry one that is no kernel's.
      if (vaddr >= 0x8000_0000_0000_0000n && address >= vaddr && address < vaddr + BigInt(size))
        return asPaddr(paddr + Number(address - vaddr));
    }
    throw new DumpError("NO_TRANSLATION", `no program header covers the virtual address ${hex16(address)}`, { at: address });
  }
}

/**
 * The log of the kernel that crashed, read in the capture kernel from /proc/vmcore through VMCOREINFO alone, one prefix before each
 * line as the kernel prints it.
 *
 * @throws PortError where there is no /proc/vmcore, DumpError where the log cannot be read from it.
 */
export function readCrashedLog(port: Port, path: string = "/proc/vmcore"): string {
  const source = new PortSource(port, path);
  try {
    const dump = elfFormat.open([source], {});
    const vmcoreinfo = new Vmcoreinfo(dump.vmcoreinfo ?? "");
    const memory = new VirtualMemory(new PhysicalMemory(dump), new SegmentSpace(dump.segments ?? []));
    const log = readLog({
      memory,
      vmcoreinfo,
      types: new Types(undefined, vmcoreinfo, dump.wordSize),
      symbol: (name) => vmcoreinfo.symbol(name),
      requireSymbol: (name) => {
        const address = vmcoreinfo.symbol(name);
        if (address === undefined) throw new DumpError("NOT_STORED", `VMCOREINFO does not name ${name}`);
        return asVaddr(address);
      },
    });
    return log.records
      .map((record) => {
        const prefix = logPrefix(record);
        return `${prefix}${record.text.replaceAll("\n", `\n${prefix}`)}\n`;
      })
      .join("");
  } finally {
    source.close();
  }
}

/**
 * Hands on the log of the kernel that crashed, once, as the record that its own dmesg dumper would have made: with a kdump kernel
 * loaded the crashing kernel makes none.
 *
 * @throws as {@link readCrashedLog}.
 */
export function startVmcoreFrontend(port: Port, sink: FrontendSink, path: string = "/proc/vmcore"): RunningFrontend {
  const text = readCrashedLog(port, path);
  const reason = /Kernel panic - not syncing|sysrq: Trigger a crash|SysRq : Trigger a crash/.test(text) ? "Panic" : "Oops";
  const bytes = encodeLatin1(text);
  let given = false;
  const give = (): void => {
    if (!given) sink.record({ type: "dmesg", time: port.clock(), text: bytes, reason });
    given = true;
  };
  // Not before the recorder is set up.
  const callOff = port.after(0, give);
  return {
    about: `the log of the kernel that crashed, ${text.length} bytes, from ${path}`,
    stop: () => {
      callOff();
      give();
      return [];
    },
  };
}
