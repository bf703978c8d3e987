/** The page by keyboard. */
import { firstLine } from "./data.ts";
import { filterLines, levelOf, lines, lowerBound } from "./log-lines.ts";
import { goToSection, sections } from "./sections.ts";
import { chosenLine, currentSection, goToLine, logLevel, logSearch, logSource, logView, overlay, toggleTheme } from "./state.ts";

export function listenToKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (overlay.value === "sections") {
      const section = sections.find((section) => section.key === event.key);
      if (section) {
        event.preventDefault();
        goToSection(section.id);
      }
      return;
    }
    const target = event.target instanceof HTMLElement ? event.target : null;
    if (overlay.value !== null || target?.matches("input, select, textarea")) return;
    const action = ACTIONS[event.key];
    const inLog = target?.closest(".log") !== null && target !== null;
    if (action) {
      event.preventDefault();
      action();
    } else if (inLog && event.key === "ArrowDown") {
      event.preventDefault();
      moveLine(1);
    } else if (inLog && event.key === "ArrowUp") {
      event.preventDefault();
      moveLine(-1);
    } else if (inLog && event.key === "Escape" && (logSearch.value !== "" || logLevel.value < 7 || logSource.value !== -1)) {
      // Back to the whole log, at the same line.
      goToLine(chosenLine.value + firstLine);
    }
  });
}

const ACTIONS: Readonly<Record<string, () => void>> = {
  "/": focusSearch,
  j: () => moveLine(1),
  k: () => moveLine(-1),
  n: () => nextError(1),
  N: () => nextError(-1),
  g: () => (overlay.value = "sections"),
  t: toggleTheme,
  "?": () => (overlay.value = "help"),
};

function focusSearch(): void {
  const here = document.querySelector<HTMLInputElement>(`#${currentSection.value || "log"} input[type=search]`);
  const field = here ?? document.querySelector<HTMLInputElement>("#log input[type=search]");
  field?.focus();
  field?.select();
}

function choose(line: number): void {
  chosenLine.value = line;
  const box = document.querySelector("#log .virtual");
  const place = box?.getBoundingClientRect();
  if (place && (place.top < 0 || place.bottom > innerHeight)) document.getElementById("log")?.scrollIntoView({ block: "start" });
  logView.show(line, false);
}

function moveLine(step: 1 | -1): void {
  if (lines.length === 0) return;
  const found = filterLines(logSearch.value.toLowerCase(), logLevel.value, logSource.value);
  const total = found ? found.length : lines.length;
  if (total === 0) return;
  const chosen = chosenLine.value;
  // The first key begins at the end, where crashes are.
  let place = chosen < 0 ? total - 1 : found ? lowerBound(found, chosen) : chosen;
  if (chosen >= 0 && (step < 0 || !found || found[place] === chosen)) place += step;
  place = Math.max(0, Math.min(total - 1, place));
  choose(found ? found[place]! : place);
}

function nextError(step: 1 | -1): void {
  for (
    let line = chosenLine.value < 0 ? (step > 0 ? 0 : lines.length - 1) : chosenLine.value + step;
    line >= 0 && line < lines.length;
    line += step
  ) {
    if (levelOf(line) > 3) continue;
    choose(line);
    return;
  }
}
