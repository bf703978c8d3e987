import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { crashes, crashLine, firstLine, incident, report, timeline } from "../data.ts";
import { visible } from "../escape.ts";
import {
  ALL,
  conflictAt,
  DIFFERING,
  exactLevels,
  filterLines,
  LEVEL_NAMES,
  levelOf,
  lines,
  lowerBound,
  markOf,
  marksOf,
} from "../log-lines.ts";
import { chosenLine, logLevel, logSearch, logSource, logView } from "../state.ts";
import { count, plural } from "../words.ts";
import { Safe } from "./safe.tsx";
import { SearchBox, Section } from "./section.tsx";
import { VirtualList, type VirtualListHandle } from "./virtual-list.tsx";

const ROW = 20;
/** Of a line in the list; the panel below shows more. */
const MAX_SHOWN = 1000;
const MAX_CHOSEN = 20_000;

/** Lines that findings point at. */
const pointedAt: ReadonlySet<number> = new Set(
  [crashLine, ...crashes.map((crash) => crash.line)].flatMap((line) => (line === null ? [] : [line - firstLine])),
);

const FILTERS: readonly { readonly level: number; readonly title: string }[] = [
  { level: 7, title: "All levels" },
  { level: 6, title: "Info and worse" },
  { level: 5, title: "Notice and worse" },
  { level: 4, title: "Warnings and worse" },
  { level: 3, title: "Errors and worse" },
  { level: 2, title: "Critical and worse" },
];

export function LogSection(): JSX.Element {
  const wanted = logSearch.value.toLowerCase();
  const level = logLevel.value;
  const source = logSource.value;
  const chosen = chosenLine.value;
  const found = useMemo(() => filterLines(wanted, level, source), [wanted, level, source]);
  const total = found ? found.length : lines.length;
  const place = chosen < 0 ? -1 : found ? lowerBound(found, chosen) : chosen;
  const list = useRef<VirtualListHandle>(null);

  useEffect(() => {
    logView.show = (line, focus) => {
      list.current?.show(found ? lowerBound(found, line) : line);
      if (focus) list.current?.focus();
    };
  }, [found]);
  // The crash is what the log is opened for; without one, its end.
  useEffect(() => {
    if (chosenLine.value < 0) logView.show(crashLine === null ? lines.length - 1 : Math.max(0, crashLine - firstLine), false);
  }, []);
  // A new filter: the chosen line stays in sight.
  useEffect(() => {
    if (chosenLine.value >= 0) logView.show(chosenLine.value, false);
  }, [found]);

  const row = (at: number): JSX.Element => {
    const index = found ? found[at]! : at;
    const line = lines[index]!;
    return (
      <div
        key={index}
        id={`kernel-log-${index}`}
        class={`row level-${levelOf(index)} ${index === chosen ? "chosen" : ""} ${pointedAt.has(index) ? "pointed" : ""} ${conflictAt.has(index) ? "differs" : ""} ${beginsBoot(index) ? "boot" : ""}`}
        role="option"
        aria-selected={index === chosen}
        aria-posinset={at + 1}
        aria-setsize={total}
        onClick={() => {
          chosenLine.value = index;
        }}
      >
        <span class="number">{index + firstLine}</span>
        {timeline.length > 0 && <span class="marks">{marksOf(index)}</span>}
        <span class="line">
          <Safe of={line.length > MAX_SHOWN ? line.slice(0, MAX_SHOWN) : line} mark={wanted} />
          {line.length > MAX_SHOWN && <span class="esc">… {count(line.length - MAX_SHOWN)} more characters</span>}
        </span>
      </div>
    );
  };
  const chosenText = lines[chosen];
  return (
    <Section
      id="log"
      title={timeline.length > 0 ? "Log of all sources" : "Kernel log"}
      note={`${found ? `${count(total)} of ` : ""}${plural(lines.length, "line")}${firstLine > 1 ? `, the end of ${count(firstLine - 1 + lines.length)}` : ""}${report.log.lost > 0 ? `, ${count(report.log.lost)} lost` : ""}`}
      tools={
        <>
          <SearchBox
            value={logSearch.value}
            onValue={(value) => {
              logSearch.value = value;
            }}
            label="Search the log"
            onEnter={() => list.current?.focus()}
          />
          <select
            aria-label="Level"
            title={exactLevels ? "The kernel's own levels" : "This log has no levels; they are guessed from the words"}
            value={String(level)}
            onChange={(event) => {
              logLevel.value = Number(event.currentTarget.value);
            }}
          >
            {FILTERS.map((filter) => (
              <option value={String(filter.level)}>{filter.title}</option>
            ))}
          </select>
          {timeline.length > 0 && <SourceFilter />}
          <button type="button" onClick={download} title="Save the log as a text file">
            Save
          </button>
        </>
      }
    >
      <VirtualList
        count={total}
        most={lines.length}
        rowHeight={ROW}
        row={row}
        label="kernel log"
        handle={list}
        class="log"
        active={chosen}
      />
      {total === 0 && <p class="dim">No line matches.</p>}
      {chosenText !== undefined && (
        <div class="chosen-line" aria-live="polite">
          <span class="dim">
            line {chosen + firstLine}, {exactLevels ? "" : "by its words "}
            {LEVEL_NAMES[levelOf(chosen)]}
            {found && (place >= total || found[place] !== chosen) ? ", hidden by the filter" : ""}
          </span>
          <pre>
            <Safe of={chosenText.slice(0, MAX_CHOSEN)} mark={wanted} />
          </pre>
          <Sources index={chosen} />
          <Addresses line={chosenText} />
        </div>
      )}
      {!exactLevels && <p class="dim screen-only">Levels are guessed from the words; this log does not keep them.</p>}
      <PrintedLog />
    </Section>
  );
}

/** Whether the capture kernel's lines begin here. */
function beginsBoot(index: number): boolean {
  return index > 0 && timeline[index]?.boot !== timeline[index - 1]?.boot;
}

function SourceFilter(): JSX.Element {
  return (
    <select
      aria-label="Source"
      title="Lines of one source"
      value={String(logSource.value)}
      onChange={(event) => {
        logSource.value = Number(event.currentTarget.value);
      }}
    >
      <option value={String(ALL)}>All sources</option>
      {incident!.sources.slice(0, 100).map((source, i) => (
        <option value={String(i)}>{visible(`${markOf(i)} ${shortName(source.source)}`)}</option>
      ))}
      {conflictAt.size > 0 && <option value={String(DIFFERING)}>Where sources differ</option>}
    </select>
  );
}

/** The end of a path, the record before one. */
function shortName(source: string): string {
  const [record, path] = source.split(" in /");
  const name = path === undefined ? source.slice(source.lastIndexOf("/") + 1) : record!;
  return name.length > 40 ? `${name.slice(0, 39)}…` : name;
}

/** Where a line is from, and how else sources have it. */
function Sources({ index }: { index: number }): JSX.Element | null {
  const line = timeline[index];
  const known = incident;
  if (!line || !known) return null;
  const conflict = known.conflicts[conflictAt.get(index) ?? -1];
  const boot = known.boots[line.boot];
  return (
    <ul class="addresses">
      {conflict?.readings.slice(1).map(({ text, sources }) => (
        <li>
          <span class="tag warn">{sources.map(markOf).join("")} differs</span>{" "}
          <code>
            <Safe of={text} />
          </code>
        </li>
      ))}
      {line.sources.map((source, i) => (
        <li class="dim">
          <span class="marks">{markOf(source)}</span> <Safe of={known.sources[source]?.source ?? ""} />, line {String(line.lines[i] ?? "")}
          {i === 0 && boot ? `, ${boot.role} kernel` : ""}
        </li>
      ))}
    </ul>
  );
}

/** What addresses in a line point at. */
function Addresses({ line }: { line: string }): JSX.Element | null {
  const known = report.log.addresses;
  const found = [...new Set(line.slice(0, MAX_CHOSEN).match(/\b(?:0x)?[0-9a-f]{8,16}\b/gi))].flatMap((address) => {
    const what = [address, address.toLowerCase(), `0x${address.toLowerCase().replace(/^0x/, "")}`].find((key) => Object.hasOwn(known, key));
    return what === undefined ? [] : [{ address, what: known[what]! }];
  });
  if (found.length === 0) return null;
  return (
    <ul class="addresses">
      {found.map(({ address, what }) => (
        <li>
          <code>{address}</code>{" "}
          <span class="hint">
            <Safe of={what} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function download(): void {
  save(
    "kernel-log.txt",
    new Blob([timeline.length > 0 ? lines.map((line) => `${line}\n`).join("") : report.log.text], { type: "text/plain;charset=utf-8" }),
  );
}

/** Offers `content` as a file. */
export function save(name: string, content: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** On paper: all of a short log, else its end and the lines around the crash. */
const PRINTED = 400;

function PrintedLog(): JSX.Element {
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const fill = (): void => {
      const element = box.current;
      if (!element || element.textContent !== "") return;
      const from = Math.max(0, lines.length - PRINTED);
      const crash = crashLine === null || crashLine < firstLine ? null : crashLine - firstLine + 1;
      const text: string[] = [];
      if (crash !== null && crash - 1 < from) {
        const start = Math.max(0, crash - 11);
        const end = Math.min(from, crash + 60);
        if (start > 0) text.push(`... ${start} lines`);
        text.push(...lines.slice(start, end).map((line) => visible(line)));
        if (from > end) text.push(`... ${from - end} lines`);
      } else if (from > 0) text.push(`... ${from} lines`);
      text.push(...lines.slice(from).map((line) => visible(line)));
      element.textContent = text.join("\n");
    };
    addEventListener("beforeprint", fill);
    return () => removeEventListener("beforeprint", fill);
  }, []);
  return <pre class="print-only printed-log" ref={box} />;
}
