/**
 * Text of items that are still open: appended as it streams, gone in the commit that completes the item.
 *
 * Nothing that a client saw is lost by a crash, and the event log holds each text once.
 */
import type { ItemId, ThreadId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Cells, Write } from "./rows.ts"
import { insertInto, overRows } from "./rows.ts"

/** A piece of streamed text. `seq`: number of the provider event it came with, 0 where it has none. */
export interface Chunk {
  readonly itemId: ItemId
  readonly offset: number
  readonly text: string
  readonly seq: number
  /** The thread's version when it was appended. */
  readonly afterVersion: number
}

export interface ThreadChunk extends Chunk {
  readonly threadId: ThreadId
}

/** What one group commit does to the journal, in order. */
export type JournalEntry =
  | ({ readonly type: "append" } & ThreadChunk)
  | { readonly type: "close"; readonly threadId: ThreadId; readonly itemId: ItemId }

/** For the commit's transaction alone. Text of an item that closes in the same commit is not written. */
export const writeJournal = (entries: ReadonlyArray<JournalEntry>): ReadonlyArray<Write> => {
  const chunks = new Map<string, Array<ThreadChunk>>()
  const closed: Array<Cells> = []
  for (const entry of entries) {
    const key = `${entry.threadId}\n${entry.itemId}`
    if (entry.type === "close") {
      chunks.delete(key)
      closed.push([entry.threadId, entry.itemId])
    } else {
      const { type: _type, ...chunk } = entry
      chunks.set(key, appended(chunks.get(key) ?? [], chunk))
    }
  }
  // Closing first: a chunk that follows its item's end would otherwise stay for ever.
  return [
    { statement: remove, rows: closed },
    { statement: insert, rows: [...chunks.values()].flat().map(cellsOf) }
  ]
}

/** The text journal of a thread, in the order in which it was written. */
export const chunksOf = (sql: SqlClient, threadId: ThreadId): Effect.Effect<ReadonlyArray<Chunk>, SqlError> =>
  Effect.map(
    sql<StoredChunk>`SELECT item_id AS itemId, offset, text, seq, after_version AS afterVersion
      FROM message_chunks WHERE thread_id = ${threadId} ORDER BY rowid`,
    (rows) => rows.map((row) => ({ ...row, text: fromStored(row.text) }))
  )

/** Each item's text so far, by the same rule as the kernel's: what lies behind an offset is replaced. */
export const textsOf = (chunks: ReadonlyArray<Chunk>): ReadonlyMap<ItemId, string> => {
  const texts = new Map<ItemId, string>()
  for (const { itemId, offset, text } of chunks) {
    const before = texts.get(itemId) ?? ""
    // Appending without a cut keeps the joining linear.
    texts.set(itemId, (offset >= before.length ? before : before.slice(0, offset)) + text)
  }
  return texts
}

const insert = insertInto("message_chunks", [
  "thread_id",
  "item_id",
  "offset",
  "text",
  "seq",
  "after_version"
])

const remove = overRows(
  2,
  (values) => `DELETE FROM message_chunks WHERE rowid IN (
    SELECT chunk.rowid FROM ${values} AS v
    JOIN message_chunks AS chunk ON chunk.thread_id = v.column1 AND chunk.item_id = v.column2
  )`
)

/** A chunk that follows right on the one before becomes one row with it. */
const appended = (before: Array<ThreadChunk>, chunk: ThreadChunk): Array<ThreadChunk> => {
  const last = before.at(-1)
  if (
    last === undefined ||
    last.offset + last.text.length !== chunk.offset ||
    last.afterVersion !== chunk.afterVersion
  ) {
    before.push(chunk)
  } else {
    before[before.length - 1] = { ...last, text: last.text + chunk.text, seq: Math.max(last.seq, chunk.seq) }
  }
  return before
}

const cellsOf = (chunk: ThreadChunk): Cells => [
  chunk.threadId,
  chunk.itemId,
  chunk.offset,
  toStored(chunk.text),
  chunk.seq,
  chunk.afterVersion
]

interface StoredChunk extends Omit<Chunk, "text"> {
  readonly text: string | Uint8Array
}

/** A chunk may end in the middle of a surrogate pair, which UTF-8 cannot hold: such text is kept as UTF-16. */
const toStored = (text: string): string | Uint8Array =>
  text.isWellFormed() ? text : new Uint8Array(Buffer.from(text, "utf16le"))

const fromStored = (text: string | Uint8Array): string =>
  typeof text === "string" ? text : Buffer.from(text).toString("utf16le")
