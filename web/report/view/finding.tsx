import type { ComponentChildren, JSX } from "preact";
import { crashes, crashLine, firstLine, report } from "../data.ts";
import { lines } from "../log-lines.ts";
import { count, plural, seconds, time } from "../words.ts";
import { Receipted } from "./receipt.tsx";
import { Safe } from "./safe.tsx";
import { Section } from "./section.tsx";

/** A link to a line of the log, counted from 1. */
export function LineLink({ line }: { line: number | null }): JSX.Element | null {
  if (line === null || line < 1 || line >= firstLine + lines.length) return null;
  if (line < firstLine) return <span class="line-link dim">log line {line}, before the part in this file</span>;
  return (
    <a class="line-link" href={`#L${line}`} title={`Show line ${line} of the log`}>
      log line {line}
    </a>
  );
}

/** The line that says the kernel's own words. */
function lineOfMessage(message: string): number | null {
  if (message === "") return null;
  const from = Math.max(0, (crashLine ?? firstLine) - firstLine);
  const after = lines.findIndex((line, i) => i >= from && line.includes(message));
  return after < 0 ? null : after + firstLine;
}

function Fact({ name, pointer, children }: { name: string; pointer?: string; children: ComponentChildren }): JSX.Element {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{pointer === undefined ? children : <Receipted pointer={pointer}>{children}</Receipted>}</dd>
    </div>
  );
}

/** What was found, and where the log says so. */
export function FindingSection(): JSX.Element {
  const { panic } = report;
  const boots = new Set(crashes.map((crash) => crash.boot)).size;
  return (
    <Section id="finding" title="Finding">
      <dl class="facts">
        <Fact name="crash">
          <Receipted pointer="/panic/title">
            <b>
              <Safe of={panic.title} />
            </b>
          </Receipted>{" "}
          <LineLink line={crashLine} />
          {panic.altTitles.map((title) => (
            <div class="dim">
              also: <Safe of={title} />
            </div>
          ))}
        </Fact>
        {panic.message !== null && (
          <Fact name="kernel's words">
            <Receipted pointer="/panic/message">
              <q>
                <Safe of={panic.message} />
              </q>
            </Receipted>{" "}
            <LineLink line={lineOfMessage(panic.message)} />
          </Fact>
        )}
        {panic.function !== null && (
          <Fact name="function" pointer="/panic/function">
            <code>
              <Safe of={panic.function} />
            </code>
          </Fact>
        )}
        {panic.task && (
          <Fact name="task" pointer="/panic/task">
            <Safe of={panic.task.comm} /> <span class="dim">pid {panic.task.pid}</span>
          </Fact>
        )}
        {panic.cpu !== null && (
          <Fact name="CPU" pointer="/panic/cpu">
            {panic.cpu}
          </Fact>
        )}
      </dl>
      {crashes.length > 1 && (
        <>
          <h3>
            All crashes of the log <span class="note">{count(crashes.length)}</span>
          </h3>
          <ol class="crashes">
            {crashes.map((crash) => (
              <li class={crash.cause ? "cause" : ""}>
                <span class="when">{typeof crash.time === "number" ? `${crash.time.toFixed(2)} s` : ""}</span>
                <div>
                  <Safe of={crash.title} /> <LineLink line={crash.line} />
                  {crash.cause && <span class="tag bad">led to the end</span>}
                  {boots > 1 && <span class="dim"> boot {crash.boot}</span>}
                  {crash.corrupted !== null && (
                    <div class="dim">
                      its lines cannot be trusted: <Safe of={crash.corrupted} />
                    </div>
                  )}
                </div>
              </li>
            ))}
          </ol>
        </>
      )}
    </Section>
  );
}

const OUTCOMES: Record<string, string> = {
  failed: "The dump was not saved",
  saved: "The dump was saved",
  unknown: "Whether the dump was saved is not known",
};

/** How the kernel fared that was to save the memory. */
export function CaptureSection(): JSX.Element | null {
  const { capture } = report;
  if (!capture) return null;
  const tty = capture.tty.split("\n").filter((line) => line.trim() !== "");
  return (
    <Section id="capture" title="Capture kernel" note={capture.kernel === null ? undefined : <Safe of={capture.kernel} />}>
      <div class={`callout ${capture.outcome === "failed" ? "bad" : capture.outcome === "saved" ? "good" : "warn"}`}>
        <b>{OUTCOMES[capture.outcome] ?? capture.outcome}</b>
        {capture.reason !== null && (
          <p class="mono">
            <Safe of={capture.reason} />
          </p>
        )}
        {capture.source !== null && (
          <p class="dim">
            from <Safe of={capture.source} />
          </p>
        )}
      </div>
      {tty.length > 0 && (
        <details>
          <summary>{plural(tty.length, "line")} on its ttys</summary>
          <pre class="block">
            {tty.slice(-2000).map((line) => (
              <div class={line === capture.reason ? "hit" : ""}>
                <Safe of={line} />
              </div>
            ))}
          </pre>
        </details>
      )}
    </Section>
  );
}

/** Kernel, machine and settings. */
export function FactsSection(): JSX.Element | null {
  const { kernel, dump } = report;
  if (!kernel && !dump) return null;
  const settings = Object.entries(kernel?.settings ?? {});
  return (
    <Section id="facts" title="Kernel">
      <dl class="facts">
        {kernel?.release && (
          <Fact name="release" pointer="/kernel/release">
            <Safe of={kernel.release} />
          </Fact>
        )}
        {kernel?.version && (
          <Fact name="build" pointer="/kernel/version">
            <Safe of={kernel.version} /> {kernel.machine !== null && <Safe of={kernel.machine} />}
          </Fact>
        )}
        {kernel?.buildId && (
          <Fact name="build id" pointer="/kernel/buildId">
            <code>
              <Safe of={kernel.buildId} />
            </code>
          </Fact>
        )}
        {kernel?.nodename && (
          <Fact name="host" pointer="/kernel/nodename">
            <Safe of={kernel.nodename} />
          </Fact>
        )}
        {kernel?.crashTime && (
          <Fact name="crashed" pointer="/kernel/crashTime">
            <Safe of={time(kernel.crashTime)} />
          </Fact>
        )}
        {typeof kernel?.uptimeSeconds === "number" && (
          <Fact name="up" pointer="/kernel/uptimeSeconds">
            {seconds(kernel.uptimeSeconds)}
          </Fact>
        )}
        {kernel?.commandLine && (
          <Fact name="booted with" pointer="/kernel/commandLine">
            <code>
              <Safe of={kernel.commandLine} />
            </code>
          </Fact>
        )}
        {kernel?.taint && (
          <Fact name="tainted" pointer="/kernel/taint">
            {kernel.taint.words.length === 0 ? "no" : <Safe of={`${kernel.taint.letters}: ${kernel.taint.words.join("; ")}`} />}
          </Fact>
        )}
        {kernel?.kaslrOffset && (
          <Fact name="KASLR offset" pointer="/kernel/kaslrOffset">
            <code>
              <Safe of={kernel.kaslrOffset} />
            </code>
          </Fact>
        )}
        {dump && (
          <Fact name="dump">
            <Safe
              of={[dump.format, ...dump.containers.map((container) => `in ${container}`), dump.arch ?? "", `pages of ${dump.pageSize}`]
                .filter((part) => part !== "")
                .join(", ")}
            />
          </Fact>
        )}
      </dl>
      {settings.length > 0 && (
        <>
          <h3>Settings that decide at a crash</h3>
          <ul class="settings">
            {settings.map(([name, value]) => (
              <li class={value === 0 ? "off" : ""}>
                <span>
                  <Safe of={name} />
                </span>
                <Receipted pointer={`/kernel/settings/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`}>
                  <b>{String(value)}</b>
                </Receipted>
              </li>
            ))}
          </ul>
        </>
      )}
    </Section>
  );
}
