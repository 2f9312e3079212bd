/**
 * Receipts: the one answer of each accepted command (L11), written in the commit that carries it out.
 * A refused command has none, so that the same command may succeed later. They do not stay for ever.
 */
import type { CommandId, Millis } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Cells, Write } from "./rows.ts"
import { insertInto } from "./rows.ts"

export interface StoredReceipt {
  /** SHA-256 of the canonical command, hex. */
  readonly hash: string
  readonly sequence: number
  readonly version: number
}

export interface NewReceipt extends StoredReceipt {
  readonly commandId: CommandId
  readonly at: Millis
}

/** For the commit's transaction alone. */
export const writeReceipts = (receipts: ReadonlyArray<NewReceipt>): Write => ({
  statement: insert,
  rows: receipts.map(cellsOf)
})

/** The receipts among these commands. */
export const receiptsOf = (sql: SqlClient, commandIds: ReadonlyArray<CommandId>) =>
  Effect.map(
    sql<
      StoredReceipt & { readonly commandId: CommandId }
    >`SELECT command_id AS commandId, hash, sequence, version
      FROM command_receipts WHERE command_id IN (SELECT value FROM json_each(${JSON.stringify(commandIds)}))`,
    (rows) => new Map(rows.map(({ commandId, ...receipt }) => [commandId, receipt]))
  )

/** Receipts that one step removes. */
const expiredAtOnce = 500

/**
 * Receipts of this time and earlier expire: those given before `before` (milliseconds since 1970), and those
 * behind the `max` newest. Counts along an index, so it is for once a round.
 */
export const expiryOf = Effect.fnUntraced(function* (sql: SqlClient, before: number, max: number) {
  const [surplus] = yield* sql<{ at: number }>`SELECT at FROM command_receipts ORDER BY at DESC
    LIMIT 1 OFFSET ${max}`
  return Math.max(before - 1, surplus?.at ?? Number.MIN_SAFE_INTEGER)
})

/** Removes some of those that have expired; how many. */
export const expireReceipts = Effect.fnUntraced(function* (sql: SqlClient, expiry: number) {
  const ids = yield* sql<{ id: string }>`SELECT command_id AS id FROM command_receipts WHERE at <= ${expiry}
    ORDER BY at LIMIT ${expiredAtOnce}`
  if (ids.length === 0) return 0
  yield* sql`DELETE FROM command_receipts
    WHERE command_id IN (SELECT value FROM json_each(${JSON.stringify(ids.map((row) => row.id))}))`
  return ids.length
})

const insert = insertInto("command_receipts", ["command_id", "hash", "sequence", "version", "at"])

const cellsOf = ({ commandId, hash, sequence, version, at }: NewReceipt): Cells => [
  commandId,
  hash,
  sequence,
  version,
  at
]
