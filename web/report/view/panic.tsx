import type { JSX } from "preact";
import { report } from "../data.ts";
import { plural } from "../words.ts";
import { Safe } from "./safe.tsx";
import { Section } from "./section.tsx";
import { Trace } from "./trace.tsx";

/** What the crashed task did. */
export function TraceSection(): JSX.Element {
  const { panic } = report;
  return (
    <Section
      id="trace"
      title="Call trace"
      note={
        <>
          {panic.task && (
            <>
              <Safe of={panic.task.comm} /> (pid {panic.task.pid})
            </>
          )}
          {panic.cpu !== null && ` on CPU ${panic.cpu}`}, {plural(panic.frames.length, "frame")}
        </>
      }
    >
      <Trace frames={panic.frames} />
    </Section>
  );
}

/** As the kernel prints them. */
const ORDER = "ip sp flags ax bx cx dx si di bp r8 r9 r10 r11 r12 r13 r14 r15 orig_ax cs ss ds es fs gs fs_base gs_base".split(" ");

export function RegistersSection(): JSX.Element | null {
  const { registers } = report.panic;
  if (!registers) return null;
  const known = ORDER.filter((name) => name in registers);
  const names = [...known, ...Object.keys(registers).filter((name) => !ORDER.includes(name))];
  return (
    <Section id="registers" title="Registers" note="and what they point at">
      <ul class="registers">
        {names.map((name) => {
          const { value, pointsAt } = registers[name]!;
          const zero = /^0x0*$/.test(value);
          return (
            <li class={zero ? "zero" : ""}>
              <b>
                <Safe of={name} />
              </b>
              <code>
                <Safe of={value.replace(/^0x/, "")} />
              </code>
              {pointsAt !== null && (
                <span class="hint">
                  <Safe of={pointsAt} />
                </span>
              )}
            </li>
          );
        })}
      </ul>
    </Section>
  );
}

export function CodeSection(): JSX.Element | null {
  const { code } = report.panic;
  if (!code) return null;
  return (
    <Section id="code" title="Code" note={code.function === null ? undefined : <Safe of={code.function} />}>
      <div class="scroll">
        <table class="code">
          <caption class="hidden">Instructions around the one that was executing</caption>
          <tbody>
            {code.instructions.map((line) => (
              <tr class={line.current ? "current" : ""} aria-current={line.current ? "true" : undefined}>
                <td class="arrow">{line.current ? "▶" : ""}</td>
                <td class="dim">{line.address.replace(/^0x/, "")}</td>
                <td class="dim bytes">
                  <Safe of={line.bytes} />
                </td>
                <td>
                  <Safe of={line.text} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}
