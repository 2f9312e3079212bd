/**
 * The steps that several rules share: a change in the making, and the closing of turns and sessions.
 *
 * A draft applies each event as it is added, so that a rule always reads the state its next event will
 * meet. It is local to one call of a rule: what goes in and what comes out is plain data.
 */
import { ItemId, TurnId } from "../ids.ts"
import type { ProviderInstanceId, ProviderTurnId } from "../ids.ts"
import type { TurnOutcome } from "../runtime/ProviderEvent.ts"
import type { EventOf, Resume, ThreadEvent } from "./Event.ts"
import { evolve, isText } from "./evolve.ts"
import { limits } from "./lifecycle.ts"
import type { Delivered, SettledTurnState } from "./lifecycle.ts"
import type { RecordedText } from "./Owed.ts"
import type { OpenItem, OpenRequest, OpenTurn, Session, ThreadState } from "./State.ts"

export interface Draft {
  state: ThreadState
  readonly events: Array<ThreadEvent>
  /** Number of the provider event that all of it follows from. */
  readonly seq: number | null
}

export const draft = (state: ThreadState, seq: number | null = null): Draft => ({ state, events: [], seq })

export const add = (change: Draft, event: ThreadEvent): void => {
  const numbered = change.seq === null ? event : { ...event, seq: change.seq }
  change.events.push(numbered)
  change.state = evolve(change.state, numbered)
}

// Reading the state

export const turnOf = (state: ThreadState, turnId: TurnId | null): OpenTurn | undefined =>
  turnId === null ? undefined : state.turns.find((turn) => turn.id === turnId)

export const activeTurn = (state: ThreadState): OpenTurn | undefined =>
  turnOf(state, state.session.activeTurnId)

export const sendingTurn = (state: ThreadState): OpenTurn | undefined =>
  state.turns.find((turn) => turn.state === "sending")

export const headTurn = (state: ThreadState): OpenTurn | undefined =>
  state.turns.find((turn) => turn.state === "queued")

/** A cursor is of use only to the provider that gave it. */
export const resumeOf = (session: Session, provider: ProviderInstanceId | null): Resume | null =>
  session.resumes.find((resume) => resume.provider === provider) ?? null

/** Nothing open, nothing asked: the thread owes nothing and is owed nothing. */
export const atRest = (state: ThreadState): boolean =>
  state.turns.length === 0 && state.session.stopAsked === null && state.session.status !== "starting"

// Settling

export interface Settlement {
  readonly state: SettledTurnState
  readonly reason: string | null
  readonly delivery: Delivered
  readonly into?: TurnId | null
}

/**
 * The one end of a turn: closes what is open inside it (L5), then settles it, then says what becomes of
 * the turns behind it (L13).
 */
export const settle = (change: Draft, turnId: TurnId, end: Settlement): void => {
  const turn = turnOf(change.state, turnId)
  if (turn === undefined) return
  closeInside(change, turnId, end)
  add(change, {
    type: "turn.settled",
    turnId,
    state: end.state,
    reason: end.reason,
    delivery: end.delivery,
    into: end.into ?? null
  })
  if (end.state === "error" || end.state === "interrupted") {
    cancelQueued(change, behindReason[end.state], (other) => other.interrupts !== turnId)
  }
}

const behindReason = {
  error: "Not sent: the turn before it failed",
  interrupted: "Not sent: the turn before it was interrupted"
} as const

/** Withdraws turns that were never sent. Nothing ran, so nothing behind them is judged by it. */
export const cancelQueued = (change: Draft, reason: string, which: (turn: OpenTurn) => boolean): void => {
  for (const turn of change.state.turns) {
    if (turn.state !== "queued" || !which(turn)) continue
    add(change, {
      type: "turn.settled",
      turnId: turn.id,
      state: "cancelled",
      reason,
      delivery: "not_delivered",
      into: null
    })
  }
}

const closeInside = (change: Draft, turnId: TurnId, end: Settlement): void => {
  for (const item of change.state.items) {
    if (item.turnId === turnId) add(change, closedItem(item, end))
  }
  for (const request of change.state.requests) {
    if (request.turnId === turnId) add(change, expired(request, "The agent is no longer waiting for this"))
  }
}

/** An item that the provider left open. A text in a completed turn is whole; a tool without an end is not. */
const closedItem = (item: OpenItem, end: Settlement): EventOf<"item.completed"> => {
  const whole = end.state === "completed" && isText(item)
  return {
    type: "item.completed",
    itemId: item.id,
    turnId: item.turnId,
    kind: item.kind,
    status: whole ? (item.cut ? "superseded" : "completed") : "interrupted",
    text: item.text,
    ...(!whole && { reason: end.reason ?? "The turn ended first" })
  }
}

export const expired = (request: OpenRequest, reason: string): EventOf<"request.closed"> => ({
  type: "request.closed",
  requestId: request.id,
  turnId: request.turnId,
  status: "expired",
  reason
})

/** A delivered turn's end in the provider's own words (L7: `completed` only on its evidence). */
export const outcomeOf = (turn: OpenTurn, outcome: TurnOutcome, message: string | null): Settlement => {
  switch (outcome) {
    case "completed":
      return { state: "completed", reason: null, delivery: "delivered" }
    case "failed":
      return {
        state: "error",
        reason: message ?? turn.finalError ?? "The provider reported a failure without saying which",
        delivery: "delivered"
      }
    case "interrupted":
      return {
        state: "interrupted",
        reason: turn.interrupt === null ? (message ?? "Interrupted by the provider") : "Interrupted by you",
        delivery: "delivered"
      }
  }
}

/**
 * Takes in what the provider's record says of a turn that went on unheard. An open text gets its whole self;
 * what comes behind it in the record is new. What came before is known already, and taking it in again would
 * show it twice.
 */
export const recordTexts = (change: Draft, turnId: TurnId, texts: ReadonlyArray<RecordedText>): void => {
  const isOpen = (recorded: RecordedText) => openText(change.state, turnId, recorded) !== undefined
  const heard = turnOf(change.state, turnId)?.items ?? 0
  const from = heard === 0 ? 0 : texts.findIndex(isOpen)
  if (from === -1) return
  for (const recorded of texts.slice(from)) {
    const { kind, providerItemId, text } = recorded
    const known = openText(change.state, turnId, recorded)
    const itemId = known?.id ?? nextItemId(turnOf(change.state, turnId)!)
    if (known === undefined) {
      add(change, { type: "item.started", itemId, turnId, providerItemId, kind, title: "", detail: {} })
    }
    add(change, { type: "item.completed", itemId, turnId, kind, status: "completed", text })
  }
}

const openText = (state: ThreadState, turnId: TurnId, { kind, providerItemId }: RecordedText) =>
  state.items.find(
    (item) => item.turnId === turnId && item.kind === kind && item.providerItemId === providerItemId
  )

// The session's end

export interface SessionClosing {
  readonly end: EventOf<"session.stopped">["end"]
  /** For the user; becomes lastError. */
  readonly message: string | null
  /** Why the running turn ended, where it differs. */
  readonly turnReason?: string
}

/**
 * Ends the generation and, in the same commit, the turn that ran on it (A8). A turn that was being sent
 * stays: with the generation closed, what became of it is asked of the provider's record.
 */
export const closeSession = (change: Draft, closing: SessionClosing): void => {
  const { session } = change.state
  const running = activeTurn(change.state)
  if (running !== undefined) settle(change, running.id, endWith(running, closing))
  add(change, {
    type: "session.stopped",
    generation: session.generation,
    end: closing.end,
    message: closing.message
  })
}

const endWith = (turn: OpenTurn, closing: SessionClosing): Settlement => {
  if (turn.finalError !== null) return { state: "error", reason: turn.finalError, delivery: "delivered" }
  if (closing.end === "crash") {
    return {
      state: "error",
      reason: closing.message ?? "The provider ended unexpectedly",
      delivery: "delivered"
    }
  }
  const reason =
    closing.turnReason ??
    closing.message ??
    (turn.interrupt === null ? "The session was stopped" : "Interrupted by you")
  return { state: "interrupted", reason, delivery: "delivered" }
}

/** The generation is closed; the turn for which it was started ends with the reason (L8). */
export const startFailed = (change: Draft, message: string): void => {
  const head = headTurn(change.state)
  closeSession(change, { end: "start_failed", message })
  if (head !== undefined) {
    settle(change, head.id, { state: "error", reason: message, delivery: "not_delivered" })
  }
}

// What follows by itself

/**
 * A provider turn that goes on after ours has ended is taken into the tables at once: work is never
 * invisible (B8), and nothing is sent beside it (C8).
 */
export const conclude = (change: Draft): ReadonlyArray<ThreadEvent> => {
  const { session } = change.state
  const free = session.open && session.status !== "starting" && session.activeTurnId === null
  const unseen = session.heard.find((turn) => turn.ended === null)
  if (free && unseen !== undefined && sendingTurn(change.state) === undefined) {
    adopt(change, unseen.providerTurnId)
  }
  return change.events
}

export const adopt = (change: Draft, providerTurnId: ProviderTurnId): void =>
  add(change, {
    type: "turn.adopted",
    turnId: TurnId.make(`provider-turn-${change.state.session.adopted + 1}`),
    providerTurnId
  })

export const nextItemId = (turn: OpenTurn): ItemId => ItemId.make(`${turn.id}/${turn.items + 1}`)

/** The message goes out again, or, where that is not allowed, ends with the reason. */
export const requeue = (change: Draft, turn: OpenTurn, reason: string): void => {
  const info = change.state.info
  if (turn.interrupt !== null || info === null || info.deleted) {
    return settle(change, turn.id, {
      state: "cancelled",
      reason: "Not sent: you stopped it first",
      delivery: "not_delivered"
    })
  }
  if (isExhausted(turn))
    return settle(change, turn.id, { ...exhausted, reason: `${exhausted.reason} ${reason}` })
  add(change, { type: "turn.requeued", turnId: turn.id, reason })
}

/** No turn goes round for ever, whoever is to blame. */
export const isExhausted = (turn: OpenTurn) => turn.tries >= limits.tries || turn.restarts >= limits.restarts

export const exhausted = {
  state: "error",
  reason: "Not sent: too many tries ended before it got to the provider.",
  delivery: "not_delivered"
} as const
