/** Unified diffs as lines to draw. Pure, bounded: what is beyond the bound is counted, not drawn. */
import { parsePatch } from "diff"
import type { FileChange } from "./details.ts"

export interface DiffLine {
  readonly type: "add" | "remove" | "same" | "gap"
  readonly text: string
  /** Line numbers before and after; null where the diff does not tell. */
  readonly before: number | null
  readonly after: number | null
}

export interface Diff {
  readonly lines: ReadonlyArray<DiffLine>
  readonly added: number
  readonly removed: number
  /** Lines that are not in `lines`. */
  readonly beyond: number
}

export const diffLinesMax = 2_000

export const diffOf = ({ diff, kind }: FileChange): Diff | null => {
  if (diff === null) return null
  const lines = hunksOf(diff) ?? looseLines(diff, kind)
  return {
    lines: lines.slice(0, diffLinesMax),
    added: lines.filter((line) => line.type === "add").length,
    removed: lines.filter((line) => line.type === "remove").length,
    beyond: Math.max(0, lines.length - diffLinesMax)
  }
}

/** Null where the text is no unified diff: one that was cut, or a whole file. */
const hunksOf = (diff: string): ReadonlyArray<DiffLine> | null => {
  if (!/^@@ -\d/m.test(diff)) return null
  try {
    return parsePatch(diff).flatMap((file) =>
      file.hunks.flatMap((hunk, index): ReadonlyArray<DiffLine> => {
        let before = hunk.oldStart
        let after = hunk.newStart
        const gap: ReadonlyArray<DiffLine> =
          index === 0 ? [] : [{ type: "gap", text: "", before: null, after: null }]
        return [
          ...gap,
          ...hunk.lines.flatMap((line): ReadonlyArray<DiffLine> => {
            const text = line.slice(1)
            if (line.startsWith("+")) return [{ type: "add", text, before: null, after: after++ }]
            if (line.startsWith("-")) return [{ type: "remove", text, before: before++, after: null }]
            if (line.startsWith("\\")) return []
            return [{ type: "same", text, before: before++, after: after++ }]
          })
        ]
      })
    )
  } catch {
    return null
  }
}

const header = /^(?:diff --git |index [0-9a-f]|--- |\+\+\+ |Index: |={10,}|@@)/

const looseLines = (diff: string, kind: FileChange["kind"]): ReadonlyArray<DiffLine> => {
  const lines = diff.replace(/\n$/, "").split("\n")
  const marked =
    lines.some((line) => /^[+-]/.test(line)) &&
    lines.every((line) => /^(?:[+\- \\@]|$|diff |index |Index)/.test(line))
  if (!marked || kind === "add") {
    const plain = kind === "add" && marked && lines.every((line) => line.startsWith("+"))
    return lines.map((line, index) => ({
      type: kind === "delete" ? "remove" : "add",
      text: plain ? line.slice(1) : line,
      before: kind === "delete" ? index + 1 : null,
      after: kind === "delete" ? null : index + 1
    }))
  }
  return lines
    .filter((line) => !header.test(line))
    .map((line) => ({
      type: line.startsWith("+") ? "add" : line.startsWith("-") ? "remove" : "same",
      text: line.slice(1),
      before: null,
      after: null
    }))
}
