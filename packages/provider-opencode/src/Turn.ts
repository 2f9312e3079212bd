/** One turn of OpenCode's: what was said in it, and what of that is still open. No I/O. */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { ItemKind, ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { HeardItem } from "@turnkeeper/provider-kit/Provider"
import { Deferred, Effect } from "effect"
import type {
  AssistantMessage,
  NativeError,
  Part,
  Status,
  StepFinishPart,
  TextPart,
  ToolPart
} from "./protocol.ts"
import type { Answer } from "./record.ts"
import { answerOf, errorText, outcomeOf, sentenceIn } from "./record.ts"
import { detailOf, endOf, kindOf, outputOf, titleOf } from "./tools.ts"

interface Item {
  readonly kind: ItemKind
  started: boolean
  done: boolean
  text: string
  /** Some of its text was missed: what comes now has no place until the whole text comes. */
  holed: boolean
}

export interface Turn {
  /** The user's message that began it. */
  readonly id: string
  /** Ours, where we know that it carries our message. */
  readonly turnId: TurnId | null
  /**
   * Resolves when OpenCode can be told to abort it: it asks the model, or is over already. An abort while it
   * still loads what its first turn needs leaves it half loaded, and every later turn fails.
   */
  readonly begun: Deferred.Deferred<void>
  readonly over: Deferred.Deferred<void>
  readonly answers: Map<string, Answer>
  /** Answers that are a summary for OpenCode itself. */
  readonly summaries: Set<string>
  readonly items: Map<string, Item>
  /** Messages that OpenCode wrote in the user's name to go on with it. */
  readonly continued: Set<string>
  readonly steps: Set<string>
  busy: boolean
  idle: boolean
  /** Something was said that may be its end, before OpenCode was seen to work on it. */
  suspect: boolean
  error: NativeError | null
  interruptAsked: boolean
}

export interface Begun extends Pick<Turn, "id" | "turnId" | "error"> {
  /** What was told of it before we listened, in a session that went on without us. */
  readonly heard: ReadonlyArray<HeardItem>
}

export const make = ({ error, heard, id, turnId }: Begun): Turn => ({
  id,
  turnId,
  begun: Deferred.makeUnsafe<void>(),
  over: Deferred.makeUnsafe<void>(),
  answers: new Map(),
  summaries: new Set(),
  items: new Map(heard.map(({ kind, providerItemId, text }) => [providerItemId, heardItem(kind, text)])),
  continued: new Set(),
  steps: new Set(),
  busy: false,
  idle: false,
  suspect: false,
  error,
  interruptAsked: false
})

const heardItem = (kind: ItemKind, text: string | null): Item => {
  const open = text !== null
  return { kind, started: true, done: !open, text: text ?? "", holed: open }
}

/** Some of what was said was missed. */
export const missed = ({ items }: Turn): void => {
  for (const item of items.values()) if (!item.done) item.holed = true
}

/** OpenCode wrote this message in the user's name to go on with the turn. */
export const goesOn = ({ continued }: Turn, messageID: string): void => void continued.add(messageID)

/** Its end is asked for: however OpenCode says it then, it is interrupted. */
export const interruptWasAsked = (turn: Turn): void => {
  turn.interruptAsked = true
}

export const allEnded = ({ answers }: Turn): boolean =>
  answers.size > 0 && [...answers.values()].every(({ completed }) => completed)

export const endOfTurn = (turn: Turn) => {
  const ended = outcomeOf([...turn.answers.values()])
  if (ended.outcome !== "interrupted" || turn.error === null || turn.interruptAsked) return ended
  return { outcome: "failed" as const, message: errorText(turn.error) }
}

/** Nothing more will be said of it: whoever waits for it is told. */
export const end = ({ begun, over }: Turn): void => {
  Deferred.doneUnsafe(begun, Effect.void)
  Deferred.doneUnsafe(over, Effect.void)
}

export const failed = (turn: Turn, error: NativeError): void => {
  turn.error = error
  turn.suspect = turn.answers.size === 0
}

export const heardAnswer = (turn: Turn, message: AssistantMessage): void => {
  const known = turn.answers.get(message.id)
  // An answer that has ended stays so, whatever an older copy says.
  if (known?.completed !== true) turn.answers.set(message.id, answerOf(message))
  if (message.summary === true) turn.summaries.add(message.id)
  if (message.time.completed !== undefined) Deferred.doneUnsafe(turn.begun, Effect.void)
}

export const heardStatus = (turn: Turn, status: Status): ReadonlyArray<ProviderEvent> => {
  if (status.type === "idle") {
    // OpenCode says idle twice: the second one may come when the next message is in the record already.
    if (turn.busy || turn.answers.size > 0) turn.idle = true
    else turn.suspect = true
    return []
  }
  turn.busy = true
  turn.idle = false
  turn.suspect = false
  // It says so twice: when it takes the message up, and when it asks the model for the answer it has begun.
  if (turn.answers.size > 0) Deferred.doneUnsafe(turn.begun, Effect.void)
  if (status.type !== "retry") return []
  return [
    {
      type: "error.transient",
      providerTurnId: ProviderTurnId.make(turn.id),
      message: sentenceIn(status.message).slice(0, 2_000),
      attempt: status.attempt,
      limit: null
    }
  ]
}

/** What is known of its tools beside it. */
export interface Tools {
  /** The user said no to this call. */
  readonly isDeclined: (callID: string) => boolean
  readonly note: (part: ToolPart) => void
}

/** A part of one of its answers. */
export const heardPart = (turn: Turn, part: Part, tools: Tools): ReadonlyArray<ProviderEvent> => {
  Deferred.doneUnsafe(turn.begun, Effect.void)
  switch (part.type) {
    case "text":
    case "reasoning":
      return turn.summaries.has(part.messageID) ? heardSummary(turn, part) : heardText(turn, part)
    case "tool":
      return heardTool(turn, part, tools)
    case "step-finish":
      return heardStep(turn, part)
    default:
      return []
  }
}

const heardText = (turn: Turn, part: TextPart): ReadonlyArray<ProviderEvent> => {
  if (part.synthetic === true || part.ignored === true) return []
  const item = itemOf(turn, part.id, part.type === "text" ? "assistant_message" : "reasoning")
  if (item.done) return []
  const said: Array<ProviderEvent> = [
    ...startText(turn, part.id, item, part.text),
    ...more(turn, part.id, item, part.text)
  ]
  if (part.time?.end === undefined || !item.started) return said
  item.done = true
  // What OpenCode cuts off the end of a text is blank: then what was streamed is the text.
  const blank = !item.holed && item.text !== part.text && item.text.trimEnd() === part.text
  const text = blank ? null : part.text
  return [...said, completed(turn, part.id, item.kind, "", "completed", text, {})]
}

const heardSummary = (turn: Turn, part: TextPart): ReadonlyArray<ProviderEvent> => {
  const item = itemOf(turn, part.id, "notice")
  if (item.done || part.type !== "text") return []
  const title = "OpenCode shortened its memory of the conversation"
  const begun = item.started ? [] : [started(turn, part.id, "notice", title, {})]
  item.started = true
  if (part.time?.end === undefined) return begun
  item.done = true
  return [...begun, completed(turn, part.id, "notice", title, "completed", null, {})]
}

const startText = (turn: Turn, id: string, item: Item, text: string): ReadonlyArray<ProviderEvent> => {
  // OpenCode opens a text before the first word: a try that fails at once would leave an empty message.
  if (item.started || text === "") return []
  item.started = true
  return [started(turn, id, item.kind, "", {})]
}

/** The part of the whole text that has not been told yet. */
const more = (turn: Turn, id: string, item: Item, whole: string): ReadonlyArray<ProviderEvent> => {
  if (item.holed || whole.length <= item.text.length || !whole.startsWith(item.text)) return []
  const text = whole.slice(item.text.length)
  item.text = whole
  return [{ type: "text.delta", providerTurnId: ProviderTurnId.make(turn.id), providerItemId: id, text }]
}

export interface PartDelta {
  readonly messageID: string
  readonly partID: string
  readonly field: string
  readonly delta: string
}

export const heardDelta = (
  turn: Turn | null,
  { messageID, partID, field, delta }: PartDelta
): ReadonlyArray<ProviderEvent> => {
  const item = turn?.items.get(partID)
  if (turn === null || item === undefined || item.done || item.holed || field !== "text") return []
  if (item.kind !== "assistant_message" && item.kind !== "reasoning") return []
  if (!turn.answers.has(messageID) || delta === "") return []
  const whole = item.text + delta
  return [...startText(turn, partID, item, delta), ...more(turn, partID, item, whole)]
}

const heardTool = (turn: Turn, part: ToolPart, { isDeclined, note }: Tools): ReadonlyArray<ProviderEvent> => {
  const { status } = part.state
  const item = itemOf(turn, part.id, kindOf(part))
  note(part)
  // Before it runs, its input is not known.
  if (item.done || status === "pending") return []
  const said: Array<ProviderEvent> = []
  if (!item.started) {
    item.started = true
    said.push(started(turn, part.id, item.kind, titleOf(part), detailOf(part, false)))
  }
  const output = outputOf(part)
  if (item.kind === "command" && output !== null) said.push(...more(turn, part.id, item, output))
  if (status === "running") return said
  item.done = true
  const end =
    turn.interruptAsked && status === "completed" && cutCommand(part)
      ? "failed"
      : endOf(part, isDeclined(part.callID))
  return [...said, completed(turn, part.id, item.kind, titleOf(part), end, output, detailOf(part, true))]
}

const heardStep = (turn: Turn, { id, tokens, cost }: StepFinishPart): ReadonlyArray<ProviderEvent> => {
  if (turn.steps.has(id)) return []
  turn.steps.add(id)
  return [
    {
      type: "usage",
      providerTurnId: ProviderTurnId.make(turn.id),
      usage: {
        inputTokens: tokens.input,
        cachedInputTokens: tokens.cache.read,
        outputTokens: tokens.output,
        reasoningTokens: tokens.reasoning,
        ...(cost === undefined ? {} : { costUsd: cost })
      }
    }
  ]
}

/** OpenCode calls a command that it cut off completed, without an exit code. */
const cutCommand = ({ state }: ToolPart): boolean => typeof state.metadata?.["exit"] !== "number"

const itemOf = (turn: Turn, id: string, kind: ItemKind): Item => {
  const known = turn.items.get(id)
  if (known !== undefined) return known
  const item: Item = { kind, started: false, done: false, text: "", holed: false }
  turn.items.set(id, item)
  return item
}

const started = (
  turn: Turn,
  providerItemId: string,
  kind: ItemKind,
  title: string,
  detail: Record<string, unknown>
): ProviderEvent => ({
  type: "item.started",
  providerTurnId: ProviderTurnId.make(turn.id),
  providerItemId,
  kind,
  title,
  detail
})

const completed = (
  turn: Turn,
  providerItemId: string,
  kind: ItemKind,
  title: string,
  end: "completed" | "failed" | "declined",
  text: string | null,
  detail: Record<string, unknown>
): ProviderEvent => ({
  type: "item.completed",
  providerTurnId: ProviderTurnId.make(turn.id),
  providerItemId,
  kind,
  title,
  end,
  text,
  detail
})
