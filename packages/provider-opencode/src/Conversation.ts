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
import { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { HeardTurn } from "@turnkeeper/provider-kit/Provider"
import { recentNames } from "@turnkeeper/provider-kit/recent"
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
  ToolPart
} from "./protocol.ts"
import { isMessage, isSecondApi, quiet } from "./protocol.ts"
import { isAbort, isContinuation } from "./record.ts"
import type { Held } from "./requests.ts"
import { permission, question } from "./requests.ts"
import { endOfMessageId } from "./settings.ts"
import * as Turn from "./Turn.ts"

export interface Sending {
  readonly id: string
  readonly turnId: TurnId
  /** Resolves with true when the message is in OpenCode's record, with false when it never will be. */
  readonly taken: Deferred.Deferred<boolean>
  error: NativeError | null
}

export interface Conversation {
  readonly active: () => Turn.Turn | null
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
  let active: Turn.Turn | null = null
  let sending: Sending | null = null
  const ended = recentNames(endedKept)
  const declined = recentNames(declinedKept)
  const continuations = recentNames(endedKept)
  const requests = new Map<string, Held>()
  const answered = recentNames(requestsMax)
  const commands = new Map<string, string>()

  const begin = (
    id: string,
    turnId: TurnId | null,
    error: NativeError | null = null
  ): ReadonlyArray<ProviderEvent> => {
    const known = heard !== null && isHeard(heard, id) ? heard : null
    const ours = turnId ?? known?.turnId ?? null
    active = Turn.make({ id, turnId: ours, error, heard: known?.items ?? [] })
    return [{ type: "turn.started", providerTurnId: ProviderTurnId.make(id), turnId: ours }]
  }

  const settle = (turn: Turn.Turn): ReadonlyArray<ProviderEvent> => {
    for (const id of [turn.id, ...turn.continued]) ended.add(id)
    if (active === turn) active = null
    requests.clear()
    commands.clear()
    Turn.end(turn)
    const { outcome, message } = Turn.endOfTurn(turn)
    return [{ type: "turn.completed", providerTurnId: ProviderTurnId.make(turn.id), outcome, message }]
  }

  const settleIfOver = (): ReadonlyArray<ProviderEvent> =>
    active !== null && active.idle && Turn.allEnded(active) ? settle(active) : []

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
    Turn.heardAnswer(active, message)
    return [...before, ...settleIfOver()]
  }

  /** Makes the turn that this answer belongs to the active one; null when it says nothing new. */
  const turnOf = ({ parentID, time }: AssistantMessage): ReadonlyArray<ProviderEvent> | null => {
    // Who answers it has got it, whether or not its echo was heard.
    if (sending?.id === parentID) return sendSettled(true)
    if (active !== null && (active.id === parentID || active.continued.has(parentID))) return []
    if (ended.has(parentID)) return null
    if (active !== null && continuations.has(parentID)) {
      Turn.goesOn(active, parentID)
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
    return Turn.heardPart(active, part, { isDeclined: declined.has, note: noteCommand })
  }

  const noteCommand = ({ tool, callID, state }: ToolPart) => {
    const command = state.input?.["command"]
    if (tool !== "bash" || typeof command !== "string") return
    if (state.status === "running" && commands.size < commandsMax) commands.set(callID, command)
    if (state.status === "completed" || state.status === "error") commands.delete(callID)
  }

  const heardStatus = (status: Status): ReadonlyArray<ProviderEvent> => {
    if (active === null) return []
    const events = Turn.heardStatus(active, status)
    return status.type === "idle" ? settleIfOver() : events
  }

  const heardError = (error: NativeError | undefined): ReadonlyArray<ProviderEvent> => {
    if (error === undefined || isAbort(error)) return []
    if (sending !== null) sending.error = error
    else if (active !== null) Turn.failed(active, error)
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
        return Turn.heardDelta(active, given)
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
    const begun = begin(id, turnId, error)
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
      if (active !== null) Turn.missed(active)
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
      if (active !== null) Turn.end(active)
      if (sending !== null) Deferred.doneUnsafe(sending.taken, Effect.succeed(false))
      requests.clear()
    }
  }
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

/** An answer as it was before its end, so that its parts are told first. */
const withoutEnd = (info: Message): Message =>
  info.role === "user" ? info : { ...info, time: { created: info.time.created } }
