/** What the reader does with the page. */
import { type Signal, signal } from "@preact/signals";
import { firstLine } from "./data.ts";

export type Theme = "light" | "dark";

const KEY = "lastwords-theme";

function storedTheme(): Theme | null {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === "light" || stored === "dark" ? stored : null;
  } catch {
    // Some browsers give pages from disk no storage.
    return null;
  }
}

/** Null: as the system has it. */
export const theme: Signal<Theme | null> = signal(storedTheme());

export function applyTheme(): void {
  if (theme.value === null) delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
}

export function toggleTheme(): void {
  const dark = theme.value === null ? matchMedia("(prefers-color-scheme: dark)").matches : theme.value === "dark";
  theme.value = dark ? "light" : "dark";
  applyTheme();
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // It lasts as long as the page, then.
  }
}

/** The open overlay. */
export const overlay: Signal<"help" | "sections" | null> = signal(null);

/** Id of the section that is being read. */
export const currentSection: Signal<string> = signal("");

export const logSearch: Signal<string> = signal("");
/** Only lines of this level or worse; 7 is all. */
export const logLevel: Signal<number> = signal(7);
/** Only lines of this source; -1 is all. */
export const logSource: Signal<number> = signal(-1);
/** Index of the chosen line; -1 for none. */
export const chosenLine: Signal<number> = signal(-1);

/** The log's view, while it is on the page: brings a line into sight. */
export const logView: { show: (line: number, focus: boolean) => void } = { show: () => undefined };

/** Chooses a line of the log, counted from 1, lifts filters that hide it, and shows it. */
export function goToLine(line: number): void {
  logSearch.value = "";
  logLevel.value = 7;
  logSource.value = -1;
  chosenLine.value = line - firstLine;
  document.getElementById("log")?.scrollIntoView({ block: "start" });
  // After the filters are gone from the list.
  requestAnimationFrame(() => logView.show(line - firstLine, true));
}
