/**
 * One conversation with Claude: which turn runs, whose it is, and how it ends. No I/O.
 *
 * A turn is a message of the user, by the name that we gave it, with everything that is said until its result.
 * Claude also begins turns by itself, when a command in the background has ended: those have no such name.
 * A result belongs to the turn that it names, never to the one that happens to run (L4).
 *
 *     none ──started(uuid) / init without a uuid──▶ active ──result that names it / its lifecycle ends──▶ none
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { TurnOutcome } from "@turnkeeper/domain/runtime/ProviderEvent"
import { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { recent, recentNames } from "@turnkeeper/provider-kit/recent"
import { Deferred, Effect, Schema } from "effect"
import type { ApiRetry, Lifecycle, Native, ResultMessage, Spoken, StreamEvent } from "./protocol.ts"
import { quiet, uuidsOf } from "./protocol.ts"
import { endOfResult, plainText, usageOf } from "./result.ts"
import type { Held } from "./requests.ts"
import type { PermissionMode } from "./sdk.ts"
import * as Turn from "./Turn.ts"

export interface Ended {
  readonly outcome: TurnOutcome
  readonly message: string | null
}

export interface Sending {
  readonly id: string
  readonly turnId: TurnId
  /** Resolves with true when Claude works on the message, with false when it never will. */
  readonly taken: Deferred.Deferred<boolean>
}

export interface Conversation {
  /** Claude's name of it: another one once it was cleared. */
  readonly name: () => string
  readonly active: () => Turn.Turn | null
  readonly sending: () => Sending | null
  /** How a turn ended that was heard to its end here. */
  readonly ended: (id: string) => Ended | null
  /** Nothing runs, is on its way, or goes on in the background. */
  readonly rests: () => boolean
  /** As Claude last said. */
  readonly permissionMode: () => PermissionMode | null
  readonly hear: (native: unknown) => ReadonlyArray<ProviderEvent>
  readonly sendBegan: (id: string, turnId: TurnId) => Sending
  /** The message was never handed over. */
  readonly sendFailed: () => void
  readonly asked: (held: Held) => ReadonlyArray<ProviderEvent>
  readonly held: (key: string) => Held | null
  /** Takes the request out, so that it is answered once; the declined call is remembered. */
  readonly release: (key: string, declined: boolean) => void
  /** Claude no longer waits for it. */
  readonly withdrawn: (key: string) => ReadonlyArray<ProviderEvent>
  readonly declined: (toolUseId: string) => void
  readonly end: () => void
}

const requestsMax = 256
const endedKept = 256
const declinedKept = 256
const noticeMax = 2_000

const areEvents = Schema.is(Schema.Array(ProviderEvent))

export interface ConversationOptions {
  readonly sessionId: string
  /** What the conversation has cost before: Claude tells a running total. Null where it is not known. */
  readonly costBefore: number | null
}

export const make = ({ sessionId, costBefore }: ConversationOptions): Conversation => {
  let session = sessionId
  let active: Turn.Turn | null = null
  let sending: Sending | null = null
  let mode: PermissionMode | null = null
  let cost = costBefore
  let background = 0
  const ended = recent<Ended>(endedKept)
  const declined = recentNames(declinedKept)
  const requests = new Map<string, Held>()

  const begin = (id: string, turnId: TurnId | null): ReadonlyArray<ProviderEvent> => {
    // What is no name of a turn is refused here: before a turn is active of which nobody was told.
    const providerTurnId = ProviderTurnId.make(id)
    active = Turn.make(id, turnId)
    return [{ type: "turn.started", providerTurnId, turnId }]
  }

  const settle = (turn: Turn.Turn, end: Ended): ReadonlyArray<ProviderEvent> => {
    ended.set(turn.id, end)
    if (active === turn) active = null
    requests.clear()
    Deferred.doneUnsafe(turn.over, Effect.void)
    return [{ type: "turn.completed", providerTurnId: ProviderTurnId.make(turn.id), ...end }]
  }

  const settleBy = (turn: Turn.Turn, result: ResultMessage): ReadonlyArray<ProviderEvent> => {
    const end = endOfResult(result, turn.interruptAsked)
    const said = end.outcome === "completed" && !turn.spoke ? plainText(result) : ""
    return [
      ...(said === "" ? [] : Turn.answer(turn, `${turn.id}/result`, said)),
      ...spent(turn, result),
      ...settle(turn, end)
    ]
  }

  const spent = (turn: Turn.Turn, { usage, total_cost_usd }: ResultMessage): ReadonlyArray<ProviderEvent> => {
    const before = cost
    if (total_cost_usd !== undefined) cost = total_cost_usd
    const costUsd =
      before === null || total_cost_usd === undefined ? null : Math.max(0, total_cost_usd - before)
    const told = usageOf(usage, costUsd)
    return told === null ? [] : [{ type: "usage", providerTurnId: ProviderTurnId.make(turn.id), usage: told }]
  }

  // The parts of the conversation, in the order in which Claude tells of them.

  /** Claude has taken up the message that we are sending. */
  const taken = ({ id, turnId, taken: told }: Sending): ReadonlyArray<ProviderEvent> => {
    sending = null
    // A turn of Claude's own into which our message was put is ours from here on.
    const left =
      active === null
        ? []
        : settle(active, { outcome: "interrupted", message: "Claude went on with the user's message." })
    const begun = begin(id, turnId)
    // Last: whoever waits for this goes on at once, and has to find the turn.
    Deferred.doneUnsafe(told, Effect.succeed(true))
    return [...left, ...begun]
  }

  const heardLifecycle = ({ command_uuid, state }: Lifecycle): ReadonlyArray<ProviderEvent> => {
    if (sending?.id === command_uuid) {
      if (state === "started") return taken(sending)
      if (state === "queued") return []
      const { taken: told } = sending
      sending = null
      Deferred.doneUnsafe(told, Effect.succeed(false))
      return []
    }
    if (active?.id !== command_uuid || (state !== "completed" && state !== "cancelled")) return []
    // Its result came without its name, or not at all.
    if (active.result !== null) return settleBy(active, active.result)
    return settle(
      active,
      state === "completed"
        ? { outcome: "completed", message: null }
        : { outcome: "interrupted", message: "Claude dropped this message." }
    )
  }

  const heardInit = (native: Native): ReadonlyArray<ProviderEvent> => {
    const [named] = uuidsOf(native)
    const moved = sessionMoved(native)
    if (active !== null || named !== undefined || native.uuid === undefined) return moved
    return [...moved, ...begin(native.uuid, null)]
  }

  /** A conversation that is cleared goes on under another name. */
  const sessionMoved = ({ session_id }: Native): ReadonlyArray<ProviderEvent> => {
    if (session_id === undefined || session_id === session) return []
    session = session_id
    return [{ type: "resume.changed", resume: session_id }]
  }

  const heardResult = (result: ResultMessage): ReadonlyArray<ProviderEvent> => {
    if (active === null) return []
    const names = uuidsOf(result)
    if (names.includes(active.id)) return settleBy(active, result)
    if (names.length > 0) return []
    // A turn of Claude's own has no name to be told by.
    if (active.turnId === null) return settleBy(active, result)
    Turn.keepResult(active, result)
    return []
  }

  const heardState = (state: unknown): ReadonlyArray<ProviderEvent> => {
    // Said last, and once nothing is queued any more: what still runs here has no end of its own.
    if (state !== "idle" || active === null) return []
    if (active.result !== null) return settleBy(active, active.result)
    return settle(active, {
      outcome: "interrupted",
      message: "Claude stopped working on this turn without saying how it ended."
    })
  }

  const heardSystem = (native: Native): ReadonlyArray<ProviderEvent> => {
    const fields = native as Native & Record<string, unknown>
    switch (native.subtype) {
      case "init":
        mode = modeOf(fields["permissionMode"]) ?? mode
        return heardInit(native)
      case "status":
        mode = modeOf(fields["permissionMode"]) ?? mode
        return []
      case "api_retry":
        return active === null ? [] : Turn.heardRetry(active, native as ApiRetry)
      case "session_state_changed":
        return heardState(fields["state"])
      case "background_tasks_changed":
        background = Array.isArray(fields["tasks"]) ? fields["tasks"].length : 0
        return []
      case "permission_denied":
        declined.add(String(fields["tool_use_id"]))
        return []
      case "compact_boundary":
        return active === null || native.uuid === undefined ? [] : Turn.shortened(active, native.uuid)
      case "informational":
        return typeof fields["content"] === "string" ? [notice(fields["content"])] : []
      case "session_writes_lost":
        return [notice("Claude could not write its record of this conversation.")]
      default:
        return unknown(native)
    }
  }

  const say = (native: Native): ReadonlyArray<ProviderEvent> => {
    if (native.type === "command_lifecycle") return heardLifecycle(native as Lifecycle)
    // Helper agents say nothing here: their work is the call of the tool that they run for.
    if ((native.parent_tool_use_id ?? null) !== null) return []
    const before = sending !== null && uuidsOf(native).includes(sending.id) ? taken(sending) : []
    return [...before, ...sayInTurn(native)]
  }

  const sayInTurn = (native: Native): ReadonlyArray<ProviderEvent> => {
    switch (native.type) {
      case "system":
        return heardSystem(native)
      case "result":
        return heardResult(native as ResultMessage)
      case "stream_event":
        return active === null ? [] : Turn.heardStream(active, native as StreamEvent)
      case "assistant":
        return active === null ? [] : Turn.heardAssistant(active, native as Spoken)
      case "user":
        return active === null ? [] : Turn.heardUser(active, native as Spoken, declined.has)
      default:
        return unknown(native)
    }
  }

  return {
    name: () => session,
    active: () => active,
    sending: () => sending,
    ended: (id) => ended.get(id) ?? null,
    rests: () => active === null && sending === null && background === 0,
    permissionMode: () => mode,
    /** Total: whatever arrives, it never throws, and what has not the shape it should have is unknown. */
    hear: (native) => {
      if (typeof native !== "object" || native === null) return [{ type: "unknown", method: typeof native }]
      try {
        const events = say(native as Native)
        return areEvents(events) ? events : unknown(native as Native, true)
      } catch {
        return unknown(native as Native, true)
      }
    },
    sendBegan: (id, turnId) => {
      sending = { id, turnId, taken: Deferred.makeUnsafe<boolean>() }
      return sending
    },
    sendFailed: () => {
      sending = null
    },
    asked: (held) => {
      if (active === null || requests.size >= requestsMax) return []
      requests.set(held.key, held)
      const { key: requestKey, kind, ask } = held
      return [
        { type: "request.opened", providerTurnId: ProviderTurnId.make(active.id), requestKey, kind, ask }
      ]
    },
    held: (key) => requests.get(key) ?? null,
    release: (key, isDeclined) => {
      const held = requests.get(key)
      requests.delete(key)
      if (isDeclined && held !== undefined) declined.add(held.toolUseId)
    },
    withdrawn: (key) => (requests.delete(key) ? [{ type: "request.resolved", requestKey: key }] : []),
    declined: (toolUseId) => void declined.add(toolUseId),
    end: () => {
      if (active !== null) Deferred.doneUnsafe(active.over, Effect.void)
      if (sending !== null) Deferred.doneUnsafe(sending.taken, Effect.succeed(false))
      requests.clear()
    }
  }
}

const notice = (message: string): ProviderEvent => ({ type: "notice", message: message.slice(0, noticeMax) })

const nameOf = ({ type, subtype }: Native) => (subtype === undefined ? String(type) : `${type}/${subtype}`)

const unknown = (native: Native, broken = false): ReadonlyArray<ProviderEvent> =>
  !broken && quiet.has(nameOf(native)) ? [] : [{ type: "unknown", method: nameOf(native).slice(0, 200) }]

const modeOf = (value: unknown): PermissionMode | null =>
  value === "default" || value === "acceptEdits" || value === "plan" ? value : null
