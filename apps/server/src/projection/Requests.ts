/** Requests: what the provider asked the user, and what became of it. */
import { RequestRow } from "@turnkeeper/contracts/Rows"
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { RequestStatus } from "@turnkeeper/domain/thread/lifecycle"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { actorOf } from "../engine/Change.ts"
import type { ThreadRecord } from "../engine/Change.ts"
import type { Cell, Cells } from "../store/rows.ts"
import { insertInto, overRows, rowReader } from "../store/rows.ts"
import type { Batch, Projection } from "./Batch.ts"
import { keyOf } from "./Batch.ts"
import { settledTurns } from "./settled.ts"

export const projection: Projection = {
  table: "requests",
  writes: (batch) => {
    const { opened, changed } = rowsOf(batch)
    return [
      { statement: insert, rows: opened },
      { statement: update, rows: changed },
      { statement: expire, rows: settledTurns(batch) }
    ]
  }
}

/** The requests of a thread that wait for the user or for the provider, oldest first. */
export const openRequests = (sql: SqlClient, threadId: ThreadId) =>
  sql`SELECT request_id AS requestId, thread_id AS threadId, turn_id AS turnId, kind, ask, status, answer,
    answered_by AS answeredBy, reason, opened_at AS openedAt, closed_at AS closedAt FROM requests
    WHERE thread_id = ${threadId} AND status IN ('open', 'answering') ORDER BY position`.pipe(
    Effect.flatMap(read)
  )

// A provider may use a name of its own again once the earlier request of that name is closed.
const insert = insertInto(
  "requests",
  [
    "thread_id",
    "request_id",
    "turn_id",
    "position",
    "kind",
    "ask",
    "opened_at",
    "status",
    "answer",
    "answered_by",
    "reason",
    "closed_at"
  ],
  `ON CONFLICT (thread_id, request_id) DO UPDATE SET
    turn_id = excluded.turn_id,
    position = excluded.position,
    kind = excluded.kind,
    ask = excluded.ask,
    opened_at = excluded.opened_at,
    status = excluded.status,
    answer = excluded.answer,
    answered_by = excluded.answered_by,
    reason = excluded.reason,
    closed_at = excluded.closed_at`
)

// column4 of the values: whether the batch said anything of the answer, which may well be null.
const update = overRows(
  8,
  (values, named) => `UPDATE ${named("requests")} SET
    status = v.column3,
    answer = CASE v.column4 WHEN 1 THEN v.column5 ELSE answer END,
    answered_by = CASE v.column4 WHEN 1 THEN v.column6 ELSE answered_by END,
    reason = coalesce(v.column7, reason),
    closed_at = coalesce(v.column8, closed_at)
  FROM ${values} AS v WHERE thread_id = v.column1 AND request_id = v.column2 AND closed_at IS NULL`
)

/** Nothing inside a settled turn stays open (L5), whatever its events said. */
const expire = overRows(
  3,
  (
    values,
    named
  ) => `UPDATE ${named("requests")} SET status = 'expired', closed_at = v.column3 FROM ${values} AS v
    WHERE thread_id = v.column1 AND turn_id = v.column2 AND status IN ('open', 'answering')`
)

interface Patch {
  readonly key: Cells
  /** The cells of the opening, in the order of `insert`; null for a request of an earlier batch. */
  readonly made: Cells | null
  readonly status: RequestStatus
  readonly answer: { readonly value: Cell; readonly by: Cell } | null
  readonly reason: Cell
  readonly closedAt: Cell
}

const rowsOf = (batch: Batch): { opened: ReadonlyArray<Cells>; changed: ReadonlyArray<Cells> } => {
  const patches = new Map<string, Patch>()
  for (const { record } of batch.steps) {
    const { event } = record
    if (!("requestId" in event)) continue
    const key = keyOf(record.threadId, event.requestId)
    const before = patches.get(key)
    const begins = event.type === "request.opened" || before === undefined
    if (begins || before.closedAt === null)
      patches.set(key, patched(begins ? undefined : before, record, event))
  }
  const opened: Array<Cells> = []
  const changed: Array<Cells> = []
  for (const { key, made, status, answer, reason, closedAt } of patches.values()) {
    const answered: Cells = [answer?.value ?? null, answer?.by ?? null]
    if (made === null) {
      changed.push([...key, status, answer === null ? 0 : 1, ...answered, reason, closedAt])
    } else {
      opened.push([...made, status, ...answered, reason, closedAt])
    }
  }
  return { opened, changed }
}

type RequestEvent = Extract<ThreadRecord["event"], { readonly requestId: unknown }>

const patched = (
  before: Patch | undefined,
  { threadId, version, at, cause }: ThreadRecord,
  event: RequestEvent
): Patch => {
  const patch: Patch = before ?? {
    key: [threadId, event.requestId],
    made: null,
    status: "open",
    answer: null,
    reason: null,
    closedAt: null
  }
  switch (event.type) {
    case "request.opened":
      return {
        ...patch,
        made: [threadId, event.requestId, event.turnId, version, event.kind, JSON.stringify(event.ask), at]
      }
    case "request.answered":
      return {
        ...patch,
        status: "answering",
        answer: { value: JSON.stringify(event.answer), by: actorOf(cause) }
      }
    case "request.answer_failed":
      return { ...patch, status: "open", answer: { value: null, by: null } }
    case "request.closed":
      return { ...patch, status: event.status, reason: event.reason, closedAt: at }
  }
}

const read = rowReader("requests", RequestRow, { json: ["ask", "answer"] })
