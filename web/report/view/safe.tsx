import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { piecesOf } from "../escape.ts";

/** Text of the evidence: never markup, and what would be invisible or reorder its surroundings is spelled out. */
export function Safe({ of, mark = "" }: { of: string; mark?: string }): JSX.Element {
  const pieces = useMemo(() => piecesOf(of, mark), [of, mark]);
  return (
    <bdi>
      {pieces.map((piece) =>
        piece.kind === "text" ? (
          piece.text
        ) : piece.kind === "mark" ? (
          <mark>{piece.text}</mark>
        ) : (
          <span class="esc" title="a character that is not shown as it stands">
            {piece.text}
          </span>
        ),
      )}
    </bdi>
  );
}
