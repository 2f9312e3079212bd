/** Recordings of the real program (`recorder.ts`): what it said, with what was asked of it in between. */
import { readFileSync } from "node:fs"
import type { Native } from "../src/protocol.ts"
import type { AskContext } from "../src/sdk.ts"

export type Line =
  | { readonly recv: Native }
  | { readonly send: "prompt"; readonly uuid: string; readonly text: string }
  | { readonly send: "interrupt" }
  | { readonly send: "answer"; readonly behavior: string }
  | {
      readonly ask: {
        readonly tool: string
        readonly input: Readonly<Record<string, unknown>>
        readonly context: Omit<AskContext, "signal">
      }
    }

export const recording = (name: string): ReadonlyArray<Line> =>
  readFileSync(new URL(`transcripts/${name}.jsonl`, import.meta.url), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line)
