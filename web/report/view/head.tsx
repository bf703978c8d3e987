import type { JSX } from "preact";
import { report } from "../data.ts";
import { overlay, theme, toggleTheme } from "../state.ts";
import { seconds, time } from "../words.ts";
import { Receipted } from "./receipt.tsx";
import { Safe } from "./safe.tsx";

/** The sentence, and what a reader asks for next: which kernel, where, when. */
export function Head(): JSX.Element {
  const { kernel, panic } = report;
  return (
    <header class="head" id="top">
      <div class="bar">
        <span class="brand">
          last<b>words</b>
        </span>
        <span class="grow" />
        <button
          type="button"
          class="tool"
          onClick={toggleTheme}
          title="Light or dark (t)"
          aria-label="Light or dark"
          aria-pressed={theme.value === "dark"}
        >
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.5" />
            <path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor" />
          </svg>
        </button>
        <button type="button" class="tool" onClick={() => print()} title="Print" aria-label="Print">
          <svg viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5">
            <path d="M4.5 6V2.5h7V6M4.5 11.5h-2v-5h11v5h-2M4.5 9.500h7v4h-7z" />
          </svg>
        </button>
        <button type="button" class="tool" onClick={() => (overlay.value = "help")} title="Keys (?)" aria-label="Keys">
          ?
        </button>
      </div>
      <h1>
        <Safe of={report.summary} />
      </h1>
      <p class="title">
        <code>
          <Receipted pointer="/panic/title">
            <Safe of={report.title} />
          </Receipted>
        </code>
        {panic.type !== null && (
          <span class="tag bad">
            <Safe of={panic.type} />
          </span>
        )}
      </p>
      {kernel && (
        <p class="meta">
          {kernel.release !== null && (
            <span>
              <Receipted pointer="/kernel/release">
                <Safe of={kernel.release} />
              </Receipted>
            </span>
          )}
          {kernel.nodename !== null && kernel.nodename !== "(none)" && (
            <span>
              host <Safe of={kernel.nodename} />
            </span>
          )}
          {kernel.crashTime !== null && (
            <span>
              <Receipted pointer="/kernel/crashTime">
                <Safe of={time(kernel.crashTime)} />
              </Receipted>
            </span>
          )}
          {kernel.uptimeSeconds !== null && (
            <span>
              <Receipted pointer="/kernel/uptimeSeconds">up {seconds(kernel.uptimeSeconds)}</Receipted>
            </span>
          )}
        </p>
      )}
    </header>
  );
}
