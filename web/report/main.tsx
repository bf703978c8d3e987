/** The report as a page. Everything it shows is in this file; it asks nobody for anything. */
import { Component, type ComponentChildren, type JSX, render } from "preact";
import { useEffect } from "preact/hooks";
import { report } from "./data.ts";
import { visible } from "./escape.ts";
import { listenToKeys } from "./keys.ts";
import { sections } from "./sections.ts";
import { applyTheme, currentSection, goToLine } from "./state.ts";
import { EvidenceSection, MissingSection } from "./view/evidence.tsx";
import { CaptureSection, FactsSection, FindingSection } from "./view/finding.tsx";
import { Head } from "./view/head.tsx";
import { ModulesSection, NotesSection, RecordsSection } from "./view/kept.tsx";
import { LogSection } from "./view/log.tsx";
import { MemorySection } from "./view/memory.tsx";
import { SourcesSection } from "./view/sources.tsx";
import { Overlay } from "./view/overlay.tsx";
import { CodeSection, RegistersSection, TraceSection } from "./view/panic.tsx";
import { moveReceipt, ReceiptBox } from "./view/receipt.tsx";
import { CpusSection, StuckSection, TasksSection } from "./view/tasks.tsx";
import "./style.css";

const VIEWS: Readonly<Record<string, () => JSX.Element | null>> = {
  evidence: EvidenceSection,
  missing: MissingSection,
  finding: FindingSection,
  capture: CaptureSection,
  trace: TraceSection,
  registers: RegistersSection,
  code: CodeSection,
  sources: SourcesSection,
  log: LogSection,
  cpus: CpusSection,
  stuck: StuckSection,
  tasks: TasksSection,
  memory: MemorySection,
  facts: FactsSection,
  modules: ModulesSection,
  records: RecordsSection,
  notes: NotesSection,
};

function Page(): JSX.Element {
  useEffect(followReading, []);
  return (
    <>
      <a class="skip" href="#evidence">
        Skip to the evidence
      </a>
      <Head />
      <div class="body">
        <Contents />
        <main>
          {sections.map(({ id }) => {
            const View = VIEWS[id]!;
            return (
              <Guard key={id} id={id}>
                <View />
              </Guard>
            );
          })}
          <footer class="dim">
            {report.tool.name} {report.tool.version} · {report.schema} · this file fetches nothing
          </footer>
        </main>
      </div>
      <Overlay />
      <ReceiptBox />
    </>
  );
}

/** A part that cannot be drawn, of a report that is not as it should be, does not take the others along. */
class Guard extends Component<{ id: string; children: ComponentChildren }, { failed: boolean }> {
  override state = { failed: false };
  override componentDidCatch(): void {
    this.setState({ failed: true });
  }
  override render(): ComponentChildren {
    if (!this.state.failed) return this.props.children;
    return (
      <section id={this.props.id}>
        <p class="dim">This part of the report ({this.props.id}) is not as this page knows it, and is not shown.</p>
      </section>
    );
  }
}

function Contents(): JSX.Element {
  return (
    <nav class="contents" aria-label="Sections">
      <ul>
        {sections.map((section) => (
          <li>
            <a href={`#${section.id}`} aria-current={currentSection.value === section.id ? "true" : undefined}>
              {section.title}
              {section.count !== "" && <span class="dim">{section.count}</span>}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** Keeps {@link currentSection} at the section that stands at the top of the window. */
function followReading(): () => void {
  const find = (): void => {
    moveReceipt();
    const edge = Math.min(160, innerHeight / 3);
    let current = sections[0]?.id ?? "";
    for (const { id } of sections) {
      const element = document.getElementById(id);
      if (element && element.getBoundingClientRect().top <= edge) current = id;
    }
    // The last one may be too short to reach the top.
    if (scrollY > 0 && innerHeight + scrollY >= document.documentElement.scrollHeight - 2) current = sections.at(-1)?.id ?? current;
    if (current === currentSection.value) return;
    currentSection.value = current;
    const link = document.querySelector<HTMLElement>(`.contents a[href="#${current}"]`);
    const list = link?.closest("ul");
    // On a phone the list of sections is a strip that scrolls.
    if (link && list && list.scrollWidth > list.clientWidth) list.scrollTo({ left: link.offsetLeft - 40 });
  };
  find();
  addEventListener("scroll", find, { passive: true });
  addEventListener("resize", find);
  return () => {
    removeEventListener("scroll", find);
    removeEventListener("resize", find);
  };
}

/** `#L259` is a line of the log. */
function followHash(): void {
  const match = /^#L(\d+)$/.exec(location.hash);
  if (match) goToLine(Number(match[1]));
}

document.title = visible(report.title === "" ? "lastwords report" : `${report.title} · lastwords`);
applyTheme();
render(<Page />, document.getElementById("app")!);
listenToKeys();
addEventListener("hashchange", followHash);
// A second click on the same link changes nothing in the address.
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a.line-link") : null;
  if (link?.getAttribute("href") === location.hash) followHash();
});
followHash();
// An address that names a section was looked for before there were any.
if (/^#[a-z]+$/.test(location.hash)) document.getElementById(location.hash.slice(1))?.scrollIntoView();
