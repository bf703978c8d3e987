import type { JSX } from "preact";
import { report } from "../data.ts";
import { plural } from "../words.ts";
import { Safe } from "./safe.tsx";
import { Section } from "./section.tsx";

const MARKS: Record<string, string> = { good: "✓", partial: "!", unusable: "✕" };

/** What there is to go by, and how well it is. */
export function EvidenceSection(): JSX.Element {
  const bad = report.evidence.filter((piece) => piece.health !== "good").length;
  return (
    <Section
      id="evidence"
      title="Evidence"
      note={`${plural(report.evidence.length, "piece")}${bad === 0 ? ", all good" : `, ${bad} not whole`}`}
    >
      <ul class="cards">
        {report.evidence.map((piece) => (
          <li class={`card health-${piece.health}`}>
            <div class="card-head">
              <b>
                <Safe of={piece.kind} />
              </b>
              <span class={`health ${piece.health}`}>
                <span aria-hidden="true">{MARKS[piece.health] ?? "?"}</span> {piece.health}
              </span>
            </div>
            <div class="source">
              <Safe of={piece.source} />
            </div>
            <div class="dim">
              <Safe of={piece.detail.startsWith(`${piece.source}: `) ? piece.detail.slice(piece.source.length + 2) : piece.detail} />
            </div>
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** What could not be had, why, and what that costs. */
export function MissingSection(): JSX.Element {
  return (
    <Section id="missing" title="Missing" note="what could not be had, and what that costs">
      <ul class="missing">
        {report.missing.map((entry) => (
          <li>
            <span class="tag warn">
              <Safe of={entry.code} />
            </span>
            <div>
              <b>
                <Safe of={entry.what} />
              </b>
              : <Safe of={entry.reason} />
              <div class="dim">
                so: <Safe of={entry.consequence} />
              </div>
            </div>
          </li>
        ))}
      </ul>
    </Section>
  );
}
