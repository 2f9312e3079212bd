/**
 * Walks every reachable world for the given bounds and holds every law against every step.
 *
 * Breadth first, so that the trace of a violation is a shortest one. Afterwards progress (L14) is judged
 * on the graph: from every world, rest must be reachable by what the environment owes alone.
 */
import type { ThreadEvent } from "../src/thread/Event.ts"
import { atRest } from "../src/thread/draft.ts"
import type { ThreadState } from "../src/thread/State.ts"
import { kernel as trueKernel } from "./Kernel.ts"
import type { Kernel } from "./Kernel.ts"
import { laws } from "./laws.ts"
import type { Step } from "./laws.ts"
import { eventsOf, moves } from "./moves.ts"
import type { Move } from "./moves.ts"
import { carriedBy, keyOf, noEnds, start } from "./World.ts"
import type { Bounds, ProviderTruth, Truth, World } from "./World.ts"

export interface Violation {
  readonly law: string
  readonly message: string
  /** What happened, from the start to the breach. */
  readonly trace: ReadonlyArray<string>
}

export interface Exploration {
  readonly states: number
  readonly transitions: number
  readonly laws: number
  readonly violations: ReadonlyArray<Violation>
  /** Every world within the bounds was seen. */
  readonly complete: boolean
}

export interface Options {
  readonly kernel?: Kernel
  /** Stops at the first violation. */
  readonly stopAtFirst?: boolean
  /** Gives up beyond this many states; the result says how many were seen. */
  readonly statesMax?: number
  readonly onStep?: (step: Step) => void
  readonly onProgress?: (states: number, waiting: number) => void
}

interface Graph {
  readonly index: Map<string, number>
  /** Per state: from which state, by which move, it was first reached. */
  readonly parents: Array<number>
  readonly by: Array<Move | null>
  readonly resting: Array<boolean>
  /** Fair steps, as pairs from → to. */
  readonly from: Array<number>
  readonly to: Array<number>
  /** Not explored further: beyond a bound. */
  readonly cut: Set<number>
}

export const explore = (bounds: Bounds, options: Options = {}): Exploration => {
  const kernel = options.kernel ?? trueKernel
  const graph: Graph = {
    index: new Map(),
    parents: [],
    by: [],
    resting: [],
    from: [],
    to: [],
    cut: new Set()
  }
  const violations: Array<Violation> = []
  const seen = new Set<string>()
  const report = (law: string, message: string, at: number, label: string) => {
    if (seen.has(law + message)) return
    seen.add(law + message)
    violations.push({ law, message, trace: [...traceTo(graph, at), label] })
  }
  const done = () => options.stopAtFirst === true && violations.length > 0
  let waiting: Array<readonly [World, number]> = [[start, 0]]
  const statesMax = options.statesMax ?? Number.POSITIVE_INFINITY
  let transitions = 0
  visit(graph, start, -1, null)
  while (waiting.length > 0 && !done()) {
    const next: Array<readonly [World, number]> = []
    for (const [world, at] of waiting) {
      if (isCut(world, kernel, bounds)) graph.cut.add(at)
      for (const move of moves(world, kernel, bounds)) {
        const events = eventsOf(move.cause, world.state, kernel)
        if (events === null) continue
        const after = worldAfter(world, move, events, kernel)
        transitions++
        const size = graph.parents.length
        const to = after === world ? at : visit(graph, after, at, move)
        const step: Step = { before: world, move, events, after, kernel, fresh: to === size }
        options.onStep?.(step)
        for (const law of laws) {
          const message = law.check(step)
          if (message !== null) report(law.name, message, at, describe(move))
        }
        if (move.fair && to !== at) {
          graph.from.push(at)
          graph.to.push(to)
        }
        if (to === size) next.push([after, to])
      }
      if (done()) break
    }
    waiting = graph.parents.length > statesMax ? [] : next
    options.onProgress?.(graph.parents.length, waiting.length)
  }
  const complete = !done() && graph.parents.length <= statesMax
  if (complete)
    for (const at of trapped(graph)) report("L14", "rest cannot be reached from here", at, "(trap)")
  return { states: graph.parents.length, transitions, laws: laws.length, violations, complete }
}

const visit = (graph: Graph, world: World, parent: number, move: Move | null): number => {
  const key = keyOf(world)
  const known = graph.index.get(key)
  if (known !== undefined) return known
  const at = graph.parents.length
  graph.index.set(key, at)
  graph.parents.push(parent)
  graph.by.push(move)
  graph.resting.push(atRest(world.state))
  return at
}

/** The world after a move: the kernel's state by its events, the truth as the move makes it. */
export const worldAfter = (
  world: World,
  move: Move,
  events: ReadonlyArray<ThreadEvent>,
  kernel: Kernel
): World => {
  const { truth = world.truth, provider: told = world.provider } = move
  const unfenced = unfencedAfter(world, move, events)
  if (
    events.length === 0 &&
    truth === world.truth &&
    told === world.provider &&
    unfenced === world.unfenced
  ) {
    return world
  }
  const state = events.reduce(kernel.evolve, world.state)
  const restarted = events.some((event) => event.type === "session.starting")
  return {
    state,
    truth: truthOfOpen(truth, state),
    provider: endsThatMatter(told, truth, state, restarted),
    unfenced: state.session.open && !restarted ? unfenced : noEnds,
    asked: move.asked ?? world.asked,
    requested: move.requested ?? world.requested,
    ownTurns: move.ownTurns ?? world.ownTurns
  }
}

const truthOfOpen = (truth: World["truth"], state: ThreadState): World["truth"] => {
  const kept: { [turnId: string]: Truth } = {}
  for (const { id } of state.turns) if (truth[id] !== undefined) kept[id] = truth[id]
  return kept
}

/** What ran in an earlier generation runs no more, and the end of a turn that nobody waits for is no matter. */
const endsThatMatter = (
  provider: World["provider"],
  truth: World["truth"],
  { turns }: ThreadState,
  restarted: boolean
): World["provider"] => {
  const kept: { [providerTurnId: string]: ProviderTruth } = {}
  for (const id in provider) {
    const now = provider[id]!
    const is = restarted && now === "running" ? "interrupted" : now
    if (
      is === "running" ||
      turns.some((turn) => turn.providerTurnId === id || carriedBy(truth[turn.id]) === id)
    )
      kept[id] = is
  }
  return kept
}

/** A number below one that counted is fenced for ever; an end that made no event is not, until then. */
const unfencedAfter = (
  world: World,
  { cause }: Move,
  events: ReadonlyArray<ThreadEvent>
): World["unfenced"] => {
  if (cause.type !== "happening" || cause.happening.type !== "provider") return world.unfenced
  if (events.length > 0) return noEnds
  const { event, seq } = cause.happening
  if (event.type !== "turn.completed" || event.providerTurnId === null) return world.unfenced
  return world.unfenced.some((said) => said.seq === seq)
    ? world.unfenced
    : [...world.unfenced, { seq, event }]
}

const isCut = (world: World, kernel: Kernel, bounds: Bounds): boolean =>
  kernel
    .pending(world.state)
    .some((owed) => owed.type === "session.start" && !owed.begun && owed.generation > bounds.generations)

/** States from which no fair path leads to rest (or to the bound). */
const trapped = (graph: Graph): ReadonlyArray<number> => {
  const size = graph.parents.length
  const reaches = new Uint8Array(size)
  const back: Array<Array<number> | undefined> = []
  for (let i = 0; i < graph.from.length; i++) (back[graph.to[i]!] ??= []).push(graph.from[i]!)
  const work: Array<number> = []
  for (let at = 0; at < size; at++) {
    if (!graph.resting[at] && !graph.cut.has(at)) continue
    reaches[at] = 1
    work.push(at)
  }
  while (work.length > 0) {
    for (const from of back[work.pop()!] ?? []) {
      if (reaches[from] === 1) continue
      reaches[from] = 1
      work.push(from)
    }
  }
  return Array.from(reaches.entries()).flatMap(([at, reached]) => (reached === 1 ? [] : [at]))
}

const traceTo = (graph: Graph, at: number): ReadonlyArray<string> => {
  const trace: Array<string> = []
  for (let now = at; now > 0; now = graph.parents[now]!) trace.unshift(describe(graph.by[now]!))
  return trace
}

export const describe = ({ cause }: Move): string => {
  switch (cause.type) {
    case "command": {
      const { type, ...rest } = cause.command
      return `user: ${type} ${"delivery" in rest ? rest.delivery : ""}${"turnId" in rest ? ` ${rest.turnId}` : ""}`
    }
    case "begin":
      return `begin: ${cause.owed.type}`
    case "restart":
      return `restart: ${cause.live.type}`
    case "happening": {
      const { happening } = cause
      if (happening.type === "deadline") return `deadline: ${happening.kind}`
      if (happening.type === "outcome") return `outcome: ${JSON.stringify(happening.outcome)}`
      const { type, ...rest } = happening.event
      return `provider: ${type} ${"providerTurnId" in rest ? rest.providerTurnId : ""} ${"outcome" in rest ? rest.outcome : ""}`
    }
  }
}
