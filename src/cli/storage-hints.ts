import { DumpError } from "../bytes/index.ts";
import type { StorageHints } from "../evidence/index.ts";
import { parseAmount, parseWords } from "../pstore/index.ts";
import type { StorageArgs } from "./table.ts";

/** What the options of the set `storage` say about where to look. @throws BAD_ARGUMENT naming the word. */
export function storageHints(args: StorageArgs): StorageHints {
  const memconsole = args.memconsole === undefined ? undefined : parseWords(args.memconsole);
  const amount = (word: string): number => {
    const value = memconsole?.get(word);
    if (value === undefined) throw new DumpError("BAD_ARGUMENT", `--memconsole needs ${word}=, as in address=0x3f000000,size=8K`);
    return parseAmount(word, value);
  };
  return {
    ...(args.ramoops === undefined ? {} : { ramoops: parseWords(args.ramoops) }),
    ...(args.blk === undefined ? {} : { blk: parseWords(args.blk) }),
    ...(memconsole ? { memconsole: { address: amount("address"), size: amount("size") } } : {}),
  };
}
