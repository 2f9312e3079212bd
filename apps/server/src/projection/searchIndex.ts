/**
 * The search index moves with its messages, in the same commit. Prompts and answers are in it as soon as they
 * are complete; reasoning and what is still streaming are not.
 */
import type { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Cell, Cells, Named, Write } from "../store/rows.ts"
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

/** What many batches mean for the index together: it is brought up to them in one go, when their rows stand. */
export interface Words {
  /** Thread, turn: of prompts whose text changes. */
  readonly edited: Array<Cells>
  /** Search id, text: of what comes to it. */
  readonly found: Array<Cells>
}

/** Takes the write up, if it is one of the index. */
export const taken = ({ edited, found }: Words, { rows, statement }: Write): boolean => {
  if (statement === removePrompts) edited.push(...rows)
  else if (statement === addMessages) found.push(...rows)
  // The same prompts were removed before.
  else return statement === addPrompts
  return true
}

/** Thread, turn; search id of the prompt. */
export const promptId = (named: Named) =>
  `SELECT m.search_id AS id FROM ${promptOf("(VALUES (?, ?))", named)}`
/** Search ids, as a JSON array; those that a row has. */
export const presentIds = (named: Named) =>
  `SELECT m.search_id FROM ${named("messages")} AS m WHERE m.search_id IN (SELECT value FROM json_each(?))`
/** The same, with the text that each is to be found by. */
export const wordsOf = (named: Named) =>
  `SELECT m.search_id, ${textOf("m")} FROM ${named("messages")} AS m
    WHERE m.search_id IN (SELECT value FROM json_each(?))`
/** Search id, text. One row at a time, in the order of the ids: for anything else the index writes out what it has. */
export const addWords = (named: Named) => `INSERT INTO ${named("message_search")} (rowid, text) VALUES (?, ?)`

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
