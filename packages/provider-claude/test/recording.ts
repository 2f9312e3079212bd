/** Recordings of the real program (`recorder.ts`): what it said, with what was asked of it in between. */
import { TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { readFileSync } from "node:fs"
import * as Conversation from "../src/Conversation.ts"
import type { Native } from "../src/protocol.ts"
import { understand } from "../src/requests.ts"
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

export const conversation = () => Conversation.make({ sessionId: "s", costBefore: 0 })

/** Plays a recording; what was asked of the program is told to the conversation as the session tells it. */
export const play = (lines: ReadonlyArray<Line>, heard = conversation()): ReadonlyArray<ProviderEvent> => {
  let held: ReturnType<typeof understand> = null
  return lines.flatMap((line) => {
    if ("recv" in line) return heard.hear({ ...line.recv, session_id: "s" })
    if ("ask" in line) {
      const { tool, input, context } = line.ask
      held = understand(tool, input, context)
      return held === null ? [] : heard.asked(held)
    }
    const turn = heard.active()
    if (line.send === "interrupt" && turn !== null) turn.interruptAsked = true
    if (line.send === "answer" && held !== null) heard.release(held.key, line.behavior !== "allow")
    if (line.send === "prompt") heard.sendBegan(line.uuid, TurnId.make(`turn-of-${line.uuid}`))
    return []
  })
}
