import { asVaddr, DumpError, hex16, type Vaddr } from "../bytes/index.ts";
import type { VirtualMemory } from "../memory/index.ts";

/** No list of a kernel that we walk is longer; a damaged one may be a loop. */
const MAX_NODES = 4_000_000;

/**
 * Walks a circular list_head (linux:include/linux/list.h) and yields the entries' addresses: the node minus `offset`.
 *
 * @param head the list's head, which is no entry itself.
 * @param offset byte offset of the list_head within an entry.
 * @throws CORRUPT on a NULL link or a loop that does not come back to the head; what reading throws.
 */
export function* listEntries(memory: VirtualMemory, head: Vaddr, offset: number): Generator<Vaddr> {
  let node = memory.pointer(head);
  // Brent's way of finding a loop: compare with a node that jumps ahead at powers of two.
  let mark = node;
  let until = 1;
  for (let count = 0; node !== head; count++) {
    if (node === 0n) throw new DumpError("CORRUPT", `the list at ${hex16(head)} has a NULL link after ${count} entries`, { at: head });
    if (count >= MAX_NODES) throw new DumpError("LIMIT", `the list at ${hex16(head)} has more than ${MAX_NODES} entries`, { at: head });
    yield asVaddr(node - BigInt(offset));
    node = memory.pointer(node);
    if (node === mark && node !== head)
      throw new DumpError("CORRUPT", `the list at ${hex16(head)} runs in a loop after ${count + 1} entries`, { at: head });
    if (count === until) {
      mark = node;
      until *= 2;
    }
  }
}
