import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, readlinkSync, readSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import type { DeviceDumps } from "../registry.ts";
import { pciDevices } from "./pci-config.ts";

/*
 * The worked example of a driver's collector: registers of Intel's gigabit controllers of the 8254x and 8257x families, read in the
 * capture kernel before any driver has touched them. How to write another one is in docs/device-dumps.md.
 *
 * An offset in the dump is the register's offset in BAR 0; what is not in the list below was not read and is zero.
 */

const INTEL = 0x8086;
/** Device IDs: 82540EM (QEMU's e1000), 82545EM, 82544GC (QEMU's others), 82543GC, 82546EB, 82541PI, 82571EB, 82572EI, 82574L (e1000e). */
const DEVICES: ReadonlySet<number> = new Set([0x100e, 0x100f, 0x1008, 0x1004, 0x1010, 0x107c, 0x105e, 0x107d, 0x10d3]);

/** First receive-address register pair, RAL and RAH: the MAC address. */
export const RAL = 0x5400;
const SIZE = 0x5800;

/**
 * Registers that can be read without changing anything: no interrupt cause (ICR clears when read) and no statistics (they do, too).
 * Offsets of Intel's manual of the PCI/PCI-X family (317453), section 13; linux:drivers/net/ethernet/intel/e1000/e1000_hw.h.
 */
export const REGISTERS: readonly number[] = [
  0x0000, // CTRL
  0x0008, // STATUS
  0x0010, // EECD
  0x0018, // CTRL_EXT
  0x00d0, // IMS: reading it gives the mask
  0x0100, // RCTL
  0x0400, // TCTL
  0x0410, // TIPG
  0x0e00, // LEDCTL
  0x1000, // PBA
  0x2800, // RDBAL
  0x2804, // RDBAH
  0x2808, // RDLEN
  0x2810, // RDH: where the card was in its ring of receive descriptors,
  0x2818, // RDT: and where its driver was
  0x2820, // RDTR
  0x3800, // TDBAL
  0x3804, // TDBAH
  0x3808, // TDLEN
  0x3810, // TDH
  0x3818, // TDT
  0x3820, // TIDV
  0x5000, // RXCSUM
  ...Array.from({ length: 32 }, (_, i) => RAL + 4 * i), // RAL, RAH 0 to 15
];

/** Reads one 32-bit register of the machine at a physical address. */
export type ReadRegister = (address: number) => number;

/** Where to look; tests say otherwise. */
export interface E1000Options {
  readonly sysfs?: string;
  readonly readRegister?: ReadRegister;
}

/** Registers a dump for every such controller. Those that a driver has taken are lost, with that reason. */
export function register(dumps: DeviceDumps, options: E1000Options = {}): void {
  const folder = join(options.sysfs ?? "/sys", "bus/pci/devices");
  for (const address of pciDevices(folder)) {
    const device = join(folder, address);
    if (Number(textOf(device, "vendor")) !== INTEL || !DEVICES.has(Number(textOf(device, "device")))) continue;
    dumps.addDeviceDump({
      name: `e1000:${address}`,
      size: SIZE,
      collect: (buffer) => collect(device, buffer, options.readRegister ?? readPhysical),
    });
  }
}

function textOf(device: string, file: string): string {
  return readFileSync(join(device, file), "latin1").trim();
}

function driverOf(device: string): string | undefined {
  try {
    return basename(readlinkSync(join(device, "driver")));
  } catch {
    return undefined;
  }
}

function collect(device: string, buffer: Uint8Array, readRegister: ReadRegister): void {
  const driver = driverOf(device);
  if (driver !== undefined) throw new Error(`the driver ${driver} has the card by now: its registers tell nothing of the crash any more`);
  // BAR 0: start, end, flags of the first line; 0x200 is IORESOURCE_MEM.
  const [start = 0, end = 0, flags = 0] = textOf(device, "resource").split("\n", 1)[0]!.split(" ").map(Number);
  if (start === 0 || (flags & 0x200) === 0) throw new Error("BAR 0 is not mapped: the firmware gave the card no address");
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  withMemoryDecoding(join(device, "config"), () => {
    // Every register is read once, in 32 bits: that is all the hardware answers to.
    for (const offset of REGISTERS) {
      if (start + offset + 3 <= end) view.setUint32(offset, readRegister(start + offset), true);
    }
  });
  if (REGISTERS.every((offset) => view.getUint32(offset, true) === 0xffff_ffff))
    throw new Error("every register reads as ffffffff: the card does not answer");
}

/** PCI command register and its bit for memory decoding. */
const PCI_COMMAND = 4;
const PCI_COMMAND_MEMORY = 2;

/** A card that nobody has switched on does not answer at its BAR: switched on for `body`, and as it was afterwards. */
function withMemoryDecoding(path: string, body: () => void): void {
  const command = new Uint8Array(2);
  const access = (write: boolean): void => {
    const fd = openSync(path, write ? "r+" : "r");
    try {
      if (write) writeSync(fd, command, 0, 2, PCI_COMMAND);
      else readSync(fd, command, 0, 2, PCI_COMMAND);
    } finally {
      closeSync(fd);
    }
  };
  access(false);
  if ((command[0]! & PCI_COMMAND_MEMORY) !== 0) return body();
  command[0]! |= PCI_COMMAND_MEMORY;
  access(true);
  try {
    body();
  } finally {
    command[0]! &= ~PCI_COMMAND_MEMORY;
    access(true);
  }
}

let devmem: boolean | undefined;

/**
 * One aligned 32-bit read of physical memory.
 *
 * read() of `/dev/mem` maps the page and copies with accesses as wide as what is left (linux:drivers/char/mem.c:read_mem,
 * mm/maccess.c:copy_from_kernel_nofault): four aligned bytes are one 32-bit access, as registers want it. But on x86 it ends at the
 * reading kernel's last RAM (linux:arch/x86/mm/mmap.c:valid_phys_addr_range) with EFAULT, and a capture kernel below 4 GiB ends before
 * the cards begin. mmap() has no such bound and Node has no mmap(), so busybox's `devmem` does it then, a process for each register.
 *
 * Under CONFIG_IO_STRICT_DEVMEM both work only as long as no driver has claimed the BAR; under lockdown not at all.
 */
export function readPhysical(address: number, path = "/dev/mem"): number {
  if (devmem !== true) {
    const fd = openSync(path, constants.O_RDONLY | constants.O_SYNC);
    try {
      const bytes = Buffer.alloc(4);
      if (readSync(fd, bytes, 0, 4, address) === 4) return bytes.readUInt32LE(0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EFAULT") throw error;
    } finally {
      closeSync(fd);
    }
  }
  const text = execFileSync("busybox", ["devmem", `0x${address.toString(16)}`, "32"], { encoding: "latin1", timeout: 5000 });
  devmem = true;
  return Number(text.trim()) >>> 0;
}
