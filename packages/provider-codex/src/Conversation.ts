/**
 * One Codex thread as we know it: which turn runs, whose message it carries, what it still waits for.
 * No I/O: notifications in, events out, in order.
 *
 * Promises: the events of a turn that carries our message begin with a `turn.started` that names it
 * (ActiveTurn.ts); after a turn is over nothing of it is said; a request is said to be resolved once, and never
 * after its turn (OpenRequests.ts).
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Notification } from "@turnkeeper/provider-kit/JsonRpc"
import type { HeardTurn } from "@turnkeeper/provider-kit/Provider"
import { recentNames } from "@turnkeeper/provider-kit/recent"
import type { Deferred } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import { about } from "./about.ts"
import * as ActiveTurn from "./ActiveTurn.ts"
import * as OpenRequests from "./OpenRequests.ts"
import { rejoin } from "./rejoining.ts"
import type { Rejoined } from "./rejoining.ts"
import type { Held } from "./requests.ts"
import * as RunningCommands from "./RunningCommands.ts"
import { translate } from "./translate.ts"
import * as Turn from "./Turn.ts"

export interface Conversation {
  readonly active: () => Turn.Turn | null
  /** Told of every notification of the thread. */
  readonly hear: (notification: Notification) => ReadonlyArray<ProviderEvent>
  /** A prompt is about to be written. At most one at a time. */
  readonly sendBegan: (turnId: TurnId) => void
  /** Codex answered with the turn that takes the prompt, or refused it, or was never asked: null. */
  readonly sendAnswered: (providerTurnId: string | null) => ReadonlyArray<ProviderEvent>
  /** Present while it is not known what became of a prompt. */
  readonly unanswered: () => Deferred.Deferred<void> | null
  /** Codex waits for an answer. Null: its turn is over, or too many wait. */
  readonly ask: (held: Held) => ReadonlyArray<ProviderEvent> | null
  /** Hands the request over to be answered, once. */
  readonly release: (requestKey: string, declined: boolean) => Held | null
  /** Resolves when Codex says that this command has ended, also long after its turn. Null: it has, or never ran. */
  readonly commandEnd: (itemId: string) => Deferred.Deferred<void> | null
  /** A turn was running before we listened. */
  readonly adopt: (providerTurnId: string, turnId: TurnId | null) => ReadonlyArray<ProviderEvent>
  /** What was told of the running turn, in case that not all of it will be heard. */
  readonly heard: () => HeardTurn | null
  /**
   * Not everything was heard. Told are what the record has beside `heard`, then what was heard while it was
   * read. A text that had been begun is told again only when it is whole.
   */
  readonly rejoin: (rejoined: Rejoined) => ReadonlyArray<ProviderEvent>
  /** Nothing more will be heard: whoever waits for a turn is told. */
  readonly end: () => void
}

export interface ConversationOptions {
  /** This thread has no record yet: say when it has. */
  readonly onFirstMessage: () => ReadonlyArray<ProviderEvent>
  /** A turn was interrupted and these commands of it still run. */
  readonly onLeftRunning: (commands: ReadonlySet<string>) => void
}

const noticesKept = 64

export const make = (options: ConversationOptions): Conversation => {
  const active = ActiveTurn.make()
  const requests = OpenRequests.make()
  const commands = RunningCommands.make()
  const notices = recentNames(noticesKept)
  /** Codex has written a message of it down. */
  let hasRecord = false

  const hear: Conversation["hear"] = (notification) => {
    const { id, item } = about(notification)
    const { method } = notification
    // Also of a turn that is over: Codex lets commands run on, and their end is news of its own.
    if (method === "item/completed" && item?.type === "commandExecution") commandEnded(item.id)
    if (id !== null && active.isOver(id)) return []
    if (method === "turn/started" && id !== null) return active.heardStarted(id)
    const decided = active.heardInside(id, item)
    const noted = id !== null && item !== null ? heardItem(id, method, item) : []
    const said = translate(notification)
      .filter(isNews)
      .flatMap((event) => Turn.told(active.turn(), event))
    const last = said[0]?.type === "turn.completed" && id !== null ? heardEnd(id, said[0].outcome) : []
    return [...decided, ...noted, ...last, ...said]
  }

  const heardItem = (
    turnId: string,
    method: string,
    item: Protocol.ThreadItem
  ): ReadonlyArray<ProviderEvent> => {
    const turn = active.turn()
    if (turn?.id === turnId) Turn.heardItem(turn, method, item)
    if (item.type === "commandExecution" && method === "item/started") commands.began(item.id)
    if (hasRecord || item.type !== "userMessage" || method !== "item/completed") return []
    hasRecord = true
    return options.onFirstMessage()
  }

  const commandEnded = (itemId: string) => {
    const turn = active.turn()
    if (turn !== null) Turn.commandEnded(turn, itemId)
    commands.ended(itemId)
  }

  const isNews = (event: ProviderEvent): boolean => {
    if (event.type === "notice") return notices.add(event.message)
    return event.type !== "request.resolved" || requests.resolved(event.requestKey)
  }

  const heardEnd = (id: string, outcome: string): ReadonlyArray<ProviderEvent> => {
    requests.forgetTurn(id)
    const turn = active.over(id)
    if (turn === null) return []
    // Whoever waits for its end goes on at once, and has to find it over.
    const left = Turn.end(turn)
    if (outcome === "interrupted" && turn.commands.size > 0) options.onLeftRunning(turn.commands)
    return left
  }

  const ask: Conversation["ask"] = (held) => {
    if (requests.isFull() || (held.turnId !== null && active.isOver(held.turnId))) return null
    const decided = active.heardInside(held.turnId, null)
    // Where Codex could not tell, it is the running turn that waits for it.
    const turnId = held.turnId ?? active.turn()?.id ?? null
    return [...decided, requests.open({ ...held, turnId })]
  }

  const release: Conversation["release"] = (requestKey, declined) => {
    const held = requests.release(requestKey)
    const turn = active.turn()
    if (held?.itemId !== undefined && turn !== null) Turn.answered(turn, held.itemId, declined)
    return held
  }

  const heard: Conversation["heard"] = () => {
    const turn = active.turn()
    if (turn === null) return null
    const providerTurnId = ProviderTurnId.make(turn.id)
    return { turnId: turn.turnId, providerTurnId, items: Turn.heardItems(turn), requests: requests.keys() }
  }

  return {
    active: active.turn,
    hear,
    sendBegan: active.sendBegan,
    sendAnswered: active.sendAnswered,
    unanswered: active.unanswered,
    ask,
    release,
    commandEnd: commands.endOf,
    adopt: (id, turnId) => {
      hasRecord = true
      return active.turn()?.id === id || active.isOver(id) ? [] : active.begin(id, turnId)
    },
    heard,
    rejoin: (rejoined) => rejoin({ active, requests, hear, ask }, rejoined),
    end: () => {
      requests.forgetAll()
      active.end()
    }
  }
}
