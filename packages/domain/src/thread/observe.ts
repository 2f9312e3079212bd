/**
 * What a provider event, an effect's outcome or a passed deadline means, now.
 *
 * One exhaustive match over each (B1): a new kind of event does not compile until it has a meaning.
 * Whatever is late, old, doubled or no longer owed changes nothing (L10).
 */
import { Schema } from "effect"
import { RequestId } from "../ids.ts"
import type { ProviderTurnId, TurnId } from "../ids.ts"
import { Usage } from "../runtime/ProviderEvent.ts"
import type { ItemEnd, ProviderEvent, TurnOutcome } from "../runtime/ProviderEvent.ts"
import {
  activeTurn,
  add,
  adopt,
  closeSession,
  conclude,
  draft,
  expired,
  nextItemId,
  outcomeOf,
  resumeOf,
  sendingTurn,
  settle,
  startFailed,
  turnOf
} from "./draft.ts"
import type { Draft } from "./draft.ts"
import type { ThreadEvent } from "./Event.ts"
import { isText } from "./evolve.ts"
import { deadlines, limits } from "./lifecycle.ts"
import type { DeadlineKind } from "./lifecycle.ts"
import { observeOutcome } from "./outcome.ts"
import type { Happening } from "./Owed.ts"
import type { OpenItem, OpenTurn, ThreadState } from "./State.ts"

/** A number that JSON cannot hold is left out: in the log it would make the whole thread unreadable. */
const isUsage = Schema.is(Usage)

type EventNamed<Type extends ProviderEvent["type"]> = Extract<ProviderEvent, { readonly type: Type }>

export const observe = (happening: Happening, state: ThreadState): ReadonlyArray<ThreadEvent> =>
  observed(happening, state).events

/** The same with the state that the events lead to. */
export const observed = (happening: Happening, state: ThreadState): Observed => {
  const change = draft(state, happening.type === "provider" ? happening.seq : null)
  switch (happening.type) {
    case "provider":
      if (!counts(happening.generation, happening.seq, state)) return change
      hear(happening.event, change)
      return concluded(change)
    case "outcome":
      observeOutcome(happening.outcome, change)
      return concluded(change)
    case "deadline":
      deadlinePassed(happening.kind, happening.turnId, change)
      return concluded(change)
  }
}

export interface Observed {
  readonly events: ReadonlyArray<ThreadEvent>
  readonly state: ThreadState
}

const concluded = (change: Draft): Observed => {
  conclude(change)
  return change
}

/** L10: only the open generation speaks, and each of its events counts once. */
const counts = (generation: number, seq: number, { session }: ThreadState) =>
  session.open && session.generation === generation && seq > session.seen

const hear = (event: ProviderEvent, change: Draft): void => {
  switch (event.type) {
    case "resume.changed":
      if (resumeOf(change.state.session, change.state.session.provider)?.cursor !== event.resume) {
        add(change, { type: "session.resume_changed", resume: event.resume })
      }
      return
    case "session.exited":
      return sessionExited(event, change)
    case "turn.started":
      return turnStarted(event, change)
    case "turn.completed":
      return turnEnded(event.providerTurnId, event.outcome, event.message, change)
    case "turn.aborted":
      return turnEnded(event.providerTurnId, "interrupted", event.message, change)
    case "item.started":
      return inTurn(event, change, (turn) => itemStarted(event, turn, change))
    case "item.updated":
      return inTurn(event, change, (turn) => {
        const item = openItem(change.state, turn, event.providerItemId)
        if (item !== undefined) add(change, { type: "item.updated", itemId: item.id, detail: event.detail })
      })
    case "item.completed":
      return inTurn(event, change, (turn) => itemCompleted(event, turn, change))
    case "text.delta":
      return inTurn(event, change, (turn) => textArrived(event, turn, change))
    case "request.opened":
      return inTurn(event, change, (turn) => requestOpened(event, turn, change))
    case "request.resolved":
      return requestResolved(event.requestKey, change)
    case "error.transient":
      return transientError(event, change)
    case "error.final":
      return inTurn(event, change, (turn) =>
        add(change, { type: "turn.error_noted", turnId: turn.id, message: event.message })
      )
    case "usage":
      return inTurn(event, change, (turn) => {
        if (isUsage(event.usage)) add(change, { type: "usage.reported", turnId: turn.id, usage: event.usage })
      })
    case "notice":
      return add(change, {
        type: "notice.recorded",
        turnId: change.state.session.activeTurnId,
        message: event.message
      })
    case "unknown":
      return
  }
}

// The running turn's own events

/** The turn an event speaks of, if it is the one that runs. An event that names no turn means that one. */
const turnMeant = (state: ThreadState, providerTurnId: ProviderTurnId | null): OpenTurn | undefined => {
  const active = activeTurn(state)
  return providerTurnId === null || active?.providerTurnId === providerTurnId ? active : undefined
}

/** An ordinary event of the running turn: first it ends the retry (L6) and the quiet (B3), then it means what it says. */
const inTurn = (
  event: { readonly providerTurnId: ProviderTurnId | null },
  change: Draft,
  then: (turn: OpenTurn) => void
): void => {
  const turn = turnMeant(change.state, event.providerTurnId)
  if (turn === undefined) return
  if (change.state.session.recovering !== null) add(change, { type: "session.recovered" })
  if (turn.quiet !== null) add(change, { type: "turn.quiet", turnId: turn.id, quiet: null })
  then(turn)
}

const openItem = (state: ThreadState, turn: OpenTurn, providerItemId: string): OpenItem | undefined =>
  state.items.find((item) => item.turnId === turn.id && item.providerItemId === providerItemId)

const itemStarted = (
  event: Pick<EventNamed<"item.started">, "providerItemId" | "kind" | "title" | "detail">,
  turn: OpenTurn,
  change: Draft
): void => {
  // The same name inside one turn is the same item until that has ended.
  if (openItem(change.state, turn, event.providerItemId) !== undefined) return
  if (isText(event)) supersedeCut(turn, event.kind, change)
  const now = turnOf(change.state, turn.id)!
  add(change, {
    type: "item.started",
    itemId: nextItemId(now),
    turnId: turn.id,
    providerItemId: event.providerItemId,
    kind: event.kind,
    title: event.title,
    detail: event.detail
  })
}

/** The retry says it again: the cut half must not stand beside the whole (L6). */
const supersedeCut = (turn: OpenTurn, kind: OpenItem["kind"], change: Draft): void => {
  for (const item of change.state.items) {
    if (item.turnId !== turn.id || !item.cut || item.kind !== kind) continue
    add(change, {
      type: "item.completed",
      itemId: item.id,
      turnId: turn.id,
      kind: item.kind,
      status: "superseded",
      text: item.text,
      reason: "The provider began this again"
    })
  }
}

const itemCompleted = (event: EventNamed<"item.completed">, turn: OpenTurn, change: Draft): void => {
  if (openItem(change.state, turn, event.providerItemId) === undefined) itemStarted(event, turn, change)
  const item = openItem(change.state, turn, event.providerItemId)
  if (item === undefined) return
  add(change, {
    type: "item.completed",
    itemId: item.id,
    turnId: turn.id,
    kind: item.kind,
    status: statusOf[event.end],
    // The final text replaces what was streamed: it is never appended to it (C6).
    text: event.text ?? item.text,
    title: event.title,
    detail: event.detail
  })
}

const statusOf: { readonly [End in ItemEnd]: "completed" | "failed" | "declined" } = {
  completed: "completed",
  failed: "failed",
  declined: "declined"
}

const textArrived = (event: EventNamed<"text.delta">, turn: OpenTurn, change: Draft): void => {
  const item = openItem(change.state, turn, event.providerItemId)
  if (item === undefined) return
  const offset = item.text.length
  // Offsets make a join exact and a copy harmless: what we have already is left out.
  const known = event.offset === undefined ? 0 : Math.max(0, offset - event.offset)
  const text = event.text.slice(known, known + limits.itemTextLength - offset)
  if (text !== "") add(change, { type: "text.appended", itemId: item.id, offset, text })
}

const requestOpened = (event: EventNamed<"request.opened">, turn: OpenTurn, change: Draft): void => {
  const requestId = RequestId.make(`${change.state.session.generation}/${event.requestKey}`)
  if (change.state.requests.some((request) => request.id === requestId)) return
  add(change, { type: "request.opened", requestId, turnId: turn.id, kind: event.kind, ask: event.ask })
}

const requestResolved = (key: string, change: Draft): void => {
  const { generation } = change.state.session
  const request = change.state.requests.find((open) => open.key === key && open.generation === generation)
  if (request === undefined) return
  if (change.state.session.recovering !== null) add(change, { type: "session.recovered" })
  add(
    change,
    request.answer === null
      ? expired(request, "The provider closed it by itself")
      : {
          type: "request.closed",
          requestId: request.id,
          turnId: request.turnId,
          status: "answered",
          reason: null
        }
  )
}

/** L6: the turn goes on. `lastError` and the status are left alone. */
const transientError = (event: EventNamed<"error.transient">, change: Draft): void => {
  const turn = turnMeant(change.state, event.providerTurnId)
  if (turn === undefined) return
  if (turn.quiet !== null) add(change, { type: "turn.quiet", turnId: turn.id, quiet: null })
  const { message, attempt, limit } = event
  add(change, { type: "session.recovering", message, attempt, limit })
}

// Starts and ends of turns

const turnStarted = (event: EventNamed<"turn.started">, change: Draft): void => {
  const { state } = change
  const { providerTurnId } = event
  const sending = sendingTurn(state)
  const running = activeTurn(state)
  if (running?.providerTurnId === providerTurnId) {
    // Says nothing new; kept so that a copy that comes after the turn's end is known as one.
    return add(change, { type: "turn.referenced", turnId: running.id, providerTurnId })
  }
  if (
    running === undefined &&
    sending !== undefined &&
    sending.id === event.turnId &&
    sending.send?.into === null
  ) {
    return add(change, { type: "turn.started", turnId: sending.id, providerTurnId })
  }
  // While a send or a start is under way the acceptance will say which provider turn took the message.
  if (running !== undefined || sending !== undefined || state.session.status === "starting") {
    return add(change, { type: "provider_turn.heard", providerTurnId, turnId: event.turnId, ended: null })
  }
  adopt(change, providerTurnId)
}

/** L4: only the active turn's own end settles it, and an end without a name settles nothing. */
const turnEnded = (
  providerTurnId: ProviderTurnId | null,
  outcome: TurnOutcome,
  message: string | null,
  change: Draft
): void => {
  const { state } = change
  if (providerTurnId === null) return
  const running = activeTurn(state)
  if (running?.providerTurnId === providerTurnId) {
    return settle(change, running.id, outcomeOf(running, outcome, message))
  }
  const known = state.session.heard.some((turn) => turn.providerTurnId === providerTurnId)
  const mayBeOurs = sendingTurn(state) !== undefined || state.session.status === "starting"
  if (known || mayBeOurs) {
    add(change, { type: "provider_turn.heard", providerTurnId, turnId: null, ended: { outcome, message } })
  }
}

const sessionExited = (event: EventNamed<"session.exited">, change: Draft): void => {
  const { session } = change.state
  if (session.stopAsked !== null) return closeSession(change, { end: "asked", message: null })
  if (session.status === "starting") {
    return startFailed(change, event.message ?? "The provider ended while it was starting")
  }
  closeSession(
    change,
    event.clean
      ? { end: "clean", message: event.message, turnReason: "The provider ended the session" }
      : { end: "crash", message: event.message ?? "The provider ended unexpectedly" }
  )
}

// Time

const deadlinePassed = (kind: DeadlineKind, turnId: TurnId, change: Draft): void => {
  const { session } = change.state
  const turn = activeTurn(change.state)
  if (turn === undefined || turn.id !== turnId || session.stopAsked !== null) return
  switch (kind) {
    case "interrupt":
      if (turn.interrupt === null || turn.interrupt.step === "asked") return
      add(change, { type: "turn.interrupt_escalated", turnId, reason: "The turn did not end in time" })
      return add(change, { type: "session.stop_asked", by: "interrupt", step: "stop" })
    case "finalError":
      // The provider said that the turn failed and never that it ended: only its session's end is proof.
      if (turn.finalError === null) return
      return add(change, { type: "session.stop_asked", by: "doubt", step: "stop" })
    case "quiet":
      if (turn.quiet === "asking" || turn.interrupt !== null) return
      // Its stop was refused, and nobody is there any more who could ask for it again.
      if (change.state.info?.deleted === true)
        return add(change, { type: "session.stop_asked", by: "deleted", step: "stop" })
      return add(change, { type: "turn.quiet", turnId, quiet: "asking", silentMs: deadlines.quiet })
  }
}
