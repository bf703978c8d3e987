import { type Fact, fileReceipt, type Receipt, type Root } from "./root.ts";
import { mountsOf } from "./target.ts";

/** The kernel's own storage for records. */
export interface PstoreFacts {
  /** The backend that is registered: the core takes one at a time. Undefined where there is none. */
  readonly backend: Fact<string> | undefined;
  /** Where it is said that there is none. */
  readonly noneAt: Receipt | undefined;
  readonly mounted: Receipt | undefined;
  /** Records that lie in it. */
  readonly records: readonly string[];
  /** `printk.always_kmsg_dump`: records at every reboot and shutdown too. */
  readonly always: Fact<boolean> | undefined;
  /** `crash_kexec_post_notifiers`: records before kdump, and its price. */
  readonly postNotifiers: Fact<boolean> | undefined;
}

const BACKEND = "/sys/module/pstore/parameters/backend";
const FOLDER = "/sys/fs/pstore";

export function readPstore(root: Root): PstoreFacts {
  const named = root.value(BACKEND);
  // linux:fs/pstore/platform.c: the parameter holds the name of what has registered; printed as "(null)" before.
  // With pstore.backend= it holds that name before the backend comes; those that are modules show themselves.
  const absent = /^(?:ramoops|efi_pstore|pstore_blk)$/.test(named?.value ?? "") && !root.exists(`/sys/module/${named!.value}`);
  const none = named === undefined || named.value === "" || named.value === "(null)" || absent;
  const truth = (path: string): Fact<boolean> | undefined => {
    const fact = root.value(path);
    return fact === undefined || !/^[YN01]$/.test(fact.value) ? undefined : { value: /[Y1]/.test(fact.value), at: fact.at };
  };
  const mount = mountsOf(root).find((each) => each.type === "pstore");
  return {
    backend: none ? undefined : named,
    noneAt: none ? (named?.at ?? fileReceipt(BACKEND)) : undefined,
    mounted: mount?.at,
    records: root.list(FOLDER).map((name) => `${FOLDER}/${name}`),
    always: truth("/sys/module/printk/parameters/always_kmsg_dump"),
    postNotifiers: truth("/sys/module/kernel/parameters/crash_kexec_post_notifiers"),
  };
}

/** What a backend writes to; undefined for one that is not known. */
export function mediumOf(backend: string): "ram" | "flash" | "firmware" {
  if (/^ramoops|^zone/.test(backend)) return "ram";
  return /blk|mtd|mmc/.test(backend) ? "flash" : "firmware";
}
