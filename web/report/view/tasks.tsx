import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { CpuReport, TaskReport } from "../../../src/report/model.ts";
import { report } from "../data.ts";
import { topOf } from "../noise.ts";
import { count, plural, seconds } from "../words.ts";
import { Safe } from "./safe.tsx";
import { SearchBox, Section } from "./section.tsx";
import { Trace } from "./trace.tsx";

/** Machines have hundreds of CPUs; the first ones are on the page at once. */
const CPUS_AT_ONCE = 32;

export function CpusSection(): JSX.Element {
  const [search, setSearch] = useState("");
  const [limit, setLimit] = useState(CPUS_AT_ONCE);
  const wanted = search.trim().toLowerCase();
  const found = useMemo(() => report.cpus.filter((cpu) => wanted === "" || matchesCpu(cpu, wanted)), [wanted]);
  return (
    <Section
      id="cpus"
      title="CPUs"
      note={wanted === "" ? plural(report.cpus.length, "CPU") : `${found.length} of ${plural(report.cpus.length, "CPU")}`}
      tools={<SearchBox value={search} onValue={setSearch} label="CPU, task or function" />}
    >
      <div class="cpus">
        {found.slice(0, limit).map((cpu) => (
          <CpuCard key={cpu.cpu} cpu={cpu} mark={wanted} />
        ))}
      </div>
      {found.length === 0 && <p class="dim">No CPU matches.</p>}
      <More shown={limit} total={found.length} onMore={() => setLimit(limit + 128)} />
    </Section>
  );
}

function matchesCpu(cpu: CpuReport, wanted: string): boolean {
  return (
    `cpu ${cpu.cpu} ${cpu.task ? `${cpu.task.comm} pid ${cpu.task.pid}` : ""}`.toLowerCase().includes(wanted) ||
    cpu.frames.some((frame) => frame.symbol?.toLowerCase().includes(wanted))
  );
}

function CpuCard({ cpu, mark }: { cpu: CpuReport; mark: string }): JSX.Element {
  const crashed = cpu.cpu === report.panic.cpu;
  return (
    <details class={`cpu ${crashed ? "crashed" : ""}`} open={report.cpus.length <= 4 && !crashed}>
      <summary>
        <b>CPU {cpu.cpu}</b>
        <span class="cpu-task">
          {cpu.task ? (
            <>
              <Safe of={cpu.task.comm} mark={mark} /> <span class="dim">pid {cpu.task.pid}</span>
            </>
          ) : (
            <span class="dim">no task known</span>
          )}
        </span>
        <code class="top">
          <Safe of={topOf(cpu.frames)} mark={mark} />
        </code>
        {crashed && <span class="tag bad">crashed</span>}
        {cpu.registers === "none" && <span class="tag warn">never answered</span>}
      </summary>
      <Trace frames={cpu.frames} mark={mark} />
    </details>
  );
}

function More({ shown, total, onMore }: { shown: number; total: number; onMore: () => void }): JSX.Element | null {
  if (total <= shown) return null;
  return (
    <p class="more">
      <button type="button" onClick={onMore}>
        {count(total - shown)} more
      </button>
    </p>
  );
}

export function StuckSection(): JSX.Element {
  return (
    <Section id="stuck" title="Stuck tasks" note="they wait uninterruptibly (D), longest first">
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th class="num">pid</th>
              <th>task</th>
              <th class="num">for</th>
              <th>waits in</th>
            </tr>
          </thead>
          <tbody>
            {report.stuck.slice(0, 500).map((task) => (
              <tr>
                <td class="num">{task.pid}</td>
                <td>
                  <Safe of={task.comm} />
                </td>
                <td class="num">{task.seconds === null ? "" : seconds(task.seconds)}</td>
                <td class="mono">{task.waitsIn !== null && <Safe of={task.waitsIn} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Section>
  );
}

type Key = "pid" | "comm" | "state" | "cpu" | "ppid" | "top";

interface Row {
  readonly task: TaskReport;
  readonly top: string;
}

const COLUMNS: readonly { readonly key: Key; readonly title: string; readonly number?: true; readonly wide?: true }[] = [
  { key: "pid", title: "pid", number: true },
  { key: "comm", title: "task" },
  { key: "state", title: "state" },
  { key: "cpu", title: "CPU", number: true },
  { key: "ppid", title: "parent", number: true, wide: true },
  { key: "top", title: "in" },
];

/** Thousands of rows make a page slow; search finds among all. */
const ROWS_AT_ONCE = 100;

function valueOf(row: Row, key: Key): string | number {
  if (key === "top") return row.top;
  return row.task[key] ?? -1;
}

export function TasksSection(): JSX.Element {
  const [search, setSearch] = useState("");
  const [sort, setSort] = useState<{ key: Key; down: boolean }>({ key: "pid", down: false });
  const [limit, setLimit] = useState(ROWS_AT_ONCE);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo<readonly Row[]>(() => report.tasks.map((task) => ({ task, top: topOf(task.frames) })), []);
  const wanted = search.trim().toLowerCase();
  const found = useMemo(() => {
    const matching = rows.filter(({ task }) => wanted === "" || matchesTask(task, wanted));
    const sign = sort.down ? -1 : 1;
    return matching.sort((a, b) => {
      const left = valueOf(a, sort.key);
      const right = valueOf(b, sort.key);
      const order =
        typeof left === "number" && typeof right === "number" ? left - right : String(left) < String(right) ? -1 : left === right ? 0 : 1;
      return order === 0 ? a.task.pid - b.task.pid : order * sign;
    });
  }, [rows, wanted, sort]);
  const toggle = (address: string): void => {
    const next = new Set(open);
    if (!next.delete(address)) next.add(address);
    setOpen(next);
  };
  return (
    <Section
      id="tasks"
      title="Tasks"
      note={wanted === "" ? plural(rows.length, "task") : `${count(found.length)} of ${plural(rows.length, "task")}`}
      tools={<SearchBox value={search} onValue={setSearch} label="pid, name, state or function" />}
    >
      <div class="scroll">
        <table class="tasks">
          <thead>
            <tr>
              {COLUMNS.map(({ key, title, number, wide }) => (
                <th
                  class={`${number ? "num" : ""} ${wide ? "wide" : ""}`}
                  aria-sort={sort.key === key ? (sort.down ? "descending" : "ascending") : "none"}
                >
                  <button type="button" class="sort" onClick={() => setSort({ key, down: sort.key === key && !sort.down })}>
                    {title}
                    <span aria-hidden="true">{sort.key === key ? (sort.down ? " ↓" : " ↑") : ""}</span>
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {found.slice(0, limit).map(({ task, top }) => {
              const shown = open.has(task.address);
              return (
                <>
                  <tr key={task.address} class={`task ${task.running ? "running" : ""}`} onClick={() => toggle(task.address)}>
                    <td class="num">{task.pid}</td>
                    <td>
                      <button
                        type="button"
                        class="quiet"
                        aria-expanded={shown}
                        onClick={(event) => {
                          event.stopPropagation();
                          toggle(task.address);
                        }}
                      >
                        <span class="chevron" aria-hidden="true" />
                        {task.kernelThread ? "[" : ""}
                        <Safe of={task.comm} mark={wanted} />
                        {task.kernelThread ? "]" : ""}
                      </button>
                    </td>
                    <td>
                      <span class={`state state-${/^[A-Z]/.exec(task.state)?.[0] ?? "x"}`}>
                        <Safe of={task.state} />
                      </span>
                    </td>
                    <td class="num">{task.cpu ?? ""}</td>
                    <td class="num wide">{task.ppid ?? ""}</td>
                    <td class="mono top">
                      <Safe of={top} mark={wanted} />
                    </td>
                  </tr>
                  {shown && (
                    <tr class="opened" key={`${task.address} trace`}>
                      <td colSpan={COLUMNS.length}>
                        <p class="dim">
                          task_struct at <code>{task.address}</code>, tgid {task.tgid}
                          {task.end !== "user" && task.end !== "end" && task.end !== "" && (
                            <>
                              ; the walk ended: <Safe of={task.end} />
                            </>
                          )}
                        </p>
                        <Trace frames={task.frames} mark={wanted} />
                      </td>
                    </tr>
                  )}
                </>
              );
            })}
          </tbody>
        </table>
      </div>
      {found.length === 0 && <p class="dim">No task matches.</p>}
      <More shown={limit} total={found.length} onMore={() => setLimit(limit + 500)} />
    </Section>
  );
}

function matchesTask(task: TaskReport, wanted: string): boolean {
  return (
    String(task.pid) === wanted ||
    task.comm.toLowerCase().includes(wanted) ||
    task.state.toLowerCase() === wanted ||
    task.frames.some((frame) => frame.symbol?.toLowerCase().includes(wanted))
  );
}
