/**
 * The exploration in small: every world for small bounds, with every law held against every step.
 * `npm run explore` does the same for larger ones.
 */
import { describe, expect, it } from "@effect/vitest"
import { explore, worldAfter } from "../explorer/explore.ts"
import type { Exploration } from "../explorer/explore.ts"
import { kernel } from "../explorer/Kernel.ts"
import { laws } from "../explorer/laws.ts"
import type { Step } from "../explorer/laws.ts"
import { eventsOf, moves } from "../explorer/moves.ts"
import { keyOf, start } from "../explorer/World.ts"
import type { Bounds, World } from "../explorer/World.ts"
import { activeTurn, sendingTurn } from "../src/thread/draft.ts"
import { ThreadEvent } from "../src/thread/Event.ts"
import { SettledTurnState } from "../src/thread/lifecycle.ts"
import { crashStory } from "../src/thread/Owed.ts"
import { pending } from "../src/thread/pending.ts"

const small: Bounds = { turns: 1, own: 0, requests: 0, generations: 2, items: 0, deliveries: false }
const walks: ReadonlyArray<Bounds> = [
  { ...small, own: 1 },
  { ...small, requests: 1, items: 1 },
  { ...small, turns: 2, deliveries: true },
  { ...small, turns: 2, edges: true }
]

/** What a walk must meet: an explorer that does not is too weak to prove anything. */
const traps: { readonly [what: string]: (step: Step) => boolean } = {
  "a provider turn heard of beside a send": ({ after }) =>
    sendingTurn(after.state) !== undefined && after.state.session.heard.some((turn) => turn.ended === null),
  "a provider turn that started and ended beside a send": ({ after }) =>
    after.state.session.heard.some((turn) => turn.ended !== null),
  "a message taken into a turn that the provider had started by itself": ({ after }) =>
    activeTurn(after.state)?.origin === "user" && activeTurn(after.state)?.providerTurnId === "own-1",
  "a send in doubt": ({ after }) => sendingTurn(after.state)?.send?.doubt != null,
  "a send in doubt whose message did arrive": ({ after }) =>
    sendingTurn(after.state)?.send?.doubt != null && after.truth["t1"] === "in p-t1",
  "a generation to be retired": ({ after }) => after.state.session.retire,
  "a retired generation that could not be killed, with a turn waiting": ({ after: { state } }) =>
    state.session.retire && state.session.stopAsked === null && state.turns[0]?.state === "queued",
  "a steer under way": ({ after }) => sendingTurn(after.state)?.send?.into === "t1",
  "a steer whose turn ended first": ({ after }) =>
    sendingTurn(after.state)?.send?.into === "t1" && activeTurn(after.state) === undefined,
  "a turn of the provider's own": ({ after }) => activeTurn(after.state)?.origin === "provider",
  "a second generation that runs": ({ after }) =>
    after.state.session.generation === 2 && after.state.session.status === "running",
  "a stop asked for while a start is under way, and the start fails": ({ before, move }) =>
    before.state.session.stopAsked !== null && outcomeOf(move) === "start.failed",
  "a message provably undelivered, sent again": ({ events, before }) =>
    events.some((event) => event.type === "turn.send_started" && event.generation === 2) &&
    before.state.turns[0]!.tries > 1,
  "an interrupt that fails": ({ move }) => outcomeOf(move) === "interrupt.failed",
  "an end that was lost, found by asking": ({ move, events }) =>
    outcomeOf(move) === "probe.gone" && events.some((event) => event.type === "turn.settled"),
  "a copy that the numbers do not fence": ({ before, move }) =>
    move.cause.type === "happening" &&
    move.cause.happening.type === "provider" &&
    before.unfenced.some(
      (said) => move.cause.type === "happening" && sameNumber(said.seq, move.cause.happening)
    ),
  "a restart in the middle of a send": ({ before, move }) =>
    move.cause.type === "restart" && sendingTurn(before.state) !== undefined,
  "a turn found ended after a restart": ({ move }) =>
    move.cause.type === "restart" && move.cause.live.type === "idle" && move.cause.live.last !== null,
  "a cut text": ({ after }) => after.state.items.some((item) => item.cut),
  "an answer under way": ({ after }) => after.state.requests.some((request) => request.answer !== null),
  "a change of provider": ({ after }) => after.state.session.stopAsked?.by === "switch",
  "a deleted thread whose work goes on": ({ after: { state } }) =>
    state.info?.deleted === true && state.turns.length > 0
}

const outcomeOf = ({ cause }: Step["move"]): string | null =>
  cause.type === "happening" && cause.happening.type === "outcome" ? cause.happening.outcome.type : null

const sameNumber = (seq: number, happening: object) => "seq" in happening && happening.seq === seq

/** The keys of all worlds that one move can make of this one. */
const nextKeys = (world: World, bounds: Bounds): ReadonlySet<string> =>
  new Set(
    moves(world, kernel, bounds).flatMap((move) => {
      const events = eventsOf(move.cause, world.state, kernel)
      return events === null ? [] : [keyOf(worldAfter(world, move, events, kernel))]
    })
  )

const sameSets = (one: ReadonlySet<string>, two: ReadonlySet<string>) =>
  one.size === two.size && [...one].every((key) => two.has(key))

interface Sighted {
  readonly results: ReadonlyArray<Exploration>
  readonly traps: ReadonlySet<string>
  readonly events: ReadonlySet<string>
  readonly ends: ReadonlySet<string>
  readonly owed: ReadonlySet<string>
}

const walkAll = (): Sighted => {
  const met = new Set<string>()
  const events = new Set<string>()
  const ends = new Set<string>()
  const owed = new Set<string>()
  const onStep = (step: Step) => {
    for (const [what, is] of Object.entries(traps)) if (!met.has(what) && is(step)) met.add(what)
    for (const event of step.events) {
      events.add(event.type)
      if (event.type === "turn.settled") ends.add(event.state)
    }
    if (step.fresh) for (const one of pending(step.after.state)) owed.add(one.type)
  }
  const results = walks.map((bounds) => explore(bounds, { onStep }))
  return { results, traps: met, events, ends, owed }
}

const sighted = walkAll()

describe("the explorer", () => {
  it("finds no state, step or trap that breaks one of the fourteen laws", () => {
    expect(laws.map((law) => law.name)).toEqual(Array.from({ length: 14 }, (_, at) => `L${at + 1}`))
    expect(sighted.results.flatMap((result) => result.violations)).toEqual([])
    expect(sighted.results.every((result) => result.complete)).toBe(true)
  })

  it.for(Object.keys(traps))("meets %s", (what) => {
    expect([...sighted.traps]).toContain(what)
  })

  it("reaches every way for a turn to end, and everything that can be owed", () => {
    expect([...sighted.ends].sort()).toEqual([...SettledTurnState.literals].sort())
    expect([...sighted.owed].sort()).toEqual(Object.keys(crashStory).sort())
  })

  /** What the walks leave out, each because it changes nothing that a law speaks of. */
  const outside = [
    "thread.created",
    "thread.updated",
    "thread.archived",
    "thread.unarchived",
    "turn.edited",
    "session.resume_changed",
    "item.updated",
    "usage.reported",
    "notice.recorded"
  ]

  it("causes every event of a thread but those that no law speaks of", () => {
    const known = Object.keys(ThreadEvent.cases).filter((type) => !outside.includes(type))
    expect([...sighted.events].sort()).toEqual(known.sort())
  })

  it("gives up beyond its bound of states, and says so", () => {
    const result = explore(walks[0]!, { statesMax: 100 })
    expect(result.complete).toBe(false)
    expect(result.states).toBeLessThan(sighted.results[0]!.states)
  })

  it.for(walks)("takes two worlds for one only when the same can become of both: %j", (bounds) => {
    const first = new Map([[keyOf(start), start]])
    const unlike: Array<string> = []
    let met = 0
    const onStep = ({ after, fresh }: Step) => {
      const key = keyOf(after)
      if (fresh) first.set(key, after)
      // A sample of all meetings: each costs as much as a world.
      if (fresh || met++ % 20 !== 0 || first.get(key) === after) return
      if (!sameSets(nextKeys(after, bounds), nextKeys(first.get(key)!, bounds))) unlike.push(key)
    }
    explore(bounds, { onStep })
    expect(met).toBeGreaterThan(1000)
    expect(unlike).toEqual([])
  })

  it("tells worlds apart by what they may do, not by the names in them", () => {
    const seen = { ...start.state.session, seen: 7, lastError: "an error" }
    expect(keyOf({ ...start, state: { ...start.state, session: seen } })).toBe(keyOf(start))
    const open = { ...start.state.session, open: true }
    expect(keyOf({ ...start, state: { ...start.state, session: open } })).not.toBe(keyOf(start))
  })
})
