import { isDumpError, readExactly } from "../../bytes/index.ts";
import { Btf } from "../../kernel/btf.ts";
import { LazyBytes } from "../../memory/lazy-bytes.ts";
import { type Port, PortError } from "../port.ts";
import { PortSource } from "./port-source.ts";

/** The running kernel's types (linux:Documentation/ABI/testing/sysfs-kernel-btf). */
const BTF = "/sys/kernel/btf/vmlinux";
const BTF_LIMIT = 64 * 1024 * 1024;

/** Byte offset of `name` in the running kernel's struct tty_struct; undefined where its types are not to be had. */
export function ttyNameOffset(port: Port): number | undefined {
  try {
    const source = new PortSource(port, BTF);
    try {
      // Read whole: sysfs gives no part of it cheaper.
      const btf = new Btf(LazyBytes.ofBytes(readExactly(source, 0, source.size, BTF, BTF_LIMIT), true));
      const struct = btf.findStruct("tty_struct");
      const member = struct === undefined ? undefined : btf.members(struct).find(({ name }) => name === "name");
      return member && member.bitOffset / 8;
    } finally {
      source.close();
    }
  } catch (error) {
    if (error instanceof PortError || isDumpError(error)) return undefined;
    throw error;
  }
}
