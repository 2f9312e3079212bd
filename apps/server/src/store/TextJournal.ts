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

/**
 * The texts that have something in the journal, by item, as the one writer knows them: all of them. The pieces
 * of a text carry its short number alone. With the names of thread and item in each of them and in their index
 * a commit would change a page for every thread that speaks.
 */
export interface OpenTexts {
  readonly ids: Map<string, number>
  /** The largest number given so far. */
  newest: number
}

/** What one group commit brings the journal to. */
export interface JournalPlan {
  readonly streamed: ReadonlyMap<string, Streamed>
  /** Numbers of the texts that leave, by item; none where nothing of it is in the journal. */
  readonly closed: ReadonlyMap<string, number | undefined>
}

interface Streamed {
  readonly id: number
  readonly isNew: boolean
  readonly threadId: ThreadId
  readonly itemId: ItemId
  readonly chunks: Array<Chunk>
}

/** Text of an item that closes in the same commit is not written, nor what comes behind its end. */
export const planJournal = (entries: ReadonlyArray<JournalEntry>, open: OpenTexts): JournalPlan => {
  const streamed = new Map<string, Streamed>()
  const closed = new Map<string, number | undefined>()
  let { newest } = open
  for (const entry of entries) {
    const key = keyOf(entry)
    if (entry.type === "close") {
      streamed.delete(key)
      closed.set(key, open.ids.get(key))
    } else if (!closed.has(key)) {
      const before = streamed.get(key)
      if (before === undefined) {
        const known = open.ids.get(key)
        const { threadId, itemId } = entry
        const id = known ?? (newest += 1)
        streamed.set(key, { id, isNew: known === undefined, threadId, itemId, chunks: [entry] })
      } else append(before.chunks, entry)
    }
  }
  return { streamed, closed }
}

/** For the commit's transaction alone. */
export const writeJournal = ({ streamed, closed }: JournalPlan): ReadonlyArray<Write> => {
  const gone: Array<Cells> = []
  for (const id of closed.values()) if (id !== undefined) gone.push([id])
  const opened: Array<Cells> = []
  const chunks: Array<Cells> = []
  for (const text of streamed.values()) {
    if (text.isNew) opened.push([text.id, text.threadId, text.itemId])
    for (const chunk of text.chunks) chunks.push(cellsOf(text.id, chunk))
  }
  return [
    { statement: removeChunks, rows: gone },
    { statement: removeTexts, rows: gone },
    { statement: addTexts, rows: opened },
    { statement: addChunks, rows: chunks }
  ]
}

/** After its commit. */
export const advanceTexts = (open: OpenTexts, { streamed, closed }: JournalPlan): void => {
  for (const key of closed.keys()) open.ids.delete(key)
  for (const [key, { id, isNew }] of streamed) {
    if (!isNew) continue
    open.ids.set(key, id)
    open.newest = Math.max(open.newest, id)
  }
}

export const readOpenTexts = (sql: SqlClient): Effect.Effect<OpenTexts, SqlError> =>
  Effect.map(
    sql<{ id: number; threadId: ThreadId; itemId: ItemId }>`SELECT text_id AS id, thread_id AS threadId,
      item_id AS itemId FROM open_texts`,
    (rows) => ({
      ids: new Map(rows.map((row) => [keyOf(row), row.id])),
      newest: rows.reduce((newest, { id }) => Math.max(newest, id), 0)
    })
  )

/** The text journal of a thread, in the order in which it was written. */
export const chunksOf = (sql: SqlClient, threadId: ThreadId): Effect.Effect<ReadonlyArray<Chunk>, SqlError> =>
  Effect.map(
    sql<StoredChunk>`SELECT item_id AS itemId, offset, text, seq, after_version AS afterVersion
      FROM open_texts JOIN message_chunks AS chunk ON chunk.text_id = open_texts.text_id
      WHERE thread_id = ${threadId} ORDER BY chunk.rowid`,
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

const keyOf = ({ threadId, itemId }: Pick<ThreadChunk, "threadId" | "itemId">) => `${threadId}\n${itemId}`

const addTexts = insertInto("open_texts", ["text_id", "thread_id", "item_id"])

const addChunks = insertInto("message_chunks", ["text_id", "offset", "text", "seq", "after_version"])

const removeChunks = overRows(1, (values) => `DELETE FROM message_chunks WHERE text_id IN ${values}`)

const removeTexts = overRows(1, (values) => `DELETE FROM open_texts WHERE text_id IN ${values}`)

/** A chunk that follows right on the one before becomes one row with it. */
const append = (before: Array<Chunk>, chunk: Chunk): void => {
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
}

const cellsOf = (id: number, chunk: Chunk): Cells => [
  id,
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
