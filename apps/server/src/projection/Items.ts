/**
 * Items: every unit of work that is not a message (commands, file changes, tools …), and notices: what
 * went wrong beside the work and has to be seen.
 */
import { noticeOf } from "@turnkeeper/contracts/Fold"
import type { Notice } from "@turnkeeper/contracts/Fold"
import { ItemEntry, Omitted } from "@turnkeeper/contracts/Rows"
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { EventOf } from "@turnkeeper/domain/thread/Event"
import { isText } from "@turnkeeper/domain/thread/evolve"
import { Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { ThreadRecord } from "../engine/Change.ts"
import type { Cell, Cells } from "../store/rows.ts"
import { insertInto, overRows, rowReader } from "../store/rows.ts"
import type { Batch, Projection } from "./Batch.ts"
import { keyOf } from "./Batch.ts"
import type { Shortened } from "./rowText.ts"
import { shortened, textBytesOf, textOf } from "./rowText.ts"
import { settledTurns } from "./settled.ts"

export const projection: Projection = {
  table: "items",
  writes: (batch) => {
    const { rows, details } = changesOf(batch)
    return [
      { statement: setDetail, rows: details },
      { statement: upsert, rows },
      { statement: close, rows: settledTurns(batch) }
    ]
  }
}

/** Where each item of a thread stands and how large it is, the newest first. */
export const itemSizes = (sql: SqlClient, threadId: ThreadId, before: number, limit: number) =>
  sql<{ position: number; bytes: number }>`SELECT position,
    ${sql.literal(textBytesOf("items"))} + coalesce(octet_length(detail), 0) + coalesce((
      SELECT sum(octet_length(chunk.text)) FROM open_texts AS open JOIN message_chunks AS chunk USING (text_id)
      WHERE items.status = 'open' AND open.thread_id = items.thread_id AND open.item_id = items.item_id
    ), 0) AS bytes
    FROM items WHERE thread_id = ${threadId} AND position < ${before} ORDER BY position DESC LIMIT ${limit}`

/** The items from `from` up to, not including, `before`. */
export const itemsBetween = (sql: SqlClient, threadId: ThreadId, from: number, before: number) =>
  sql`${select(sql)} WHERE thread_id = ${threadId} AND position >= ${from} AND position < ${before}`.pipe(
    Effect.flatMap(read)
  )

export const openItems = (sql: SqlClient, threadId: ThreadId) =>
  // Named, because the planner would rather walk the whole thread in the order of its positions.
  sql`${select(sql)} INDEXED BY items_open WHERE thread_id = ${threadId} AND status = 'open'`.pipe(
    Effect.flatMap(read)
  )

/** The text of an item's row, and the sequence of the event that has it whole where the row has not. */
export const itemTextOf = (sql: SqlClient, threadId: ThreadId, itemId: string) =>
  Effect.map(
    sql<{ text: string; status: string; at: number | null }>`SELECT text, status, text_at AS at
      FROM items WHERE thread_id = ${threadId} AND item_id = ${itemId}`,
    ([row]) => row ?? null
  )

const upsert = insertInto(
  "items",
  [
    "thread_id",
    "item_id",
    "position",
    "turn_id",
    "kind",
    "title",
    "detail",
    "status",
    "text",
    "reason",
    "created_at",
    "completed_at",
    "omitted_from",
    "omitted_length",
    "text_at"
  ],
  `ON CONFLICT (thread_id, item_id) DO UPDATE SET
    status = excluded.status,
    text = excluded.text,
    omitted_from = excluded.omitted_from,
    omitted_length = excluded.omitted_length,
    text_at = excluded.text_at,
    title = coalesce(excluded.title, title),
    detail = coalesce(excluded.detail, detail),
    reason = excluded.reason,
    completed_at = excluded.completed_at
  WHERE status = 'open' AND excluded.status <> 'open'`
)

const setDetail = overRows(
  3,
  (values, named) => `UPDATE ${named("items")} SET detail = v.column3 FROM ${values} AS v
    WHERE thread_id = v.column1 AND item_id = v.column2 AND status = 'open'`
)

/** Nothing inside a settled turn stays open (L5), whatever its events said. */
const close = overRows(
  3,
  (
    values,
    named
  ) => `UPDATE ${named("items")} SET status = 'interrupted', completed_at = v.column3 FROM ${values} AS v
    WHERE thread_id = v.column1 AND turn_id = v.column2 AND status = 'open'`
)

interface Item extends Shortened {
  readonly key: Cells
  readonly position: number
  readonly turnId: Cell
  readonly kind: string
  readonly title: Cell
  readonly detail: Cell
  readonly status: string
  readonly reason: Cell
  readonly createdAt: number
  readonly completedAt: Cell
}

const changesOf = (batch: Batch): { rows: ReadonlyArray<Cells>; details: ReadonlyArray<Cells> } => {
  const items = new Map<string, Item>()
  const details = new Map<string, Cells>()
  for (const { record } of batch.steps) {
    const { event, threadId } = record
    if (event.type === "item.updated") {
      const key = keyOf(threadId, event.itemId)
      const item = items.get(key)
      const detail = JSON.stringify(event.detail)
      if (item === undefined) details.set(key, [threadId, event.itemId, detail])
      else if (item.status === "open") items.set(key, { ...item, detail })
      continue
    }
    const item = itemOf(record)
    if (item === null) continue
    const key = item.key.join("\n")
    items.set(key, merged(items.get(key), item))
  }
  return { rows: [...items.values()].map(cellsOf), details: [...details.values()] }
}

/** The same rule as the upsert's, for an item that began in this batch. */
const merged = (before: Item | undefined, item: Item): Item => {
  if (before === undefined) return item
  if (before.status !== "open" || item.status === "open") return before
  const { position, createdAt, kind, turnId } = before
  return {
    ...item,
    position,
    createdAt,
    kind,
    turnId,
    title: item.title ?? before.title,
    detail: item.detail ?? before.detail
  }
}

const itemOf = (record: ThreadRecord): Item | null => {
  const { event } = record
  if (event.type === "item.started") return isText(event) ? null : begun(record, event)
  if (event.type === "item.completed") return isText(event) ? null : completed(record, event)
  const notice = noticeOf(event)
  return notice === null ? null : noticed(record, notice)
}

const begun = ({ threadId, version, at }: ThreadRecord, event: EventOf<"item.started">): Item => ({
  key: [threadId, event.itemId],
  position: version,
  turnId: event.turnId,
  kind: event.kind,
  title: event.title,
  detail: JSON.stringify(event.detail),
  status: "open",
  ...whole(""),
  reason: null,
  createdAt: at,
  completedAt: null
})

const whole = (text: string): Shortened => ({ text, omitted: null, textAt: null })

const completed = (
  { sequence, threadId, version, at }: ThreadRecord,
  event: EventOf<"item.completed">
): Item => ({
  key: [threadId, event.itemId],
  position: version,
  turnId: event.turnId,
  kind: event.kind,
  title: event.title ?? null,
  detail: event.detail === undefined ? null : JSON.stringify(event.detail),
  status: event.status,
  ...shortened(event.text, sequence),
  reason: event.reason ?? null,
  createdAt: at,
  completedAt: at
})

/** Its id follows from its place in the log. The slash keeps it apart from the ids of work items' turns. */
const noticed = ({ threadId, version, at, event }: ThreadRecord, notice: Notice): Item => ({
  key: [threadId, `notice/${version}`],
  position: version,
  turnId: notice.turnId,
  kind: "notice",
  title: "",
  detail: JSON.stringify({ event: event.type }),
  status: "completed",
  ...whole(notice.text),
  reason: null,
  createdAt: at,
  completedAt: at
})

const cellsOf = (item: Item): Cells => [
  ...item.key,
  item.position,
  item.turnId,
  item.kind,
  item.title,
  item.detail,
  item.status,
  item.text,
  item.reason,
  item.createdAt,
  item.completedAt,
  item.omitted?.from ?? null,
  item.omitted?.length ?? null,
  item.textAt
]

const select = (sql: SqlClient) =>
  sql.literal(`SELECT 'item' AS type, item_id AS id, thread_id AS threadId, turn_id AS turnId, kind,
    coalesce(title, '') AS title, coalesce(detail, '{}') AS detail, status, ${textOf("items")} AS text, position,
    created_at AS createdAt, completed_at AS completedAt,
    CASE WHEN omitted_from IS NULL THEN NULL
      ELSE json_object('from', omitted_from, 'length', omitted_length) END AS omitted FROM items`)

const StoredEntry = Schema.Struct({ ...ItemEntry.fields, omitted: Schema.NullOr(Omitted) })
const readStored = rowReader("items", StoredEntry, { json: ["detail", "omitted"] })

const read = (rows: ReadonlyArray<object>) =>
  Effect.map(readStored(rows), (entries): ReadonlyArray<ItemEntry> =>
    entries.map(({ omitted, ...entry }) => (omitted === null ? entry : { ...entry, omitted }))
  )
