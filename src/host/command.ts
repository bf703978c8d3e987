import { quoteWord } from "./amount.ts";
import type { HostFacts } from "./facts.ts";

/* The commands of fixes, in the words of each family of systems. */

/** Comes after `99-sysctl.conf`, by which Debian and others read /etc/sysctl.conf. */
const SYSCTL_FILE = "/etc/sysctl.d/99-zz-lastwords.conf";
const GRUB_FILE = "/etc/default/grub.d/lastwords.cfg";

/** Where several fixes need them, once, and after the others. */
export const LAST_COMMANDS: readonly string[] = ["systemctl daemon-reload", "update-grub", "reboot"];

/** Puts words on the kernel's command line, from the next boot on. */
export function bootWords(facts: HostFacts, ...words: readonly string[]): string[] {
  // GRUB expands a `$`, as does the shell that reads its files; whether it came through is seen after the boot only.
  const grub = words.join(" ").replaceAll("$", () => "\\$");
  const look = words.some((word) => word.includes("$")) ? ["# boot loaders expand `$`: look into /proc/cmdline after the boot"] : [];
  switch (facts.flavor) {
    case "debian": {
      const text = `GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT ${words.join(" ").replaceAll("$", () => "\\\\\\$")}"`;
      return [`printf '%s\\n' ${quoteWord(text)} >> ${GRUB_FILE}`, ...look, "update-grub", "reboot"];
    }
    case "fedora":
      return [`grubby --update-kernel=ALL --args=${quoteWord(grub)}`, ...look, "reboot"];
    case "suse":
      return [
        `pbl ${grub
          .split(" ")
          .map((word) => `--add-option ${quoteWord(word)}`)
          .join(" ")} --config`,
        ...look,
        "reboot",
      ];
    case undefined:
      return [`# add to the kernel command line, in the boot loader's configuration: ${words.join(" ")}`, "reboot"];
  }
}

/** Sets a sysctl now and from the next boot on. */
export function setSysctl(name: string, value: number): string[] {
  return [`echo '${name} = ${value}' >> ${SYSCTL_FILE}`, `sysctl -w ${name}=${value}`];
}

/** The distribution's own way to a larger or a first reservation. */
export function reserve(facts: HostFacts, mebibytes: number): string[] {
  switch (facts.flavor) {
    case "fedora":
      return [
        "sed -i 's/^auto_reset_crashkernel .*/auto_reset_crashkernel no/' /etc/kdump.conf",
        `grubby --update-kernel=ALL --args=crashkernel=${mebibytes}M`,
        "reboot",
      ];
    case "suse":
      return [
        `sed -i 's/^KDUMP_CRASHKERNEL=.*/KDUMP_CRASHKERNEL="crashkernel=${mebibytes}M"/' /etc/sysconfig/kdump`,
        "kdumptool commandline -u",
        "reboot",
      ];
    default:
      return bootWords(facts, `crashkernel=${mebibytes}M`);
  }
}

/** Loads the capture kernel with what is configured now. */
export function reload(facts: HostFacts): string[] {
  switch (facts.flavor) {
    case "fedora":
      return ["kdumpctl restart"];
    case "suse":
      return ["systemctl restart kdump.service"];
    case "debian":
      return ["kdump-config unload", "kdump-config load"];
    case undefined:
      return ["# load a capture kernel: kexec -p KERNEL --initrd=INITRAMFS --reuse-cmdline"];
  }
}

/** Builds the capture initramfs anew, and loads it. */
export function rebuild(facts: HostFacts): string[] {
  switch (facts.flavor) {
    case "fedora":
      return ["kdumpctl rebuild", "kdumpctl restart"];
    case "suse":
      return ["mkdumprd -f", "systemctl restart kdump.service"];
    case "debian": {
      const release = facts.system.release?.value;
      const version = release === undefined ? '"$(uname -r)"' : quoteWord(release);
      return [
        "kdump-config unload",
        `/etc/kernel/postinst.d/kdump-tools ${version}`,
        `kdump-config symlinks ${version}`,
        "kdump-config load",
      ];
    }
    case undefined:
      return reload(facts);
  }
}

/** Gets kdump onto the host. */
export function install(facts: HostFacts): string[] {
  switch (facts.flavor) {
    case "fedora":
      return ["dnf install kdump-utils", "kdumpctl reset-crashkernel", "systemctl enable kdump.service", "reboot"];
    case "suse":
      return ["zypper install kdump", "systemctl enable kdump.service", "kdumptool commandline -u", "reboot"];
    case "debian":
      return ["apt install kdump-tools", "sed -i 's/^USE_KDUMP=.*/USE_KDUMP=1/' /etc/default/kdump-tools", ...reserve(facts, 512)];
    case undefined:
      return ["# install the distribution's kdump package, and reserve memory with crashkernel="];
  }
}

/** Switches it on. */
export function enable(facts: HostFacts): string[] {
  if (facts.flavor === "debian") return ["sed -i 's/^USE_KDUMP=.*/USE_KDUMP=1/' /etc/default/kdump-tools", "kdump-config load"];
  return ["systemctl enable --now kdump.service"];
}
