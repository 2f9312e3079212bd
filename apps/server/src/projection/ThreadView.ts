/**
 * One thread, read for those who show it, drive it or decide on it.
 *
 * Promises: everything a method gives is of one moment; every answer is bounded in rows and bytes; nothing
 * depends on how long the thread is.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { ItemText } from "@turnkeeper/contracts/Streams"
import type { Entry, RequestRow, SessionRow, ThreadRow, TurnRow } from "@turnkeeper/contracts/Rows"
import type { ItemId, MessageId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { Facts, SettledTurn, ThreadCommand } from "@turnkeeper/domain/thread/Command"
import { evolve } from "@turnkeeper/domain/thread/evolve"
import { OpenTurnState } from "@turnkeeper/domain/thread/lifecycle"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { initial } from "@turnkeeper/domain/thread/State"
import { Context, Effect, Layer, Schema } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { ThreadRecord } from "../engine/Change.ts"
import { isThreadRecord, readLog, readStream, threadStream } from "../store/EventLog.ts"
import { Meta } from "../store/Meta.ts"
import { withinBounds } from "../store/rows.ts"
import { SnapshotReader } from "../store/Sqlite.ts"
import { unavailable } from "../store/storageFault.ts"
import type { Chunk } from "../store/TextJournal.ts"
import { chunksOf, textsOf } from "../store/TextJournal.ts"
import { itemsBetween, itemSizes, itemTextOf, openItems } from "./Items.ts"
import type { PromptText } from "./Messages.ts"
import { messagesBetween, messageSizes, openMessages, promptOf } from "./Messages.ts"
import { openRequests } from "./Requests.ts"
import { sessionOf } from "./Sessions.ts"
import type { Loaded } from "./ThreadStates.ts"
import { loadState, openThreadIds } from "./ThreadStates.ts"
import { threadsById } from "./Threads.ts"
import { turnById, turnsByIds, turnsFor } from "./Turns.ts"

export class ThreadView extends Context.Service<
  ThreadView,
  {
    /** Names this database: a cursor of another one means nothing here. */
    readonly epoch: string
    /**
     * The thread as it is now with its newest `tail` entries (at most `pageLimits`), or null where there is no
     * such thread. An open entry carries its text so far; the next delta of it has that text's length as offset.
     */
    readonly snapshot: (
      threadId: ThreadId,
      tail?: number
    ) => Effect.Effect<Snapshot | null, StorageUnavailable>
    /** The entries right before position `before`, oldest first, and their turns. An unknown thread has none. */
    readonly history: (
      threadId: ThreadId,
      before: number,
      limit?: number
    ) => Effect.Effect<HistoryPage, StorageUnavailable>
    /** `limit` units of the item's whole text from `offset` on, however long it is. An unknown item has none. */
    readonly itemText: (
      threadId: ThreadId,
      itemId: ItemId,
      offset: number,
      limit: number
    ) => Effect.Effect<ItemText, StorageUnavailable>
    /** What a client that has everything up to `version` missed; `null` where it has to take a snapshot. */
    readonly eventsAfter: (
      threadId: ThreadId,
      version: number
    ) => Effect.Effect<Gap | null, StorageUnavailable>
    /** What the tables know and the open state does not, to decide this command on. Looked up by key. */
    readonly facts: (command: ThreadCommand) => Effect.Effect<Omit<Facts, "now">, StorageUnavailable>
    /** What the user wrote, or null where there is no such prompt. */
    readonly prompt: (
      threadId: ThreadId,
      messageId: MessageId
    ) => Effect.Effect<PromptText | null, StorageUnavailable>
    /** The state to go on from and its version, or null where there is no such thread. */
    readonly load: (threadId: ThreadId) => Effect.Effect<Loaded | null, StorageUnavailable>
    /** Every thread that is not at rest: an open session, an open turn or a stop that was asked for. */
    readonly openThreads: Effect.Effect<ReadonlyArray<ThreadId>, StorageUnavailable>
  }
>()("server/projection/ThreadView") {
  static readonly layer = Layer.effect(
    ThreadView,
    Effect.gen(function* () {
      const sql = yield* SnapshotReader
      const { epoch } = yield* Meta
      const atOneMoment = <A>(read: Effect.Effect<A, SqlError>) => unavailable(sql.withTransaction(read))
      return ThreadView.of({
        epoch,
        snapshot: (threadId, tail = pageLimits.rows) => atOneMoment(readSnapshot(sql, epoch, threadId, tail)),
        history: (threadId, before, limit = pageLimits.rows) =>
          atOneMoment(readHistory(sql, threadId, before, limit)),
        itemText: (threadId, itemId, offset, limit) =>
          Effect.map(atOneMoment(readText(sql, threadId, itemId)), (text) => ({
            text: text.slice(offset, offset + limit),
            offset,
            length: text.length
          })),
        eventsAfter: (threadId, version) => atOneMoment(readGap(sql, epoch, threadId, version)),
        facts: (command) => atOneMoment(readFacts(sql, command)),
        prompt: (threadId, messageId) => atOneMoment(promptOf(sql, threadId, messageId)),
        load: (threadId) => atOneMoment(readState(sql, threadId)),
        openThreads: atOneMoment(openThreadIds(sql))
      })
    })
  )
}

/** Of one page of entries. A single entry that is larger alone makes a page of its own. */
export const pageLimits = { rows: 75, rowsMax: 500, bytes: 1024 * 1024 } as const
/** Of what is handed on instead of a snapshot. */
export const gapLimits = { rows: 1_000, bytes: 1024 * 1024 } as const

interface EntryPage {
  /** In the order of their positions. */
  readonly entries: ReadonlyArray<Entry>
  /** Pass it as `before` for what is older; null where there is nothing older. */
  readonly before: number | null
}

export interface HistoryPage extends EntryPage {
  /** Those of the entries. */
  readonly turns: ReadonlyArray<TurnRow>
}

export interface Snapshot extends HistoryPage {
  readonly epoch: string
  readonly version: number
  readonly thread: ThreadRow
  readonly session: SessionRow
  /** The open ones and those of the entries; the open ones in the order in which they will run. */
  readonly turns: ReadonlyArray<TurnRow>
  /** The open ones. */
  readonly requests: ReadonlyArray<RequestRow>
}

export interface OpenText {
  readonly itemId: ItemId
  readonly text: string
}

export interface Gap {
  readonly epoch: string
  readonly records: ReadonlyArray<ThreadRecord>
  readonly version: number
  /** The text so far of everything open: deltas are in no log, so a client may have missed any of them. */
  readonly texts: ReadonlyArray<OpenText>
}

// A snapshot

const readSnapshot = Effect.fnUntraced(function* (
  sql: SqlClient,
  epoch: string,
  threadId: ThreadId,
  tail: number
) {
  const [thread] = yield* threadsById(sql, [threadId])
  const session = yield* sessionOf(sql, threadId)
  const loaded = yield* readState(sql, threadId)
  if (thread === undefined || session === null || loaded === null) return null
  const page = yield* readPage(sql, threadId, Number.MAX_SAFE_INTEGER, tail)
  const entries = yield* withOpenOnes(sql, threadId, page.entries)
  const turns = yield* turnsFor(sql, threadId, turnIdsOf(entries))
  const requests = yield* openRequests(sql, threadId)
  const snapshot: Snapshot = {
    epoch,
    version: loaded.version,
    thread,
    session,
    turns: inRunningOrder(turns, loaded.state),
    requests,
    entries,
    before: page.before
  }
  return snapshot
})

const turnIdsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<TurnId> => [
  ...new Set(entries.flatMap(({ turnId }) => (turnId === null ? [] : [turnId])))
]

/** Whatever is still open is shown, however long ago it began. */
const withOpenOnes = Effect.fnUntraced(function* (
  sql: SqlClient,
  threadId: ThreadId,
  entries: ReadonlyArray<Entry>
) {
  const shown = new Set(entries.map((entry) => entry.position))
  const open: ReadonlyArray<Entry> = [
    ...(yield* openMessages(sql, threadId)),
    ...(yield* openItems(sql, threadId))
  ]
  const missing = open.filter((entry) => !shown.has(entry.position))
  if (missing.length === 0) return entries
  const chunks = yield* chunksOf(sql, threadId)
  return byPosition([...withTexts(missing, chunks), ...entries])
})

const isOpenTurn = Schema.is(OpenTurnState)

/** The open turns share out their places among themselves in the order in which the kernel will run them. */
const inRunningOrder = (turns: ReadonlyArray<TurnRow>, state: ThreadState): ReadonlyArray<TurnRow> => {
  const rank = new Map(state.turns.map((turn, index) => [turn.id, index]))
  const open = turns.filter((turn) => isOpenTurn(turn.state) && rank.has(turn.turnId))
  const places = open.map((turn) => turn.ordinal)
  const inOrder = open.toSorted((a, b) => (rank.get(a.turnId) ?? 0) - (rank.get(b.turnId) ?? 0))
  const ordinals = new Map(inOrder.map((turn, index) => [turn.turnId, places[index] ?? turn.ordinal]))
  return turns
    .map((turn) => ({ ...turn, ordinal: ordinals.get(turn.turnId) ?? turn.ordinal }))
    .toSorted((a, b) => a.ordinal - b.ordinal)
}

// Pages of entries

const readHistory = Effect.fnUntraced(function* (
  sql: SqlClient,
  threadId: ThreadId,
  before: number,
  limit: number
) {
  const page = yield* readPage(sql, threadId, before, limit)
  const turns = yield* turnsByIds(sql, threadId, turnIdsOf(page.entries))
  return { ...page, turns } satisfies HistoryPage
})

const readPage = Effect.fnUntraced(function* (
  sql: SqlClient,
  threadId: ThreadId,
  before: number,
  limit: number
) {
  const rows = Math.max(1, Math.min(limit, pageLimits.rowsMax))
  // Sizes first, one more than asked: a page is cut before its texts are read, and knows whether more is left.
  const sizes = [
    ...(yield* messageSizes(sql, threadId, before, rows + 1)),
    ...(yield* itemSizes(sql, threadId, before, rows + 1))
  ].toSorted((a, b) => b.position - a.position)
  const count = withinBounds(sizes, { rows, bytes: pageLimits.bytes })
  const from = sizes[count - 1]?.position
  if (from === undefined) return { entries: [], before: null } satisfies EntryPage
  const stored: ReadonlyArray<Entry> = [
    ...(yield* messagesBetween(sql, threadId, from, before)),
    ...(yield* itemsBetween(sql, threadId, from, before))
  ]
  const chunks = stored.some(isOpenEntry) ? yield* chunksOf(sql, threadId) : []
  const page: EntryPage = {
    entries: byPosition(withTexts(stored, chunks)),
    before: count < sizes.length ? from : null
  }
  return page
})

const isOpenEntry = (entry: Entry) => entry.status === "open"

const byPosition = (entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> =>
  entries.toSorted((a, b) => a.position - b.position)

const withTexts = (entries: ReadonlyArray<Entry>, chunks: ReadonlyArray<Chunk>): ReadonlyArray<Entry> => {
  const texts: ReadonlyMap<string, string> = textsOf(chunks)
  return entries.map((entry) => (isOpenEntry(entry) ? { ...entry, text: texts.get(entry.id) ?? "" } : entry))
}

/** An open item's is in the journal, every other one's in the event that completed it or in its row. */
const readText = Effect.fnUntraced(function* (sql: SqlClient, threadId: ThreadId, itemId: ItemId) {
  const row = yield* itemTextOf(sql, threadId, itemId)
  if (row === null) return ""
  if (row.status === "open") return textsOf(yield* chunksOf(sql, threadId)).get(itemId) ?? ""
  if (row.at === null) return row.text
  const { records } = yield* readLog(sql, row.at - 1, { rows: 1, bytes: 1 })
  const event = records.find(isThreadRecord)?.event
  return event?.type === "item.completed" ? event.text : row.text
})

// The rest

const readGap = Effect.fnUntraced(function* (
  sql: SqlClient,
  epoch: string,
  threadId: ThreadId,
  version: number
) {
  const [row] = yield* sql<{ version: number }>`SELECT version FROM threads WHERE thread_id = ${threadId}`
  if (row === undefined || version > row.version || row.version - version > gapLimits.rows) return null
  const page = yield* readStream(sql, threadStream(threadId), version, gapLimits)
  // A client could not tell a row that is left out, or gone with its deleted thread, from one that is lost.
  if (!page.complete || page.records.length !== row.version - version) return null
  const texts = textsOf(yield* chunksOf(sql, threadId))
  const gap: Gap = {
    epoch,
    records: page.records.filter(isThreadRecord),
    version: row.version,
    texts: [...texts].map(([itemId, text]) => ({ itemId, text }))
  }
  return gap
})

/** From the stored state, or from the whole log where that is of no use. */
const readState = Effect.fnUntraced(function* (sql: SqlClient, threadId: ThreadId) {
  const loaded = yield* loadState(sql, threadId)
  return loaded === "unreadable" ? yield* foldLog(sql, threadId) : loaded
})

const foldLog = Effect.fnUntraced(function* (sql: SqlClient, threadId: ThreadId) {
  let state: ThreadState = initial
  let version = 0
  for (let complete = false; !complete;) {
    const page = yield* readStream(sql, threadStream(threadId), version, gapLimits)
    for (const { event } of page.records.filter(isThreadRecord)) state = evolve(state, event)
    version = page.next
    complete = page.complete
  }
  const chunks = yield* chunksOf(sql, threadId)
  for (const { seq, afterVersion: _, ...chunk } of chunks) {
    state = evolve(state, { type: "text.appended", ...chunk, ...(seq > 0 && { seq }) })
  }
  const loaded: Loaded = { state, version }
  return loaded
})

const readFacts = Effect.fnUntraced(function* (sql: SqlClient, command: ThreadCommand) {
  const { threadId } = command
  switch (command.type) {
    case "thread.turn.start": {
      const facts: Omit<Facts, "now"> = {
        turnIdTaken: yield* isTaken(sql, threadId, command.turnId, command.messageId),
        retryOf: null
      }
      return facts
    }
    case "thread.turn.retry": {
      const facts: Omit<Facts, "now"> = {
        turnIdTaken: yield* isTaken(sql, threadId, command.newTurnId, command.newMessageId),
        retryOf: yield* settledTurn(sql, threadId, command.turnId)
      }
      return facts
    }
    default:
      return noFacts
  }
})

const noFacts: Omit<Facts, "now"> = { turnIdTaken: false, retryOf: null }

/** A message id that was used before is as bad as a turn id: the new text would have no place of its own. */
const isTaken = (sql: SqlClient, threadId: ThreadId, turnId: TurnId, messageId: MessageId) =>
  Effect.map(
    sql`SELECT 1 FROM turns WHERE thread_id = ${threadId} AND turn_id = ${turnId}
      UNION ALL SELECT 1 FROM messages WHERE thread_id = ${threadId} AND message_id = ${messageId}
      UNION ALL SELECT 1 FROM items WHERE thread_id = ${threadId} AND item_id = ${messageId}`,
    (rows) => rows.length > 0
  )

/** A settled turn with the prompt it had; null where it is open, unknown, or the provider's own. */
const settledTurn = Effect.fnUntraced(function* (sql: SqlClient, threadId: ThreadId, turnId: TurnId) {
  const turn = yield* turnById(sql, threadId, turnId)
  if (turn === null || turn.settledAt === null || turn.messageId === null) return null
  const prompt = yield* promptOf(sql, threadId, turn.messageId)
  if (prompt === null || turn.runtimeMode === "unknown" || turn.interactionMode === "unknown") return null
  const { provider, model, runtimeMode, interactionMode } = turn
  const settled: SettledTurn = { turnId, ...prompt, provider, model, runtimeMode, interactionMode }
  return settled
})
