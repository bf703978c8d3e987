import type { Vaddr } from "../bytes/index.ts";

/** A place named by the nearest symbol at or below it. */
export interface SymbolPlace {
  readonly name: string;
  /** Distance from the symbol's address in bytes, at least 0. */
  readonly offset: number;
  /** nm's letter: T t D d B b R r A W … ; `?` where the source does not say. */
  readonly type: string;
  /** Bytes to the next symbol of a higher address, where known: the kernel's own notion of size. */
  readonly size: number | undefined;
  /** The module that the symbol belongs to; undefined for vmlinux. */
  readonly module: string | undefined;
}

/** Names to addresses and back, for vmlinux or for one module. */
export interface SymbolTable {
  /** Address of the first symbol of that name. */
  lookup(name: string): Vaddr | undefined;
  /** Looks many names up in one pass; what is not there is left out. Later {@link lookup}s of them are free. */
  prefetch(names: readonly string[]): void;
  /**
   * As {@link prefetch}, for names that are no functions: may answer "not there" for a function.
   *
   * @throws what reading threw first, after all that can be read was searched.
   */
  prefetchVariables(names: readonly string[]): void;
  /** As {@link prefetch}, but only among the symbols around an address. False where not all were found. */
  prefetchNear(names: readonly string[], near: Vaddr): boolean;
  /** The symbol at or below `address`, or undefined below the first one. Says nothing about the end of the last one. */
  find(address: Vaddr): SymbolPlace | undefined;
}
