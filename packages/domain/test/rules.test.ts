/**
 * What holds of the rules themselves, whatever they are given: they never throw, they change nothing but
 * by events, and every event survives the log.
 */
import { describe, expect, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { kernel } from "../explorer/Kernel.ts"
import { laws } from "../explorer/laws.ts"
import { eventsOf, moves } from "../explorer/moves.ts"
import { worldAfter } from "../explorer/explore.ts"
import { start } from "../explorer/World.ts"
import type { Bounds, World } from "../explorer/World.ts"
import { MessageId, ProviderTurnId, RequestId, TurnId } from "../src/ids.ts"
import { Fault } from "../src/runtime/Fault.ts"
import { ProviderEvent, TurnOutcome } from "../src/runtime/ProviderEvent.ts"
import { ThreadCommand } from "../src/thread/Command.ts"
import { decide } from "../src/thread/decide.ts"
import { StopStep, ThreadEvent } from "../src/thread/Event.ts"
import { evolve } from "../src/thread/evolve.ts"
import { deadlines, limits } from "../src/thread/lifecycle.ts"
import type { DeadlineKind } from "../src/thread/lifecycle.ts"
import { observe, observed } from "../src/thread/observe.ts"
import type { Happening, Live, Outcome } from "../src/thread/Owed.ts"
import { begin, pending } from "../src/thread/pending.ts"
import { reconcile } from "../src/thread/reconcile.ts"
import { initial } from "../src/thread/State.ts"
import type { ThreadState } from "../src/thread/State.ts"
import { aThread, agent, facts, idle, other, request, running, thread, turn } from "./given.ts"

const bounds: Bounds = {
  turns: 4,
  own: 2,
  requests: 2,
  generations: 4,
  items: 2,
  deliveries: true,
  edges: true
}

/** Each number picks one of the moves that are possible then. */
const choices = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 }))).check(
  Schema.isMinLength(10),
  Schema.isMaxLength(60)
)

/** A walk over what can really happen, holding each law against each step. */
const walk = (steps: ReadonlyArray<number>): ReadonlyArray<World> => {
  const worlds = [start]
  for (const step of steps) {
    const before = worlds.at(-1)!
    const possible = moves(before, kernel, bounds)
    const move = possible[step % possible.length]!
    const events = eventsOf(move.cause, before.state, kernel)
    if (events === null) continue
    const after = worldAfter(before, move, events, kernel)
    for (const law of laws) {
      expect(law.check({ before, move, events, after, kernel, fresh: true }), law.name).toBe(null)
    }
    worlds.push(after)
  }
  return worlds
}

const statesOf = (steps: ReadonlyArray<number>) => walk(steps).map((world) => world.state)

const turnIds = ["t1", "t2", "never"].map((id) => TurnId.make(id))
const nativeIds = ["p-t1", "p-t2", "own-1", "never"].map((id) => ProviderTurnId.make(id))

/** Outcomes for turns that are there and turns that are not, of generations past, present and to come. */
const outcomes = (fault: Fault, { session, requests }: ThreadState): ReadonlyArray<Outcome> => {
  const generations = [session.generation - 1, session.generation, session.generation + 1]
  const requestIds = [...requests.map((open) => open.id), RequestId.make("never")]
  const ofTurns = turnIds.flatMap((turnId) =>
    generations.flatMap((generation): ReadonlyArray<Outcome> => {
      const at = { turnId, generation }
      return [
        ...nativeIds.map((providerTurnId) => ({ type: "send.accepted", ...at, providerTurnId }) as const),
        { type: "send.rejected", ...at, fault },
        { type: "send.unknown", ...at, fault },
        { type: "steer.accepted", ...at },
        { type: "evidence", ...at, evidence: { type: "absent" } },
        { type: "evidence", ...at, evidence: { type: "none", message: "" } },
        {
          type: "evidence",
          ...at,
          evidence: { type: "found", providerTurnId: nativeIds[0]!, running: true }
        },
        { type: "interrupt.accepted", ...at },
        { type: "interrupt.failed", ...at, fault },
        { type: "probe.alive", ...at },
        { type: "probe.gone", ...at, ended: null },
        { type: "probe.failed", ...at }
      ]
    })
  )
  return [
    ...ofTurns,
    ...generations.flatMap((generation): ReadonlyArray<Outcome> => [
      { type: "start.ok", generation, resume: null },
      { type: "start.failed", generation, fault },
      { type: "stop.ok", generation },
      ...StopStep.literals.map((step) => ({ type: "stop.failed", generation, step, fault }) as const)
    ]),
    ...requestIds.flatMap((requestId): ReadonlyArray<Outcome> => [
      { type: "answer.accepted", requestId },
      { type: "answer.gone", requestId },
      { type: "answer.failed", requestId, fault }
    ])
  ]
}

const happenings = (event: ProviderEvent, fault: Fault, state: ThreadState): ReadonlyArray<Happening> => [
  ...[state.session.generation - 1, state.session.generation].flatMap((generation) =>
    [state.session.seen, state.session.seen + 1].map(
      (seq) => ({ type: "provider", generation, seq, event }) as const
    )
  ),
  ...outcomes(fault, state).map((outcome) => ({ type: "outcome", outcome }) as const),
  ...(Object.keys(deadlines) as Array<DeadlineKind>).flatMap((kind) =>
    turnIds.map((turnId) => ({ type: "deadline", kind, turnId }) as const)
  )
]

const lives = ({ session: { generation } }: ThreadState): ReadonlyArray<Live> => [
  { type: "unknown" },
  { type: "absent" },
  { type: "idle", generation, last: null },
  ...TurnOutcome.literals.map(
    (outcome) =>
      ({
        type: "idle",
        generation,
        last: { providerTurnId: nativeIds[0]!, outcome, message: null, texts: [] }
      }) as const
  ),
  ...nativeIds.map(
    (providerTurnId) => ({ type: "running", generation, providerTurnId, turnId: null }) as const
  )
]

const occasion = { reason: "The server restarted", now: 0, intentLimitMs: null }

/** The laws of states alone, which must hold after anything at all. */
const soundness = (state: ThreadState): void => {
  const runs = state.turns.filter((open) => open.state === "running")
  const open = new Set<string>(state.turns.map((one) => one.id))
  expect(runs.length).toBeLessThanOrEqual(1)
  expect(state.session.status === "running").toBe(runs.length === 1)
  expect(state.session.activeTurnId).toBe(runs[0]?.id ?? null)
  expect([...state.items, ...state.requests].every((inside) => open.has(inside.turnId))).toBe(true)
}

describe("the rules", () => {
  it.prop(
    "L1 to L14: hold along any walk, far beyond the bounds of the explorer",
    { steps: choices },
    ({ steps }) => {
      walk(steps)
    }
  )

  it.prop(
    "decide answers any command in any state, and leaves the state sound",
    { steps: choices, command: ThreadCommand },
    ({ steps, command }) => {
      for (const state of statesOf(steps)) {
        const decision = decide(command, state, facts)
        if (Result.isSuccess(decision)) soundness(decision.success.reduce(evolve, state))
      }
    }
  )

  it.prop(
    "observe makes something of anything in any state, and leaves the state sound",
    { steps: choices, event: ProviderEvent, fault: Fault },
    ({ steps, event, fault }) => {
      const states = statesOf(steps)
      for (const state of [states.at(-1)!, states[states.length >> 1]!]) {
        for (const happening of happenings(event, fault, state)) {
          const after = observe(happening, state).reduce(evolve, state)
          soundness(after)
          expect(observed(happening, state).state).toEqual(after)
        }
      }
    }
  )

  it.prop(
    "reconcile repairs any state by any listing, and a second look finds nothing more to repair",
    { steps: choices },
    ({ steps }) => {
      for (const state of statesOf(steps)) {
        for (const live of lives(state)) {
          const once = reconcile(live, state, occasion).reduce(evolve, state)
          soundness(once)
          expect(reconcile(live, once, occasion)).toEqual([])
        }
      }
    }
  )

  it.prop(
    "evolve is total: an event that does not fit throws nothing, in any order",
    { events: Schema.Array(ThreadEvent), steps: choices },
    ({ events, steps }) => {
      for (const from of [initial, ...statesOf(steps)]) {
        const state = events.reduce(evolve, from)
        expect(state.session.generation).toBeGreaterThanOrEqual(0)
      }
    }
  )

  it.prop(
    "what is owed is begun once: its marker is not given out again",
    { steps: choices },
    ({ steps }) => {
      for (const state of statesOf(steps)) {
        for (const owed of pending(state)) {
          const marker = begin(owed, state)
          if (marker === null || marker.length === 0 || owed.type === "session.stop") continue
          expect(begin(owed, marker.reduce(evolve, state))).toBe(null)
        }
      }
    }
  )

  it("pending of a state that has everything in it names each thing once", () => {
    const story = running().asks("p-t1").answer("1/r1").ask("t2").ask("t3")
    expect(new Set(story.owed).size).toBe(story.owed.length)
  })
})

const codec = Schema.toCodecJson(ThreadEvent)
const decode = Schema.decodeUnknownSync(codec)
const encode = Schema.encodeSync(codec)
const isThreadEvent = Schema.is(ThreadEvent)

/** The log holds plain JSON; what crosses the wire goes through the codec. Both must give the same back. */
const throughLog = (event: ThreadEvent): ThreadEvent => {
  const read: unknown = JSON.parse(JSON.stringify(event))
  if (!isThreadEvent(read)) throw new Error(`unreadable: ${JSON.stringify(read)}`)
  expect(decode(JSON.parse(JSON.stringify(encode(event))))).toEqual(read)
  return read
}

/** Details are JSON by promise and anything by type: here they are JSON. JSON knows no minus zero. */
const plain = (event: ThreadEvent): ThreadEvent =>
  unsigned("detail" in event ? { ...event, detail: { path: "/a", lines: [1, null, "x"], deep: {} } } : event)

const unsigned = <T>(value: T): T => {
  if (Object.is(value, -0)) return 0 as T
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map(unsigned) as T
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unsigned(inner)])) as T
}

describe("the log", () => {
  it.prop(
    "L15: every event that a walk causes is read back as it was written",
    { steps: choices },
    ({ steps }) => {
      let before = start
      for (const step of steps) {
        const possible = moves(before, kernel, bounds)
        const move = possible[step % possible.length]!
        const events = eventsOf(move.cause, before.state, kernel)
        if (events === null) continue
        for (const event of events) expect(throughLog(event)).toEqual(event)
        before = worldAfter(before, move, events, kernel)
      }
    }
  )

  it.prop("L15: any event at all is read back as it was written", { event: ThreadEvent }, ({ event }) => {
    if (event.type === "request.opened") return
    expect(throughLog(plain(event))).toEqual(plain(event))
  })

  it("L15: a request is read back with everything that was asked", () => {
    const [opened] = running().asks("p-t1").all("request.opened")
    expect(throughLog(opened!)).toEqual(opened)
  })

  it.prop("L15: folding the log again gives the same state", { steps: choices }, ({ steps }) => {
    const log: Array<ThreadEvent> = []
    let world = start
    for (const step of steps) {
      const possible = moves(world, kernel, bounds)
      const move = possible[step % possible.length]!
      const events = eventsOf(move.cause, world.state, kernel) ?? []
      log.push(...events)
      world = worldAfter(world, move, events, kernel)
    }
    expect(log.map(throughLog).reduce(evolve, start.state)).toEqual(world.state)
  })

  it("L15: a usage that JSON cannot hold is not recorded, for its thread could not be read again", () => {
    const counts = { inputTokens: 1, cachedInputTokens: 0, outputTokens: 2, reasoningTokens: 0 }
    const says = (outputTokens: number) =>
      running().says({
        type: "usage",
        providerTurnId: ProviderTurnId.make("p-t1"),
        usage: { ...counts, outputTokens }
      })
    for (const number of [Number.NaN, Number.POSITIVE_INFINITY]) expect(says(number).events).toEqual([])
    expect(says(2).types).toEqual(["usage.reported"])
  })

  it("an event that no version of this knows is refused, not guessed", () => {
    expect(() => decode({ type: "turn.vanished", turnId: "t1" })).toThrow()
  })
})

const startOf = (id: string) =>
  ({
    type: "thread.turn.start",
    turnId: turn(id),
    messageId: MessageId.make(`m-${id}`),
    text: "go"
  }) as const

describe("what a user may ask", () => {
  const newThread = {
    projectId: thread.projectId,
    title: "New",
    provider: agent
  }

  it("C5: thread and first turn are one command, and its repetition is recognised by the turn's id", () => {
    const story = aThread()
    story.state = initial
    expect(story.refusal(startOf("t1"))).toBe("ThreadNotFound")
    story.command({ ...startOf("t1"), createThread: newThread })
    expect(story.types).toEqual(["thread.created", "turn.queued"])
    expect(story.refusal({ ...startOf("t1"), createThread: newThread })).toBe("TurnIdTaken")
  })

  it("a thread is created once", () => {
    expect(aThread().refusal({ type: "thread.create", ...newThread })).toBe("ThreadAlreadyExists")
  })

  it("an archived thread takes no turns until it is brought back; what runs goes on", () => {
    const story = running().command({ type: "thread.archive" })
    expect(story.refusal(startOf("t2"))).toBe("ThreadArchived")
    expect(story.open("t1")?.state).toBe("running")
    expect(story.command({ type: "thread.archive" }).events).toEqual([])
    expect(story.command({ type: "thread.unarchive" }).refusal(startOf("t2"))).toBe(null)
    expect(story.command({ type: "thread.unarchive" }).events).toEqual([])
  })

  it("a deleted thread is not there for anybody", () => {
    const story = idle().command({ type: "thread.delete" })
    expect(story.refusal(startOf("t2"))).toBe("ThreadNotFound")
    expect(story.refusal({ type: "thread.session.stop" })).toBe("ThreadNotFound")
    expect(story.refusal({ type: "thread.update", title: "x" })).toBe("ThreadNotFound")
  })

  it("an empty message is refused, unless something is attached", () => {
    const attachments = [{ name: "a.png", mediaType: "image/png", source: "/a.png" }]
    expect(idle().refusal({ ...startOf("t1"), text: "  " })).toBe("EmptyMessage")
    expect(idle().refusal({ ...startOf("t1"), text: "", attachments })).toBe(null)
    expect(
      running()
        .ask("t2")
        .refusal({ type: "thread.turn.edit", turnId: turn("t2"), text: " " })
    ).toBe("EmptyMessage")
  })

  it("the queue has a bound, and says so", () => {
    const story = running()
    for (let n = 2; n < limits.queuedTurns + 2; n++) story.ask(`t${n}`)
    expect(story.refusal(startOf("more"))).toBe("QueueFull")
  })

  it("only a queued turn is edited or moved", () => {
    const story = running().ask("t2").ask("t3")
    story.command({ type: "thread.turn.edit", turnId: turn("t2"), text: "better" })
    expect(story.events).toEqual([{ type: "turn.edited", turnId: "t2", text: "better" }])
    story.command({ type: "thread.turn.reorder", turnId: turn("t3"), before: turn("t2") })
    expect(story.state.turns.map((open) => open.id)).toEqual(["t1", "t3", "t2"])
    story.command({ type: "thread.turn.reorder", turnId: turn("t3"), before: null })
    expect(story.state.turns.map((open) => open.id)).toEqual(["t1", "t2", "t3"])
    expect(story.refusal({ type: "thread.turn.edit", turnId: turn("t1"), text: "x" })).toBe("TurnNotQueued")
    const before = { type: "thread.turn.reorder", turnId: turn("t3"), before: turn("t1") } as const
    expect(story.refusal(before)).toBe("TurnNotQueued")
  })

  it("an answer must be among those offered, and is given once", () => {
    const story = running().asks("p-t1")
    const answer = { type: "thread.request.answer", requestId: request("1/r1") } as const
    expect(story.refusal(answer)).toBe("AnswerNotOffered")
    expect(story.refusal({ ...answer, decision: "accept_for_session" })).toBe("AnswerNotOffered")
    expect(story.answer("1/r1").refusal({ ...answer, decision: "accept" })).toBe("RequestNotOpen")
    expect(story.refusal({ ...answer, requestId: request("1/none"), decision: "accept" })).toBe(
      "RequestNotOpen"
    )
  })

  it.each([{ decisions: [] }, { decisions: ["decline", "cancel"] as const }])(
    "questions are answered by their answers, every one of them (offered beside: $decisions)",
    ({ decisions }) => {
      const story = running().questions("p-t1", decisions)
      const answer = { type: "thread.request.answer", requestId: request("1/r1") } as const
      expect(story.refusal(answer)).toBe("AnswerNotOffered")
      expect(story.refusal({ ...answer, answers: { q1: ["a"] } })).toBe("AnswerNotOffered")
      expect(story.refusal({ ...answer, answers: { q1: ["a"], q2: [] } })).toBe("AnswerNotOffered")
      const answers = { q1: ["a"], q2: ["here"] }
      story.command({ ...answer, answers })
      expect(story.events).toEqual([
        { type: "request.answered", requestId: "1/r1", answer: { decision: null, answers } }
      ])
    }
  )

  it("questions are turned down without answers, where that is offered", () => {
    const answer = { type: "thread.request.answer", requestId: request("1/r1"), decision: "decline" } as const
    expect(running().questions("p-t1", []).refusal(answer)).toBe("AnswerNotOffered")
    expect(running().questions("p-t1", ["cancel"]).refusal(answer)).toBe("AnswerNotOffered")
    const story = running().questions("p-t1", ["decline", "cancel"]).command(answer)
    expect(story.events).toEqual([
      { type: "request.answered", requestId: "1/r1", answer: { decision: "decline", answers: {} } }
    ])
  })

  it("a model is a name of one provider: asked of another, the thread's own says nothing", () => {
    const story = idle().command({ type: "thread.update", model: "large" })
    expect(story.ask("t1").open("t1")?.model).toBe("large")
    expect(story.ask("t2", "queue", other).open("t2")?.model).toBe(null)
  })
})
