import { createRequire } from "node:module";
import { asVaddr, hex16, isDumpError, type Vaddr } from "../bytes/index.ts";
import type { Kernel } from "../kernel/index.ts";
import type { CodeReport } from "./model.ts";

const BEFORE = 6;
const AFTER = 6;
/** x86 instructions have at most 15 bytes. */
const MAX_INSTRUCTION = 15;
/** Decoding starts at the function's first byte, so that it is in step; longer functions start this far before. */
const MAX_LEAD = 16384;

/**
 * Instructions around `ip`, decoded from the start of its function. The disassembler (iced-x86) is loaded only here:
 * it costs 45 ms that a report without code should not pay.
 */
export function disassembleAround(kernel: Kernel, ip: Vaddr): CodeReport | null {
  const place = kernel.find(ip);
  const lead = place && place.offset <= MAX_LEAD ? place.offset : 0;
  const start = asVaddr(ip - BigInt(lead));
  let bytes: Uint8Array;
  try {
    bytes = readUpTo(kernel, start, lead + (AFTER + 1) * MAX_INSTRUCTION);
  } catch (error) {
    if (isDumpError(error)) return null;
    throw error;
  }
  if (bytes.length <= lead) return null;
  // CommonJS with its wasm read from disk by path.
  const iced = createRequire(import.meta.url)("iced-x86") as typeof import("iced-x86");
  const decoder = new iced.Decoder(64, bytes, iced.DecoderOptions.None);
  const formatter = new iced.Formatter(iced.FormatterSyntax.Gas);
  try {
    decoder.ip = start;
    const list: { address: string; bytes: string; text: string; current: boolean }[] = [];
    let at = 0;
    let after = -1;
    while (decoder.canDecode && after < AFTER) {
      const instruction = decoder.decode();
      const address = asVaddr(start + BigInt(at));
      const current = address === ip;
      if (current || after >= 0) after++;
      const raw = Buffer.from(bytes.subarray(at, at + instruction.length))
        .toString("hex")
        .replace(/../g, "$& ")
        .trim();
      list.push({
        address: `0x${hex16(address)}`,
        bytes: raw,
        text: withSymbol(kernel, formatter.format(instruction), instruction.nearBranchTarget),
        current,
      });
      at += instruction.length;
      instruction.free();
      if (list.length > BEFORE + AFTER + 1) list.shift();
    }
    return list.some((line) => line.current) ? { function: place?.name ?? null, instructions: list } : null;
  } finally {
    formatter.free();
    decoder.free();
  }
}

/** `call 0xFFFF…` reads better with the name of what is called. */
function withSymbol(kernel: Kernel, text: string, target: bigint): string {
  if (target === 0n) return text;
  const place = kernel.find(asVaddr(target));
  return place
    ? `${text.replace(/0x[0-9a-f]+/i, hex16(target))} <${place.name}${place.offset ? `+0x${place.offset.toString(16)}` : ""}>`
    : text;
}

/** As many of `length` bytes as can be read in one piece. */
function readUpTo(kernel: Kernel, start: Vaddr, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = Math.min(length - done, 4096 - Number((start + BigInt(done)) & 0xfffn));
    if (!kernel.memory.tryRead(asVaddr(start + BigInt(done)), bytes.subarray(done, done + count))) break;
    done += count;
  }
  return bytes.subarray(0, done);
}
