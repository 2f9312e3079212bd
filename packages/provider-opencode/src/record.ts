/**
 * What OpenCode's own record says of a turn. Pure.
 *
 * A turn is a message of the user with everything that answers it: OpenCode makes one assistant message per
 * call of the model. When it shortens the conversation in the middle of a turn, it goes on under a message
 * that it wrote itself in the user's name; that belongs to the same turn.
 *
 * OpenCode never repairs its record: an answer that was cut by the end of the process stays without an end
 * for ever. Whether somebody still works on it is told by the status alone.
 */
import type { TurnId } from "@turnkeeper/domain/ids"
import { TurnId as OurTurnId } from "@turnkeeper/domain/ids"
import type { TurnOutcome } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { RecordedText } from "@turnkeeper/domain/thread/Owed"
import { Schema } from "effect"
import type { AssistantMessage, NativeError, Part, Recorded } from "./protocol.ts"

/** One call of the model, as far as it has come. */
export interface Answer {
  readonly completed: boolean
  readonly error: NativeError | null
  readonly finish: string | null
}

export const answerOf = (message: AssistantMessage): Answer => ({
  completed: message.time.completed !== undefined,
  error: message.error ?? null,
  finish: message.finish ?? null
})

export interface RecordedTurn {
  readonly id: string
  readonly turnId: TurnId | null
  readonly answers: ReadonlyArray<Answer>
  readonly texts: ReadonlyArray<RecordedText>
}

/** The turn that this message of the user began; null when it is not among these messages. */
export const turnIn = (messages: ReadonlyArray<Recorded>, id: string): RecordedTurn | null => {
  const from = messages.findIndex(({ info }) => info.id === id)
  const first = messages[from]
  if (first === undefined) return null
  const asked = new Set([id])
  let others = false
  const answers: Array<Recorded & { info: AssistantMessage }> = []
  for (const { info, parts } of messages.slice(from + 1)) {
    if (info.role === "user") {
      if (!isContinuation(parts)) others = true
      else if (!others) asked.add(info.id)
    } else if (asked.has(info.parentID)) answers.push({ info, parts })
  }
  return {
    id,
    turnId: turnIdOf(first.parts),
    answers: answers.map(({ info }) => answerOf(info)),
    texts: answers.filter(({ info }) => info.summary !== true).flatMap(({ parts }) => parts.flatMap(textOf))
  }
}

/** Written by OpenCode in the user's name: it begins nothing that the user asked for. */
export const isContinuation = (parts: ReadonlyArray<Part>): boolean =>
  parts.length > 0 &&
  parts.every((part) => part.type === "compaction" || (part.type === "text" && part.synthetic === true))

/** Under this name our turn stands beside its text. */
export const turnMark = "turnkeeperTurn"

const isTurnId = Schema.is(OurTurnId)

const turnIdOf = (parts: ReadonlyArray<Part>): TurnId | null =>
  parts
    .map((part) => (part.type === "text" ? part.metadata?.[turnMark] : undefined))
    .find((mark) => isTurnId(mark)) ?? null

const textsMax = 500

const textOf = (part: Part): ReadonlyArray<RecordedText> => {
  if ((part.type !== "text" && part.type !== "reasoning") || part.synthetic === true || part.text === "")
    return []
  // A text without an end was cut, and begun anew behind it.
  if (part.time !== undefined && part.time.end === undefined) return []
  const kind = part.type === "text" ? ("assistant_message" as const) : ("reasoning" as const)
  return [{ kind, providerItemId: part.id, text: part.text }]
}

export const boundedTexts = (texts: ReadonlyArray<RecordedText>) => texts.slice(0, textsMax)

export interface Outcome {
  readonly outcome: TurnOutcome
  readonly message: string | null
}

/**
 * How a turn ended on which nobody works any more. It is completed on the model's own word only: an end
 * without one is how OpenCode records an abort that came between two tries.
 */
export const outcomeOf = (answers: ReadonlyArray<Answer>): Outcome => {
  const last = answers.at(-1)
  if (last === undefined)
    return { outcome: "interrupted", message: "OpenCode ended this turn without an answer." }
  const error = answers.map((answer) => answer.error).findLast((one) => one !== null) ?? null
  if (error !== null) {
    return error.name === aborted
      ? { outcome: "interrupted", message: null }
      : { outcome: "failed", message: errorText(error) }
  }
  if (!last.completed) {
    return { outcome: "interrupted", message: "OpenCode stopped working on this turn before its end." }
  }
  if (last.finish === null) return { outcome: "interrupted", message: null }
  return last.finish === "error"
    ? { outcome: "failed", message: "The model ended its answer with an error." }
    : { outcome: "completed", message: null }
}

const aborted = "MessageAbortedError"

export const isAbort = (error: NativeError): boolean => error.name === aborted

const messageMax = 2_000

/** Total: it is asked while a turn ends, and a turn ends also with an error that has not its shape. */
export const errorText = (error: NativeError): string => {
  const { name, data } = Object(error) as { name?: unknown; data?: { message?: unknown } | null }
  const said = [data?.message, name].find((text) => typeof text === "string")
  return sentenceIn(said ?? "OpenCode reported an error without words.").slice(0, messageMax)
}

/** A model service's refusal is passed on as its raw JSON body: a person reads the sentence inside. */
export const sentenceIn = (text: string): string => {
  if (!text.startsWith("{")) return text
  try {
    const { message, error } = Object(JSON.parse(text)) as {
      message?: unknown
      error?: { message?: unknown }
    }
    const said = message ?? error?.message
    return typeof said === "string" ? said : text
  } catch {
    return text
  }
}
