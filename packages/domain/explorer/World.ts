/**
 * A thread in its world: the kernel's state, and beside it what is really so at the provider.
 *
 * The kernel never sees the truth; the laws compare the two. Everything that would only count up
 * (numbers of events, texts) is left out of a world's key, so that the worlds are finitely many.
 */
import {
  CommandId,
  MessageId,
  ProjectId,
  ProviderInstanceId,
  ProviderTurnId,
  ThreadId,
  TurnId
} from "../src/ids.ts"
import { evolve } from "../src/thread/evolve.ts"
import { initial } from "../src/thread/State.ts"
import type { OpenTurn, ThreadState } from "../src/thread/State.ts"

export interface Bounds {
  /** Turns the user starts. */
  readonly turns: number
  /** Turns the provider starts by itself. */
  readonly own: number
  readonly requests: number
  readonly generations: number
  /** Items of one turn. */
  readonly items: number
  /** With the user's steers and interrupting turns, and forced stops. */
  readonly deliveries: boolean
}

/**
 * Whether the provider has the message of a turn. `flying`: handed over, may still arrive. `out`: it is
 * certain that it never will.
 */
export type Truth = "flying" | "in" | "out"

/** How a provider turn really ended; `running` while it has not. */
export type ProviderTruth = "running" | "completed" | "failed" | "interrupted"

export interface World {
  readonly state: ThreadState
  readonly truth: { readonly [turnId: string]: Truth }
  /** The provider's turns of the generation in which they started. */
  readonly provider: { readonly [providerTurnId: string]: ProviderTruth }
  readonly asked: number
  readonly requested: number
  readonly ownTurns: number
}

export const threadId = ThreadId.make("thread")
export const provider = ProviderInstanceId.make("agent")
export const commandId = CommandId.make("command")
export const turnIdOf = (n: number) => TurnId.make(`t${n}`)
export const messageIdOf = (n: number) => MessageId.make(`m${n}`)
/** The provider's name for the turn that carries a message of ours. */
export const carrierOf = (turnId: string) => ProviderTurnId.make(`p-${turnId}`)
export const ownTurn = (n: number) => ProviderTurnId.make(`own-${n}`)

export const start: World = {
  state: evolve(initial, {
    type: "thread.created",
    projectId: ProjectId.make("project"),
    title: "",
    provider,
    model: null,
    runtimeMode: "full_access",
    interactionMode: "default",
    cwd: null
  }),
  truth: {},
  provider: {},
  asked: 0,
  requested: 0,
  ownTurns: 0
}

/**
 * Two worlds with the same key behave the same. Left out is what no rule within the bounds looks at: texts,
 * the cursor, how often a turn was tried, and whether an error is on display.
 */
export const keyOf = (world: World): string => {
  const { session: s } = world.state
  const session = [
    s.status,
    s.generation,
    s.open,
    s.activeTurnId ?? "",
    s.recovering === null ? 0 : 1,
    s.stopAsked === null ? "" : s.stopAsked.by + s.stopAsked.step,
    s.retire,
    s.adopted,
    s.heard.map((turn) => turn.providerTurnId + (turn.ended?.outcome ?? "")).join()
  ]
  const turns = world.state.turns.map(turnKey)
  const items = world.state.items.map((item) => item.id + item.kind + (item.cut ? "!" : ""))
  const requests = world.state.requests.map(
    (request) => request.id + request.turnId + (request.answer === null ? 0 : 1)
  )
  return [
    session.join(),
    turns.join("/"),
    items.join(),
    requests.join(),
    Object.entries(world.truth).join(),
    Object.entries(world.provider).join(),
    world.asked,
    world.requested,
    world.ownTurns
  ].join(";")
}

const turnKey = (turn: OpenTurn): string =>
  [
    turn.id,
    turn.state,
    turn.providerTurnId ?? "",
    turn.delivery,
    turn.interrupts ?? "",
    turn.send === null
      ? ""
      : `${turn.send.generation}${turn.send.into ?? ""}${turn.send.doubt === null ? "" : "?"}`,
    turn.interrupt === null ? "" : turn.interrupt.step,
    turn.quiet === "asking",
    turn.finalError === null ? 0 : 1,
    turn.items
  ].join()
