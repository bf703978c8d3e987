import type { JSX, RefObject } from "preact";
import { useEffect, useImperativeHandle, useRef, useState } from "preact/hooks";

export interface VirtualListHandle {
  /** Brings a row into sight; to the middle, where it is not in sight. */
  show(index: number): void;
  focus(): void;
}

/** Browsers cut elements at 17 to 33 million pixels; a longer list is scrolled in larger steps. */
const MAX_HEIGHT = 8_000_000;
const OVERSCAN = 12;

/** Rows of one height, of which only those in sight are on the page. */
export function VirtualList({
  count,
  most = count,
  rowHeight,
  row,
  label,
  handle,
  class: className = "",
  active = -1,
}: {
  count: number;
  /** Rows to have room for, where the count changes with a search: the box keeps its size. */
  most?: number;
  rowHeight: number;
  row: (index: number) => JSX.Element;
  label: string;
  handle?: RefObject<VirtualListHandle | null>;
  class?: string;
  active?: number;
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(480);
  const full = count * rowHeight;
  const shown = Math.min(full, MAX_HEIGHT);
  // Pixels of the list to one of the scroll bar.
  const scale = full > height && full > shown ? (full - height) / (shown - height) : 1;

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measure = (): void => setHeight(element.clientHeight);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  // A shorter list than before: the browser has moved the scroll bar.
  useEffect(() => {
    if (box.current) setTop(box.current.scrollTop);
  }, [count]);

  useImperativeHandle(
    handle ?? { current: null },
    () => ({
      show(index) {
        const element = box.current;
        if (!element || index < 0) return;
        const at = index * rowHeight;
        const visibleTop = element.scrollTop * scale;
        const margin = rowHeight * 2;
        if (at >= visibleTop + margin && at + rowHeight <= visibleTop + element.clientHeight - margin) return;
        element.scrollTop = Math.max(0, at - element.clientHeight / 2) / scale;
        setTop(element.scrollTop);
      },
      focus: () => box.current?.focus({ preventScroll: true }),
    }),
    [rowHeight, scale],
  );

  const offset = top * scale;
  const first = Math.max(0, Math.floor(offset / rowHeight) - OVERSCAN);
  const last = Math.min(count, Math.ceil((offset + height) / rowHeight) + OVERSCAN);
  const rows: JSX.Element[] = [];
  for (let i = first; i < last; i++) rows.push(row(i));
  return (
    <div
      class={`virtual ${className}`}
      ref={box}
      style={{ maxHeight: `${most * rowHeight + 18}px` }}
      tabIndex={0}
      role="listbox"
      aria-label={label}
      aria-activedescendant={active >= 0 ? `${label.replaceAll(" ", "-")}-${active}` : undefined}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <div class="virtual-space" style={{ height: `${shown}px` }}>
        <div class="virtual-rows" style={{ transform: `translateY(${Math.round(top + first * rowHeight - offset)}px)` }}>
          {rows}
        </div>
      </div>
    </div>
  );
}
