import type { ComponentChildren, JSX } from "preact";

/** One part of the report, with its heading and what stands beside that. */
export function Section({
  id,
  title,
  note,
  tools,
  children,
}: {
  id: string;
  title: ComponentChildren;
  note?: ComponentChildren;
  tools?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <section id={id} aria-labelledby={`${id}-title`}>
      <header class="section-head">
        <h2 id={`${id}-title`} tabIndex={-1}>
          {title}
        </h2>
        {note !== undefined && <span class="note">{note}</span>}
        {tools !== undefined && <div class="tools">{tools}</div>}
      </header>
      {children}
    </section>
  );
}

/** A field to search in a section. */
export function SearchBox({
  value,
  onValue,
  label,
  onEnter,
}: {
  value: string;
  onValue: (value: string) => void;
  label: string;
  onEnter?: () => void;
}): JSX.Element {
  return (
    <input
      type="search"
      class="search"
      value={value}
      placeholder={label}
      aria-label={label}
      autocomplete="off"
      spellcheck={false}
      onInput={(event) => onValue(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") onEnter?.();
        if (event.key === "Escape") {
          if (value === "") event.currentTarget.blur();
          else onValue("");
          event.preventDefault();
          event.stopPropagation();
        }
      }}
    />
  );
}
