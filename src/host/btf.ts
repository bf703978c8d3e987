import { fileReceipt, type Fact, type Root } from "./root.ts";

const PATH = "/sys/kernel/btf/vmlinux";

/** The kernel's types: what `report` reads a dump with. */
export function readBtf(root: Root): Fact<boolean> | undefined {
  if (!root.exists("/sys/kernel")) return undefined;
  return { value: root.exists(PATH), at: fileReceipt(PATH) };
}
