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
import { ProviderTurnId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { HeardItem, HeardTurn } from "@turnkeeper/provider-kit/Provider"
import { recentNames } from "@turnkeeper/provider-kit/recent"
import { Deferred, Effect, Schema } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import type { Notification } from "@turnkeeper/provider-kit/JsonRpc"
import type { Held } from "./requests.ts"
import type { Away, Recorded } from "./history.ts"
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
  /** What was told of it, in its order. */
  readonly items: Array<Told>
  steps: "none" | "open"
}

interface Told extends Omit<HeardItem, "text"> {
  open: boolean
  /** The user said no to it. */
  declined: boolean
  /** Some of its text was missed: what comes now has no place until the whole text comes. */
  holed: boolean
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

export interface ConversationOptions {
  /** This thread has no record yet: say when it has. */
  readonly onFirstMessage: () => ReadonlyArray<ProviderEvent>
  /** A turn was interrupted and these commands of it still run. */
  readonly onLeftRunning: (commands: ReadonlySet<string>) => void
}

const requestsMax = 256
const commandsMax = 1_000
const endedKept = 256
const itemsMax = 10_000
const noticesKept = 64

export const make = (options: ConversationOptions): Conversation => {
  let active: Turn | null = null
  let sending: { readonly turnId: TurnId; readonly settled: Deferred.Deferred<void> } | null = null
  /** A turn that started while a prompt is unanswered: nobody knows yet whose it is. */
  let undecided: string | null = null
  let hasRecord = false
  const ended = recentNames(endedKept)
  const notices = recentNames(noticesKept)
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
    const before = [...declinedItems(turn)]
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
    const said = translate(notification).filter(isNews).flatMap(told)
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

  /** Keeps in mind what is told of the running turn, and holds back what has no place. */
  const told = (event: ProviderEvent): ReadonlyArray<ProviderEvent> => {
    if (active === null || !("providerTurnId" in event) || event.providerTurnId !== active.id) return [event]
    switch (event.type) {
      case "item.started":
      case "item.completed": {
        const cut = cutTexts(active, event)
        noteItem(active, event)
        return [...cut, event]
      }
      case "text.delta":
        return openItem(active, event.providerItemId)?.holed === true ? [] : [event]
      default:
        return [event]
    }
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

  const rejoin = ({
    heard,
    away,
    active: isActive,
    reasked,
    meanwhile
  }: Rejoined): ReadonlyArray<ProviderEvent> => {
    const { heard: recorded, running } = away
    const waited = reasked
      ? [...new Set([...(heard?.requests ?? []), ...requests.keys(), ...answered.keys()])]
      : []
    if (reasked) {
      requests.clear()
      answered.clear()
    }
    // In its first moments a turn is in no record.
    const unrecorded =
      recorded === null && running === null && isActive ? (heard?.providerTurnId ?? null) : null
    const known =
      recorded !== null
        ? taken(recorded, heard)
        : unrecorded === null || active?.id === unrecorded
          ? []
          : begin(unrecorded, heard?.turnId ?? null)
    const other = running === null ? [] : taken(running, null)
    const recordedItems = new Set(
      [recorded, running].flatMap((one) => one?.items.map((item) => key(one.turn.id, item.id)) ?? [])
    )
    const live = meanwhile.flatMap((one): ReadonlyArray<ProviderEvent> => {
      if (one.type === "request") return ask(one.held) ?? []
      const { id, item, itemId } = about(one.notification.params)
      const name = item?.id ?? itemId
      // The record was read later than this was said.
      return id !== null && name !== null && recordedItems.has(key(id, name)) ? [] : hear(one.notification)
    })
    // Codex asks again what it still waits for; the rest was dealt with.
    const closed = waited
      .filter((requestKey) => active !== null && !requests.has(requestKey))
      .map((requestKey): ProviderEvent => ({ type: "request.resolved", requestKey }))
    return [...known, ...other, ...live, ...closed]
  }

  /** A turn of the record: what is new in it, and its end. */
  const taken = ({ turn, items }: Recorded, heard: HeardTurn | null): ReadonlyArray<ProviderEvent> => {
    if (ended.has(turn.id)) return []
    const clientId = items.flatMap((item) => (item.type === "userMessage" ? [item.clientId] : []))[0]
    const ours = heard?.turnId ?? (isTurnId(clientId) ? clientId : null)
    const begun = active?.id === turn.id ? [] : begin(turn.id, ours)
    const now = active!
    if (heard !== null) {
      now.items.splice(
        0,
        Infinity,
        ...heard.items.map(({ text, ...item }) => ({
          ...item,
          open: text !== null,
          declined: false,
          holed: text !== null
        }))
      )
    }
    const known = counted(now.items.filter(({ open }) => !open))
    const news = items.flatMap((item) =>
      known.takes(item.id)
        ? []
        : hear({ method: "item/completed", params: { threadId: null, turnId: turn.id, item } })
    )
    const end = turn.status === "inProgress" ? [] : hear({ method: "turn/completed", params: { turn } })
    return [...begun, ...news, ...end]
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
    release: (key, declined) => {
      const held = requests.get(key) ?? null
      if (held !== null) {
        const item = held.itemId === undefined || active === null ? undefined : openItem(active, held.itemId)
        if (item !== undefined) item.declined = declined
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
    heard: () =>
      active === null
        ? null
        : {
            turnId: active.turnId,
            providerTurnId: ProviderTurnId.make(active.id),
            items: active.items.map(({ detail, kind, open, providerItemId, title }) => ({
              detail,
              kind,
              providerItemId,
              title,
              text: open ? "" : null
            })),
            requests: [...requests.keys(), ...answered.keys()]
          },
    rejoin,
    end: () => {
      if (active !== null) over(active)
      if (sending !== null) sendAnswered(null)
      requests.clear()
      answered.clear()
    }
  }
}

/** A message is about to be put into this turn. */
export const steerBegan = ({ steers }: Turn, turnId: TurnId): void => void steers.add(turnId)

/** It was not, or that is not known. */
export const steerFailed = ({ steers }: Turn, turnId: TurnId): void => void steers.delete(turnId)

const openItem = (turn: Turn, id: string): Told | undefined =>
  turn.items.findLast((item) => item.open && item.providerItemId === id)

const noteItem = (
  turn: Turn,
  event: Extract<ProviderEvent, { type: "item.started" | "item.completed" }>
): void => {
  const { detail, kind, providerItemId, title, type } = event
  const known = openItem(turn, providerItemId)
  const open = type === "item.started"
  if (known !== undefined) known.open = open
  else if (turn.items.length < itemsMax)
    turn.items.push({ kind, providerItemId, title, detail, open, declined: false, holed: false })
}

/** Codex does not tell the end of a declined item when the question was asked on an earlier connection. */
const declinedItems = ({ id, items }: Turn): ReadonlyArray<ProviderEvent> =>
  items
    .filter(({ declined, open }) => declined && open)
    .map(({ detail, kind, providerItemId, title }) => ({
      type: "item.completed",
      providerTurnId: ProviderTurnId.make(id),
      providerItemId,
      kind,
      title,
      end: "declined",
      text: null,
      detail
    }))

/**
 * Codex says one text of a kind after the other: one that had been begun when nobody listened, and is passed
 * over, was cut and begun anew. Nobody has said so, so it is said here.
 */
const cutTexts = (
  turn: Turn,
  { kind, providerItemId }: Extract<ProviderEvent, { type: "item.started" | "item.completed" }>
): ReadonlyArray<ProviderEvent> => {
  if (kind !== "assistant_message" && kind !== "reasoning") return []
  const cut = turn.items.filter(
    (item) => item.open && item.holed && item.kind === kind && item.providerItemId !== providerItemId
  )
  if (cut.length === 0) return []
  for (const item of cut) item.open = false
  return [
    {
      type: "error.transient",
      providerTurnId: ProviderTurnId.make(turn.id),
      message: "Codex began its answer again.",
      attempt: null,
      limit: null
    }
  ]
}

/** Each name as often as it is there. */
const counted = (items: ReadonlyArray<Told>) => {
  const left = new Map<string, number>()
  for (const { providerItemId } of items) left.set(providerItemId, (left.get(providerItemId) ?? 0) + 1)
  return {
    takes: (id: string): boolean => {
      const count = left.get(id) ?? 0
      left.set(id, count - 1)
      return count > 0
    }
  }
}

const key = (turnId: string, itemId: string) => `${turnId}\n${itemId}`

const isTurnId = Schema.is(TurnId)

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
  items: [],
  steps: "none"
})

/** The turn and the item that a notification is about, where it names them. */
const about = (
  params: unknown
): {
  readonly id: string | null
  readonly item: Protocol.ThreadItem | null
  readonly itemId: string | null
} => {
  const { turnId, turn, item, itemId } = Object(params) as {
    turnId?: unknown
    turn?: { id?: unknown } | null
    item?: unknown
    itemId?: unknown
  }
  const id = turnId ?? turn?.id
  return {
    id: typeof id === "string" ? id : null,
    item: typeof item === "object" && item !== null ? (item as Protocol.ThreadItem) : null,
    itemId: typeof itemId === "string" ? itemId : null
  }
}
