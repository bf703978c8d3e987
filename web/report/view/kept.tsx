import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { PageDump } from "../../../src/report/page-data.ts";
import type { NoteReport } from "../../../src/report/model.ts";
import { dumps, report } from "../data.ts";
import { bytes, count, plural, time } from "../words.ts";
import { save } from "./log.tsx";
import { Safe } from "./safe.tsx";
import { SearchBox, Section } from "./section.tsx";
import { VirtualList } from "./virtual-list.tsx";

const ROW = 18;

/** What pstore's backends kept. */
export function RecordsSection(): JSX.Element {
  return (
    <Section id="records" title="Records" note={`${plural(report.records.length, "record")} that outlived the crash`}>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>record</th>
              <th class="num">size</th>
              <th>time</th>
              <th>from</th>
              <th>state</th>
            </tr>
          </thead>
          <tbody>
            {report.records.slice(0, 1000).map((record) => (
              <tr>
                <td class="mono">
                  <Safe of={record.name} />
                </td>
                <td class="num">{bytes(record.size)}</td>
                <td>{record.time !== null && <Safe of={time(record.time)} />}</td>
                <td class="path">
                  <Safe of={`${record.backend}: ${record.source}`} />
                </td>
                <td>
                  <span class={`tag ${record.state === "kept" ? "good" : "warn"}`}>{record.state}</span>
                  {record.problems.map((problem) => (
                    <div class="dim">
                      <Safe of={problem} />
                    </div>
                  ))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}

/** Device dumps with their bytes, and the other notes. */
export function NotesSection(): JSX.Element {
  const devices = report.notes.flatMap((note, index) => (note.device === null ? [] : [{ note, index }]));
  return (
    <Section
      id="notes"
      title="Device dumps and notes"
      note={`${devices.length > 0 ? `${plural(devices.length, "device dump")}, ` : ""}${plural(report.notes.length, "note")} in all`}
    >
      {devices.map(({ note, index }) => (
        <DeviceDump note={note} dump={dumps.find((dump) => dump.note === index)} />
      ))}
      <details open={devices.length === 0}>
        <summary>All notes of the dump</summary>
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th class="num">#</th>
                <th>owner</th>
                <th class="num">type</th>
                <th class="num">size</th>
                <th>what</th>
              </tr>
            </thead>
            <tbody>
              {report.notes.slice(0, 2000).map((note, index) => (
                <tr>
                  <td class="num">{index}</td>
                  <td>
                    <Safe of={note.name} />
                  </td>
                  <td class="num mono">0x{note.type.toString(16)}</td>
                  <td class="num">{count(note.size)}</td>
                  <td>
                    <Safe of={note.device === null ? note.what : `${note.what} of ${note.device}`} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </Section>
  );
}

function decode(data: string): Uint8Array<ArrayBuffer> {
  try {
    const text = atob(data);
    const content = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) content[i] = text.charCodeAt(i);
    return content;
  } catch {
    return new Uint8Array(0);
  }
}

function DeviceDump({ note, dump }: { note: NoteReport; dump: PageDump | undefined }): JSX.Element {
  const [open, setOpen] = useState(false);
  const device = note.device ?? "device";
  return (
    <details class="device" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <b class="mono">
          <Safe of={device} />
        </b>
        <span class="dim">{bytes(dump?.size ?? note.size)}</span>
      </summary>
      {dump ? (
        open && <Hex data={dump} name={device} />
      ) : (
        <p class="dim">Its content is not in this file; `lastwords notes --extract` writes it.</p>
      )}
    </details>
  );
}

function hexOf(content: Uint8Array, at: number): { hex: string; text: string } {
  let hex = "";
  let text = "";
  for (let i = at; i < at + 16; i++) {
    if (i > at) hex += (i - at) % 8 === 0 ? "  " : " ";
    const value = content[i];
    hex += value === undefined ? "  " : value.toString(16).padStart(2, "0");
    if (value !== undefined) text += value >= 0x20 && value < 0x7f ? String.fromCharCode(value) : ".";
  }
  return { hex, text };
}

function Hex({ data, name }: { data: PageDump; name: string }): JSX.Element {
  const content = useMemo(() => decode(data.data), [data]);
  return (
    <>
      <p class="hex-tools">
        <button
          type="button"
          onClick={() =>
            save(`${name.replaceAll(/[^A-Za-z0-9._-]+/g, "_")}.bin`, new Blob([content], { type: "application/octet-stream" }))
          }
        >
          Download {bytes(content.length)}
        </button>
        {content.length < data.size && (
          <span class="dim">
            the first {bytes(content.length)} of {bytes(data.size)}; `lastwords notes --extract` writes all
          </span>
        )}
      </p>
      <VirtualList
        count={Math.ceil(content.length / 16)}
        rowHeight={ROW}
        label="bytes of the device dump"
        class="hex"
        row={(index) => {
          const { hex, text } = hexOf(content, index * 16);
          return (
            <div key={index} class="row" role="option" aria-selected={false}>
              <span class="number">{(index * 16).toString(16).padStart(8, "0")}</span>
              <span class="line">
                {hex} <span class="ascii">{text}</span>
              </span>
            </div>
          );
        }}
      />
    </>
  );
}

export function ModulesSection(): JSX.Element {
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const found = report.modules.filter((module) => module.name.toLowerCase().includes(wanted));
  return (
    <Section
      id="modules"
      title="Modules"
      note={plural(report.modules.length, "module")}
      tools={report.modules.length > 10 ? <SearchBox value={search} onValue={setSearch} label="Module" /> : undefined}
    >
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>module</th>
              <th class="num">size</th>
              <th>address</th>
              <th>state</th>
              <th>taint</th>
              <th>version</th>
            </tr>
          </thead>
          <tbody>
            {found.slice(0, 1000).map((module) => (
              <tr>
                <td class="mono">
                  <b>
                    <Safe of={module.name} mark={wanted} />
                  </b>
                </td>
                <td class="num">{module.size !== null && bytes(module.size)}</td>
                <td class="mono dim">
                  <Safe of={module.address ?? ""} />
                </td>
                <td>
                  <Safe of={module.state} />
                </td>
                <td>
                  {module.taint !== "" && (
                    <span class="tag warn">
                      <Safe of={module.taint} />
                    </span>
                  )}
                </td>
                <td>{module.version !== null && <Safe of={module.version} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {found.length === 0 && <p class="dim">No module matches.</p>}
    </Section>
  );
}
