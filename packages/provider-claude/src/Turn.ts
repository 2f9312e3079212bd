/**
 * One turn of Claude's: what was said in it, and what of that is still open. No I/O.
 *
 * An answer streams as blocks of messages. A message that is cut is said again under another name: its open
 * blocks are never continued, and the retry supersedes them.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { ItemKind, ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Deferred } from "effect"
import type { ApiRetry, Block, ResultMessage, Spoken, StreamEvent } from "./protocol.ts"
import type { Call } from "./tools.ts"
import { detailOf, kindOf, textOf, titleOf } from "./tools.ts"

interface Text {
  readonly kind: "assistant_message" | "reasoning"
  text: string
}

export interface Turn {
  readonly id: string
  /** Ours, where it carries our message. */
  readonly turnId: TurnId | null
  readonly over: Deferred.Deferred<void>
  /** Texts that are being said, by item. */
  readonly texts: Map<string, Text>
  /** Tools that have been called and have not answered. */
  readonly calls: Map<string, Call>
  /** The message that is being streamed, and its block. */
  message: string
  block: number
  /** Some text was cut, and its retry has not been announced. */
  cut: boolean
  /** It has said something to the user. */
  spoke: boolean
  interruptAsked: boolean
  result: ResultMessage | null
}

export const make = (id: string, turnId: TurnId | null): Turn => ({
  id,
  turnId,
  over: Deferred.makeUnsafe<void>(),
  texts: new Map(),
  calls: new Map(),
  message: "",
  block: 0,
  cut: false,
  spoke: false,
  interruptAsked: false,
  result: null
})

/** Its end is asked for: however Claude says it then, it is interrupted. */
export const interruptWasAsked = (turn: Turn): void => {
  turn.interruptAsked = true
}

/** How it went, which does not say of which turn it tells: it counts once nothing else can end it. */
export const keepResult = (turn: Turn, result: ResultMessage): void => {
  turn.result = result
}

const noticeMax = 2_000

export const heardStream = (
  turn: Turn,
  { event, abandoned_blocks }: StreamEvent
): ReadonlyArray<ProviderEvent> => {
  switch (event.type) {
    case "message_start":
      turn.message = event.message?.id ?? ""
      return begunAnew(turn)
    case "content_block_start":
      turn.block = event.index ?? 0
      return []
    case "content_block_delta":
      return heardDelta(turn, event)
    case "message_stop":
      if (abandoned_blocks !== undefined && turn.texts.size > 0) turn.cut = true
      return []
    default:
      return []
  }
}

/** Claude does not always say that it retries: that a cut message is begun anew says so too. */
const begunAnew = (turn: Turn): ReadonlyArray<ProviderEvent> => {
  turn.texts.clear()
  if (!turn.cut) return []
  turn.cut = false
  return [
    {
      type: "error.transient",
      providerTurnId: ProviderTurnId.make(turn.id),
      message: "The answer broke off. Claude asks for it again.",
      attempt: null,
      limit: null
    }
  ]
}

const heardDelta = (turn: Turn, { index = 0, delta }: StreamEvent["event"]): ReadonlyArray<ProviderEvent> => {
  const text =
    delta?.type === "text_delta" ? delta.text : delta?.type === "thinking_delta" ? delta.thinking : ""
  if (text === undefined || text === "") return []
  const kind = delta?.type === "text_delta" ? ("assistant_message" as const) : ("reasoning" as const)
  const id = itemId(turn.message, index)
  const known = turn.texts.get(id)
  const item = known ?? { kind, text: "" }
  item.text += text
  turn.texts.set(id, item)
  return [
    ...(known === undefined ? [started(turn, id, kind)] : []),
    { type: "text.delta", providerTurnId: ProviderTurnId.make(turn.id), providerItemId: id, text }
  ]
}

export const heardAssistant = (turn: Turn, { message, error }: Spoken): ReadonlyArray<ProviderEvent> => {
  // What Claude writes when the model cannot be heard is the reason of the turn's end, and comes with it.
  if (error !== undefined || typeof message.content === "string") return []
  const streaming = message.id === turn.message
  return message.content.flatMap((block, index) => {
    const id = itemId(message.id ?? "", streaming ? turn.block + index : index)
    if (block.type === "text") return answer(turn, id, block.text ?? "")
    if (block.type === "thinking") return whole(turn, id, "reasoning", block.thinking ?? "")
    return block.type === "tool_use" ? calledTool(turn, block) : []
  })
}

export const answer = (turn: Turn, id: string, text: string): ReadonlyArray<ProviderEvent> => {
  turn.spoke ||= text !== ""
  return whole(turn, id, "assistant_message", text)
}

const whole = (turn: Turn, id: string, kind: Text["kind"], text: string): ReadonlyArray<ProviderEvent> => {
  const known = turn.texts.get(id)
  turn.texts.delete(id)
  if (known === undefined && text === "") return []
  return [
    ...(known === undefined ? [started(turn, id, kind)] : []),
    completed(turn, id, { kind, text: text === "" ? null : text })
  ]
}

const calledTool = (turn: Turn, { id, name, input = {} }: Block): ReadonlyArray<ProviderEvent> => {
  if (id === undefined || name === undefined || turn.calls.has(id)) return []
  const call: Call = { tool: name, input }
  turn.calls.set(id, call)
  return [started(turn, id, kindOf(name), titleOf(call), detailOf(call, null))]
}

/** `isDeclined`: the user said no to this call. */
export const heardUser = (
  turn: Turn,
  { message, tool_use_result }: Spoken,
  isDeclined: (toolUseId: string) => boolean
): ReadonlyArray<ProviderEvent> =>
  typeof message.content === "string"
    ? []
    : message.content.flatMap((block) => {
        const call = turn.calls.get(block.tool_use_id ?? "")
        if (block.type !== "tool_result" || call === undefined) return []
        turn.calls.delete(block.tool_use_id!)
        const result = {
          text: contentOf(block.content),
          isError: block.is_error === true,
          account: tool_use_result
        }
        const end = !result.isError ? "completed" : isDeclined(block.tool_use_id!) ? "declined" : "failed"
        return [
          completed(turn, block.tool_use_id!, {
            kind: kindOf(call.tool),
            title: titleOf(call),
            end,
            text: textOf(call, result),
            detail: detailOf(call, result)
          })
        ]
      })

export const heardRetry = (turn: Turn, { attempt, max_retries, error_status, error }: ApiRetry) => {
  turn.cut = false
  const why = error_status === null ? "The model could not be reached" : `The model answered ${error_status}`
  return [
    {
      type: "error.transient" as const,
      providerTurnId: ProviderTurnId.make(turn.id),
      message: `${why} (${error}). Claude tries again.`.slice(0, noticeMax),
      attempt,
      limit: max_retries
    }
  ]
}

export const shortened = (turn: Turn, uuid: string): ReadonlyArray<ProviderEvent> => {
  const title = "Claude shortened its memory of the conversation"
  return [started(turn, uuid, "notice", title), completed(turn, uuid, { kind: "notice", title, text: null })]
}

/** The same in the stream and in the record: the model service's name of the message, and the block's place in it. */
export const itemId = (message: string, block: number): string => `${message}/${block}`

const started = (
  turn: Turn,
  providerItemId: string,
  kind: ItemKind,
  title = "",
  detail: Record<string, unknown> = {}
): ProviderEvent => ({
  type: "item.started",
  providerTurnId: ProviderTurnId.make(turn.id),
  providerItemId,
  kind,
  title,
  detail
})

type Completion = Pick<Extract<ProviderEvent, { type: "item.completed" }>, "kind" | "text"> &
  Partial<Pick<Extract<ProviderEvent, { type: "item.completed" }>, "title" | "end" | "detail">>

const completed = (turn: Turn, providerItemId: string, completion: Completion): ProviderEvent => ({
  type: "item.completed",
  providerTurnId: ProviderTurnId.make(turn.id),
  providerItemId,
  title: "",
  end: "completed",
  detail: {},
  ...completion
})

/** A tool's result is a text, or parts of which some are one. */
const contentOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : Array.isArray(content)
      ? content.map((part) => (typeof part?.text === "string" ? part.text : "")).join("")
      : ""
