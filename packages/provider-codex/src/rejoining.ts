/**
 * Not everything was heard of a thread: what was missed, from the record. No I/O: what the record says is given.
 *
 * Promises: what was told before is not told again; a text that had been begun is told again only when it is
 * whole; what was heard while the record was read comes behind it, and nothing of it twice.
 */
import { TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Notification } from "@turnkeeper/provider-kit/JsonRpc"
import type { HeardTurn } from "@turnkeeper/provider-kit/Provider"
import { Schema } from "effect"
import { about } from "./about.ts"
import type { ActiveTurn } from "./ActiveTurn.ts"
import type { Away, Recorded } from "./history.ts"
import type { OpenRequests } from "./OpenRequests.ts"
import type { Held } from "./requests.ts"
import * as Turn from "./Turn.ts"

export interface Rejoined {
  readonly heard: HeardTurn | null
  readonly away: Away
  /** Codex says that it works on this thread. */
  readonly active: boolean
  /** The connection is a new one: Codex asks again what it still waits for. */
  readonly reasked: boolean
  /** What was heard while the record was read. */
  readonly meanwhile: ReadonlyArray<Heard>
}

export type Heard =
  | { readonly type: "notification"; readonly notification: Notification }
  | { readonly type: "request"; readonly held: Held }

/** The conversation that is caught up: the record is heard by it as if Codex said it now. */
export interface Rejoining {
  readonly active: Pick<ActiveTurn, "begin" | "isOver" | "turn">
  readonly requests: Pick<OpenRequests, "forgetAll" | "isOpen" | "keys">
  readonly hear: (notification: Notification) => ReadonlyArray<ProviderEvent>
  readonly ask: (held: Held) => ReadonlyArray<ProviderEvent> | null
}

export const rejoin = (rejoining: Rejoining, rejoined: Rejoined): ReadonlyArray<ProviderEvent> => {
  const { active, requests } = rejoining
  const { away, heard, meanwhile, reasked } = rejoined
  const waited = reasked ? new Set([...(heard?.requests ?? []), ...requests.keys()]) : new Set<string>()
  if (reasked) requests.forgetAll()
  const known = away.heard === null ? unrecorded(rejoining, rejoined) : taken(rejoining, away.heard, heard)
  const other = away.running === null ? [] : taken(rejoining, away.running, null)
  const live = heardMeanwhile(rejoining, away, meanwhile)
  // Codex asks again what it still waits for; the rest was dealt with.
  const closed = [...waited]
    .filter((requestKey) => active.turn() !== null && !requests.isOpen(requestKey))
    .map((requestKey): ProviderEvent => ({ type: "request.resolved", requestKey }))
  return [...known, ...other, ...live, ...closed]
}

/** In its first moments a turn is in no record: while Codex is at work and on no other, it goes on. */
const unrecorded = (
  { active }: Rejoining,
  { active: isActive, away, heard }: Rejoined
): ReadonlyArray<ProviderEvent> => {
  const id = away.running === null && isActive ? (heard?.providerTurnId ?? null) : null
  return id === null || active.turn()?.id === id ? [] : active.begin(id, heard?.turnId ?? null)
}

/** A turn of the record: what is new in it, and its end. */
const taken = (
  { active, hear }: Rejoining,
  { turn, items }: Recorded,
  heard: HeardTurn | null
): ReadonlyArray<ProviderEvent> => {
  if (active.isOver(turn.id)) return []
  const clientId = items.flatMap((item) => (item.type === "userMessage" ? [item.clientId] : []))[0]
  const ours = heard?.turnId ?? (isTurnId(clientId) ? clientId : null)
  const begun = active.turn()?.id === turn.id ? [] : active.begin(turn.id, ours)
  const now = active.turn()!
  if (heard !== null) Turn.missed(now, heard.items)
  const known = counted(now.items.flatMap(({ open, providerItemId }) => (open ? [] : [providerItemId])))
  const news = items.flatMap((item) =>
    known.takes(item.id)
      ? []
      : hear({ method: "item/completed", params: { threadId: null, turnId: turn.id, item } })
  )
  const end = turn.status === "inProgress" ? [] : hear({ method: "turn/completed", params: { turn } })
  return [...begun, ...news, ...end]
}

const isTurnId = Schema.is(TurnId)

/** Each name as often as it is there. */
const counted = (names: ReadonlyArray<string>) => {
  const left = new Map<string, number>()
  for (const name of names) left.set(name, (left.get(name) ?? 0) + 1)
  return {
    takes: (name: string): boolean => {
      const count = left.get(name) ?? 0
      left.set(name, count - 1)
      return count > 0
    }
  }
}

/** What was said of an item that is in the record is passed over: the record was read later. */
const heardMeanwhile = (
  { ask, hear }: Rejoining,
  { heard, running }: Away,
  meanwhile: ReadonlyArray<Heard>
): ReadonlyArray<ProviderEvent> => {
  const recorded = new Set(
    [heard, running].flatMap((one) => one?.items.map((item) => nameOf(one.turn.id, item.id)) ?? [])
  )
  return meanwhile.flatMap((one) => {
    if (one.type === "request") return ask(one.held) ?? []
    const { id, item, itemId } = about(one.notification)
    const name = item?.id ?? itemId
    return id !== null && name !== null && recorded.has(nameOf(id, name)) ? [] : hear(one.notification)
  })
}

const nameOf = (turnId: string, itemId: string) => `${turnId}\n${itemId}`
