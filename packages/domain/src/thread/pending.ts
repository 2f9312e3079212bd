/**
 * What the world still owes this state, and the marker that comes before doing it.
 *
 * This is the outbox: a turn that is `queued` at the head of its thread *is* the order to send it.
 * Level-triggered: it reads the state, never an event that went by, so nothing is lost by a crash.
 */
import type { ThreadEvent } from "./Event.ts"
import { activeTurn, headTurn, resumeOf, sendingTurn } from "./draft.ts"
import { deadlines } from "./lifecycle.ts"
import type { DeadlineKind } from "./lifecycle.ts"
import { keyOf } from "./Owed.ts"
import type { Owed } from "./Owed.ts"
import type { OpenTurn, ThreadState } from "./State.ts"

export const pending = (state: ThreadState): ReadonlyArray<Owed> => [
  ...owedBySession(state),
  ...owedBySending(state),
  ...owedByRunning(state),
  ...owedByRequests(state)
]

/** The session's stop, or the next thing for the head of the queue: start, retire, or send. */
const owedBySession = (state: ThreadState): ReadonlyArray<Owed> => {
  const { session } = state
  const { generation } = session
  if (session.open && session.stopAsked !== null) {
    return [{ type: "session.stop", generation, step: session.stopAsked.step }]
  }
  if (session.status === "starting") return [startOf(state, generation, true)]
  const head = headTurn(state)
  if (head === undefined || activeTurn(state) !== undefined || sendingTurn(state) !== undefined) return []
  if (!session.open) return [startOf(state, generation + 1, false)]
  if (session.retire || session.provider !== head.provider) {
    return [{ type: "session.stop", generation, step: session.retire ? "kill" : "stop" }]
  }
  return [{ type: "turn.send", turnId: head.id, generation, attempt: head.tries + 1, begun: false }]
}

const startOf = (state: ThreadState, generation: number, begun: boolean): Owed => {
  const head = headTurn(state)
  const provider = begun ? state.session.provider : (head?.provider ?? null)
  const owner = provider ?? state.info!.provider
  return {
    type: "session.start",
    generation,
    provider: owner,
    resume: resumeOf(state.session, owner),
    turnId: head?.id ?? null,
    begun
  }
}

/** A send under way: its outcome, or, once in doubt or with its generation closed, the evidence. */
const owedBySending = (state: ThreadState): ReadonlyArray<Owed> => {
  const { session } = state
  const turn = sendingTurn(state)
  if (turn === undefined || turn.send === null) return []
  const final = !session.open || session.generation !== turn.send.generation
  if (!final && turn.send.doubt === null) {
    const { generation, into, intoProviderTurnId } = turn.send
    const common = { turnId: turn.id, generation, attempt: turn.tries, begun: true }
    return into === null
      ? [{ type: "turn.send", ...common }]
      : [{ type: "turn.steer", ...common, into, intoProviderTurnId }]
  }
  // While a stop is under way the answer could still change; it is asked when the generation is closed.
  if (!final && session.stopAsked !== null) return []
  return [
    {
      type: "turn.evidence",
      turnId: turn.id,
      generation: turn.send.generation,
      provider: turn.provider,
      resume: resumeOf(session, turn.provider),
      final
    }
  ]
}

const owedByRunning = (state: ThreadState): ReadonlyArray<Owed> => {
  const { session } = state
  const turn = activeTurn(state)
  if (turn === undefined || session.stopAsked !== null) return []
  const { generation } = session
  const { providerTurnId } = turn
  const waiting = (kind: DeadlineKind): Owed => ({
    type: "deadline",
    kind,
    turnId: turn.id,
    afterMs: deadlines[kind]
  })
  if (turn.interrupt?.step === "asked") {
    return [{ type: "turn.interrupt", turnId: turn.id, generation, providerTurnId }]
  }
  if (turn.interrupt !== null) return [waiting("interrupt")]
  if (turn.finalError !== null) return [waiting("finalError")]
  return [...steerInto(state, turn), ...owedByQuiet(state, turn, waiting("quiet"))]
}

const steerInto = (state: ThreadState, into: OpenTurn): ReadonlyArray<Owed> => {
  const { session } = state
  const next = state.turns.find((turn) => turn.state === "queued" && turn.delivery === "steer")
  if (next === undefined || sendingTurn(state) !== undefined || session.retire) return []
  if (next.provider !== session.provider) return []
  return [
    {
      type: "turn.steer",
      turnId: next.id,
      generation: session.generation,
      attempt: next.tries + 1,
      into: into.id,
      intoProviderTurnId: into.providerTurnId,
      begun: false
    }
  ]
}

/** A turn that waits for the user may be quiet for days; in a deleted thread no user will ever answer. */
const owedByQuiet = (state: ThreadState, turn: OpenTurn, deadline: Owed): ReadonlyArray<Owed> => {
  const asks = state.requests.some((request) => request.turnId === turn.id && request.answer === null)
  if (asks && state.info?.deleted !== true) return []
  if (turn.quiet !== "asking") return [deadline]
  const { generation } = state.session
  return [{ type: "turn.probe", turnId: turn.id, generation, providerTurnId: turn.providerTurnId }]
}

const owedByRequests = (state: ThreadState): ReadonlyArray<Owed> =>
  state.session.open && state.session.stopAsked === null
    ? state.requests.flatMap((request): ReadonlyArray<Owed> =>
        request.answer === null
          ? []
          : [
              {
                type: "request.answer",
                requestId: request.id,
                key: request.key,
                generation: request.generation,
                answer: request.answer
              }
            ]
      )
    : []

/**
 * The marker that is committed before the provider is called. Empty: nothing needs one. Null: it is not
 * owed any more, or its marker stands already; it must not be performed.
 */
export const begin = (owed: Owed, state: ThreadState): ReadonlyArray<ThreadEvent> | null => {
  const key = keyOf(owed)
  const now = pending(state).find((other) => keyOf(other) === key)
  if (now === undefined) return null
  switch (now.type) {
    case "session.start":
      if (now.begun) return null
      return [
        { type: "session.starting", generation: now.generation, provider: now.provider, turnId: now.turnId }
      ]
    case "turn.send":
      if (now.begun) return null
      return [{ type: "turn.send_started", turnId: now.turnId, generation: now.generation, into: null }]
    case "turn.steer":
      if (now.begun) return null
      return [{ type: "turn.send_started", turnId: now.turnId, generation: now.generation, into: now.into }]
    case "session.stop":
      // A stop that nobody asked for by name: the session is in the way of the next turn.
      return state.session.stopAsked === null
        ? [{ type: "session.stop_asked", by: state.session.retire ? "doubt" : "switch", step: now.step }]
        : []
    default:
      return []
  }
}
