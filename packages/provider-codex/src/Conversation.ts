/**
 * One Codex thread as we know it: which turn runs, whose message it carries, what it still waits for.
 * No I/O: notifications in, events out, in order.
 *
 *     send began ──▶ (unanswered) ──answer names the turn──▶ starting ──turn/started──▶ running ──▶ over
 *                         └─ turn/started first: held until the answer, or the turn's own copy of the
 *                            user's message, says whose turn it is
 *
 * Promises: the events of a turn that carries our message begin with a `turn.started` that names it; after
 * a turn is over nothing of it is said; a request is said to be resolved once, and never after its turn.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Deferred, Effect } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import type { Notification } from "./Connection.ts"
import type { Held } from "./requests.ts"
import { notice, stepsItemId, translate, turnStarted } from "./translate.ts"

/** The turn that Codex works on, or has agreed to work on. */
export interface Turn {
  readonly id: string
  /** Ours, where we know that it carries our message. */
  readonly turnId: TurnId | null
  /** Resolves when Codex can be told something about it: it started, or is over already. */
  readonly started: Deferred.Deferred<void>
  readonly over: Deferred.Deferred<void>
  /** Its commands that have not ended. */
  readonly commands: Set<string>
  /** Messages put into it that Codex has not taken up yet. */
  readonly steers: Set<string>
  steps: "none" | "open"
}

export interface Conversation {
  readonly active: () => Turn | null
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
  readonly release: (requestKey: string) => Held | null
  /** Resolves when Codex says that this command has ended, also long after its turn. Null: it has, or never ran. */
  readonly commandEnd: (itemId: string) => Deferred.Deferred<void> | null
  /** A turn was running before we listened. */
  readonly adopt: (providerTurnId: string, turnId: TurnId | null) => ReadonlyArray<ProviderEvent>
  /** Nothing more will be heard: whoever waits for a turn is told. */
  readonly end: () => void
}

export interface ConversationOptions {
  /** This thread has no record yet: say when it has. */
  readonly onFirstMessage: () => ReadonlyArray<ProviderEvent>
  /** A turn was interrupted and these commands of it still run. */
  readonly onLeftRunning: (commands: ReadonlySet<string>) => void
}

const requestsMax = 256
const commandsMax = 1_000
const endedKept = 256
const noticesKept = 64

export const make = (options: ConversationOptions): Conversation => {
  let active: Turn | null = null
  let sending: { readonly turnId: TurnId; readonly settled: Deferred.Deferred<void> } | null = null
  /** A turn that started while a prompt is unanswered: nobody knows yet whose it is. */
  let undecided: string | null = null
  let hasRecord = false
  const ended = recent(endedKept)
  const notices = recent(noticesKept)
  const commands = new Map<string, Deferred.Deferred<void>>()
  const requests = new Map<string, Held>()
  /** Answered, not yet confirmed: request key to turn. */
  const answered = new Map<string, string | null>()

  const begin = (id: string, turnId: TurnId | null): ReadonlyArray<ProviderEvent> => {
    undecided = null
    active = newTurn(id, turnId)
    Deferred.doneUnsafe(active.started, Effect.void)
    return [turnStarted(id, turnId)]
  }

  const heardStarted = (id: string): ReadonlyArray<ProviderEvent> => {
    if (active?.id === id) {
      const first = Deferred.doneUnsafe(active.started, Effect.void)
      return first ? [turnStarted(id, active.turnId)] : []
    }
    if (sending === null) return begin(id, null)
    undecided = id
    return []
  }

  /** The first thing said inside an undecided turn decides it: a message of ours begins with its copy. */
  const decide = (id: string, item: Protocol.ThreadItem | null): ReadonlyArray<ProviderEvent> =>
    begin(
      id,
      item?.type === "userMessage" && sending !== null && item.clientId === sending.turnId
        ? sending.turnId
        : null
    )

  const over = (turn: Turn): ReadonlyArray<ProviderEvent> => {
    const before: Array<ProviderEvent> = []
    if (turn.steps === "open") before.push(stepsCompleted(turn.id))
    if (turn.steers.size > 0)
      before.push(notice("The turn ended before Codex had read a message that was added to it."))
    if (active?.id === turn.id) active = null
    forgetRequestsOf(turn.id)
    Deferred.doneUnsafe(turn.started, Effect.void)
    Deferred.doneUnsafe(turn.over, Effect.void)
    return before
  }

  const forgetRequestsOf = (id: string) => {
    for (const [key, held] of requests) if (held.turnId === id) requests.delete(key)
    for (const [key, turnId] of answered) if (turnId === id) answered.delete(key)
  }

  const commandEnded = (itemId: string) => {
    active?.commands.delete(itemId)
    const end = commands.get(itemId)
    if (end !== undefined) Deferred.doneUnsafe(end, Effect.void)
    commands.delete(itemId)
  }

  const heardItem = (
    turnId: string,
    method: string,
    item: Protocol.ThreadItem
  ): ReadonlyArray<ProviderEvent> => {
    const turn = active?.id === turnId ? active : null
    if (item.type === "commandExecution" && method === "item/started") {
      turn?.commands.add(item.id)
      if (commands.size < commandsMax) commands.set(item.id, Deferred.makeUnsafe<void>())
    }
    if (item.type !== "userMessage") return []
    if (item.clientId !== null) turn?.steers.delete(item.clientId)
    if (hasRecord || method !== "item/completed") return []
    hasRecord = true
    return options.onFirstMessage()
  }

  const hear = (notification: Notification): ReadonlyArray<ProviderEvent> => {
    const { id, item } = about(notification.params)
    const { method } = notification
    // Also of a turn that is over: Codex lets commands run on, and their end is news of its own.
    if (method === "item/completed" && item?.type === "commandExecution") commandEnded(item.id)
    if (id !== null && ended.has(id)) return []
    if (method === "turn/started" && id !== null) return heardStarted(id)
    const decided = id !== null && id === undecided ? decide(id, item) : []
    const noted = id !== null && item !== null ? heardItem(id, method, item) : []
    const said = translate(notification).filter(isNews)
    if (method !== "turn/completed" || id === null || said[0]?.type !== "turn.completed") {
      return [...decided, ...noted, ...said.flatMap(withSteps)]
    }
    ended.add(id)
    const turn = active?.id === id ? active : newTurn(id, null)
    const last = over(turn)
    if (said[0].outcome === "interrupted" && turn.commands.size > 0) options.onLeftRunning(turn.commands)
    return [...decided, ...last, ...said]
  }

  const isNews = (event: ProviderEvent): boolean => {
    if (event.type === "notice") return notices.add(event.message)
    if (event.type !== "request.resolved") return true
    const wasOpen = requests.delete(event.requestKey)
    return answered.delete(event.requestKey) || wasOpen
  }

  /** Codex only ever updates its list of steps: the first update of a turn starts the item. */
  const withSteps = (event: ProviderEvent): ReadonlyArray<ProviderEvent> => {
    if (event.type !== "item.updated" || event.providerItemId !== stepsItemId) return [event]
    if (active === null || active.id !== event.providerTurnId) return []
    if (active.steps === "open") return [event]
    active.steps = "open"
    const { providerTurnId, providerItemId, detail } = event
    return [{ type: "item.started", providerTurnId, providerItemId, kind: "plan", title: stepsTitle, detail }]
  }

  const sendAnswered = (id: string | null): ReadonlyArray<ProviderEvent> => {
    if (sending === null) return []
    const { turnId, settled } = sending
    sending = null
    Deferred.doneUnsafe(settled, Effect.void)
    const foreign = undecided
    if (foreign !== null) return begin(foreign, foreign === id ? turnId : null)
    // It was put into the turn that runs, or its turn has come and gone: either is told already.
    if (id !== null && active?.id !== id && !ended.has(id)) active = newTurn(id, turnId)
    return []
  }

  const ask = (held: Held): ReadonlyArray<ProviderEvent> | null => {
    if (requests.size >= requestsMax || (held.turnId !== null && ended.has(held.turnId))) return null
    const decided = held.turnId !== null && held.turnId === undecided ? begin(held.turnId, null) : []
    const requestKey = String(held.id)
    const turnId = held.turnId ?? active?.id ?? null
    requests.set(requestKey, { ...held, turnId })
    return [
      ...decided,
      {
        type: "request.opened",
        providerTurnId: turnId === null ? null : ProviderTurnId.make(turnId),
        requestKey,
        kind: held.kind,
        ask: held.ask
      }
    ]
  }

  return {
    active: () => active,
    hear,
    sendBegan: (turnId) => {
      sending = { turnId, settled: Deferred.makeUnsafe<void>() }
    },
    sendAnswered,
    unanswered: () => sending?.settled ?? null,
    ask,
    release: (key) => {
      const held = requests.get(key) ?? null
      if (held !== null) {
        requests.delete(key)
        answered.set(key, held.turnId)
      }
      return held
    },
    commandEnd: (itemId) => commands.get(itemId) ?? null,
    adopt: (id, turnId) => {
      hasRecord = true
      return active?.id === id || ended.has(id) ? [] : begin(id, turnId)
    },
    end: () => {
      if (active !== null) over(active)
      if (sending !== null) sendAnswered(null)
      requests.clear()
      answered.clear()
    }
  }
}

const stepsTitle = "Steps"

const stepsCompleted = (turnId: string): ProviderEvent => ({
  type: "item.completed",
  providerTurnId: ProviderTurnId.make(turnId),
  providerItemId: stepsItemId,
  kind: "plan",
  title: stepsTitle,
  end: "completed",
  text: null,
  detail: {}
})

const newTurn = (id: string, turnId: TurnId | null): Turn => ({
  id,
  turnId,
  started: Deferred.makeUnsafe<void>(),
  over: Deferred.makeUnsafe<void>(),
  commands: new Set(),
  steers: new Set(),
  steps: "none"
})

/** The turn and the item that a notification is about, where it names them. */
const about = (
  params: unknown
): { readonly id: string | null; readonly item: Protocol.ThreadItem | null } => {
  const { turnId, turn, item } = Object(params) as {
    turnId?: unknown
    turn?: { id?: unknown } | null
    item?: unknown
  }
  const id = turnId ?? turn?.id
  return {
    id: typeof id === "string" ? id : null,
    item: typeof item === "object" && item !== null ? (item as Protocol.ThreadItem) : null
  }
}

/** The newest `max` strings that were added. `add` tells whether the string is new. */
const recent = (max: number) => {
  const kept = new Set<string>()
  return {
    has: (value: string) => kept.has(value),
    add: (value: string): boolean => {
      if (kept.has(value)) return false
      if (kept.size >= max) kept.delete(kept.values().next().value!)
      kept.add(value)
      return true
    }
  }
}
