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
import type { Numbered } from "../src/runtime/ProviderEvent.ts"
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
  /** With a second provider to switch to, with moving queued turns, and with deleting the thread. */
  readonly edges?: boolean
}

/**
 * Whether the provider has the message of a turn. `flying`: handed over, may still arrive. `out`: it is
 * certain that it never will. `in …`: arrived, and the provider turn that carries it.
 */
export type Truth = "flying" | "out" | `in ${string}`

export const hasArrived = (truth: Truth | undefined): boolean =>
  truth !== undefined && truth !== "flying" && truth !== "out"

/** The provider turn that took the message. */
export const carriedBy = (truth: Truth | undefined): ProviderTurnId | null =>
  hasArrived(truth) ? ProviderTurnId.make(truth!.slice(3)) : null

/** How a provider turn really ended; `running` while it has not. */
export type ProviderTruth = "running" | "completed" | "failed" | "interrupted"

export interface World {
  readonly state: ThreadState
  readonly truth: { readonly [turnId: string]: Truth }
  /** The provider's turns of the generation in which they started. */
  readonly provider: { readonly [providerTurnId: string]: ProviderTruth }
  /**
   * Ends that the kernel had no use for, under their numbers: it made no event of them, so its fence does
   * not cover them yet, and a copy would be taken for the first.
   */
  readonly unfenced: ReadonlyArray<Numbered>
  readonly asked: number
  readonly requested: number
  readonly ownTurns: number
}

export const threadId = ThreadId.make("thread")
export const provider = ProviderInstanceId.make("agent")
export const otherProvider = ProviderInstanceId.make("other")
export const commandId = CommandId.make("command")
export const turnIdOf = (n: number) => TurnId.make(`t${n}`)
export const messageIdOf = (n: number) => MessageId.make(`m${n}`)
/** The provider's name for the turn that carries a message of ours. */
export const carrierOf = (turnId: string) => ProviderTurnId.make(`p-${turnId}`)
export const ownTurn = (n: number) => ProviderTurnId.make(`own-${n}`)

export const noEnds: World["unfenced"] = []

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
  unfenced: noEnds,
  asked: 0,
  requested: 0,
  ownTurns: 0
}

/**
 * Two worlds with the same key behave the same: each has a step to a world of the same key wherever the
 * other has one, and no law tells the two steps apart. What is merged, and why that is so:
 *
 * - Texts, cursors, the numbers of events, how often a turn was tried, what error is on display: no rule
 *   looks at them within the bounds.
 * - Names. Rules and laws compare ids and never read them, so an open turn is known by its place, a
 *   provider turn by where it is mentioned first, and the ordinal of an adopted turn not at all. That the
 *   first turn settled and the second runs is the same as the other way round, when equally many are left.
 * - An interrupt that was accepted or has escalated: both wait for the turn's end and for the deadline.
 * - `ready` and `error` of an open session: only the display differs. Once closed they are told apart.
 * - The wish to steer, of a turn that does not wait: coming back to the queue it is an ordinary one.
 * - A doubt about a send whose generation is closed: from then on the record is asked in any case.
 * - Which turn a message was meant for: rules ask whether there is one. Which provider turn: kept.
 */
export const keyOf = (world: World): string => {
  const { state, truth, provider } = world
  const { session: s, turns } = state
  const places = new Map<string, string>()
  const names = new Map<string, string>()
  for (const [at, turn] of turns.entries()) {
    places.set(turn.id, String(at))
    if (turn.origin === "user") names.set(carrierOf(turn.id), `p${at}`)
  }
  const place = (id: string | null) => (id === null ? "" : (places.get(id) ?? "x"))
  const name = (id: string | null): string => {
    if (id === null) return ""
    const known = names.get(id)
    if (known !== undefined) return known
    const made = `f${names.size}`
    names.set(id, made)
    return made
  }
  let key = `${s.status === "error" && s.open ? "ready" : s.status} ${s.generation} ${s.open ? "o" : ""}`
  key += `${s.recovering === null ? "" : "r"}${s.retire ? "R" : ""} ${place(s.activeTurnId)}`
  if (s.provider === otherProvider) key += "O"
  if (state.info!.deleted) key += "D"
  if (s.stopAsked !== null) key += ` ${s.stopAsked.by} ${s.stopAsked.step}`
  for (const turn of turns) {
    key += `|${turnKey(turn, s.open, place, name)}`
    const told = truth[turn.id]
    const carrier = carriedBy(told)
    // A message that never arrived and one that was never sent are the same to everyone.
    if (told !== undefined && told !== "out") key += carrier === null ? "~" : `@${name(carrier)}`
  }
  for (const turn of s.heard) key += `,${name(turn.providerTurnId)}${turn.ended?.outcome ?? ""}`
  for (const item of state.items) key += `;${place(item.turnId)}${item.cut ? "!" : ""}`
  for (const request of state.requests)
    key += `?${place(request.turnId)}${request.answer === null ? "" : "!"}`
  for (const { event } of world.unfenced) {
    if (event.type === "turn.completed") key += `^${name(event.providerTurnId)}${event.outcome}`
  }
  const mentioned: Array<string> = []
  const unmentioned: Array<string> = []
  for (const id in provider) {
    const known = names.get(id)
    if (known === undefined) unmentioned.push(provider[id]!)
    else mentioned.push(known + provider[id])
  }
  return `${key}#${mentioned.sort().join()}#${unmentioned.sort().join()}#${world.asked}${world.requested}${world.ownTurns}`
}

const turnKey = (
  turn: OpenTurn,
  open: boolean,
  place: (id: string | null) => string,
  name: (id: string | null) => string
): string => {
  let key = `${turn.origin === "user" ? "" : "a"}${turn.state}${turn.provider === otherProvider ? "O" : ""}`
  if (turn.state !== "running") key += `i${place(turn.interrupts)}`
  if (turn.state === "queued" && turn.delivery === "steer") key += "s"
  if (turn.providerTurnId !== null) key += `=${name(turn.providerTurnId)}`
  if (turn.send !== null) {
    const { generation, into, intoProviderTurnId, doubt } = turn.send
    key += `g${generation}${into === null ? "" : `>${name(intoProviderTurnId)}`}${open && doubt !== null ? "?" : ""}`
  }
  if (turn.interrupt !== null) key += turn.interrupt.step === "asked" ? "!" : "!!"
  if (turn.quiet === "asking") key += "q"
  if (turn.finalError !== null) key += "e"
  return `${key}${turn.items}`
}
