import type { JSX } from "preact";
import type { IncidentReport } from "../../../src/report/model.ts";
import { incident, timeline } from "../data.ts";
import { markOf } from "../log-lines.ts";
import { count, plural, time } from "../words.ts";
import { LineLink } from "./finding.tsx";
import { Receipted } from "./receipt.tsx";
import { Safe } from "./safe.tsx";
import { Section } from "./section.tsx";

const MAX_ROWS = 200;

/** Which pieces are of this crash, where they differ, and what is not of it. */
export function SourcesSection(): JSX.Element | null {
  if (!incident) return null;
  const all = incident.conflicts.length + incident.conflictsLeft;
  return (
    <Section
      id="sources"
      title="Sources of this crash"
      note={`${plural(incident.sources.length, "source")}${timeline.length > 0 ? `, ${plural(timeline.length, "line")} together` : ""}${all > 0 ? `, ${count(all)} differ` : ""}`}
    >
      <Boots of={incident} />
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th />
              <th>source</th>
              <th class="num">lines</th>
              <th class="num">only there</th>
              <th>of</th>
              <th>joined by</th>
            </tr>
          </thead>
          <tbody>
            {incident.sources.slice(0, MAX_ROWS).map((source, i) => (
              <tr>
                <td class="marks">{markOf(i)}</td>
                <td class="path">
                  <Safe of={source.source} />
                </td>
                <td class="num">{count(source.lines)}</td>
                <td class="num">{count(source.only)}</td>
                <td>{source.boots.map((boot) => incident!.boots[boot]?.role ?? "").join(", ")}</td>
                <td class="dim">
                  <Safe of={source.joined} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Conflicts of={incident} />
      <Others of={incident} />
    </Section>
  );
}

function Boots({ of }: { of: IncidentReport }): JSX.Element {
  return (
    <dl class="facts">
      {of.boots.map((boot, i) => (
        <div class="fact">
          <dt>{boot.role} kernel</dt>
          <dd>
            <Safe of={[boot.release ?? "release not known", boot.build ?? ""].join(" ").trim()} />
            {boot.started !== null && (
              <Receipted pointer={`/incident/boots/${i}/started`}>
                , booted <Safe of={time(boot.started)} />
              </Receipted>
            )}
            {boot.bootId !== null && (
              <div class="dim">
                boot <Safe of={boot.bootId} />
              </div>
            )}
            {boot.commandLine !== null && (
              <div class="dim">
                <code>
                  <Safe of={boot.commandLine} />
                </code>
              </div>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Conflicts({ of }: { of: IncidentReport }): JSX.Element | null {
  if (of.conflicts.length === 0) return null;
  const left = of.conflictsLeft + Math.max(0, of.conflicts.length - MAX_ROWS);
  return (
    <>
      <h3>
        Lines that sources have differently <span class="note">{count(of.conflicts.length + of.conflictsLeft)}</span>
      </h3>
      <ol class="conflicts">
        {of.conflicts.slice(0, MAX_ROWS).map((conflict) => (
          <li>
            <LineLink line={conflict.line + 1} />
            {conflict.readings.map(({ text, sources }) => (
              <div>
                <span class="marks">{sources.map(markOf).join("")}</span>{" "}
                <code>
                  <Safe of={text} />
                </code>
              </div>
            ))}
          </li>
        ))}
      </ol>
      {left > 0 && <p class="dim">and {count(left)} more</p>}
    </>
  );
}

function Others({ of }: { of: IncidentReport }): JSX.Element | null {
  if (of.others.length === 0) return null;
  return (
    <>
      <h3>
        Not of this crash <span class="note">{count(of.others.length)}</span>
      </h3>
      <ul class="others">
        {of.others.slice(0, MAX_ROWS).map((other) => (
          <li>
            <Safe of={other.source} />
            {other.firstLine !== null && `, lines ${count(other.firstLine)} to ${count(other.lastLine ?? other.firstLine)}`}
            <div class="dim">
              <Safe
                of={[
                  other.release === null ? "" : `Linux ${other.release}`,
                  other.started === null ? "" : `booted ${time(other.started)}`,
                  other.reason,
                ]
                  .filter((text) => text !== "")
                  .join("; ")}
              />
            </div>
          </li>
        ))}
      </ul>
    </>
  );
}
