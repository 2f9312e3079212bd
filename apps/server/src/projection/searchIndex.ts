/**
 * The search index moves with its messages, in the same commit. Prompts and answers are in it as soon as they
 * are complete; reasoning and what is still streaming are not.
 */
import type { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Cell } from "../store/rows.ts"
import { overRows } from "../store/rows.ts"

/** What a message's row says: the id it is found by, or that it is not searched. */
export const searchIdOf = (
  message: { readonly role: string; readonly status: string; readonly text: string },
  sequence: number
): number | null =>
  message.role === "reasoning" || message.status === "open" || message.text === "" ? null : sequence

/** Thread, message, search id: of the rows that have just taken their text. A row that was not changed has another id. */
export const addMessages = overRows(
  3,
  (values) => `INSERT INTO message_search (rowid, text) SELECT search_id, text FROM ${values} AS v
    JOIN messages ON thread_id = v.column1 AND message_id = v.column2 AND search_id = v.column3`
)

const promptOf = (values: string) => `${values} AS v
    JOIN turns ON turns.thread_id = v.column1 AND turns.turn_id = v.column2
    JOIN messages ON messages.thread_id = v.column1 AND messages.message_id = turns.message_id
    WHERE search_id IS NOT NULL`

/** Thread, turn: of prompts whose text is about to change … */
export const removePrompts = overRows(
  2,
  (values) => `INSERT INTO message_search (message_search, rowid, text)
    SELECT 'delete', search_id, text FROM ${promptOf(values)}`
)
/** … and has changed. */
export const addPrompts = overRows(
  2,
  (values) => `INSERT INTO message_search (rowid, text) SELECT search_id, text FROM ${promptOf(values)}`
)

/** Before the rows of `where` go. */
export const removeWhere = (
  sql: SqlClient,
  where: string,
  cells: ReadonlyArray<Cell>
): Effect.Effect<unknown, SqlError> =>
  sql.unsafe(
    `INSERT INTO message_search (message_search, rowid, text)
      SELECT 'delete', search_id, text FROM messages WHERE ${where} AND search_id IS NOT NULL`,
    [...cells]
  )

/** Before all rows go. */
export const removeAll = (sql: SqlClient): Effect.Effect<unknown, SqlError> =>
  sql`INSERT INTO message_search (message_search) VALUES ('delete-all')`
