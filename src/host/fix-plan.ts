import { LAST_COMMANDS } from "./command.ts";
import type { Finding } from "./findings.ts";

/**
 * The commands of all findings as a shell script to read and run: findings as remarks, no command twice, what has to come last at
 * the end. A reboot is left to whoever runs it.
 *
 * @param clean makes text of the host's files harmless.
 */
export function fixPlan(findings: readonly Finding[], clean: (text: string) => string): string {
  const done = new Set<string>();
  const last = new Set<string>();
  let text = "#!/bin/sh\n# Made by `lastwords doctor --fix-plan`; nothing of it was run. Read it before you do.\nset -e\n";
  for (const finding of findings) {
    const commands = finding.fix.filter((command) => {
      if (LAST_COMMANDS.includes(command)) last.add(command);
      return !done.has(command) && !LAST_COMMANDS.includes(command);
    });
    text += `\n# ${finding.id} (${finding.severity}): ${clean(finding.text)}\n`;
    for (const command of commands) {
      done.add(command);
      text += `${clean(command)}\n`;
    }
  }
  const closing = LAST_COMMANDS.filter((command) => last.has(command));
  if (closing.length > 0) text += `\n${closing.map((command) => (command === "reboot" ? "# then reboot\n" : `${command}\n`)).join("")}`;
  return text;
}
