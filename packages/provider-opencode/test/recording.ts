/** Recordings of the real program: its events, with what was asked of it in between. */
import { readFileSync } from "node:fs"
import type { Native } from "../src/protocol.ts"

export type Line =
  | Native
  | { readonly note: string }
  | { readonly send: "prompt"; readonly text: string; readonly messageID: string | null }
  | { readonly send: "abort" }
  | { readonly send: "reply"; readonly id: string; readonly reply: string }

export const recording = (name: string): ReadonlyArray<Line> =>
  readFileSync(new URL(`transcripts/${name}.jsonl`, import.meta.url), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line)

/** The lines from the first one that the predicate holds for, up to the next one of its kind. */
export const chapter = (
  lines: ReadonlyArray<Line>,
  isHead: (line: Line) => boolean,
  wanted: (line: Line) => boolean
): ReadonlyArray<Line> => {
  const from = lines.findIndex((line) => isHead(line) && wanted(line))
  if (from < 0) throw new Error("The recording has no such chapter.")
  const length = lines.slice(from + 1).findIndex(isHead)
  return lines.slice(from, length < 0 ? undefined : from + 1 + length)
}

/** A prompt, or the note of another chapter. */
export const isHead = (line: Line): boolean => "note" in line || ("send" in line && line.send === "prompt")

export const prompted = (text: string) => (line: Line) =>
  "send" in line && line.send === "prompt" && line.text === text

export const isNative = (line: Line): line is Native => "type" in line
