/**
 * The laws of the lifecycle, each stated once as a program. `docs/laws.md` says them in words.
 *
 * A law sees one step: the world before, what happened, the events, the world after, and the truth at
 * the provider in both. It answers with what is wrong, or null.
 */

import type { ProviderTurnId } from "../src/ids.ts"
import type { Numbered, ProviderEvent } from "../src/runtime/ProviderEvent.ts"
import { activeTurn, atRest, sendingTurn } from "../src/thread/draft.ts"
import type { EventOf, ThreadEvent, ThreadEventType } from "../src/thread/Event.ts"
import { isText } from "../src/thread/evolve.ts"
import type { Happening, Outcome } from "../src/thread/Owed.ts"
import type { ThreadState } from "../src/thread/State.ts"
import type { Kernel } from "./Kernel.ts"

import type { Move } from "./moves.ts"
import { carrierOf, commandId, hasArrived } from "./World.ts"
import type { World } from "./World.ts"

export interface Step {
  readonly before: World
  readonly move: Move
  readonly events: ReadonlyArray<ThreadEvent>
  readonly after: World
  readonly kernel: Kernel
  /** The world after is seen for the first time: laws of states alone need not look again. */
  readonly fresh: boolean
}

export interface Law {
  readonly name: string
  readonly says: string
  readonly check: (step: Step) => string | null
}

const all = <Type extends ThreadEventType>(step: Step, type: Type): ReadonlyArray<EventOf<Type>> =>
  step.events.filter((event): event is EventOf<Type> => event.type === type)

const providerEvent = ({ move }: Step): ProviderEvent | null =>
  move.cause.type === "happening" && move.cause.happening.type === "provider"
    ? move.cause.happening.event
    : null

const outcome = ({ move }: Step): Outcome | null =>
  move.cause.type === "happening" && move.cause.happening.type === "outcome"
    ? move.cause.happening.outcome
    : null

const settledIn = (step: Step, turnId: string) =>
  all(step, "turn.settled").find((event) => event.turnId === turnId)

const when = (broken: boolean, message: string): string | null => (broken ? message : null)

const L1: Law = {
  name: "L1",
  says: "at most one turn runs and at most one is being sent; a send beside a running turn is a steer the user asked for",
  check: (step) => {
    const { turns } = step.after.state
    const running = turns.filter((turn) => turn.state === "running").length
    const sending = turns.filter((turn) => turn.state === "sending").length
    if (running > 1 || sending > 1) return `${running} run, ${sending} are being sent`
    for (const event of all(step, "turn.send_started")) {
      const turn = step.before.state.turns.find((open) => open.id === event.turnId)
      const beside = activeTurn(step.before.state)
      if (beside !== undefined && (turn?.delivery !== "steer" || event.into !== beside.id))
        return "sent beside a running turn"
    }
    return null
  }
}

const L2: Law = {
  name: "L2",
  says: "the session is running exactly when activeTurnId names a running turn",
  check: ({ after }) => {
    const { session } = after.state
    const named = activeTurn(after.state)?.state === "running"
    if (session.activeTurnId !== null && !named) return "activeTurnId names no running turn"
    if (named !== (session.status === "running"))
      return `status ${session.status}, active ${session.activeTurnId}`
    const strays = after.state.turns.filter(
      (turn) => turn.state === "running" && turn.id !== session.activeTurnId
    )
    return when(strays.length > 0, "a running turn is not the active one")
  }
}

const L3: Law = {
  name: "L3",
  says: "a terminal turn never changes again, and an open one leaves only by settling",
  check: (step) => {
    const open = new Set<string>(step.before.state.turns.map((turn) => turn.id))
    const known = new Set(open)
    for (const event of step.events) {
      if (event.type === "turn.queued" || event.type === "turn.adopted") {
        if (known.has(event.turnId)) return `${event.turnId} began twice`
        known.add(event.turnId)
        open.add(event.turnId)
      } else if (event.type === "turn.settled") {
        if (!open.delete(event.turnId)) return `${event.turnId} settled twice`
      } else if ("turnId" in event && event.type.startsWith("turn.") && !open.has(event.turnId as string)) {
        return `${event.type} after the end of ${event.turnId}`
      }
    }
    const left = step.after.state.turns.map((turn) => turn.id as string)
    return when(
      left.length !== open.size || left.some((id) => !open.has(id)),
      "a turn came or went without an event"
    )
  }
}

const L4: Law = {
  name: "L4",
  says: "only the active turn's own end settles the active session; an end without a name settles nothing",
  check: (step) => {
    const event = providerEvent(step)
    if (
      event === null ||
      (event.type !== "turn.completed" && event.type !== "turn.aborted" && event.type !== "turn.started")
    )
      return null
    const active = activeTurn(step.before.state)
    if (
      event.type !== "turn.started" &&
      active !== undefined &&
      active.providerTurnId === event.providerTurnId
    ) {
      return when(settledIn(step, active.id) === undefined, "the active turn's end did not settle it")
    }
    if (all(step, "turn.settled").length > 0) return "a foreign turn settled one of ours"
    if (active === undefined) return null
    return when(
      step.after.state.session.status !== step.before.state.session.status,
      "a foreign turn changed the session"
    )
  }
}

const L5: Law = {
  name: "L5",
  says: "settling a turn closes its open items and requests in the same commit",
  check: (step) => {
    const { state } = step.after
    const open = new Set<string>(state.turns.map((turn) => turn.id))
    if (state.items.some((item) => !open.has(item.turnId))) return "an item is open in a settled turn"
    if (state.requests.some((request) => !open.has(request.turnId)))
      return "a request is open in a settled turn"
    const closed = new Set<string>()
    for (const event of step.events) {
      if (event.type === "item.completed") closed.add(event.itemId)
      if (event.type === "request.closed") closed.add(event.requestId)
      if (event.type !== "turn.settled") continue
      const left = [...step.before.state.items, ...step.before.state.requests].filter(
        (thing) => thing.turnId === event.turnId && !closed.has(thing.id)
      )
      if (left.length > 0) return `${left[0]!.id} was not closed before its turn`
    }
    return null
  }
}

const ordinary = new Set([
  "item.started",
  "item.completed",
  "text.delta",
  "request.opened",
  "error.final",
  "turn.completed"
])

const L6: Law = {
  name: "L6",
  says: "a transient error shows as recovering and nothing else; the next ordinary event clears it; a retry supersedes the cut text",
  check: (step) => {
    const event = providerEvent(step)
    if (event === null) return null
    const was = step.before.state.session
    const is = step.after.state.session
    const active = activeTurn(step.before.state)
    const ours =
      active !== undefined && "providerTurnId" in event && event.providerTurnId === active.providerTurnId
    if (event.type === "error.transient" && ours) {
      if (is.recovering === null) return "recovering does not show"
      return when(
        is.status !== was.status || is.lastError !== was.lastError,
        "a transient error changed the session"
      )
    }
    if (ours && ordinary.has(event.type) && is.recovering !== null) return "recovering was not cleared"
    const doubled = step.after.state.items.filter((item) => isText(item) && item.cut)
    const fresh = step.after.state.items.filter((item) => isText(item) && !item.cut)
    return when(
      event.type === "item.started" && doubled.length > 0 && fresh.length > 0,
      "the cut text stands beside the new one"
    )
  }
}

const L7: Law = {
  name: "L7",
  says: "completed only on the provider's own evidence; what was lost is interrupted",
  check: (step) => {
    for (const event of all(step, "turn.settled")) {
      if (event.state !== "completed") continue
      const turn = step.before.state.turns.find((open) => open.id === event.turnId)
      const names = [
        turn?.providerTurnId,
        carrierOf(event.turnId),
        step.move.truth?.[event.turnId]?.slice(3) ?? step.before.truth[event.turnId]?.slice(3),
        ...step.before.state.session.heard.map((heard) => heard.providerTurnId)
      ]
      if (
        !names.some(
          (name) => name != null && (step.move.provider ?? step.before.provider)[name] === "completed"
        )
      ) {
        return `${event.turnId} is completed and did not complete`
      }
    }
    return null
  }
}

const L8: Law = {
  name: "L8",
  says: "a failed send or start settles the turn as error; the session is error with a live binding, stopped without; lastError says why",
  check: (step) => {
    const result = outcome(step)
    if (result?.type === "start.failed") return failedStart(step)
    if (result?.type !== "send.rejected" || result.fault.reason === "SessionGone") return null
    const turn = sendingTurn(step.before.state)
    if (turn === undefined || turn.id !== result.turnId || turn.send?.into !== null) return null
    const { session } = step.after.state
    if (settledIn(step, turn.id)?.state !== "error") return "the turn did not settle as error"
    // The provider's own turn, heard meanwhile, may run now; then the session is as that turn says.
    const expected = session.activeTurnId !== null ? "running" : session.open ? "error" : null
    if (expected !== null && session.status !== expected) return `the session is ${session.status}`
    if (expected === null && session.status !== "stopped" && session.status !== "error")
      return `the session is ${session.status}`
    return when(session.lastError === null, "lastError is empty")
  }
}

const failedStart = (step: Step): string | null => {
  const was = step.before.state
  if (was.session.status !== "starting" || was.session.stopAsked !== null) return null
  const { session } = step.after.state
  if (session.open || session.status !== "stopped") return `the session is ${session.status}`
  const head = was.turns.find((turn) => turn.state === "queued")
  if (head !== undefined && settledIn(step, head.id)?.state !== "error")
    return "the turn did not settle as error"
  return when(session.lastError === null, "lastError is empty")
}

const L9: Law = {
  name: "L9",
  says: "stop is honest: gone is success, any other failure leaves the session as it is and says so",
  check: (step) => {
    const result = outcome(step)
    const was = step.before.state.session
    const is = step.after.state.session
    const owed = was.stopAsked !== null && was.open
    if (result?.type === "stop.ok" && owed)
      return when(is.open || is.stopAsked !== null, "a stopped session is open")
    if (result?.type !== "stop.failed" || !owed || was.stopAsked?.step !== result.step) return null
    if (result.fault.reason === "SessionGone") return when(is.open, "a session that is gone is open")
    if (!is.open) return "a failing stop pretends that the session stopped"
    if (is.lastError === null) return "lastError is empty"
    return when(
      was.stopAsked.by === "user" && (is.status !== was.status || is.stopAsked !== null),
      "a failing stop changed the session"
    )
  }
}

const L10: Law = {
  name: "L10",
  says: "an event of an old or closed generation, a copy, or the outcome of what is not owed changes nothing",
  check: (step) => {
    const { cause } = step.move
    if (cause.type === "happening" && step.events.length > 0) {
      // The same thing a second time, right behind itself. (What caused nothing causes nothing again.)
      const again = step.kernel.observe(cause.happening, step.after.state)
      if (again.length > 0 && cause.happening.type !== "deadline") return `a copy caused ${again[0]!.type}`
      const copied = step.before.unfenced.some((said) => isCopy(said, cause.happening))
      const more = copied && step.events.find((event) => event.type !== "provider_turn.heard")
      // A copy of an end that meant nothing at first may be kept in mind, and no more than that.
      if (more) return `a late copy caused ${more.type}`
    }
    return step.fresh ? lateCauses(step) : null
  }
}

const isCopy = (said: Numbered, happening: Happening): boolean =>
  happening.type === "provider" && happening.seq === said.seq

const lateCauses = ({ after, kernel }: Step): string | null => {
  const { session } = after.state
  const ends: ReadonlyArray<ProviderEvent> = [
    { type: "session.exited", clean: false, message: null },
    { type: "turn.started", providerTurnId: carrierOf("late"), turnId: null },
    ...Object.keys(after.provider).map(
      (id) =>
        ({
          type: "turn.completed",
          providerTurnId: id as ProviderTurnId,
          outcome: "completed",
          message: null
        }) as const
    )
  ]
  // A later copy of what was said in the open generation comes under its old number.
  if (session.open && session.seen > 0) {
    for (const event of ends) {
      const { generation, seen } = session
      const caused = kernel.observe({ type: "provider", generation, seq: seen, event }, after.state)
      if (caused.length > 0) return `a late copy of ${event.type} caused ${caused[0]!.type}`
    }
  }
  const generations = [session.generation - 1, ...(session.open ? [] : [session.generation])]
  for (const generation of generations) {
    for (const event of ends) {
      const caused = kernel.observe(
        { type: "provider", generation, seq: session.seen + 9, event },
        after.state
      )
      if (caused.length > 0) return `${event.type} of a closed generation caused ${caused[0]!.type}`
    }
  }
  for (const late of lateOutcomes(after.state)) {
    const caused = kernel.observe({ type: "outcome", outcome: late }, after.state)
    if (caused.length > 0) return `${late.type}, not owed, caused ${caused[0]!.type}`
  }
  return null
}

/** Outcomes that this state does not wait for. */
const lateOutcomes = (state: ThreadState): ReadonlyArray<Outcome> => {
  const { session } = state
  const fault = { reason: "Unavailable", message: "late" } as const
  const { generation } = session
  const active = activeTurn(state)
  const out: Array<Outcome> = [{ type: "stop.failed", generation: generation - 1, step: "stop", fault }]
  if (session.status !== "starting")
    out.push({ type: "start.failed", generation, fault }, { type: "start.ok", generation, resume: null })
  if (session.stopAsked === null)
    out.push({ type: "stop.ok", generation }, { type: "stop.failed", generation, step: "stop", fault })
  for (const turnId of ["t1", "t2"] as const) {
    const turn = state.turns.find((open) => open.id === turnId)
    const at = { turnId: turnId as never, generation }
    if (turn?.state !== "sending") {
      out.push(
        { type: "send.rejected", ...at, fault },
        { type: "send.unknown", ...at, fault },
        { type: "steer.accepted", ...at }
      )
      out.push(
        { type: "send.accepted", ...at, providerTurnId: carrierOf("late") },
        { type: "evidence", ...at, evidence: { type: "absent" } }
      )
    }
    if (active?.id !== turnId || active.interrupt?.step !== "asked") {
      out.push({ type: "interrupt.failed", ...at, fault }, { type: "interrupt.accepted", ...at })
    }
    if (active?.id !== turnId || active.quiet !== "asking")
      out.push({ type: "probe.gone", ...at, ended: null })
  }
  return out
}

const L11: Law = {
  name: "L11",
  says: "a command id is answered once: the same body gets the same answer, another body is refused",
  check: ({ kernel, move, fresh }) => {
    if (move.cause.type !== "command" || !fresh) return null
    const body = JSON.stringify(move.cause.command)
    if (kernel.repetition(null, body) !== "new") return "a new command is taken for an old one"
    if (kernel.repetition(body, body) !== "repeated") return `${commandId} would be carried out twice`
    return when(
      kernel.repetition(body, `${body} `) !== "reused",
      "another body under the same id is accepted"
    )
  }
}

const L12: Law = {
  name: "L12",
  says: "no prompt is sent twice without the user asking, and none vanishes: it ends with its delivery told truly",
  check: (step) => {
    for (const event of all(step, "turn.send_started")) {
      const truth = step.before.truth[event.turnId]
      if (truth === "flying" || hasArrived(truth)) return `${event.turnId} is sent again`
    }
    for (const event of all(step, "turn.settled")) {
      const truth = step.move.truth?.[event.turnId] ?? step.before.truth[event.turnId]
      if (event.delivery === "not_delivered" && (truth === "flying" || hasArrived(truth)))
        return `${event.turnId} was delivered`
      const user = event.turnId.startsWith("t")
      if (event.delivery === "delivered" && user && !hasArrived(truth))
        return `${event.turnId} was not delivered`
    }
    return null
  }
}

const L13: Law = {
  name: "L13",
  says: "a turn that fails or is interrupted cancels those behind it, except one that asked for the interruption; so does the session's stop",
  check: (step) => {
    for (const event of all(step, "turn.settled")) {
      if (event.state === "cancelled" && event.reason === null) return "cancelled without a reason"
      if (event.state !== "error" && event.state !== "interrupted") continue
      const left = step.after.state.turns.find(
        (turn) => turn.state === "queued" && turn.interrupts !== event.turnId
      )
      if (left !== undefined) return `${left.id} still waits behind ${event.turnId}`
    }
    const stop = step.move.cause.type === "command" && step.move.cause.command.type === "thread.session.stop"
    return when(
      stop && step.after.state.turns.some((turn) => turn.state === "queued"),
      "a stop left a turn waiting"
    )
  }
}

const L14: Law = {
  name: "L14",
  says: "a state that is not at rest has a pending effect, a running turn with a live owner, or a deadline; and from it rest can be reached",
  check: ({ after, kernel, fresh }) => {
    const { state } = after
    if (!fresh || atRest(state) || kernel.pending(state).length > 0) return null
    return when(
      activeTurn(state) === undefined || !state.session.open,
      "nobody will ever move this thread again"
    )
  }
}

export const laws: ReadonlyArray<Law> = [L1, L2, L3, L4, L5, L6, L7, L8, L9, L10, L11, L12, L13, L14]
