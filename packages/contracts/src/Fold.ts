/**
 * One thread as a client knows it: a snapshot, carried on by what its subscription brings.
 *
 * Promise: after every item the rows are those that the server's tables hold at that version, so a client
 * never shows what a fresh snapshot would not. The session and the order of the queue are carried on by the
 * kernel's own `evolve`; a row that an event does not touch stays the same object.
 *
 * A fold never guesses: an item that does not fit is a `Fault`, and the client asks the server anew.
 */
import type { ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import type { EventOf, ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { evolve, isText } from "@turnkeeper/domain/thread/evolve"
import { isSettled } from "@turnkeeper/domain/thread/lifecycle"
import { initial } from "@turnkeeper/domain/thread/State"
import type { OpenRequest, OpenTurn, Session, ThreadInfo, ThreadState } from "@turnkeeper/domain/thread/State"
import type { Entry, ItemEntry, MessageEntry, RequestRow, SessionRow, ThreadRow, TurnRow } from "./Rows.ts"
import type { Cursor, LoggedEvent, Page, ThreadItem, ThreadSnapshot } from "./Streams.ts"
import { nothingUsed, withUsage } from "./TurnUsage.ts"

export interface ThreadFold {
  readonly epoch: string
  readonly version: number
  readonly thread: ThreadRow
  readonly session: SessionRow
  /** By `ordinal`: the open ones in the order in which they will run. */
  readonly turns: ReadonlyArray<TurnRow>
  /** Those that wait for the user or for the provider, oldest first. */
  readonly requests: ReadonlyArray<RequestRow>
  /** The newest that were closed since the snapshot, at most `closedRequestsMax`. */
  readonly closedRequests: ReadonlyArray<RequestRow>
  /** By `position`. */
  readonly entries: ReadonlyArray<Entry>
  /** Where the page of older entries ends; null: there are none. */
  readonly before: number | null
  /** What is open, in the words of the kernel. */
  readonly state: ThreadState
  /** Of each open turn: the place that is its own, which it takes again when it has settled. */
  readonly places: ReadonlyMap<string, number>
}

/** What does not fit what was told before. After one of them the rows may differ from the server's. */
export type Fault =
  | { readonly type: "no_snapshot" }
  /** Not the next version: something was missed, or came twice. */
  | { readonly type: "version"; readonly expected: number; readonly got: number }
  | { readonly type: "synchronized"; readonly at: number; readonly version: number }
  | { readonly type: "unknown_item"; readonly itemId: string }
  | { readonly type: "hole"; readonly itemId: string; readonly end: number; readonly offset: number }
  | { readonly type: "unknown_turn"; readonly turnId: string }
  | { readonly type: "settled_again"; readonly turnId: string; readonly was: string; readonly state: string }
  | { readonly type: "unknown_request"; readonly requestId: string }

interface Joined {
  readonly fold: ThreadFold
  readonly fault: Fault | null
}

export const closedRequestsMax = 50

type EventItem = Extract<ThreadItem, { readonly type: "event" }>
type DeltaItem = Extract<ThreadItem, { readonly type: "delta" }>
type Synchronized = Extract<ThreadItem, { readonly type: "synchronized" }>

/** Where to go on after the connection was lost. */
export const cursorOf = (fold: ThreadFold): Cursor => ({
  epoch: fold.epoch,
  version: fold.version,
  texts: Object.fromEntries(fold.entries.filter(isOpen).map((entry) => [entry.id, entry.text.length]))
})

// A snapshot

export const fromSnapshot = (snapshot: ThreadSnapshot): ThreadFold => {
  const { before, entries, epoch, requests, session, thread, turns, version } = snapshot
  const state = stateOf(snapshot)
  const places = placesOf(snapshot)
  return {
    epoch,
    version,
    thread,
    session,
    turns,
    requests,
    closedRequests: [],
    entries,
    before,
    state,
    places
  }
}

/** The prompt of a turn stands where the turn was asked for; one that is not shown keeps the place it has. */
const placesOf = ({ entries, turns }: Pick<ThreadSnapshot, "entries" | "turns">) => {
  const prompts = new Map(entries.map((entry) => [entry.id, entry.position]))
  const open = turns.filter((turn) => !isSettled(turn.state))
  return new Map<string, number>(
    open.map((turn) => [turn.turnId, prompts.get(turn.messageId ?? "") ?? turn.ordinal])
  )
}

/**
 * A later snapshot of the same thread. Entries that did not change stay the same objects, and pages of older
 * ones are kept where they join it and can not have changed; else they are to be loaded again.
 */
const renewed = (fold: ThreadFold, snapshot: ThreadSnapshot): ThreadFold => {
  const told = fromSnapshot(snapshot)
  if (fold.epoch !== told.epoch) return told
  const places = new Map([...told.places].map(([id, place]) => [id, fold.places.get(id) ?? place]))
  const fresh = { ...told, places }
  const known = new Map(fold.entries.map((entry) => [entry.id, entry]))
  const entries = fresh.entries.map((entry) => {
    const mine = known.get(entry.id)
    return mine !== undefined && isSameEntry(mine, entry) ? mine : entry
  })
  const older = olderThan(fold, fresh)
  if (older === null) return { ...fresh, entries }
  const shown = new Set(fresh.turns.map((turn) => turn.turnId))
  const turnIds = new Set(older.map((entry) => entry.turnId))
  const turns = fold.turns.filter((turn) => turnIds.has(turn.turnId) && !shown.has(turn.turnId))
  // An open entry from long ago stands in both: in the snapshot as it is now.
  const ids = new Set(older.map((entry) => entry.id))
  return {
    ...fresh,
    turns: byOrdinal([...turns, ...fresh.turns]),
    entries: [...older, ...entries.filter((entry) => !ids.has(entry.id))],
    before: fold.before
  }
}

/** What the fold has before the snapshot's page, when nothing is missing between and all of it has ended. */
const olderThan = (fold: ThreadFold, fresh: ThreadFold): ReadonlyArray<Entry> | null => {
  const { before } = fresh
  const newest = fold.entries.at(-1)
  if (before === null || newest === undefined || newest.position < before) return null
  const older = fold.entries.filter((entry) => entry.position < before)
  const open = new Set(fold.turns.filter((turn) => !isSettled(turn.state)).map((turn) => turn.turnId))
  const isFixed = (entry: Entry) => !isOpen(entry) && (entry.turnId === null || !open.has(entry.turnId))
  return older.every(isFixed) ? older : null
}

const isSameEntry = (a: Entry, b: Entry) =>
  a.type === b.type &&
  a.status === b.status &&
  a.completedAt === b.completedAt &&
  a.text === b.text &&
  // What is closed changes no more; the card of an open item may.
  (!isOpen(a) || a.type === "message")

/**
 * A page of `history`, before what is there. Every turn that was open at the fold's version is known to it, so
 * one that only the page tells of had ended by then, and is final (L3).
 */
export const withOlder = (fold: ThreadFold, page: Page): ThreadFold => {
  const ids = new Set(fold.entries.map((entry) => entry.id))
  const older = page.entries.filter((entry) => !ids.has(entry.id))
  const known = new Set(fold.turns.map((turn) => turn.turnId))
  const ended = (page.turns ?? []).filter((turn) => !known.has(turn.turnId) && isSettled(turn.state))
  return {
    ...fold,
    turns: ended.length === 0 ? fold.turns : byOrdinal([...ended, ...fold.turns]),
    entries: [...older, ...fold.entries],
    before: page.before
  }
}

// Items

/** What one item makes of what was known; null: nothing is known yet, or nothing counts any more. */
export const joined = (
  fold: ThreadFold | null,
  item: ThreadItem
): { readonly fold: ThreadFold | null; readonly fault: Fault | null } => {
  switch (item.type) {
    case "snapshot":
      return { fold: fold === null ? fromSnapshot(item) : renewed(fold, item), fault: null }
    case "reset":
      // The snapshot that follows takes the place of everything.
      return { fold: null, fault: null }
    case "synchronized":
    case "event":
    case "delta":
      return fold === null ? { fold, fault: { type: "no_snapshot" } } : carried(fold, item)
    default:
      return { fold, fault: null }
  }
}

const carried = (fold: ThreadFold, item: Synchronized | EventItem | DeltaItem): Joined => {
  if (item.type === "event") return joinEvent(fold, item)
  if (item.type === "delta") return joinDelta(fold, item)
  const { version } = item
  return version === fold.version
    ? sound(fold)
    : { fold, fault: { type: "synchronized", at: fold.version, version } }
}

const joinDelta = (fold: ThreadFold, { itemId, offset, text }: Omit<DeltaItem, "type">): Joined => {
  const index = fold.entries.findLastIndex((entry) => entry.id === itemId)
  const entry = fold.entries[index]
  if (entry === undefined) return { fold, fault: { type: "unknown_item", itemId } }
  // What was completed has its whole text; what lies below the end is a double.
  if (!isOpen(entry)) return sound(fold)
  const end = entry.text.length
  if (offset > end) return { fold, fault: { type: "hole", itemId, end, offset } }
  if (offset + text.length <= end) return sound(fold)
  const longer = { ...entry, text: entry.text + text.slice(end - offset) }
  return sound({ ...fold, entries: fold.entries.with(index, longer) })
}

/** One event of the log. One that this build does not know only moves the version. */
const joinEvent = (fold: ThreadFold, item: Omit<EventItem, "type" | "sequence">): Joined => {
  const expected = fold.version + 1
  if (item.version !== expected) {
    return { fold, fault: { type: "version", expected, got: item.version } }
  }
  const { event } = item
  if (event.type === "unknown") return sound({ ...fold, version: item.version })
  const { actor = null, at, version } = item
  const record: Record = { threadId: fold.thread.threadId, version, at, actor, event }
  const state = evolve(fold.state, event)
  const turns = withTurns(fold, record, state)
  const places = withPlaces(fold, record)
  const requests = withRequests(fold, record)
  const next: ThreadFold = {
    ...fold,
    version: item.version,
    state,
    session: sessionRow(fold.session, state, item.at),
    turns: inRunningOrder(turns, state, places),
    places,
    ...requests,
    entries: withEntries(fold, record)
  }
  return { fold: { ...next, thread: threadRow(next, record) }, fault: faultOf(fold, record) }
}

interface Record {
  readonly threadId: ThreadId
  readonly version: number
  readonly at: number
  /** Who gave the command; null: it was none, or of somebody without a name. */
  readonly actor: string | null
  readonly event: LoggedEvent
}

const sound = (fold: ThreadFold): Joined => ({ fold, fault: null })

/** Every open turn and request was shown by the snapshot or by an event, and a settled turn is settled. */
const faultOf = (fold: ThreadFold, { event }: Record): Fault | null => {
  switch (event.type) {
    case "turn.send_started":
    case "turn.requeued":
    case "turn.started":
    case "turn.settled": {
      const turn = fold.turns.find((one) => one.turnId === event.turnId)
      if (turn === undefined) return { type: "unknown_turn", turnId: event.turnId }
      return event.type === "turn.settled" && isSettled(turn.state)
        ? { type: "settled_again", turnId: event.turnId, was: turn.state, state: event.state }
        : null
    }
    case "request.answered":
    case "request.answer_failed":
    case "request.closed": {
      const isKnown = [...fold.requests, ...fold.closedRequests].some(
        (one) => one.requestId === event.requestId
      )
      return isKnown ? null : { type: "unknown_request", requestId: event.requestId }
    }
    default:
      return null
  }
}

// Turns

const withTurns = (fold: ThreadFold, record: Record, after: ThreadState): ReadonlyArray<TurnRow> => {
  const { event } = record
  if (event.type === "turn.queued") return [...fold.turns, queuedTurn(record, event)]
  if (event.type === "turn.adopted") return [...fold.turns, adoptedTurn(record, event, after)]
  if (!("turnId" in event) || event.turnId === null) return fold.turns
  const index = fold.turns.findLastIndex((turn) => turn.turnId === event.turnId)
  const turn = fold.turns[index]
  // A settled turn never changes again (L3).
  if (turn === undefined || isSettled(turn.state)) return fold.turns
  const change = turnChange(turn, record)
  return change === null ? fold.turns : fold.turns.with(index, { ...turn, ...change })
}

const turnChange = (turn: TurnRow, { event, at }: Record): Partial<TurnRow> | null => {
  switch (event.type) {
    case "turn.send_started":
      return { state: "sending" }
    case "turn.requeued":
      return { state: "queued" }
    case "turn.started":
      return {
        state: "running",
        providerTurnId: event.providerTurnId ?? turn.providerTurnId,
        startedAt: turn.startedAt ?? at
      }
    case "turn.referenced":
      return { providerTurnId: event.providerTurnId }
    case "turn.interrupt_requested":
      return { interruptAskedAt: turn.interruptAskedAt ?? at }
    case "turn.quiet":
      return {
        quiet: event.quiet,
        quietSince: event.quiet === null ? null : (turn.quietSince ?? silentSince(event, at))
      }
    case "usage.reported":
      return { usage: withUsage(turn.usage ?? nothingUsed, event.usage) }
    case "turn.settled":
      return {
        state: event.state,
        quiet: null,
        quietSince: null,
        delivered: event.delivery,
        reason: event.reason,
        into: event.into,
        settledAt: at
      }
    default:
      return null
  }
}

type Of<Type extends LoggedEvent["type"]> = Extract<LoggedEvent, { readonly type: Type }>

/** What is true of every turn when it begins. */
const fresh = {
  providerTurnId: null,
  delivered: null,
  reason: null,
  into: null,
  interruptAskedAt: null,
  quiet: null,
  quietSince: null,
  startedAt: null,
  settledAt: null,
  usage: null
} as const

const queuedTurn = ({ threadId, version }: Record, event: Of<"turn.queued">): TurnRow => ({
  ...fresh,
  turnId: event.turnId,
  threadId,
  messageId: event.messageId,
  origin: "user",
  state: "queued",
  delivery: event.delivery,
  retryOf: event.retryOf,
  provider: event.provider,
  model: event.model,
  runtimeMode: event.runtimeMode,
  interactionMode: event.interactionMode,
  queuedAt: event.at,
  ordinal: version
})

/** The event of a turn of the provider's own names no settings: they are the thread's at that moment. */
const adoptedTurn = (record: Record, event: Of<"turn.adopted">, after: ThreadState): TurnRow => {
  const { info, session } = after
  return {
    ...fresh,
    turnId: event.turnId,
    threadId: record.threadId,
    messageId: null,
    origin: "provider",
    state: "running",
    providerTurnId: event.providerTurnId,
    delivery: "queue",
    retryOf: null,
    provider: session.provider ?? (info?.provider as ProviderInstanceId),
    model: info?.model ?? null,
    runtimeMode: info?.runtimeMode ?? "unknown",
    interactionMode: info?.interactionMode ?? "unknown",
    queuedAt: record.at,
    startedAt: record.at,
    ordinal: record.version
  }
}

/** The open turns share out their places among themselves in the order in which the kernel will run them. */
const inRunningOrder = (
  turns: ReadonlyArray<TurnRow>,
  state: ThreadState,
  places: ReadonlyMap<string, number>
): ReadonlyArray<TurnRow> => {
  const rank = new Map<string, number>(state.turns.map((turn, index) => [turn.id, index]))
  const open = turns.filter((turn) => rank.has(turn.turnId))
  const placeOf = (turn: TurnRow) => places.get(turn.turnId) ?? turn.ordinal
  const shared = open.map(placeOf).sort((a, b) => a - b)
  const inOrder = open.toSorted((a, b) => (rank.get(a.turnId) ?? 0) - (rank.get(b.turnId) ?? 0))
  const ordinals = new Map(inOrder.map((turn, index) => [turn.turnId, shared[index] ?? turn.ordinal]))
  const placed = turns.map((turn) => {
    const ordinal = ordinals.get(turn.turnId) ?? placeOf(turn)
    return ordinal === turn.ordinal ? turn : { ...turn, ordinal }
  })
  return placed.every((turn, index) => turn === turns[index]) ? turns : byOrdinal(placed)
}

/** Those of the open turns, and of one that settles just now. */
const withPlaces = ({ places, turns }: ThreadFold, { event, version }: Record): ThreadFold["places"] => {
  if (event.type === "turn.queued" || event.type === "turn.adopted") {
    return new Map(places).set(event.turnId, version)
  }
  const isOver = (turnId: string) => turns.some((turn) => turn.turnId === turnId && isSettled(turn.state))
  return [...places.keys()].some(isOver) ? new Map([...places].filter(([turnId]) => !isOver(turnId))) : places
}

const byOrdinal = (turns: ReadonlyArray<TurnRow>) => turns.toSorted((a, b) => a.ordinal - b.ordinal)

// Requests

type Requests = Pick<ThreadFold, "requests" | "closedRequests">

const withRequests = (fold: ThreadFold, record: Record): Requests => {
  const { requests, closedRequests } = fold
  const { actor, at, event, threadId } = record
  const changed = (requestId: string, change: Partial<RequestRow>): Requests => ({
    requests: requests.map((one) => (one.requestId === requestId ? { ...one, ...change } : one)),
    closedRequests
  })
  switch (event.type) {
    case "request.opened": {
      const { ask, kind, requestId, turnId } = event
      const opened = { requestId, threadId, turnId, kind, ask, openedAt: at, closedAt: null }
      const row: RequestRow = { ...opened, status: "open", answer: null, answeredBy: null, reason: null }
      // A provider may use a name of its own again once the earlier request of that name is closed.
      return { requests: [...requests.filter((one) => one.requestId !== requestId), row], closedRequests }
    }
    case "request.answered":
      return changed(event.requestId, { status: "answering", answer: event.answer, answeredBy: actor })
    case "request.answer_failed":
      return changed(event.requestId, { status: "open", answer: null, answeredBy: null })
    case "request.closed": {
      const { reason, status } = event
      return closed(fold, (one) => one.requestId === event.requestId, { status, reason, closedAt: at })
    }
    case "turn.settled":
      // Nothing inside a settled turn stays open (L5), whatever its events said.
      return closed(fold, (one) => one.turnId === event.turnId, { status: "expired", closedAt: at })
    default:
      return { requests, closedRequests }
  }
}

const closed = (
  { requests, closedRequests }: Requests,
  isClosed: (one: RequestRow) => boolean,
  change: Partial<RequestRow>
): Requests => {
  const ending = requests.filter(isClosed)
  if (ending.length === 0) return { requests, closedRequests }
  const ended = ending.map((one) => ({ ...one, ...change }))
  return {
    requests: requests.filter((one) => !isClosed(one)),
    closedRequests: [...closedRequests, ...ended].slice(-closedRequestsMax)
  }
}

// Entries

const isOpen = (entry: Entry) => entry.status === "open"

const withEntries = (fold: ThreadFold, record: Record): ReadonlyArray<Entry> => {
  const { entries } = fold
  const { at, event } = record
  switch (event.type) {
    case "turn.queued":
      return [...entries, prompt(record, event)]
    case "turn.edited": {
      const messageId = fold.turns.find((turn) => turn.turnId === event.turnId)?.messageId
      return changedEntry(entries, messageId ?? null, (entry) => ({ ...entry, text: event.text }))
    }
    case "item.started":
      return entries.some((entry) => entry.id === event.itemId) ? entries : [...entries, begun(record, event)]
    case "item.updated":
      return changedEntry(entries, event.itemId, (entry) =>
        entry.type === "item" && isOpen(entry) ? { ...entry, detail: event.detail } : entry
      )
    case "item.completed":
      return entries.some((entry) => entry.id === event.itemId)
        ? changedEntry(entries, event.itemId, (entry) => completed(entry, at, event))
        : [...entries, completed(begun(record, { title: "", detail: {}, ...event }), at, event)]
    case "turn.settled":
      // Nothing inside a settled turn stays open (L5), whatever its events said.
      return entries.some((entry) => isOpen(entry) && entry.turnId === event.turnId)
        ? entries.map((entry) =>
            isOpen(entry) && entry.turnId === event.turnId
              ? { ...entry, status: "interrupted", completedAt: at }
              : entry
          )
        : entries
    default: {
      const notice = noticeOf(event)
      return notice === null ? entries : [...entries, noticed(record, notice)]
    }
  }
}

const changedEntry = (
  entries: ReadonlyArray<Entry>,
  id: string | null,
  change: (entry: Entry) => Entry
): ReadonlyArray<Entry> => {
  const index = entries.findLastIndex((entry) => entry.id === id)
  const entry = entries[index]
  return entry === undefined ? entries : entries.with(index, change(entry))
}

const prompt = ({ threadId, version }: Record, event: Of<"turn.queued">): MessageEntry => ({
  type: "message",
  id: event.messageId,
  threadId,
  turnId: event.turnId,
  role: "user",
  status: "completed",
  text: event.text,
  attachments: event.attachments,
  position: version,
  createdAt: event.at,
  completedAt: event.at
})

type Beginning = Pick<Of<"item.started">, "itemId" | "turnId" | "kind" | "title" | "detail">

const begun = ({ at, threadId, version }: Record, event: Beginning): Entry => {
  const { itemId: id, kind, turnId } = event
  const common = { id, threadId, turnId, status: "open", text: "", position: version } as const
  const times = { createdAt: at, completedAt: null }
  if (isText(event)) {
    const role = kind === "reasoning" ? "reasoning" : "assistant"
    return { type: "message", ...common, role, attachments: [], ...times } satisfies MessageEntry
  }
  const { detail, title } = event
  return { type: "item", ...common, kind, title, detail, ...times } satisfies ItemEntry
}

const completed = (entry: Entry, at: number, event: Of<"item.completed">): Entry => {
  if (!isOpen(entry)) return entry
  const { status, text } = event
  const end = { status, text, completedAt: at }
  if (entry.type === "message") return { ...entry, ...end }
  return { ...entry, ...end, title: event.title ?? entry.title, detail: event.detail ?? entry.detail }
}

/** Since when the turn had said nothing, of the event that noticed it at `at`. */
export const silentSince = ({ silentMs = 0 }: EventOf<"turn.quiet">, at: number) => at - silentMs

export interface Notice {
  readonly turnId: TurnRow["turnId"] | null
  readonly text: string
}

/** The events beside the work that a reader of the thread has to see. */
export const noticeOf = (event: ThreadEvent): Notice | null => {
  switch (event.type) {
    case "notice.recorded":
      return { turnId: event.turnId, text: event.message }
    case "turn.interrupt_escalated":
    case "turn.interrupt_failed":
      return { turnId: event.turnId, text: event.reason }
    case "session.stop_failed":
    case "request.answer_failed":
      return { turnId: null, text: event.message }
    case "session.stopped":
      return event.end === "asked" || event.message === null ? null : { turnId: null, text: event.message }
    default:
      return null
  }
}

const noticed = ({ threadId, version, at, event }: Record, notice: Notice): ItemEntry => ({
  type: "item",
  id: `notice/${version}`,
  threadId,
  turnId: notice.turnId,
  kind: "notice",
  title: "",
  detail: { event: event.type },
  status: "completed",
  text: notice.text,
  position: version,
  createdAt: at,
  completedAt: at
})

// The session and the thread

const sessionRow = (row: SessionRow, { session }: ThreadState, at: number): SessionRow => ({
  ...row,
  status: session.status,
  generation: session.generation,
  provider: session.provider,
  activeTurnId: session.activeTurnId,
  lastError: session.lastError,
  recovering: session.recovering,
  stopping: session.stopAsked,
  updatedAt: at
})

const threadRow = (fold: ThreadFold, { at, event, version }: Record): ThreadRow => {
  const { state, thread, turns } = fold
  const { info, requests, session } = state
  const begins = event.type === "turn.queued" || event.type === "turn.adopted"
  const latestTurnId = begins ? event.turnId : (thread.latestTurn?.turnId ?? null)
  const active = turns.find((turn) => turn.turnId === session.activeTurnId)
  const latest = turns.findLast((turn) => turn.turnId === latestTurnId)
  const { archived = false, deleted: _, ...settings } = info ?? {}
  return {
    ...thread,
    ...settings,
    archivedAt: event.type === "thread.archived" ? at : archived ? thread.archivedAt : null,
    deletedAt: event.type === "thread.deleted" ? at : thread.deletedAt,
    sessionStatus: session.status,
    lastError: session.lastError,
    recovering: session.recovering,
    stopping: session.stopAsked?.by ?? null,
    latestTurn: latest === undefined ? thread.latestTurn : pick(latest),
    activeTurn:
      active === undefined
        ? null
        : {
            turnId: active.turnId,
            startedAt: active.startedAt,
            interruptAskedAt: active.interruptAskedAt,
            quiet: active.quiet,
            quietSince: active.quietSince ?? null
          },
    openRequests: requests.filter((request) => request.answer === null).length,
    queuedTurns: state.turns.filter((turn) => turn.state === "queued").length,
    lastActivityAt: isActivity(event) ? at : thread.lastActivityAt,
    version
  }
}

const pick = ({ turnId, state, delivered }: TurnRow) => ({ turnId, state, delivered })

/**
 * What people would call activity, and so what moves a thread to the top of a list: what they say to the agent,
 * what it does in a turn, what it asks and is answered. All else is housekeeping, such as a session that is
 * closed because nobody needs it, or a new title.
 */
export const isActivity = (event: ThreadEvent): boolean => activities.has(event.type)

const activities: ReadonlySet<ThreadEvent["type"]> = new Set([
  "thread.created",
  "turn.queued",
  "turn.edited",
  "turn.started",
  "turn.adopted",
  "turn.settled",
  "item.started",
  "item.updated",
  "item.completed",
  "request.opened",
  "request.answered"
])

// The state behind a snapshot

/**
 * What the rows say, in the words of the kernel, so that its own `evolve` carries them on. What no row shows
 * (items, resume cursors, foreign turns) is left empty: nothing that a row shows depends on it. Whether the
 * generation is open is not told; for what a client sees only a stopped session differs.
 *
 * A word that this build does not know stands as `unknown`; `evolve` hands such words on unread.
 */
const stateOf = ({ requests, session, thread, turns }: ThreadSnapshot): ThreadState => ({
  ...initial,
  info: {
    projectId: thread.projectId,
    title: thread.title,
    provider: thread.provider,
    model: thread.model,
    runtimeMode: thread.runtimeMode as ThreadInfo["runtimeMode"],
    interactionMode: thread.interactionMode as ThreadInfo["interactionMode"],
    cwd: thread.cwd,
    archived: thread.archivedAt !== null,
    deleted: thread.deletedAt !== null
  },
  session: {
    ...initial.session,
    status: session.status as Session["status"],
    generation: session.generation,
    open: session.status !== "stopped",
    provider: session.provider,
    activeTurnId: session.activeTurnId,
    lastError: session.lastError,
    recovering: session.recovering,
    stopAsked: session.stopping as Session["stopAsked"]
  },
  turns: turns.filter((turn) => !isSettled(turn.state)).map(openTurn),
  requests: requests.map((row) => openRequest(row, session))
})

const openTurn = (row: TurnRow): OpenTurn => ({
  id: row.turnId,
  messageId: row.messageId,
  origin: row.origin as OpenTurn["origin"],
  state: row.state as OpenTurn["state"],
  providerTurnId: row.providerTurnId,
  delivery: row.delivery as OpenTurn["delivery"],
  provider: row.provider,
  model: row.model,
  runtimeMode: row.runtimeMode as OpenTurn["runtimeMode"],
  interactionMode: row.interactionMode as OpenTurn["interactionMode"],
  // Which turn it interrupts is not told, and only that it interrupts one counts for its place.
  interrupts: row.delivery === "interrupt" ? row.turnId : null,
  queuedAt: row.queuedAt,
  tries: 0,
  restarts: 0,
  send: null,
  interrupt: null,
  quiet: row.quiet as OpenTurn["quiet"],
  finalError: null,
  items: 0
})

const openRequest = (row: RequestRow, session: SessionRow): OpenRequest => ({
  id: row.requestId,
  key: row.requestId,
  turnId: row.turnId,
  generation: session.generation,
  kind: row.kind as OpenRequest["kind"],
  ask: row.ask,
  answer: row.answer
})
