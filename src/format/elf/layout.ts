/**
 * ELF core files, both classes and byte orders. Names as in linux:include/uapi/linux/elf.h; offsets in bytes.
 */
export const ELFMAG: readonly number[] = [0x7f, 0x45, 0x4c, 0x46];
export const ELFCLASS32 = 1;
export const ELFCLASS64 = 2;
export const ELFDATA2LSB = 1;
export const ELFDATA2MSB = 2;
export const ET_CORE = 4;
export const PT_LOAD = 1;
export const PT_NOTE = 4;
/** e_phnum when the real count is in sh_info of section header 0 (linux:include/uapi/linux/elf.h). */
export const PN_XNUM = 0xffff;
/** e_flags bit that makedumpfile sets when it ran out of space (makedumpfile:makedumpfile.c:write_elf_header). */
export const DUMP_ELF_INCOMPLETE = 0x1;

/** One class's file header and program header. */
export interface ElfLayout {
  readonly ehsize: number;
  readonly e_phoff: number;
  readonly e_shoff: number;
  readonly e_flags: number;
  readonly e_phentsize: number;
  readonly e_phnum: number;
  readonly phentsize: number;
  readonly p_offset: number;
  readonly p_vaddr: number;
  readonly p_paddr: number;
  readonly p_filesz: number;
  readonly p_memsz: number;
  readonly p_flags: number;
  readonly sh_info: number;
}

export const ELF64: ElfLayout = {
  ehsize: 64,
  e_phoff: 32,
  e_shoff: 40,
  e_flags: 48,
  e_phentsize: 54,
  e_phnum: 56,
  phentsize: 56,
  p_offset: 8,
  p_vaddr: 16,
  p_paddr: 24,
  p_filesz: 32,
  p_memsz: 40,
  p_flags: 4,
  sh_info: 44,
};

export const ELF32: ElfLayout = {
  ehsize: 52,
  e_phoff: 28,
  e_shoff: 32,
  e_flags: 36,
  e_phentsize: 42,
  e_phnum: 44,
  phentsize: 32,
  p_offset: 4,
  p_vaddr: 8,
  p_paddr: 12,
  p_filesz: 16,
  p_memsz: 20,
  p_flags: 24,
  sh_info: 28,
};

/** e_machine to the kernel's name of the architecture. */
export const MACHINES: Readonly<Record<number, string>> = {
  3: "i386",
  8: "mips",
  20: "ppc",
  21: "ppc64",
  22: "s390x",
  40: "arm",
  62: "x86_64",
  183: "aarch64",
  243: "riscv64",
  258: "loongarch64",
};
