import type { JSX } from "preact";
import { report } from "../data.ts";
import { bytes } from "../words.ts";
import { Receipted } from "./receipt.tsx";
import { Section } from "./section.tsx";

interface Part {
  readonly name: string;
  readonly size: number;
  readonly colour: string;
}

/** Where the memory went, as a picture. */
export function MemorySection(): JSX.Element | null {
  const { memory } = report;
  if (!memory) return null;
  const known: Part[] = [
    { name: "free", size: memory.free ?? 0, colour: "free" },
    { name: "file cache", size: memory.fileCache ?? 0, colour: "file" },
    { name: "anonymous", size: memory.anonymous ?? 0, colour: "anon" },
    { name: "slab, reclaimable", size: memory.slabReclaimable ?? 0, colour: "slab-r" },
    { name: "slab, unreclaimable", size: memory.slabUnreclaimable ?? 0, colour: "slab-u" },
  ];
  const sum = known.reduce((total, part) => total + part.size, 0);
  const parts = [...known, { name: "not accounted here", size: Math.max(0, memory.total - sum), colour: "other" }].filter(
    (part) => part.size > 0,
  );
  const swap = memory.swapTotal ?? 0;
  const swapFree = memory.swapFree ?? 0;
  return (
    <Section
      id="memory"
      title="Memory"
      note={
        <Receipted pointer="/memory">
          {bytes(memory.total)} in all{memory.free !== null && `, ${bytes(memory.free)} free`}
        </Receipted>
      }
    >
      <Bar parts={parts} total={Math.max(sum, memory.total)} label="Use of memory" />
      {swap > 0 && (
        <>
          <h3>
            Swap <span class="note">{bytes(swap)}</span>
          </h3>
          <Bar
            parts={[
              { name: "swap used", size: swap - swapFree, colour: "anon" },
              { name: "swap free", size: swapFree, colour: "free" },
            ]}
            total={swap}
            label="Use of swap"
          />
        </>
      )}
      {memory.swapTotal === 0 && <p class="dim">No swap.</p>}
    </Section>
  );
}

function Bar({ parts, total, label }: { parts: readonly Part[]; total: number; label: string }): JSX.Element {
  let at = 0;
  const words = parts.map((part) => `${part.name} ${bytes(part.size)}`).join(", ");
  return (
    <figure class="memory">
      <svg viewBox="0 0 1000 40" preserveAspectRatio="none" role="img" aria-label={`${label}: ${words}`}>
        {parts.map((part) => {
          const x = at;
          const width = (part.size / total) * 1000;
          at += width;
          return (
            <rect class={`fill-${part.colour}`} x={x} y="0" width={Math.max(width - 1.5, 0.5)} height="40">
              <title>{`${part.name}: ${bytes(part.size)}`}</title>
            </rect>
          );
        })}
      </svg>
      <figcaption>
        <ul class="legend">
          {parts.map((part) => (
            <li>
              <svg viewBox="0 0 10 10" aria-hidden="true">
                <rect class={`fill-${part.colour}`} width="10" height="10" rx="2" />
              </svg>
              <span>{part.name}</span>
              <b>{bytes(part.size)}</b>
              <span class="dim">{((part.size / total) * 100).toFixed(1)} %</span>
            </li>
          ))}
        </ul>
      </figcaption>
    </figure>
  );
}
