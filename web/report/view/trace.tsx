import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { FrameReport } from "../../../src/report/model.ts";
import { foldFrames, type FrameRun, type Fold } from "../noise.ts";
import { plural } from "../words.ts";
import { Safe } from "./safe.tsx";

const FOLDS: Record<Fold, string> = {
  panic: "of the panic path",
  schedule: "of the scheduler",
  entry: "of entry code",
};

/** A call trace; frames that say nothing of the crash are folded. */
export function Trace({ frames, mark = "" }: { frames: readonly FrameReport[]; mark?: string }): JSX.Element {
  if (frames.length === 0) return <p class="dim">No call trace.</p>;
  return (
    <ol class="trace">
      {foldFrames(frames).map((run) =>
        run.fold === null ? <Frames run={run} mark={mark} /> : <Folded run={run} fold={run.fold} mark={mark} />,
      )}
    </ol>
  );
}

function Folded({ run, fold, mark }: { run: FrameRun; fold: Fold; mark: string }): JSX.Element {
  const found = mark !== "" && run.frames.some(({ frame }) => frame.symbol?.toLowerCase().includes(mark));
  const [open, setOpen] = useState(false);
  const shown = open || found;
  return (
    <>
      <li class="fold">
        <button type="button" class="quiet" aria-expanded={shown} onClick={() => setOpen(!shown)}>
          <span class="chevron" aria-hidden="true" />
          {plural(run.frames.length, "frame")} {FOLDS[fold]}
        </button>
      </li>
      {shown && <Frames run={run} mark={mark} folded />}
    </>
  );
}

function Frames({ run, mark, folded = false }: { run: FrameRun; mark: string; folded?: boolean }): JSX.Element {
  return (
    <>
      {run.frames.map(({ frame, number }) => (
        <li
          class={`frame ${frame.reliable ? "" : "guess"} ${folded ? "unfolded" : ""}`}
          title={frame.reliable ? (frame.address ?? undefined) : "a guess"}
        >
          <span class="number">#{number}</span>
          <span class="where">
            <Where frame={frame} mark={mark} />
          </span>
          <span class="address">{frame.address?.replace(/^0x/, "")}</span>
        </li>
      ))}
    </>
  );
}

function Where({ frame, mark }: { frame: FrameReport; mark: string }): JSX.Element {
  if (frame.user) return <span class="dim">user space</span>;
  if (frame.symbol === null) return <span class="dim">no symbol</span>;
  return (
    <>
      {!frame.reliable && <span class="dim">? </span>}
      <b>
        <Safe of={frame.symbol} mark={mark} />
      </b>
      {frame.offset !== null && <span class="dim">+0x{frame.offset.toString(16)}</span>}
      {frame.module !== null && (
        <span class="module">
          <Safe of={frame.module} />
        </span>
      )}
    </>
  );
}
