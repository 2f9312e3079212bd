/**
 * One OpenCode session: which turn runs, whose it is, and what is told of it. No I/O.
 *
 * OpenCode tells of the end of a turn in two places that cross each other: the status becomes idle (before
 * the last message is written when a turn is aborted or fails, and twice), and the answers get their end. A
 * turn is over when both have come. Everything heard may also be read from the record afterwards, in any
 * order and more than once: hearing a thing twice changes nothing, and an older word never undoes a newer.
 *
 *     none ──our message / an answer to somebody's──▶ active ──idle, every answer ended──▶ none
 *                                                       │  ▲
 *                                                  idle ▼  │ busy, or its last answer ends
 *                                                    in doubt ──looked twice, nobody works on it──▶ none
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { ItemKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { HeardTurn } from "@turnkeeper/provider-kit/Provider"
import { Deferred, Effect, Schema } from "effect"
import type {
  AssistantMessage,
  Message,
  Native,
  NativeError,
  Part,
  PermissionRequest,
  QuestionRequest,
  Recorded,
  Status,
  StepFinishPart,
  TextPart,
  ToolPart
} from "./protocol.ts"
import { isMessage, isSecondApi, quiet } from "./protocol.ts"
import type { Answer } from "./record.ts"
import { answerOf, errorText, isAbort, isContinuation, outcomeOf, sentenceIn } from "./record.ts"
import type { Held } from "./requests.ts"
import { permission, question } from "./requests.ts"
import { endOfMessageId } from "./settings.ts"
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

export interface Sending {
  readonly id: string
  readonly turnId: TurnId
  /** Resolves with true when the message is in OpenCode's record, with false when it never will be. */
  readonly taken: Deferred.Deferred<boolean>
  error: NativeError | null
}

export interface Conversation {
  readonly active: () => Turn | null
  /** The prompt of which it is not known whether OpenCode took it. */
  readonly sending: () => Sending | null
  readonly hear: (native: Native) => ReadonlyArray<ProviderEvent>
  /** What a session of OpenCode's that works for this turn says: only its questions are the user's. */
  readonly hearChild: (native: Native) => ReadonlyArray<ProviderEvent>
  readonly sendBegan: (id: string, turnId: TurnId) => Sending
  readonly sendSettled: (taken: boolean) => ReadonlyArray<ProviderEvent>
  /** OpenCode said that it rests, but not how the turn ended: the record has to be read. */
  readonly inDoubt: () => boolean
  /** Events were missed. */
  readonly missed: () => void
  readonly read: (messages: ReadonlyArray<Recorded>, status: Status) => ReadonlyArray<ProviderEvent>
  /** Requests that OpenCode says are open. */
  readonly readRequests: (requests: ReadonlyArray<Held>) => ReadonlyArray<ProviderEvent>
  /** Nobody works on the turn in doubt, and nothing more will be heard of it. */
  readonly giveUp: () => ReadonlyArray<ProviderEvent>
  /** Messages from before we listened: what is still said of them is no news. */
  readonly past: (ids: ReadonlyArray<string>) => void
  readonly adopt: (id: string, turnId: TurnId | null) => ReadonlyArray<ProviderEvent>
  readonly held: (key: string) => Held | null
  /** Takes the request out, so that it is answered once; the declined call is remembered. */
  readonly release: (key: string, declined: boolean) => void
  readonly restore: (held: Held) => void
  /** Commands that run now, those of OpenCode's own sub-sessions included. */
  readonly commands: () => ReadonlyArray<string>
  readonly end: () => void
}

const requestsMax = 256
const commandsMax = 1_000
const endedKept = 512
const declinedKept = 256

const areEvents = Schema.is(Schema.Array(ProviderEvent))

/** `heard`: of a session that went on without us, what was told of its open turn. */
export const make = (heard: HeardTurn | null = null): Conversation => {
  let active: Turn | null = null
  let sending: Sending | null = null
  const ended = recent(endedKept)
  const declined = recent(declinedKept)
  const continuations = recent(endedKept)
  const requests = new Map<string, Held>()
  const answered = recent(requestsMax)
  const commands = new Map<string, string>()

  const begin = (id: string, turnId: TurnId | null): ReadonlyArray<ProviderEvent> => {
    const known = heard !== null && isHeard(heard, id) ? heard : null
    const ours = turnId ?? known?.turnId ?? null
    active = newTurn(id, ours)
    for (const { kind, providerItemId, text } of known?.items ?? []) {
      const open = text !== null
      active.items.set(providerItemId, { kind, started: true, done: !open, text: text ?? "", holed: open })
    }
    return [{ type: "turn.started", providerTurnId: ProviderTurnId.make(id), turnId: ours }]
  }

  const settle = (turn: Turn): ReadonlyArray<ProviderEvent> => {
    for (const id of [turn.id, ...turn.continued]) ended.add(id)
    if (active === turn) active = null
    requests.clear()
    commands.clear()
    Deferred.doneUnsafe(turn.begun, Effect.void)
    Deferred.doneUnsafe(turn.over, Effect.void)
    const { outcome, message } = endOfTurn(turn)
    return [{ type: "turn.completed", providerTurnId: ProviderTurnId.make(turn.id), outcome, message }]
  }

  const settleIfOver = (): ReadonlyArray<ProviderEvent> =>
    active !== null && active.idle && allEnded(active) ? settle(active) : []

  // The parts of the conversation, in the order in which OpenCode tells of them.

  /** Looked at before anything changes: a message without its shape must not take a turn with it. */
  const heardMessage = (info: unknown): ReadonlyArray<ProviderEvent> => {
    if (!isMessage(info)) return [{ type: "unknown", method: "message.updated" }]
    return info.role === "user" ? heardUser(info.id) : heardAnswer(info)
  }

  const heardUser = (id: string): ReadonlyArray<ProviderEvent> =>
    sending?.id === id ? sendSettled(true) : []

  const heardAnswer = (message: AssistantMessage): ReadonlyArray<ProviderEvent> => {
    const before = turnOf(message)
    if (before === null || active === null) return []
    const turn = active
    const known = turn.answers.get(message.id)
    // An answer that has ended stays so, whatever an older copy says.
    if (known?.completed !== true) turn.answers.set(message.id, answerOf(message))
    if (message.summary === true) turn.summaries.add(message.id)
    if (message.time.completed !== undefined) Deferred.doneUnsafe(turn.begun, Effect.void)
    return [...before, ...settleIfOver()]
  }

  /** Makes the turn that this answer belongs to the active one; null when it says nothing new. */
  const turnOf = ({ parentID, time }: AssistantMessage): ReadonlyArray<ProviderEvent> | null => {
    // Who answers it has got it, whether or not its echo was heard.
    if (sending?.id === parentID) return sendSettled(true)
    if (active !== null && (active.id === parentID || active.continued.has(parentID))) return []
    if (ended.has(parentID)) return null
    if (active !== null && continuations.has(parentID)) {
      active.continued.add(parentID)
      return []
    }
    // An answer that had ended before anything of its turn was heard is history.
    if (active === null && time.completed !== undefined) return null
    // OpenCode works on one message at a time: it has left the one before.
    const left = active === null ? [] : settle(active)
    return [...left, ...begin(parentID, null)]
  }

  const heardPart = (part: Part): ReadonlyArray<ProviderEvent> => {
    if (isContinuation([part])) continuations.add(part.messageID)
    if (active === null || !active.answers.has(part.messageID)) return []
    Deferred.doneUnsafe(active.begun, Effect.void)
    switch (part.type) {
      case "text":
      case "reasoning":
        return active.summaries.has(part.messageID) ? heardSummary(active, part) : heardText(active, part)
      case "tool":
        return heardTool(active, part)
      case "step-finish":
        return heardStep(active, part)
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

  const heardDelta = (properties: { messageID: string; partID: string; field: string; delta: string }) => {
    const { messageID, partID, field, delta } = properties
    const item = active?.items.get(partID)
    if (active === null || item === undefined || item.done || item.holed || field !== "text") return []
    if (item.kind !== "assistant_message" && item.kind !== "reasoning") return []
    if (!active.answers.has(messageID) || delta === "") return []
    const whole = item.text + delta
    return [...startText(active, partID, item, delta), ...more(active, partID, item, whole)]
  }

  const heardTool = (turn: Turn, part: ToolPart): ReadonlyArray<ProviderEvent> => {
    const { status } = part.state
    const item = itemOf(turn, part.id, kindOf(part))
    noteCommand(part)
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
        : endOf(part, declined.has(part.callID))
    return [...said, completed(turn, part.id, item.kind, titleOf(part), end, output, detailOf(part, true))]
  }

  const noteCommand = ({ tool, callID, state }: ToolPart) => {
    const command = state.input?.["command"]
    if (tool !== "bash" || typeof command !== "string") return
    if (state.status === "running" && commands.size < commandsMax) commands.set(callID, command)
    if (state.status === "completed" || state.status === "error") commands.delete(callID)
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

  const heardStatus = (status: Status): ReadonlyArray<ProviderEvent> => {
    if (active === null) return []
    if (status.type === "idle") {
      // OpenCode says idle twice: the second one may come when the next message is in the record already.
      if (active.busy || active.answers.size > 0) active.idle = true
      else active.suspect = true
      return settleIfOver()
    }
    active.busy = true
    active.idle = false
    active.suspect = false
    // It says so twice: when it takes the message up, and when it asks the model for the answer it has begun.
    if (active.answers.size > 0) Deferred.doneUnsafe(active.begun, Effect.void)
    if (status.type !== "retry") return []
    return [
      {
        type: "error.transient",
        providerTurnId: ProviderTurnId.make(active.id),
        message: sentenceIn(status.message).slice(0, 2_000),
        attempt: status.attempt,
        limit: null
      }
    ]
  }

  const heardError = (error: NativeError | undefined): ReadonlyArray<ProviderEvent> => {
    if (error === undefined || isAbort(error)) return []
    if (sending !== null) sending.error = error
    else if (active !== null) {
      active.error = error
      active.suspect = active.answers.size === 0
    }
    return []
  }

  const heardRequest = (held: Held | null, method: string): ReadonlyArray<ProviderEvent> => {
    if (held === null) return [{ type: "unknown", method }]
    if (requests.has(held.id) || answered.has(held.id) || requests.size >= requestsMax) return []
    requests.set(held.id, held)
    return [
      {
        type: "request.opened",
        providerTurnId: active === null ? null : ProviderTurnId.make(active.id),
        requestKey: held.id,
        kind: held.kind,
        ask: held.ask
      }
    ]
  }

  const heardReply = (requestID: string, rejected: boolean): ReadonlyArray<ProviderEvent> => {
    const held = requests.get(requestID)
    if (held === undefined && !answered.has(requestID)) return []
    // Answered in another window of OpenCode.
    if (held !== undefined && rejected && held.callID !== null) declined.add(held.callID)
    requests.delete(requestID)
    if (held !== undefined) answered.add(requestID)
    return active === null ? [] : [{ type: "request.resolved", requestKey: requestID }]
  }

  const say = ({ type, properties }: Native): ReadonlyArray<ProviderEvent> => {
    const given = properties as never
    switch (type) {
      case "message.updated":
        return heardMessage((given as { info?: unknown }).info)
      case "message.part.updated":
        return heardPart((given as { part: Part }).part)
      case "message.part.delta":
        return heardDelta(given)
      case "session.status":
        return heardStatus((given as { status: Status }).status)
      case "session.idle":
        return heardStatus({ type: "idle" })
      case "session.error":
        return heardError((given as { error?: NativeError }).error)
      case "permission.asked":
        return heardRequest(permission(given as PermissionRequest), type)
      case "question.asked":
        return heardRequest(question(given as QuestionRequest), type)
      case "permission.replied": {
        const { requestID, reply } = given as { requestID: string; reply: string }
        return heardReply(requestID, reply === "reject")
      }
      case "question.replied":
      case "question.rejected":
        return heardReply((given as { requestID: string }).requestID, type === "question.rejected")
      default:
        return quiet.has(type) || isSecondApi(type) ? [] : [{ type: "unknown", method: type }]
    }
  }

  /** Total: whatever arrives, it never throws, and what has not the shape it should have is unknown. */
  const hear = (native: Native): ReadonlyArray<ProviderEvent> => {
    try {
      const events = say(native)
      return areEvents(events) ? events : [{ type: "unknown", method: native.type }]
    } catch {
      return [{ type: "unknown", method: native.type }]
    }
  }

  const hearChild = (native: Native): ReadonlyArray<ProviderEvent> => {
    if (native.type === "message.part.updated") {
      const { part } = Object(native.properties) as { part?: Part }
      if (part?.type === "tool") noteCommand(part)
      return []
    }
    return asked.has(native.type) ? hear(native) : []
  }

  const sendSettled = (taken: boolean): ReadonlyArray<ProviderEvent> => {
    if (sending === null) return []
    const { id, turnId, error, taken: told } = sending
    sending = null
    if (!taken) {
      Deferred.doneUnsafe(told, Effect.succeed(false))
      return []
    }
    const left = active === null ? [] : settle(active)
    const begun = begin(id, turnId)
    if (active !== null) (active as Turn).error = error
    // Last: whoever waits for this goes on at once, and has to find the turn.
    Deferred.doneUnsafe(told, Effect.succeed(true))
    return [...left, ...begun]
  }

  return {
    active: () => active,
    sending: () => sending,
    hear,
    hearChild,
    sendBegan: (id, turnId) => {
      sending = { id, turnId, taken: Deferred.makeUnsafe<boolean>(), error: null }
      return sending
    },
    sendSettled,
    inDoubt: () => active !== null && (active.idle || active.suspect),
    missed: () => {
      for (const item of active?.items.values() ?? []) if (!item.done) item.holed = true
    },
    read: (messages, status) => {
      const events: Array<ProviderEvent> = []
      for (const { info, parts } of messages) {
        // The parts first know their message, and a continuation is known by its parts.
        if (info.role === "user" && isContinuation(parts)) continuations.add(info.id)
        events.push(...hear({ type: "message.updated", properties: { info: withoutEnd(info) } }))
        for (const part of parts) events.push(...hear({ type: "message.part.updated", properties: { part } }))
        events.push(...hear({ type: "message.updated", properties: { info } }))
      }
      // A look at the status is not one at a turn's first moments, when OpenCode has not taken it up yet.
      if (status.type !== "retry") events.push(...hear({ type: "session.status", properties: { status } }))
      return events
    },
    readRequests: (open) =>
      active === null || active.idle ? [] : open.flatMap((held) => heardRequest(held, held.kind)),
    giveUp: () => (active === null ? [] : settle(active)),
    past: (ids) => {
      for (const id of ids) ended.add(id)
    },
    adopt: (id, turnId) => (active?.id === id || ended.has(id) ? [] : begin(id, turnId)),
    held: (key) => requests.get(key) ?? null,
    release: (key, isDeclined) => {
      const held = requests.get(key)
      requests.delete(key)
      answered.add(key)
      if (isDeclined && held?.callID != null) declined.add(held.callID)
    },
    restore: (held) => {
      if (active !== null) requests.set(held.id, held)
    },
    commands: () => [...new Set(commands.values())],
    end: () => {
      if (active !== null) {
        Deferred.doneUnsafe(active.begun, Effect.void)
        Deferred.doneUnsafe(active.over, Effect.void)
      }
      if (sending !== null) Deferred.doneUnsafe(sending.taken, Effect.succeed(false))
      requests.clear()
    }
  }
}

/** Its end is asked for: however OpenCode says it then, it is interrupted. */
export const interruptWasAsked = (turn: Turn): void => {
  turn.interruptAsked = true
}

/** Whether this message began the turn that was heard of. */
export const isHeard = ({ providerTurnId, turnId }: HeardTurn, id: string): boolean =>
  providerTurnId === null ? turnId !== null && id.endsWith(endOfMessageId(turnId)) : providerTurnId === id

const asked = new Set([
  "permission.asked",
  "permission.replied",
  "question.asked",
  "question.replied",
  "question.rejected"
])

const newTurn = (id: string, turnId: TurnId | null): Turn => ({
  id,
  turnId,
  begun: Deferred.makeUnsafe<void>(),
  over: Deferred.makeUnsafe<void>(),
  answers: new Map(),
  summaries: new Set(),
  items: new Map(),
  continued: new Set(),
  steps: new Set(),
  busy: false,
  idle: false,
  suspect: false,
  error: null,
  interruptAsked: false
})

const allEnded = ({ answers }: Turn): boolean =>
  answers.size > 0 && [...answers.values()].every(({ completed }) => completed)

const endOfTurn = (turn: Turn) => {
  const ended = outcomeOf([...turn.answers.values()])
  if (ended.outcome !== "interrupted" || turn.error === null || turn.interruptAsked) return ended
  return { outcome: "failed" as const, message: errorText(turn.error) }
}

/** An answer as it was before its end, so that its parts are told first. */
const withoutEnd = (info: Message): Message =>
  info.role === "user" ? info : { ...info, time: { created: info.time.created } }

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

/** The newest `max` strings that were added. */
const recent = (max: number) => {
  const kept = new Set<string>()
  return {
    has: (value: string) => kept.has(value),
    add: (value: string): void => {
      if (kept.has(value)) return
      if (kept.size >= max) kept.delete(kept.values().next().value!)
      kept.add(value)
    }
  }
}
