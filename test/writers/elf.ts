/** Writes small ELF cores of either class and byte order; knows nothing of the reader. */

export interface ElfRecipe {
  readonly wordSize?: 4 | 8;
  readonly littleEndian?: boolean;
  /** e_machine; 62 (x86-64) by default. */
  readonly machine?: number;
  readonly loads: readonly ElfLoad[];
  readonly notes?: readonly NoteRecipe[];
  /** The count of program headers in section header 0, e_phnum 0xffff. */
  readonly phnumInSection?: boolean;
  readonly type?: number;
  readonly flags?: number;
}

export interface ElfLoad {
  readonly paddr: number;
  /** p_vaddr, of 64-bit files; 0 by default. */
  readonly vaddr?: bigint;
  readonly bytes: Uint8Array;
  /** p_memsz where it is not p_filesz. */
  readonly memsz?: number;
}

export interface NoteRecipe {
  readonly name: string;
  readonly type: number;
  readonly desc: Uint8Array;
}

/** A note area: headers of three u32, name and content padded to 4. */
export function writeNotes(notes: readonly NoteRecipe[], littleEndian = true): Buffer {
  const parts: Buffer[] = [];
  for (const note of notes) {
    const name = Buffer.from(`${note.name}\0`, "latin1");
    const head = new DataView(new ArrayBuffer(12));
    head.setUint32(0, name.length, littleEndian);
    head.setUint32(4, note.desc.length, littleEndian);
    head.setUint32(8, note.type, littleEndian);
    parts.push(Buffer.from(head.buffer), name, Buffer.alloc(-name.length & 3), Buffer.from(note.desc), Buffer.alloc(-note.desc.length & 3));
  }
  return Buffer.concat(parts);
}

export function writeElf(recipe: ElfRecipe): Uint8Array {
  const wide = (recipe.wordSize ?? 8) === 8;
  const le = recipe.littleEndian ?? true;
  const notes = writeNotes(recipe.notes ?? [], le);
  const ehsize = wide ? 64 : 52;
  const phentsize = wide ? 56 : 32;
  const phnum = recipe.loads.length + 1;
  const shoff = ehsize + phnum * phentsize;
  const data = shoff + (recipe.phnumInSection ? 64 : 0);
  const total = data + notes.length + recipe.loads.reduce((sum, load) => sum + load.bytes.length, 0);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  const word = (at: number, value: number): void => (wide ? view.setBigUint64(at, BigInt(value), le) : view.setUint32(at, value, le));
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, le ? 1 : 2, 1]);
  view.setUint16(16, recipe.type ?? 4, le);
  view.setUint16(18, recipe.machine ?? 62, le);
  view.setUint32(20, 1, le);
  word(wide ? 32 : 28, ehsize);
  if (recipe.phnumInSection) word(wide ? 40 : 32, shoff);
  view.setUint32(wide ? 48 : 36, recipe.flags ?? 0, le);
  view.setUint16(wide ? 52 : 40, ehsize, le);
  view.setUint16(wide ? 54 : 42, phentsize, le);
  view.setUint16(wide ? 56 : 44, recipe.phnumInSection ? 0xffff : phnum, le);
  if (recipe.phnumInSection) view.setUint32(shoff + (wide ? 44 : 28), phnum, le);
  let at = data;
  const header = (index: number, type: number, offset: number, paddr: number, filesz: number, memsz: number): void => {
    const base = ehsize + index * phentsize;
    view.setUint32(base, type, le);
    word(base + (wide ? 8 : 4), offset);
    word(base + (wide ? 24 : 12), paddr);
    word(base + (wide ? 32 : 16), filesz);
    word(base + (wide ? 40 : 20), memsz);
  };
  header(0, 4, at, 0, notes.length, notes.length);
  bytes.set(notes, at);
  at += notes.length;
  recipe.loads.forEach((load, i) => {
    header(i + 1, 1, at, load.paddr, load.bytes.length, load.memsz ?? load.bytes.length);
    if (load.vaddr !== undefined) view.setBigUint64(ehsize + (i + 1) * phentsize + 16, load.vaddr, le);
    bytes.set(load.bytes, at);
    at += load.bytes.length;
  });
  return bytes;
}
