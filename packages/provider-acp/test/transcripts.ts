/** What was recorded of real agents. Versions: `README.md`. */
import { readdirSync, readFileSync } from "node:fs"

export type Frame = Readonly<Record<string, unknown>>
export type Line = { readonly send: Frame } | { readonly recv: Frame } | { readonly exit: unknown }

const directory = new URL("transcripts/", import.meta.url)

export const names = readdirSync(directory)
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => name.slice(0, -".jsonl".length))

export const recording = (name: string): ReadonlyArray<Line> =>
  readFileSync(new URL(`${name}.jsonl`, directory), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line)
