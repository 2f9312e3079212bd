/**
 * What the outcome of an owed effect means, now. An outcome of what is no longer owed changes nothing (L10).
 */
import type { Fault } from "../runtime/Fault.ts"
import {
  activeTurn,
  add,
  closeSession,
  expired,
  headTurn,
  outcomeOf,
  recordTexts,
  requeue,
  sendingTurn,
  settle,
  startFailed,
  turnOf
} from "./draft.ts"
import type { Draft, Settlement } from "./draft.ts"
import type { Evidence, Outcome } from "./Owed.ts"
import type { OpenTurn } from "./State.ts"

type OutcomeNamed<Type extends Outcome["type"]> = Extract<Outcome, { readonly type: Type }>

export const observeOutcome = (outcome: Outcome, change: Draft): void => {
  switch (outcome.type) {
    case "start.ok":
      return startSucceeded(outcome, change)
    case "start.failed":
      return isStarting(outcome.generation, change) ? endStart(change, outcome.fault) : undefined
    case "send.accepted":
      return withSend(outcome, change, (turn) => sendAccepted(outcome, turn, change))
    case "send.rejected":
      return withSend(outcome, change, (turn) => sendRejected(outcome.fault, turn, change))
    case "send.unknown":
      return withSend(outcome, change, (turn) => {
        if (turn.send?.doubt === null && isOpen(outcome.generation, change)) {
          add(change, { type: "turn.send_doubted", turnId: turn.id, reason: outcome.fault.message })
        }
      })
    case "steer.accepted":
      return withSend(outcome, change, (turn) => steered(turn, change))
    case "evidence":
      return withSend(outcome, change, (turn) =>
        isOpen(outcome.generation, change)
          ? evidenceWhileOpen(outcome.evidence, turn, change)
          : evidenceAfterwards(outcome.evidence, turn, change)
      )
    case "interrupt.accepted":
      return withInterrupt(outcome, change, (turn) =>
        add(change, { type: "turn.interrupt_accepted", turnId: turn.id })
      )
    case "interrupt.failed":
      return withInterrupt(outcome, change, (turn) => interruptFailed(outcome.fault, turn, change))
    case "probe.alive":
      return withProbe(outcome, change, (turn) =>
        add(change, { type: "turn.quiet", turnId: turn.id, quiet: "alive" })
      )
    case "probe.failed":
      return withProbe(outcome, change, (turn) =>
        add(change, { type: "turn.quiet", turnId: turn.id, quiet: "unknown" })
      )
    case "probe.gone":
      return withProbe(outcome, change, (turn) => settle(change, turn.id, endOfGone(outcome, turn)))
    case "answer.accepted":
      return withAnswer(outcome.requestId, change, (request) =>
        add(change, {
          type: "request.closed",
          requestId: request.id,
          turnId: request.turnId,
          status: "answered",
          reason: null
        })
      )
    case "answer.gone":
      return withAnswer(outcome.requestId, change, (request) =>
        add(change, expired(request, "The agent is no longer waiting for this"))
      )
    case "answer.failed":
      return withAnswer(outcome.requestId, change, (request) =>
        add(change, { type: "request.answer_failed", requestId: request.id, message: outcome.fault.message })
      )
    case "stop.ok":
      return stopSucceeded(outcome, change)
    case "stop.failed":
      return stopFailed(outcome, change)
  }
}

const isOpen = (generation: number, change: Draft) =>
  change.state.session.open && change.state.session.generation === generation

// Start

const isStarting = (generation: number, change: Draft) =>
  isOpen(generation, change) && change.state.session.status === "starting"

const startSucceeded = (outcome: OutcomeNamed<"start.ok">, change: Draft): void => {
  if (!isStarting(outcome.generation, change)) return
  add(change, { type: "session.started", generation: outcome.generation, resume: outcome.resume })
  if (outcome.notice !== undefined) {
    add(change, { type: "notice.recorded", turnId: null, message: outcome.notice })
  }
}

/** With a stop asked, the start's failure is what was asked for: the request goes with it. */
const endStart = (change: Draft, fault: Fault): void =>
  change.state.session.stopAsked === null
    ? startFailed(change, fault.message)
    : closeSession(change, { end: "asked", message: null })

// Send

/** The send is still owed: the turn is `sending`, on that generation. */
const withSend = (
  outcome: { readonly turnId: OpenTurn["id"]; readonly generation: number },
  change: Draft,
  then: (turn: OpenTurn) => void
): void => {
  const turn = turnOf(change.state, outcome.turnId)
  if (turn?.state === "sending" && turn.send?.generation === outcome.generation) then(turn)
}

const sendAccepted = (outcome: OutcomeNamed<"send.accepted">, turn: OpenTurn, change: Draft): void => {
  if (turn.send?.into !== null) return steered(turn, change)
  const { providerTurnId } = outcome
  const ended =
    change.state.session.heard.find((heard) => heard.providerTurnId === providerTurnId)?.ended ?? null
  if (!isOpen(outcome.generation, change)) {
    return settle(
      change,
      turn.id,
      ended === null ? cutOff(change) : outcomeOf(turn, ended.outcome, ended.message)
    )
  }
  add(change, { type: "turn.started", turnId: turn.id, providerTurnId })
  if (ended !== null) settle(change, turn.id, outcomeOf(turn, ended.outcome, ended.message))
}

/** Delivered, and the generation that had it is gone. */
const cutOff = (change: Draft): Settlement =>
  change.state.session.status === "error"
    ? {
        state: "error",
        reason: change.state.session.lastError ?? "The provider ended unexpectedly",
        delivery: "delivered"
      }
    : { state: "interrupted", reason: "The session ended first", delivery: "delivered" }

const sendRejected = (fault: Fault, turn: OpenTurn, change: Draft): void => {
  if (turn.send?.into !== null) return requeue(change, turn, fault.message)
  if (fault.reason === "SessionGone") {
    // The provider does not know the session: nothing was delivered, and a new generation can send it. The
    // session's end may have been heard already.
    if (isOpen(turn.send.generation, change)) closeSession(change, { end: "gone", message: fault.message })
    return requeue(change, turn, fault.message)
  }
  settle(change, turn.id, { state: "error", reason: fault.message, delivery: "not_delivered" })
}

const steered = (turn: OpenTurn, change: Draft): void =>
  settle(change, turn.id, {
    state: "steered",
    reason: null,
    delivery: "delivered",
    into: turn.send?.into ?? change.state.session.activeTurnId
  })

// Evidence

/** The generation lives: "absent" may still become "delivered", so it must end before anything is concluded. */
const evidenceWhileOpen = (evidence: Evidence, turn: OpenTurn, change: Draft): void => {
  if (turn.send === null || turn.send.doubt === null) return
  if (evidence.type !== "found") {
    if (change.state.session.stopAsked === null) {
      add(change, { type: "session.stop_asked", by: "doubt", step: "stop" })
    }
    return
  }
  if (turn.send.into !== null) return steered(turn, change)
  if (activeTurn(change.state) !== undefined) return
  add(change, { type: "turn.started", turnId: turn.id, providerTurnId: evidence.providerTurnId })
  if (!evidence.running) settleFound(evidence, turn, change)
}

const evidenceAfterwards = (evidence: Evidence, turn: OpenTurn, change: Draft): void => {
  switch (evidence.type) {
    case "found":
      if (turn.send?.into !== null) return steered(turn, change)
      // A record that still says "running" is of a provider that is gone.
      return evidence.running ? settle(change, turn.id, cutOff(change)) : settleFound(evidence, turn, change)
    case "absent":
      if (turn.send?.into === null) return requeue(change, turn, "It had not been delivered")
      return settle(change, turn.id, {
        state: "cancelled",
        reason: "Not sent: the turn it was meant for ended first",
        delivery: "not_delivered"
      })
    case "none":
      return settle(change, turn.id, unknownDelivery(evidence.message))
  }
}

const unknownDelivery = (message: string): Settlement => ({
  state: "interrupted",
  reason: `The agent may or may not have received this message. ${message}`,
  delivery: "unknown"
})

const settleFound = (
  evidence: Extract<Evidence, { readonly running: false }>,
  turn: OpenTurn,
  change: Draft
): void => {
  recordTexts(change, turn.id, evidence.texts)
  settle(change, turn.id, outcomeOf(turn, evidence.outcome, evidence.message))
}

// Interrupt

const withInterrupt = (
  outcome: { readonly turnId: OpenTurn["id"]; readonly generation: number },
  change: Draft,
  then: (turn: OpenTurn) => void
): void => {
  const turn = activeTurn(change.state)
  const owed = turn?.id === outcome.turnId && turn.interrupt?.step === "asked"
  if (owed && isOpen(outcome.generation, change)) then(turn)
}

const interruptFailed = (fault: Fault, turn: OpenTurn, change: Draft): void => {
  if (fault.reason === "SessionGone") {
    return closeSession(change, { end: "gone", message: fault.message, turnReason: "Interrupted by you" })
  }
  if (fault.reason === "TurnMismatch") {
    // The provider says it does not run: its end is on the way, and the deadline waits for it.
    return add(change, { type: "turn.interrupt_accepted", turnId: turn.id })
  }
  add(change, { type: "turn.interrupt_escalated", turnId: turn.id, reason: fault.message })
  if (change.state.session.stopAsked === null) {
    add(change, { type: "session.stop_asked", by: "interrupt", step: "stop" })
  }
}

// Probe

const withProbe = (
  outcome: { readonly turnId: OpenTurn["id"]; readonly generation: number },
  change: Draft,
  then: (turn: OpenTurn) => void
): void => {
  const turn = activeTurn(change.state)
  if (turn?.id === outcome.turnId && turn.quiet === "asking" && isOpen(outcome.generation, change)) then(turn)
}

const endOfGone = (outcome: OutcomeNamed<"probe.gone">, turn: OpenTurn): Settlement =>
  outcome.ended === null
    ? { state: "interrupted", reason: "The provider no longer works on this turn", delivery: "delivered" }
    : outcomeOf(turn, outcome.ended.outcome, outcome.ended.message)

// Answers

const withAnswer = (
  requestId: string,
  change: Draft,
  then: (request: Draft["state"]["requests"][number]) => void
): void => {
  const request = change.state.requests.find((open) => open.id === requestId)
  if (request !== undefined && request.answer !== null) then(request)
}

// Stop

const stopSucceeded = (outcome: OutcomeNamed<"stop.ok">, change: Draft): void => {
  if (!isOpen(outcome.generation, change) || change.state.session.stopAsked === null) return
  closeSession(change, { end: "asked", message: null })
}

/**
 * L9. The user's stop failed: the session stays as it is and says so. A stop that the kernel itself
 * needs goes one step further, to the provider's process; when that fails too, the turn in question ends
 * with the truth and the session is retired before anything else is sent.
 */
const stopFailed = (outcome: OutcomeNamed<"stop.failed">, change: Draft): void => {
  const asked = change.state.session.stopAsked
  if (!isOpen(outcome.generation, change) || asked === null || asked.step !== outcome.step) return
  if (outcome.fault.reason === "SessionGone") return closeSession(change, { end: "asked", message: null })
  const message = `The session could not be stopped: ${outcome.fault.message}`
  add(change, { type: "session.stop_failed", message })
  if (asked.by === "user") return
  if (asked.step === "stop") {
    return add(change, { type: "session.stop_asked", by: asked.by, step: "kill" })
  }
  giveUp(message, change)
}

/** Nothing we can do ends this session: each turn that waited for its end gets its own. */
const giveUp = (message: string, change: Draft): void => {
  const running = activeTurn(change.state)
  if (running?.interrupt != null) {
    add(change, { type: "turn.interrupt_failed", turnId: running.id, reason: message })
  } else if (running !== undefined && running.finalError !== null) {
    settle(change, running.id, outcomeOf(running, "failed", running.finalError))
  }
  const sending = sendingTurn(change.state)
  if (sending !== undefined) return settle(change, sending.id, unknownDelivery(message))
  const head = headTurn(change.state)
  if (head !== undefined && activeTurn(change.state) === undefined) {
    settle(change, head.id, { state: "error", reason: message, delivery: "not_delivered" })
  }
}
