import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { goToSection, sections } from "../sections.ts";
import { overlay } from "../state.ts";

function Dialog({ title, children }: { title: string; children: ComponentChildren }): JSX.Element {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    box.current?.showModal();
  }, []);
  return (
    <dialog
      ref={box}
      aria-label={title}
      onClose={() => (overlay.value = null)}
      onClick={(event) => {
        // Beside the box.
        if (event.target === box.current) overlay.value = null;
      }}
    >
      <div class="dialog">
        <header>
          <h2>{title}</h2>
          <button type="button" class="tool" aria-label="Close" onClick={() => (overlay.value = null)}>
            ✕
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

const KEYS: readonly (readonly [string, string])[] = [
  ["/", "search this section; the log, where it has no search"],
  ["j  k", "next, previous line of the log"],
  ["n  N", "next, previous line of the log that is an error or worse"],
  ["Esc", "clear a search; close"],
  ["g", "go to a section"],
  ["t", "light or dark"],
  ["?", "these keys"],
];

/** The box over the page, if any. */
export function Overlay(): JSX.Element | null {
  if (overlay.value === "help")
    return (
      <Dialog title="Keys">
        <dl class="keys">
          {KEYS.map(([key, what]) => (
            <div>
              <dt>
                {key.split("  ").map((each) => (
                  <kbd>{each}</kbd>
                ))}
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
        <p class="dim">
          Values with a dotted line tell where they come from: point at them, or reach them with Tab. This file fetches nothing and sends
          nothing.
        </p>
      </Dialog>
    );
  if (overlay.value === "sections")
    return (
      <Dialog title="Go to">
        <ul class="goto">
          {sections.map((section) => (
            <li>
              <button type="button" onClick={() => goToSection(section.id)}>
                <kbd>{section.key}</kbd> {section.title}
              </button>
            </li>
          ))}
        </ul>
      </Dialog>
    );
  return null;
}
