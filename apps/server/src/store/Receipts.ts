/**
 * Receipts: the one answer of each accepted command (L11), written in the commit that carries it out.
 * A refused command has none, so that the same command may succeed later.
 */
import type { CommandId, Millis } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Cells } from "./rows.ts"
import { insertInto, runRows } from "./rows.ts"

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

/** Call only inside the commit's transaction. */
export const writeReceipts = (sql: SqlClient, receipts: ReadonlyArray<NewReceipt>) =>
  runRows(sql, insert, receipts.map(cellsOf))

/** The receipts among these commands. */
export const receiptsOf = (sql: SqlClient, commandIds: ReadonlyArray<CommandId>) =>
  Effect.map(
    sql<
      StoredReceipt & { readonly commandId: CommandId }
    >`SELECT command_id AS commandId, hash, sequence, version
      FROM command_receipts WHERE command_id IN (SELECT value FROM json_each(${JSON.stringify(commandIds)}))`,
    (rows) => new Map(rows.map(({ commandId, ...receipt }) => [commandId, receipt]))
  )

const insert = insertInto("command_receipts", ["command_id", "hash", "sequence", "version", "at"])

const cellsOf = ({ commandId, hash, sequence, version, at }: NewReceipt): Cells => [
  commandId,
  hash,
  sequence,
  version,
  at
]
