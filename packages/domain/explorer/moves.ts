/**
 * Everything that can happen in a world, each as a move with the truth it makes.
 *
 * `fair` marks what the environment owes: answers, time-outs, ends. Progress (L14) is judged on those.
 */
import { Result } from "effect"
import type { ProviderTurnId, TurnId } from "../src/ids.ts"
import type { Numbered, ProviderEvent, TurnOutcome } from "../src/runtime/ProviderEvent.ts"
import type { Facts, ThreadCommand } from "../src/thread/Command.ts"
import { activeTurn, sendingTurn } from "../src/thread/draft.ts"
import type { ThreadEvent } from "../src/thread/Event.ts"
import { keyOf as owedKey } from "../src/thread/Owed.ts"
import type { Evidence, Happening, Live, Outcome, Owed } from "../src/thread/Owed.ts"
import type { OpenTurn, ThreadState } from "../src/thread/State.ts"
import type { Kernel } from "./Kernel.ts"
import {
  carriedBy,
  carrierOf,
  commandId,
  messageIdOf,
  otherProvider,
  ownTurn,
  threadId,
  turnIdOf
} from "./World.ts"
import type { Bounds, ProviderTruth, World } from "./World.ts"

export type Cause =
  | { readonly type: "command"; readonly command: ThreadCommand }
  | { readonly type: "happening"; readonly happening: Happening }
  | { readonly type: "begin"; readonly owed: Owed }
  | { readonly type: "restart"; readonly live: Live }

export interface Move {
  readonly cause: Cause
  readonly fair: boolean
  /** What it makes true at the provider. */
  readonly truth?: World["truth"]
  readonly provider?: World["provider"]
  readonly asked?: number
  readonly requested?: number
  readonly ownTurns?: number
}

export const facts: Facts = { now: 0, turnIdTaken: false, retryOf: null }
export const occasion = { reason: "The server restarted", now: 0, intentLimitMs: null }
const fault = { reason: "Unavailable", message: "unavailable" } as const
const gone = { reason: "SessionGone", message: "" } as const
const mismatch = { reason: "TurnMismatch", message: "another turn" } as const

export const moves = (world: World, kernel: Kernel, bounds: Bounds): ReadonlyArray<Move> => [
  ...commandMoves(world, bounds),
  ...kernel.pending(world.state).flatMap((owed) => effectMoves(owed, world, bounds)),
  ...underWay(world, kernel).flatMap((owed) => effectMoves(owed, world, bounds).map(unfair)),
  ...lateSends(world),
  ...providerMoves(world, bounds),
  ...restartMoves(world)
]

/** What the kernel makes of a move. Null: refused, nothing happens. */
export const eventsOf = (
  cause: Cause,
  state: ThreadState,
  kernel: Kernel
): ReadonlyArray<ThreadEvent> | null => {
  switch (cause.type) {
    case "command": {
      const decision = kernel.decide(cause.command, state, facts)
      return Result.isSuccess(decision) ? decision.success : null
    }
    case "happening":
      return kernel.observe(cause.happening, state)
    case "begin":
      return kernel.begin(cause.owed, state)
    case "restart":
      return kernel.reconcile(cause.live, state, occasion)
  }
}

// The user

const commandMoves = (world: World, bounds: Bounds): ReadonlyArray<Move> => {
  const { state } = world
  const common = { commandId, threadId }
  const out: Array<Move> = []
  const ask = (command: ThreadCommand, more: Partial<Move> = {}) =>
    out.push({ cause: { type: "command", command }, fair: false, ...more })
  if (world.asked < bounds.turns) {
    const n = world.asked + 1
    for (const delivery of bounds.deliveries
      ? (["queue", "steer", "interrupt"] as const)
      : (["queue"] as const)) {
      ask(
        {
          type: "thread.turn.start",
          ...common,
          turnId: turnIdOf(n),
          messageId: messageIdOf(n),
          text: "x",
          delivery
        },
        { asked: n }
      )
    }
  }
  ask({ type: "thread.turn.interrupt", ...common })
  for (const turn of state.turns) {
    if (turn.state === "queued") ask({ type: "thread.turn.interrupt", ...common, turnId: turn.id })
  }
  ask({ type: "thread.session.stop", ...common })
  if (bounds.deliveries) ask({ type: "thread.session.stop", ...common, force: true })
  for (const request of state.requests) {
    // Who is asked may be counted on to answer: until then the turn waits for nobody else.
    ask(
      { type: "thread.request.answer", ...common, requestId: request.id, decision: "accept" },
      { fair: true }
    )
  }
  if (bounds.edges === true) edgeMoves(world, bounds, ask)
  return out
}

type Asks = (command: ThreadCommand, more?: Partial<Move>) => void

/** What a user does more rarely: moves a queued turn, asks another provider, deletes the thread. */
const edgeMoves = (world: World, bounds: Bounds, ask: Asks): void => {
  const common = { commandId, threadId }
  const queued = world.state.turns.filter((turn) => turn.state === "queued")
  if (queued.length > 1) {
    ask({ type: "thread.turn.reorder", ...common, turnId: queued[0]!.id, before: null })
    ask({ type: "thread.turn.reorder", ...common, turnId: queued[1]!.id, before: queued[0]!.id })
  }
  if (world.asked < bounds.turns) {
    const n = world.asked + 1
    ask(
      {
        type: "thread.turn.start",
        ...common,
        turnId: turnIdOf(n),
        messageId: messageIdOf(n),
        text: "x",
        provider: otherProvider
      },
      { asked: n }
    )
  }
  ask({ type: "thread.delete", ...common })
}

// What is owed, and how it may turn out

const happened = (outcome: Outcome, more: Partial<Move> = {}): Move => ({
  cause: { type: "happening", happening: { type: "outcome", outcome } },
  fair: true,
  ...more
})

const effectMoves = (owed: Owed, world: World, bounds: Bounds): ReadonlyArray<Move> => {
  if ("begun" in owed && !owed.begun) {
    // Beyond the bound of generations nothing is explored.
    if (owed.type === "session.start" && owed.generation > bounds.generations) return []
    return [beginning(owed, world)]
  }
  switch (owed.type) {
    case "session.start":
      return [
        happened({ type: "start.ok", generation: owed.generation, resume: "cursor" }),
        happened({ type: "start.failed", generation: owed.generation, fault })
      ]
    case "session.stop":
      if (world.state.session.stopAsked === null) return [beginning(owed, world)]
      return [
        happened({ type: "stop.ok", generation: owed.generation }, ended(world)),
        happened({ type: "stop.failed", generation: owed.generation, step: owed.step, fault }),
        happened(
          { type: "stop.failed", generation: owed.generation, step: owed.step, fault: gone },
          ended(world)
        )
      ]
    case "turn.send":
    case "turn.steer":
      // Outcomes of sends are in `lateSends`: they come whether the send is still waited for or in doubt.
      return []
    case "turn.interrupt": {
      const at = { turnId: owed.turnId, generation: owed.generation }
      return [
        happened({ type: "interrupt.accepted", ...at }),
        happened({ type: "interrupt.failed", ...at, fault }),
        happened({ type: "interrupt.failed", ...at, fault: mismatch }),
        happened({ type: "interrupt.failed", ...at, fault: gone }, ended(world))
      ]
    }
    case "turn.probe":
      return probeMoves(owed, world)
    case "turn.evidence":
      return evidenceMoves(owed, world)
    case "request.answer":
      return [
        happened({ type: "answer.accepted", requestId: owed.requestId }),
        happened({ type: "answer.gone", requestId: owed.requestId }),
        happened({ type: "answer.failed", requestId: owed.requestId, fault })
      ]
    case "deadline":
      return [
        {
          cause: { type: "happening", happening: { type: "deadline", kind: owed.kind, turnId: owed.turnId } },
          fair: true
        }
      ]
  }
}

/**
 * What was begun before a stop or an interrupt came between: it is not owed any more, so nobody may count
 * on it, and it may still turn out.
 */
const underWay = ({ state }: World, kernel: Kernel): ReadonlyArray<Owed> => {
  const { session } = state
  if (session.stopAsked === null && activeTurn(state)?.interrupt == null) return []
  const unstopped = { ...state, session: { ...session, stopAsked: null } }
  const active = (turn: OpenTurn): OpenTurn =>
    turn.id === session.activeTurnId ? { ...turn, interrupt: null, finalError: null } : turn
  const undisturbed = { ...unstopped, turns: state.turns.map(active) }
  const known = new Set(kernel.pending(state).map(owedKey))
  return [unstopped, undisturbed].flatMap((before) =>
    kernel.pending(before).filter((owed) => {
      const begun = "begun" in owed ? owed.begun : owed.type !== "session.stop" && owed.type !== "deadline"
      if (!begun || known.has(owedKey(owed))) return false
      known.add(owedKey(owed))
      return true
    })
  )
}

const unfair = (move: Move): Move => (move.fair ? { ...move, fair: false } : move)

const beginning = (owed: Owed, world: World): Move => ({
  cause: { type: "begin", owed },
  fair: true,
  ...((owed.type === "turn.send" || owed.type === "turn.steer") && {
    truth: { ...world.truth, [owed.turnId]: "flying" as const }
  })
})

/** The generation is gone: what ran in it runs no more. */
const ended = (world: World): Partial<Move> => ({
  provider: Object.fromEntries(
    Object.entries(world.provider).map(([id, truth]) => [id, truth === "running" ? "interrupted" : truth])
  )
})

const probeMoves = (
  owed: Extract<Owed, { readonly type: "turn.probe" }>,
  world: World
): ReadonlyArray<Move> => {
  const at = { turnId: owed.turnId, generation: owed.generation }
  const truth = owed.providerTurnId === null ? undefined : world.provider[owed.providerTurnId]
  const known = truth === undefined || truth === "running" ? null : { outcome: truth, message: null }
  return [
    happened({ type: "probe.failed", ...at }),
    truth === "running"
      ? happened({ type: "probe.alive", ...at })
      : happened({ type: "probe.gone", ...at, ended: known })
  ]
}

const evidenceMoves = (
  owed: Extract<Owed, { readonly type: "turn.evidence" }>,
  world: World
): ReadonlyArray<Move> => {
  const { turnId, generation } = owed
  const answered = (evidence: Evidence, more: Partial<Move> = {}) =>
    happened({ type: "evidence", turnId, generation, evidence }, more)
  const none = answered({ type: "none", message: "no record" })
  const providerTurnId = carriedBy(world.truth[turnId])
  if (providerTurnId === null) {
    // With the generation closed "not there" is for ever; before, the message may still be on its way.
    return [
      none,
      answered({ type: "absent" }, owed.final ? { truth: { ...world.truth, [turnId]: "out" } } : {})
    ]
  }
  const truth = world.provider[providerTurnId] ?? "running"
  if (truth === "running") return [none, answered({ type: "found", providerTurnId, running: true })]
  return [
    none,
    answered({ type: "found", providerTurnId, running: false, outcome: truth, message: null, texts: [] })
  ]
}

/** How the send under way may turn out, and that it arrives without anybody hearing of it. */
const lateSends = (world: World): ReadonlyArray<Move> => {
  const turn = sendingTurn(world.state)
  if (turn === undefined || turn.send === null) return []
  const { generation, into } = turn.send
  const turnId = turn.id
  const truth = world.truth[turnId]
  const live = world.state.session.open && world.state.session.generation === generation
  // After a restart nobody waits for the answer any more: it may come, but nothing may depend on it.
  const fair = live && turn.send.doubt === null
  const told = (outcome: Outcome, more: Partial<Move> = {}) => happened(outcome, { ...more, fair })
  const out: Array<Move> = [told({ type: "send.unknown", turnId, generation, fault })]
  if (truth === "out") return out
  const accepted = (providerTurnId: ProviderTurnId): Outcome =>
    into === null
      ? { type: "send.accepted", turnId, generation, providerTurnId }
      : { type: "steer.accepted", turnId, generation }
  const carrier = carriedBy(truth)
  if (carrier !== null) return [...out, told(accepted(carrier))]
  const never = { truth: { ...world.truth, [turnId]: "out" as const } }
  out.push(told({ type: "send.rejected", turnId, generation, fault }, never))
  out.push(told({ type: "send.rejected", turnId, generation, fault: gone }, { ...ended(world), ...never }))
  for (const providerTurnId of mayCarry(turn, world)) {
    const arrived = arrives(world, turnId, providerTurnId)
    out.push(told(accepted(providerTurnId), arrived))
    if (live) out.push(silently(arrived))
  }
  return out
}

/** A message makes a turn of its own, unless the provider runs one already: it may go into that. */
const mayCarry = (turn: OpenTurn, world: World): ReadonlyArray<ProviderTurnId> => {
  if (turn.send?.into != null) return [turn.send.intoProviderTurnId ?? carrierOf(turn.id)]
  return [carrierOf(turn.id), ...runningAt(world).filter((id) => id !== carrierOf(turn.id))]
}

const runningAt = (world: World): ReadonlyArray<ProviderTurnId> =>
  Object.entries(world.provider).flatMap(([id, truth]) => (truth === "running" ? [id as ProviderTurnId] : []))

const arrives = (world: World, turnId: TurnId, providerTurnId: ProviderTurnId): Partial<Move> => ({
  truth: { ...world.truth, [turnId]: `in ${providerTurnId}` },
  provider: { ...world.provider, [providerTurnId]: world.provider[providerTurnId] ?? "running" }
})

/** A change of the truth that nobody is told of. */
const silently = (more: Partial<Move>): Move => ({
  cause: { type: "restart", live: { type: "unknown" } },
  fair: false,
  ...more
})

// The provider, of its own accord

const providerMoves = (world: World, bounds: Bounds): ReadonlyArray<Move> => {
  const { session } = world.state
  if (!session.open) return []
  const { generation } = session
  const out: Array<Move> = []
  const numbered = (numbered: Numbered, fair: boolean, more: Partial<Move> = {}) =>
    out.push({
      cause: { type: "happening", happening: { type: "provider", generation, ...numbered } },
      fair,
      ...more
    })
  const seq = (world.unfenced.at(-1)?.seq ?? session.seen) + 1
  const says: Says = (event, fair, more) => numbered({ seq, event }, fair, more)
  // A process may end at any time, and nobody may count on it.
  for (const clean of [true, false])
    says({ type: "session.exited", clean, message: null }, false, ended(world))
  if (world.ownTurns < bounds.own) {
    const own = ownTurn(world.ownTurns + 1)
    says({ type: "turn.started", providerTurnId: own, turnId: null }, false, {
      ownTurns: world.ownTurns + 1,
      provider: { ...world.provider, [own]: "running" }
    })
  }
  for (const id of runningAt(world)) turnMoves(id, world, bounds, says, out)
  says({ type: "turn.completed", providerTurnId: null, outcome: "completed", message: null }, false)
  for (const request of world.state.requests) {
    says({ type: "request.resolved", requestKey: request.key }, false)
  }
  for (const copy of world.unfenced) numbered(copy, false)
  return out
}

type Says = (event: ProviderEvent, fair: boolean, more?: Partial<Move>) => void

const turnMoves = (
  providerTurnId: ProviderTurnId,
  world: World,
  bounds: Bounds,
  says: Says,
  out: Array<Move>
): void => {
  const sending = sendingTurn(world.state)
  const carries = sending !== undefined && carriedBy(world.truth[sending.id]) === providerTurnId
  if (carries && carrierOf(sending.id) === providerTurnId) {
    says({ type: "turn.started", providerTurnId, turnId: sending.id }, false)
    says({ type: "turn.started", providerTurnId, turnId: null }, false)
  }
  for (const outcome of ["completed", "failed", "interrupted"] as const) {
    says(
      { type: "turn.completed", providerTurnId, outcome, message: null },
      true,
      truly(world, providerTurnId, outcome)
    )
  }
  const active = activeTurn(world.state)
  const ours = active?.providerTurnId === providerTurnId
  // It ends, and the word of it is lost on the way: only asking can find out.
  if (ours || carries) {
    for (const outcome of ["completed", "failed"] as const) {
      out.push(silently(truly(world, providerTurnId, outcome)))
    }
  }
  if (!ours) return
  says({ type: "turn.started", providerTurnId, turnId: null }, false)
  says(
    { type: "turn.aborted", providerTurnId, message: null },
    true,
    truly(world, providerTurnId, "interrupted")
  )
  says({ type: "error.transient", providerTurnId, message: "again", attempt: 1, limit: 5 }, false)
  says({ type: "error.final", providerTurnId, message: "no" }, false)
  if (active.items < bounds.items) {
    const providerItemId = `i${active.items}`
    says(
      {
        type: "item.started",
        providerTurnId,
        providerItemId,
        kind: "assistant_message",
        title: "",
        detail: {}
      },
      false
    )
  }
  for (const item of world.state.items) {
    const { providerItemId, kind } = item
    says({ type: "text.delta", providerTurnId, providerItemId, text: "x" }, false)
    says(
      {
        type: "item.completed",
        providerTurnId,
        providerItemId,
        kind,
        title: "",
        end: "completed",
        text: null,
        detail: {}
      },
      false
    )
  }
  if (world.requested < bounds.requests) {
    const ask = { title: "", detail: {}, decisions: ["accept" as const], questions: [] }
    const requestKey = `r${world.requested}`
    says({ type: "request.opened", providerTurnId, requestKey, kind: "permission", ask }, false, {
      requested: world.requested + 1
    })
  }
}

const truly = (world: World, providerTurnId: ProviderTurnId, outcome: TurnOutcome): Partial<Move> => ({
  provider: { ...world.provider, [providerTurnId]: outcome }
})

// The server stops between any two steps and comes back

const restartMoves = (world: World): ReadonlyArray<Move> => {
  const back = (live: Live, more: Partial<Move> = {}): Move => ({
    cause: { type: "restart", live },
    fair: false,
    ...more
  })
  const { session } = world.state
  const out: Array<Move> = [back({ type: "absent" }, ended(world))]
  if (!session.open) return out
  const { generation } = session
  const running = runningAt(world)
  if (running.length === 0) out.push(back({ type: "idle", generation, last: lastEnd(world) }))
  for (const providerTurnId of running) {
    const carried = world.state.turns.find((turn) => carrierOf(turn.id) === providerTurnId)
    out.push(back({ type: "running", generation, providerTurnId, turnId: carried?.id ?? null }))
  }
  return out
}

const lastEnd = (world: World): Extract<Live, { readonly type: "idle" }>["last"] => {
  const active = activeTurn(world.state)
  const truth: ProviderTruth | undefined =
    active?.providerTurnId == null ? undefined : world.provider[active.providerTurnId]
  return truth === undefined || truth === "running"
    ? null
    : { providerTurnId: active!.providerTurnId!, outcome: truth, message: null, texts: [] }
}
