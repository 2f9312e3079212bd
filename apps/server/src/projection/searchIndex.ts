/**
 * The search index moves with its messages, in the same commit. Prompts and answers are in it as soon as they
 * are complete; reasoning and what is still streaming are not.
 */
import type { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Cell, Named } from "../store/rows.ts"
import { overRows } from "../store/rows.ts"

export const searchIndex = "message_search"

/** What a message's row says: the id it is found by, or that it is not searched. */
export const searchIdOf = (
  message: { readonly role: string; readonly status: string; readonly text: string },
  sequence: number
): number | null =>
  message.role === "reasoning" || message.status === "open" || message.text === "" ? null : sequence

/** Thread, message, search id: of the rows that have just taken their text. A row that was not changed has another id. */
export const addMessages = overRows(
  3,
  (values, named) => `INSERT INTO ${named("message_search")} (rowid, text)
    SELECT search_id, text FROM ${values} AS v
    JOIN ${named("messages")} ON thread_id = v.column1 AND message_id = v.column2 AND search_id = v.column3`
)

const promptOf = (values: string, named: Named) => `${values} AS v
    JOIN ${named("turns")} AS t ON t.thread_id = v.column1 AND t.turn_id = v.column2
    JOIN ${named("messages")} AS m ON m.thread_id = v.column1 AND m.message_id = t.message_id
    WHERE m.search_id IS NOT NULL`

/** Thread, turn: of prompts whose text is about to change … */
export const removePrompts = overRows(
  2,
  (values, named) => `INSERT INTO ${named("message_search")} (${named("message_search")}, rowid, text)
    SELECT 'delete', m.search_id, m.text FROM ${promptOf(values, named)}`
)
/** … and has changed. */
export const addPrompts = overRows(
  2,
  (values, named) => `INSERT INTO ${named("message_search")} (rowid, text)
    SELECT m.search_id, m.text FROM ${promptOf(values, named)}`
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
