/** The serial line of a machine in which one kernel died and another may have begun. */

/** Whether a line of the text is that line, whatever stands before it in brackets: time, caller. */
export function says(text: string, line: RegExp): boolean {
  return text.split("\n").some((each) => line.test(each.replace(/^(?:\[[^\]]*\]\s*)+/, "")));
}

/** The text up to where a kernel introduces itself for the second time, and from there on. */
export function splitAtCapture(text: string): readonly [crashed: string, capture: string | undefined] {
  const banners = [...text.matchAll(/^(?:\[[^\]]*\]\s*)*Linux version /gm)];
  const second = banners[1]?.index;
  return second === undefined ? [text, undefined] : [text.slice(0, second), text.slice(second)];
}
