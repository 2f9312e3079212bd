/**
 * The search index moves with its messages, in the same commit. Prompts and answers are in it as soon as they
 * are complete; reasoning and what is still streaming are not.
 */
import type { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Cell, Named } from "../store/rows.ts"
import { overRows } from "../store/rows.ts"
import { textOf } from "./rowText.ts"

export const searchIndex = "message_search"

/** What a message's row says: the id it is found by, or that it is not searched. */
export const searchIdOf = (
  message: { readonly role: string; readonly status: string; readonly text: string },
  sequence: number
): number | null =>
  message.role === "reasoning" || message.status === "open" || message.text === "" ? null : sequence

/** Search id, text: of messages that have just come to it. The row of one that was complete before has another id. */
export const addMessages = overRows(
  2,
  (values, named) => `INSERT INTO ${named("message_search")} (rowid, text)
    SELECT v.column1, v.column2 FROM ${values} AS v
    WHERE EXISTS (SELECT 1 FROM ${named("messages")} AS m WHERE m.search_id = v.column1)`
)

const promptOf = (values: string, named: Named) => `${values} AS v
    JOIN ${named("turns")} AS t ON t.thread_id = v.column1 AND t.turn_id = v.column2
    JOIN ${named("messages")} AS m ON m.thread_id = v.column1 AND m.message_id = t.message_id
    WHERE m.search_id IS NOT NULL`

/** Thread, turn: of prompts whose text is about to change … */
export const removePrompts = overRows(
  2,
  (values, named) => `INSERT INTO ${named("message_search")} (${named("message_search")}, rowid, text)
    SELECT 'delete', m.search_id, ${textOf("m")} FROM ${promptOf(values, named)}`
)
/** … and has changed. */
export const addPrompts = overRows(
  2,
  (values, named) => `INSERT INTO ${named("message_search")} (rowid, text)
    SELECT m.search_id, ${textOf("m")} FROM ${promptOf(values, named)}`
)

/** Before the rows of `where` go. */
export const removeWhere = (
  sql: SqlClient,
  where: string,
  cells: ReadonlyArray<Cell>
): Effect.Effect<unknown, SqlError> =>
  sql.unsafe(
    `INSERT INTO message_search (message_search, rowid, text)
      SELECT 'delete', search_id, ${textOf("messages")} FROM messages WHERE ${where} AND search_id IS NOT NULL`,
    [...cells]
  )
