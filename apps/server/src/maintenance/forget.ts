/**
 * A deleted thread's history goes, step by step. Each step is one small transaction and leaves the database
 * whole: a crash in between costs nothing, the next step takes up what is left.
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { applyAll, foldedFrom } from "../projection/Projection.ts"
import { removeWhere } from "../projection/searchIndex.ts"
import { eventBytes, readStream, threadStream } from "../store/EventLog.ts"
import { kept } from "../store/Forgetting.ts"
import { withinBounds } from "../store/rows.ts"

/** Of one step. */
const stepBounds = { rows: 500, bytes: 4 * 1024 * 1024 } as const

interface Doomed {
  readonly id: ThreadId
  readonly deleted: number
  readonly newest: number
}

/**
 * `more`: something went, and more may be left. `done`: no deleted thread has anything left to lose. A thread
 * whose session has not ended yet waits for that.
 */
export const forgetStep = Effect.fnUntraced(function* (sql: SqlClient) {
  const [doomed] =
    yield* sql<Doomed>`SELECT forgetting.thread_id AS id, deleted_version AS deleted, version AS newest
    FROM forgetting JOIN thread_states ON thread_states.thread_id = forgetting.thread_id
    WHERE at_rest = 1 AND version >= deleted_version LIMIT 1`
  if (doomed === undefined) return "done" as const
  yield* sql`UPDATE forgetting SET newest_version = ${doomed.newest} WHERE thread_id = ${doomed.id}`
  for (const rows of rowsOf(doomed)) {
    if ((yield* removeSome(sql, rows)) > 0) return "more" as const
  }
  yield* concluded(sql, doomed)
  return "more" as const
})

/** Rows of one thread in one table. `bytes` is an expression for the size of one. */
interface Rows {
  readonly table: string
  readonly key: string
  readonly bytes: string
  readonly where: string
  readonly scope: string
}

const rowsOf = ({ id, deleted, newest }: Doomed): ReadonlyArray<Rows> => [
  ...tables.map((table) => ({ where: "thread_id = ?", ...table, scope: id })),
  {
    table: "events",
    key: "sequence",
    bytes: eventBytes,
    where: `stream = ? AND version NOT IN (${[...kept(deleted, newest)].join(", ")})`,
    scope: threadStream(id)
  }
]

const tables = [
  {
    table: "message_chunks",
    key: "rowid",
    bytes: "octet_length(text)",
    where: "text_id IN (SELECT text_id FROM open_texts WHERE thread_id = ?)"
  },
  { table: "open_texts", key: "text_id", bytes: "64" },
  { table: "messages", key: "rowid", bytes: "octet_length(text) + octet_length(attachments)" },
  { table: "items", key: "rowid", bytes: "octet_length(text) + coalesce(octet_length(detail), 0)" },
  { table: "requests", key: "rowid", bytes: "octet_length(ask) + coalesce(octet_length(answer), 0)" },
  { table: "turns", key: "rowid", bytes: "256" },
  { table: "usage", key: "turn_id", bytes: "64" }
] as const

/** Sizes first: one step never frees more than a bounded number of pages. */
const removeSome = Effect.fnUntraced(function* (sql: SqlClient, { table, key, bytes, where, scope }: Rows) {
  const sized = yield* sql.unsafe<{ key: number | string; bytes: number }>(
    `SELECT ${key} AS key, ${bytes} AS bytes FROM ${table} WHERE ${where} LIMIT ${stepBounds.rows}`,
    [scope]
  )
  if (sized.length === 0) return 0
  const keys = sized.slice(0, withinBounds(sized, stepBounds)).map((row) => row.key)
  const these = `${where} AND ${key} IN (SELECT value FROM json_each(?))`
  const cells = [scope, JSON.stringify(keys)]
  if (table === "messages") yield* removeWhere(sql, these, cells)
  yield* sql.unsafe(`DELETE FROM ${table} WHERE ${these}`, cells)
  return keys.length
})

/** What is left of the thread is what the kept events say, as a rebuild would make it. */
const concluded = Effect.fnUntraced(function* (sql: SqlClient, { id }: Doomed) {
  for (const table of ["threads", "sessions", "thread_states"]) {
    yield* sql.unsafe(`DELETE FROM ${table} WHERE thread_id = ?`, [id])
  }
  const { records } = yield* readStream(sql, threadStream(id), 0, stepBounds)
  yield* applyAll(sql, foldedFrom(new Map(), records))
  yield* sql`DELETE FROM forgetting WHERE thread_id = ${id}`
})
