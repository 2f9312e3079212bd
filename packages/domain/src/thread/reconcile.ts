/**
 * What the truth about live sessions means for a thread, now.
 *
 * The same rule at start-up, when an adapter reconnects and on a timer. A listing that could not be made
 * says nothing and changes nothing. Whoever calls this on a live server makes sure that the listing is
 * not older than the state and that nothing of the thread is in flight.
 */
import type { Millis } from "../ids.ts"
import {
  activeTurn,
  add,
  adopt,
  cancelQueued,
  closeSession,
  conclude,
  draft,
  exhausted,
  isExhausted,
  outcomeOf,
  recordTexts,
  sendingTurn,
  settle
} from "./draft.ts"
import type { Draft } from "./draft.ts"
import type { ThreadEvent } from "./Event.ts"
import type { Live } from "./Owed.ts"
import type { SessionStatus } from "./lifecycle.ts"
import type { OpenTurn, ThreadState } from "./State.ts"

export interface Occasion {
  /** Why a session that is not live is gone, for the user: "The server restarted". */
  readonly reason: string
  readonly now: Millis
  /** A message that waited longer is not sent any more; null: no limit. Milliseconds. */
  readonly intentLimitMs: number | null
}

export const reconcile = (live: Live, state: ThreadState, occasion: Occasion): ReadonlyArray<ThreadEvent> => {
  if (live.type === "unknown") return []
  const change = draft(state)
  const { generation, open } = state.session
  // A generation that was closed stays closed (L10), also where the provider still lists it.
  if (!open || live.type === "absent" || live.generation !== generation) notLive(change, occasion)
  else if (live.type === "idle") isIdle(live, change)
  else isRunning(live, change)
  expireQueued(change, occasion)
  return conclude(change)
}

const notLive = (change: Draft, { reason }: Occasion): void => {
  const { session } = change.state
  if (!session.open) return
  // A session at rest loses nothing: it is started again by the next message. What its last turn said stays.
  const lost = !isAtRest(session.status) || change.state.turns.length > 0
  closeSession(change, {
    end: "lost",
    message: lost ? reason : null,
    turnReason: `Interrupted: ${lowerFirst(reason)}`
  })
}

const isAtRest = (status: SessionStatus): boolean => status === "ready" || status === "error"

const isIdle = (live: Extract<Live, { readonly type: "idle" }>, change: Draft): void => {
  const { generation } = live
  if (change.state.session.status === "starting") {
    add(change, { type: "session.started", generation, resume: null })
  }
  forgetUnseen(change)
  const running = activeTurn(change.state)
  if (running !== undefined) {
    const proven =
      live.last !== null && live.last.providerTurnId === running.providerTurnId ? live.last : null
    recordTexts(change, running.id, proven?.texts ?? [])
    settle(change, running.id, endAway(running, proven))
  }
  doubtSending(change)
}

/** Turns heard of beside ours that run no more: taken for running, they would be adopted as phantoms. */
const forgetUnseen = (change: Draft): void => {
  for (const { providerTurnId, ended } of change.state.session.heard) {
    if (ended !== null) continue
    const away = { outcome: "interrupted", message: null } as const
    add(change, { type: "provider_turn.heard", providerTurnId, turnId: null, ended: away })
  }
}

/** L7: the turn ended while nobody listened. Without the provider's evidence it is `interrupted`, never `completed`. */
const endAway = (turn: OpenTurn, proven: Extract<Live, { readonly type: "idle" }>["last"]) =>
  proven === null
    ? outcomeOf(turn, "interrupted", "The turn ended while the server was away")
    : outcomeOf(turn, proven.outcome, proven.message)

const isRunning = (live: Extract<Live, { readonly type: "running" }>, change: Draft): void => {
  const { generation, providerTurnId } = live
  if (change.state.session.status === "starting") {
    add(change, { type: "session.started", generation, resume: null })
  }
  const running = activeTurn(change.state)
  if (running !== undefined && running.providerTurnId === providerTurnId) return doubtSending(change)
  if (running !== undefined) settle(change, running.id, endAway(running, null))
  const sending = sendingTurn(change.state)
  if (sending !== undefined && sending.send?.into === null && sending.id === live.turnId) {
    return add(change, { type: "turn.started", turnId: sending.id, providerTurnId })
  }
  if (sending === undefined) return adopt(change, providerTurnId)
  const heard = change.state.session.heard.find((turn) => turn.providerTurnId === providerTurnId)
  if (heard === undefined || heard.ended !== null) {
    add(change, { type: "provider_turn.heard", providerTurnId, turnId: live.turnId, ended: null })
  }
  doubtSending(change)
}

/** A send whose caller is gone: what became of it is asked of the provider's record. */
const doubtSending = (change: Draft): void => {
  const sending = sendingTurn(change.state)
  if (sending?.send?.doubt === null) {
    add(change, {
      type: "turn.send_doubted",
      turnId: sending.id,
      reason: "The server stopped while sending this"
    })
  }
}

const expireQueued = (change: Draft, { now, intentLimitMs }: Occasion): void => {
  const tooOld = (turn: OpenTurn) => intentLimitMs !== null && now - turn.queuedAt > intentLimitMs
  cancelQueued(change, "Expired while the server was down", tooOld)
  for (const turn of change.state.turns) {
    if (turn.state === "queued" && isExhausted(turn)) settle(change, turn.id, exhausted)
  }
}

const lowerFirst = (text: string) => text.slice(0, 1).toLowerCase() + text.slice(1)
