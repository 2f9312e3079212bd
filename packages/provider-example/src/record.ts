/**
 * What the agent's own record says of a message. This is what makes it certain that no message is sent twice:
 * after a crash the record is asked, and nothing is guessed.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Evidence, RecordedText } from "@turnkeeper/domain/thread/Owed"
import type { EvidenceQuery } from "@turnkeeper/provider-kit/Provider"
import { Effect, Option, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { Recorded } from "./protocol.ts"

const entriesOf = (text: string) => text.split("\n").flatMap((line) => Option.toArray(decode(line)))

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Recorded))

/** `isLive`: whether a process of ours works on this conversation right now. */
export const evidence = (
  home: string,
  { resume, turnId }: EvidenceQuery,
  isLive: (conversation: string) => boolean
): Effect.Effect<Evidence> => {
  if (resume === null || !/^[\w-]+$/.test(resume)) {
    return Effect.succeed({ type: "none", message: "There is no conversation to look into." })
  }
  return Effect.tryPromise(() => readFile(join(home, `${resume}.jsonl`), "utf8")).pipe(
    Effect.map((text) => judge(entriesOf(text), turnId, isLive(resume))),
    Effect.catch(() => Effect.succeed<Evidence>({ type: "none", message: "The record cannot be read." }))
  )
}

const judge = (entries: ReadonlyArray<Recorded>, name: string, isLive: boolean): Evidence => {
  const at = entries.findIndex((entry) => "prompt" in entry && entry.prompt === name)
  const prompt = entries[at]
  if (prompt === undefined || !("turn" in prompt)) return { type: "absent" }
  const providerTurnId = ProviderTurnId.make(prompt.turn)
  const after = entries.slice(at)
  const ofTurn = after.filter((entry) => "turn" in entry && entry.turn === prompt.turn)
  const end = ofTurn.find((entry) => "how" in entry)
  // Without an end, either it runs, or it was cut off with a process: then there is none, or another one.
  const isRunning = end === undefined && isLive && !after.some((entry) => "opened" in entry)
  if (isRunning) return { type: "found", providerTurnId, running: true }
  return {
    type: "found",
    providerTurnId,
    running: false,
    outcome: end !== undefined && "how" in end ? end.how : "interrupted",
    message: end !== undefined && "how" in end ? end.why : null,
    texts: ofTurn.flatMap((entry) => ("text" in entry ? [textOf(entry)] : []))
  }
}

const textOf = ({ item, text }: { readonly item: string; readonly text: string }): RecordedText => ({
  kind: "assistant_message",
  providerItemId: item,
  text
})
