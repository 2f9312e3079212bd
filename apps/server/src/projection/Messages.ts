/**
 * Messages: prompts, answers and reasoning. The text of an open one is in the text journal; its row takes
 * the whole text when it completes.
 */
import { MessageEntry } from "@turnkeeper/contracts/Rows"
import type { MessageId, ThreadId } from "@turnkeeper/domain/ids"
import { Attachment } from "@turnkeeper/domain/thread/Command"
import type { EventOf } from "@turnkeeper/domain/thread/Event"
import { isText } from "@turnkeeper/domain/thread/evolve"
import { Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { ThreadRecord } from "../engine/Change.ts"
import type { Cell, Cells } from "../store/rows.ts"
import { insertInto, overRows, parseJson, rowReader } from "../store/rows.ts"
import type { Batch, Projection } from "./Batch.ts"
import { keyOf } from "./Batch.ts"
import { pointed, textBytesOf, textOf } from "./rowText.ts"
import { addMessages, addPrompts, removePrompts, searchIdOf } from "./searchIndex.ts"
import { settledTurns } from "./settled.ts"

export const projection: Projection = {
  table: "messages",
  writes: (batch) => {
    const { rows, edits, finds } = changesOf(batch)
    const edited = edits.map((cells) => cells.slice(0, 2))
    return [
      { statement: removePrompts, rows: edited },
      { statement: edit, rows: edits },
      { statement: addPrompts, rows: edited },
      { statement: upsert, rows },
      { statement: addMessages, rows: finds },
      { statement: close, rows: settledTurns(batch) }
    ]
  }
}

/** Where each message of a thread stands and how large it is, the newest first. */
export const messageSizes = (sql: SqlClient, threadId: ThreadId, before: number, limit: number) =>
  sql<{ position: number; bytes: number }>`SELECT position,
    ${sql.literal(textBytesOf("messages"))} + octet_length(attachments) + coalesce((
      SELECT sum(octet_length(chunk.text)) FROM open_texts AS open JOIN message_chunks AS chunk USING (text_id)
      WHERE messages.status = 'open' AND open.thread_id = messages.thread_id AND open.item_id = messages.message_id
    ), 0) AS bytes
    FROM messages WHERE thread_id = ${threadId} AND position < ${before} ORDER BY position DESC LIMIT ${limit}`

/** The messages from `from` up to, not including, `before`; and every open one beside them. */
export const messagesBetween = (sql: SqlClient, threadId: ThreadId, from: number, before: number) =>
  sql`${select(sql)} WHERE thread_id = ${threadId} AND position >= ${from} AND position < ${before}`.pipe(
    Effect.flatMap(read)
  )

export const openMessages = (sql: SqlClient, threadId: ThreadId) =>
  // Named, because the planner would rather walk the whole thread in the order of its positions.
  sql`${select(sql)} INDEXED BY messages_open WHERE thread_id = ${threadId} AND status = 'open'`.pipe(
    Effect.flatMap(read)
  )

export interface PromptText {
  readonly text: string
  readonly attachments: ReadonlyArray<Attachment>
}

/** What the user wrote, or null where there is no such prompt. */
export const promptOf = Effect.fnUntraced(function* (
  sql: SqlClient,
  threadId: ThreadId,
  messageId: MessageId
) {
  const text = sql.literal(textOf("messages"))
  const [row] = yield* sql<{
    text: string
    attachments: string
  }>`SELECT ${text} AS text, attachments FROM messages
    WHERE thread_id = ${threadId} AND message_id = ${messageId} AND role = 'user'`
  if (row === undefined) return null
  const attachments = decodeAttachments(parseJson(row.attachments))
  return attachments._tag === "Success" ? { text: row.text, attachments: attachments.success } : null
})

const decodeAttachments = Schema.decodeUnknownResult(Schema.Array(Attachment))

const upsert = insertInto(
  "messages",
  [
    "thread_id",
    "message_id",
    "position",
    "turn_id",
    "role",
    "status",
    "text",
    "text_at",
    "attachments",
    "reason",
    "created_at",
    "completed_at",
    "search_id"
  ],
  `ON CONFLICT (thread_id, message_id) DO UPDATE SET
    status = excluded.status,
    search_id = excluded.search_id,
    text = excluded.text,
    text_at = excluded.text_at,
    reason = excluded.reason,
    completed_at = excluded.completed_at
  WHERE status = 'open' AND excluded.status <> 'open'`
)

const edit = overRows(
  4,
  (
    values,
    named
  ) => `UPDATE ${named("messages")} SET text = v.column3, text_at = v.column4 FROM ${values} AS v
    WHERE thread_id = v.column1 AND role = 'user' AND message_id = (
      SELECT t.message_id FROM ${named("turns")} AS t WHERE t.thread_id = v.column1 AND t.turn_id = v.column2
    )`
)

/** Nothing inside a settled turn stays open (L5), whatever its events said. */
const close = overRows(
  3,
  (
    values,
    named
  ) => `UPDATE ${named("messages")} SET status = 'interrupted', completed_at = v.column3 FROM ${values} AS v
    WHERE thread_id = v.column1 AND turn_id = v.column2 AND status = 'open'`
)

interface Message {
  readonly key: Cells
  readonly position: number
  readonly turnId: string
  readonly role: "user" | "assistant" | "reasoning"
  readonly status: string
  readonly text: string
  /** Sequence of the event that has it. */
  readonly textFrom: number
  readonly attachments: string
  readonly reason: Cell
  readonly createdAt: number
  readonly completedAt: Cell
  readonly searchId: number | null
}

interface Changes {
  readonly rows: ReadonlyArray<Cells>
  readonly edits: ReadonlyArray<Cells>
  /** Search id, text: of what the search index takes up. */
  readonly finds: ReadonlyArray<Cells>
}

const changesOf = (batch: Batch): Changes => {
  const messages = new Map<string, Message>()
  const prompts = new Map<string, string>()
  const edits = new Map<string, Cells>()
  for (const { record } of batch.steps) {
    const { event, threadId } = record
    if (event.type === "turn.edited") {
      const turn = keyOf(threadId, event.turnId)
      const key = prompts.get(turn)
      const message = key === undefined ? undefined : messages.get(key)
      if (key === undefined || message === undefined)
        edits.set(turn, [threadId, event.turnId, ...textCells(event.text, record.sequence)])
      else messages.set(key, { ...message, text: event.text, textFrom: record.sequence })
      continue
    }
    const message = messageOf(record)
    if (message === null) continue
    const key = message.key.join("\n")
    if (event.type === "turn.queued") prompts.set(keyOf(threadId, event.turnId), key)
    messages.set(key, merged(messages.get(key), message))
  }
  const changed = [...messages.values()]
  const found = changed.filter(({ searchId }) => searchId !== null)
  return {
    rows: changed.map(cellsOf),
    edits: [...edits.values()],
    finds: found.map(({ searchId, text }) => [searchId, text])
  }
}

/** The same rule as the upsert's, for a message that began in this batch. */
const merged = (before: Message | undefined, message: Message): Message => {
  if (before === undefined) return message
  if (before.status !== "open" || message.status === "open") return before
  const { position, createdAt, role, turnId } = before
  return { ...message, position, createdAt, role, turnId }
}

const messageOf = (record: ThreadRecord): Message | null => {
  const { event } = record
  if (event.type === "turn.queued") return searched(record, prompt(record, event))
  if (event.type === "item.started" && isText(event)) return begun(record, event)
  if (event.type === "item.completed" && isText(event)) return searched(record, completed(record, event))
  return null
}

const searched = ({ sequence }: ThreadRecord, message: Message): Message => ({
  ...message,
  searchId: searchIdOf(message, sequence)
})

const prompt = ({ sequence, threadId, version }: ThreadRecord, event: EventOf<"turn.queued">): Message => ({
  key: [threadId, event.messageId],
  position: version,
  turnId: event.turnId,
  role: "user",
  status: "completed",
  text: event.text,
  textFrom: sequence,
  attachments: JSON.stringify(event.attachments),
  reason: null,
  createdAt: event.at,
  completedAt: event.at,
  searchId: null
})

const begun = (
  { sequence, threadId, version, at }: ThreadRecord,
  event: EventOf<"item.started">
): Message => ({
  key: [threadId, event.itemId],
  position: version,
  turnId: event.turnId,
  role: event.kind === "reasoning" ? "reasoning" : "assistant",
  status: "open",
  text: "",
  textFrom: sequence,
  attachments: "[]",
  reason: null,
  createdAt: at,
  completedAt: null,
  searchId: null
})

const completed = (
  { sequence, threadId, version, at }: ThreadRecord,
  event: EventOf<"item.completed">
): Message => ({
  key: [threadId, event.itemId],
  position: version,
  turnId: event.turnId,
  role: event.kind === "reasoning" ? "reasoning" : "assistant",
  status: event.status,
  text: event.text,
  textFrom: sequence,
  attachments: "[]",
  reason: event.reason ?? null,
  createdAt: at,
  completedAt: at,
  searchId: null
})

const cellsOf = (message: Message): Cells => [
  ...message.key,
  message.position,
  message.turnId,
  message.role,
  message.status,
  ...textCells(message.text, message.textFrom),
  message.attachments,
  message.reason,
  message.createdAt,
  message.completedAt,
  message.searchId
]

const textCells = (text: string, from: number): Cells => {
  const pointer = pointed(text, from)
  return [pointer.text, pointer.textAt]
}

const select = (sql: SqlClient) =>
  sql.literal(`SELECT 'message' AS type, message_id AS id, thread_id AS threadId, turn_id AS turnId, role,
    status, ${textOf("messages")} AS text, attachments, position,
    created_at AS createdAt, completed_at AS completedAt FROM messages`)

const read = rowReader("messages", MessageEntry, { json: ["attachments"] })
