import { type Signal, signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { receiptFor } from "../data.ts";
import { visible } from "../escape.ts";
import { Safe } from "./safe.tsx";

interface Shown {
  readonly pointer: string;
  readonly element: HTMLElement;
  readonly at: DOMRect;
}

const shown: Signal<Shown | null> = signal(null);

const MEANING = {
  exact: "read as it stands",
  decoded: "decoded by a layout or table",
  heuristic: "concluded",
} as const;

/** A value that tells on hover, focus or touch where it comes from. `pointer` is its JSON pointer in the report. */
export function Receipted({ pointer, children }: { pointer: string; children: ComponentChildren }): JSX.Element {
  const receipt = receiptFor(pointer);
  if (!receipt) return <>{children}</>;
  const show = (event: { readonly currentTarget: EventTarget | null }): void => {
    const element = event.currentTarget as HTMLElement;
    shown.value = { pointer, element, at: element.getBoundingClientRect() };
  };
  const hide = (): void => {
    shown.value = null;
  };
  const words = `Receipt: ${MEANING[receipt.confidence] ?? receipt.confidence}; ${receipt.rule}${receipt.address ? `; at ${receipt.address}` : ""}`;
  return (
    <span
      class={`receipted ${receipt.confidence === "heuristic" ? "heuristic" : ""}`}
      tabIndex={0}
      aria-description={visible(words)}
      data-receipt={pointer}
      onMouseEnter={show}
      onMouseLeave={hide}
      onFocus={show}
      onBlur={hide}
      onClick={show}
    >
      {children}
    </span>
  );
}

/** The one box in which receipts are shown. */
export function ReceiptBox(): JSX.Element | null {
  const box = useRef<HTMLDivElement>(null);
  const current = shown.value;
  useLayoutEffect(() => {
    if (!current || !box.current) return;
    const { width, height } = box.current.getBoundingClientRect();
    const below = current.at.bottom + 8 + height < innerHeight;
    box.current.style.left = `${Math.max(8, Math.min(current.at.left, innerWidth - width - 8))}px`;
    box.current.style.top = `${below ? current.at.bottom + 6 : Math.max(8, current.at.top - height - 6)}px`;
  }, [current]);
  const receipt = current && receiptFor(current.pointer);
  if (!receipt) return null;
  return (
    <div class="receipt" role="tooltip" ref={box}>
      <div class={`confidence ${receipt.confidence}`}>
        {receipt.confidence}
        <span> · {MEANING[receipt.confidence] ?? ""}</span>
      </div>
      <div>
        <Safe of={receipt.rule} />
      </div>
      {receipt.address && (
        <div class="mono dim">
          at <Safe of={receipt.address} />
        </div>
      )}
    </div>
  );
}

/** The receipt goes along when what it belongs to is scrolled, and out of sight with it. */
export function moveReceipt(): void {
  const current = shown.value;
  if (!current) return;
  const at = current.element.getBoundingClientRect();
  shown.value = at.bottom < 0 || at.top > innerHeight ? null : { ...current, at };
}
