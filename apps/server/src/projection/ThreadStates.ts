/**
 * Thread states: the open state of each thread as the kernel has it, so that a thread is taken up again
 * without reading its history.
 *
 * A row is what the log alone says (L15). Streamed text is not in the log, so what follows from it is
 * left out here and joined from the text journal when the state is loaded: the text of the open items,
 * `cut`, and how far `seen` has come.
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import { evolve, isText } from "@turnkeeper/domain/thread/evolve"
import type { OpenItem, ThreadState } from "@turnkeeper/domain/thread/State"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Cells } from "../store/rows.ts"
import { insertInto, parseJson, unparsable } from "../store/rows.ts"
import type { Chunk } from "../store/TextJournal.ts"
import { chunksOf } from "../store/TextJournal.ts"
import type { Batch, Projection, Step } from "./Batch.ts"
import { lastSteps } from "./Batch.ts"

/** Of the stored state. Raise it with every change of `ThreadState`'s shape: older rows are rebuilt. */
export const stateFormat = 1

export interface Loaded {
  readonly state: ThreadState
  readonly version: number
}

export const projection: Projection = {
  table: "thread_states",
  writes: (batch) => [{ statement: upsert, rows: rowsOf(batch) }]
}

/**
 * The state of a thread at its newest version; null where there is none, `unreadable` where the row is of no
 * use and the log has to be read. Call inside one transaction.
 */
export const loadState = Effect.fnUntraced(function* (sql: SqlClient, threadId: ThreadId) {
  const [row] = yield* sql<StoredState>`SELECT version, generation, seen, cut_at AS cutAt, format, state
    FROM thread_states WHERE thread_id = ${threadId}`
  if (row === undefined) return null
  const state = parseJson(row.state)
  if (state === unparsable || row.format !== stateFormat) return "unreadable" as const
  const stored = state as ThreadState
  const chunks = stored.items.length === 0 ? [] : yield* chunksOf(sql, threadId)
  const begun = stored.items.some(isText)
    ? yield* positionsOf(sql, threadId, stored.items)
    : new Map<string, number>()
  const loaded: Loaded = { state: joined(stored, row, chunks, begun), version: row.version }
  return loaded
})

/** Whether nothing is open and nothing asked: such a thread needs nobody's care. */
export const isAtRest = (state: ThreadState): boolean =>
  !state.session.open && state.turns.length === 0 && state.session.stopAsked === null

export const openThreadIds = (sql: SqlClient) =>
  Effect.map(
    sql<{ id: ThreadId }>`SELECT thread_id AS id FROM thread_states WHERE at_rest = 0 ORDER BY thread_id`,
    (rows) => rows.map((row) => row.id)
  )

const upsert = insertInto(
  "thread_states",
  ["thread_id", "version", "at_rest", "generation", "seen", "cut_at", "format", "state", "updated_at"],
  `ON CONFLICT (thread_id) DO UPDATE SET
    version = excluded.version,
    at_rest = excluded.at_rest,
    seen = CASE excluded.generation WHEN generation THEN max(seen, excluded.seen) ELSE excluded.seen END,
    generation = excluded.generation,
    cut_at = max(cut_at, excluded.cut_at),
    format = excluded.format,
    state = excluded.state,
    updated_at = excluded.updated_at`
)

/** What the batch's events say beside the state: the newest number, and where texts were cut. */
interface Marks {
  readonly seen: number
  readonly cutAt: number
}

const rowsOf = (batch: Batch): ReadonlyArray<Cells> => {
  const marks = new Map<ThreadId, Marks>()
  for (const { record } of batch.steps) marks.set(record.threadId, marked(marks.get(record.threadId), record))
  return [...lastSteps(batch)].map(([threadId, step]) => rowOf(step, marks.get(threadId) ?? unmarked))
}

const unmarked: Marks = { seen: 0, cutAt: 0 }

const marked = (before: Marks = unmarked, { event, version }: Step["record"]): Marks => {
  const seen = event.type === "session.starting" ? 0 : before.seen
  return {
    seen: Math.max(seen, event.seq ?? 0),
    cutAt: event.type === "session.recovering" ? version : before.cutAt
  }
}

const rowOf = ({ record, after }: Step, { seen, cutAt }: Marks): Cells => [
  record.threadId,
  record.version,
  isAtRest(after) ? 1 : 0,
  after.session.generation,
  seen,
  cutAt,
  stateFormat,
  JSON.stringify(withoutStreamed(after)),
  record.at
]

const withoutStreamed = (state: ThreadState): ThreadState => ({
  ...state,
  session: { ...state.session, seen: 0 },
  items: state.items.map((item) => ({ ...item, text: "", cut: false }))
})

interface StoredState {
  readonly version: number
  readonly generation: number
  readonly seen: number
  readonly cutAt: number
  readonly format: number
  readonly state: string
}

const joined = (
  state: ThreadState,
  row: StoredState,
  chunks: ReadonlyArray<Chunk>,
  begun: ReadonlyMap<string, number>
): ThreadState => {
  const cut = (item: OpenItem) => {
    if (!isText(item) || (begun.get(item.id) ?? row.cutAt) >= row.cutAt) return item
    const followed = chunks.some((chunk) => chunk.itemId === item.id && chunk.afterVersion >= row.cutAt)
    return followed ? item : { ...item, cut: true }
  }
  const texts: ThreadState = chunks.reduce(
    (state, { itemId, offset, text }) => evolve(state, { type: "text.appended", itemId, offset, text }),
    state
  )
  const seen = chunks.reduce((seen, chunk) => Math.max(seen, chunk.seq), row.seen)
  return { ...texts, session: { ...texts.session, seen }, items: texts.items.map(cut) }
}

/** The versions at which the open texts began. */
const positionsOf = Effect.fnUntraced(function* (
  sql: SqlClient,
  threadId: ThreadId,
  items: ReadonlyArray<OpenItem>
) {
  const ids = JSON.stringify(items.map((item) => item.id))
  const rows = yield* sql<{ id: string; position: number }>`SELECT message_id AS id, position FROM messages
    WHERE thread_id = ${threadId} AND message_id IN (SELECT value FROM json_each(${ids}))`
  return new Map(rows.map((row) => [row.id, row.position]))
})
