import { DumpError } from "../../bytes/index.ts";
import { allocateData, checkName, checkPageSize, checkSize, DEFAULT_PAGE_SIZE, type DeviceDump, noteSize } from "./note.ts";

/** Time for one collector: a driver that waits for its hardware's answer needs seconds, a dead one never gives it. */
export const DEFAULT_TIMEOUT_MS = 10_000;
/**
 * All device dumps together, as notes. They lie in the capture kernel's memory until they are saved, and a note area above
 * 256 MiB is not read again (format/elf/note.ts:MAX_NOTE_AREA).
 */
export const DEFAULT_MAX_TOTAL_BYTES: number = 128 * 1024 * 1024;

/** What a driver registers (linux:include/linux/crash_dump.h:vmcoredd_data). */
export interface DeviceDumpRequest {
  /** Under which the dump is found; by convention driver and device, `cxgb4_0000:03:00.4`. 1 to 43 bytes. */
  readonly name: string;
  /** Bytes of data: at least 1, and so few that the note's n_descsz, a u32, holds them. */
  readonly size: number;
  /**
   * Fills `buffer`, zeros of exactly `size` bytes. To throw or to reject is to have no dump. Must not keep the buffer.
   */
  collect(buffer: Uint8Array): void | Promise<void>;
}

/** A dump that could not be had, and why. */
export interface LostDump {
  readonly name: string;
  readonly reason: string;
}

/** What collecting gave. */
export interface CollectedDumps {
  /** In the order in which they were registered, drop-in files by name. */
  readonly dumps: DeviceDump[];
  readonly lost: LostDump[];
}

/** Bounds of {@link DeviceDumps.collectAll}. */
export interface CollectLimits {
  /** For each collector. Default 10 s. */
  readonly timeoutMs?: number;
  /** For the notes of all dumps. Default 128 MiB. A dump that does not fit any more is lost, smaller ones after it are not. */
  readonly maxTotalBytes?: number;
}

/**
 * The seed's `vmcore_add_device_dump()`: whoever knows a device registers what it can say, before the hardware is initialised, and
 * is asked for it once.
 */
export class DeviceDumps {
  readonly pageSize: number;
  readonly #requests: DeviceDumpRequest[] = [];

  /** @param pageSize of the capture kernel: notes are whole pages. */
  constructor(pageSize: number = DEFAULT_PAGE_SIZE) {
    this.pageSize = checkPageSize(pageSize);
  }

  /** What has been registered, in order. */
  get requests(): readonly DeviceDumpRequest[] {
    return this.#requests;
  }

  /** @throws BAD_ARGUMENT for a name or a size that no note can hold, or without a collector. */
  addDeviceDump(request: DeviceDumpRequest): void {
    checkName(request.name);
    checkSize(request.size, this.pageSize);
    if (typeof request.collect !== "function") throw new DumpError("BAD_ARGUMENT", `device dump ${request.name} has no collect()`);
    this.#requests.push(request);
  }

  /**
   * Asks every collector, one after the other. One that throws, rejects or takes too long loses its own dump and no other.
   *
   * A collector that does not give the processor back cannot be interrupted here: what is not trusted runs in a process that can be
   * killed, see `collectDeviceDumps`.
   */
  async collectAll(limits: CollectLimits = {}): Promise<CollectedDumps> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, maxTotalBytes = DEFAULT_MAX_TOTAL_BYTES } = limits;
    const dumps: DeviceDump[] = [];
    const lost: LostDump[] = [];
    let total = 0;
    for (const request of this.#requests) {
      const { name } = request;
      const length = noteSize(request.size, this.pageSize);
      try {
        if (total + length > maxTotalBytes) throw tooMuch(length, maxTotalBytes - total);
        dumps.push({ name, data: await collectOne(request, this.pageSize, timeoutMs) });
        total += length;
      } catch (error) {
        lost.push({ name, reason: reasonOf(error) });
      }
    }
    return { dumps, lost };
  }
}

/** Runs one collector. @throws what it threw, or LIMIT when its time is over. */
export async function collectOne(request: DeviceDumpRequest, pageSize: number, timeoutMs: number): Promise<Uint8Array> {
  const data = allocateData(request.size, pageSize);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(timedOut(timeoutMs)), timeoutMs);
  });
  try {
    await Promise.race([request.collect(data), late]);
  } finally {
    clearTimeout(timer);
  }
  return data;
}

/** The reason of a dump that took too long. */
export function timedOut(timeoutMs: number): DumpError {
  return new DumpError("LIMIT", `not done after ${timeoutMs / 1000} s`);
}

/** The reason of a dump that does not fit. */
export function tooMuch(length: number, left: number): DumpError {
  return new DumpError("LIMIT", `its note needs ${length} bytes, ${left} are left for device dumps`);
}

/** One line for people, whatever was thrown. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0]!.slice(0, 500) || "it failed without a word";
}
