/** Turns: one row each, from the queue to the end; a settled row never changes again (L3). */
import { silentSince } from "@turnkeeper/contracts/Fold"
import { TurnRow } from "@turnkeeper/contracts/Rows"
import type { Millis, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { TurnState } from "@turnkeeper/domain/thread/lifecycle"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { EventOf } from "@turnkeeper/domain/thread/Event"
import type { Cell, Cells } from "../store/rows.ts"
import { insertInto, overRows, rowReader } from "../store/rows.ts"
import type { Batch, Projection, Step } from "./Batch.ts"
import { keyOf } from "./Batch.ts"
import { usageOfTurn } from "./UsageTotals.ts"

export const projection: Projection = {
  table: "turns",
  writes: (batch) => {
    const { created, changed } = rowsOf(batch)
    return [
      { statement: insert, rows: created },
      { statement: update, rows: changed }
    ]
  }
}

/** The open turns of a thread and those of `turnIds`, in the order in which they were asked for. */
export const turnsFor = (sql: SqlClient, threadId: ThreadId, turnIds: ReadonlyArray<string>) =>
  sql`${select(sql)} WHERE rowid IN (
    SELECT rowid FROM turns WHERE thread_id = ${threadId} AND state IN ('queued', 'sending', 'running')
    UNION
    SELECT rowid FROM turns WHERE thread_id = ${threadId}
      AND turn_id IN (SELECT value FROM json_each(${JSON.stringify(turnIds)}))
  ) ORDER BY position`.pipe(Effect.flatMap(read))

/** Those of `turnIds` alone, in the same order. */
export const turnsByIds = (sql: SqlClient, threadId: ThreadId, turnIds: ReadonlyArray<string>) =>
  sql`${select(sql)} WHERE thread_id = ${threadId}
    AND turn_id IN (SELECT value FROM json_each(${JSON.stringify(turnIds)})) ORDER BY position`.pipe(
    Effect.flatMap(read)
  )

export const turnById = Effect.fnUntraced(function* (sql: SqlClient, threadId: ThreadId, turnId: TurnId) {
  const [row] = yield* read(yield* sql`${select(sql)} WHERE thread_id = ${threadId} AND turn_id = ${turnId}`)
  return row ?? null
})

const insert = insertInto("turns", [
  "thread_id",
  "turn_id",
  "position",
  "message_id",
  "origin",
  "delivery",
  "retry_of",
  "provider",
  "model",
  "runtime_mode",
  "interaction_mode",
  "queued_at",
  "state",
  "provider_turn_id",
  "started_at",
  "interrupt_asked_at",
  "quiet",
  "quiet_since",
  "delivered",
  "reason",
  "steered_into",
  "settled_at"
])

// column5 of the values: 0, the batch said nothing of `quiet`; 1, that it is quiet, and the row may know since
// when; 2, that it spoke in between, so that what the row knows of that counts no more.
const update = overRows(
  13,
  (values, named) => `UPDATE ${named("turns")} SET
    state = coalesce(v.column3, state),
    provider_turn_id = coalesce(v.column4, provider_turn_id),
    quiet = CASE v.column5 WHEN 0 THEN quiet ELSE v.column6 END,
    quiet_since = CASE v.column5 WHEN 0 THEN quiet_since WHEN 1 THEN coalesce(quiet_since, v.column7)
      ELSE v.column7 END,
    started_at = coalesce(started_at, v.column8),
    interrupt_asked_at = coalesce(interrupt_asked_at, v.column9),
    delivered = coalesce(v.column10, delivered),
    reason = coalesce(v.column11, reason),
    steered_into = coalesce(v.column12, steered_into),
    settled_at = coalesce(v.column13, settled_at)
  FROM ${values} AS v
  WHERE thread_id = v.column1 AND turn_id = v.column2 AND settled_at IS NULL`
)

/** What the batch says of one turn. null: nothing. */
interface Patch {
  /** The cells of the creation, in the order of `insert`; null for a turn of an earlier batch. */
  readonly made: Cells | null
  readonly state: TurnState | null
  readonly providerTurnId: Cell
  readonly quiet: Quiet | null
  readonly startedAt: Cell
  readonly interruptAskedAt: Cell
  readonly delivered: Cell
  readonly reason: Cell
  readonly into: Cell
  readonly settledAt: Cell
}

/** `anew`: within the batch it was not quiet, so since when the row says that it is counts no more. */
interface Quiet {
  readonly value: string | null
  readonly since: Cell
  readonly anew: boolean
}

const quietAt = (before: Quiet | null, value: Quiet["value"], since: Millis): Quiet =>
  value === null
    ? { value, since: null, anew: true }
    : { value, since: before?.since ?? since, anew: before?.anew ?? false }

const untouched: Patch = {
  made: null,
  state: null,
  providerTurnId: null,
  quiet: null,
  startedAt: null,
  interruptAskedAt: null,
  delivered: null,
  reason: null,
  into: null,
  settledAt: null
}

const rowsOf = (batch: Batch): { created: ReadonlyArray<Cells>; changed: ReadonlyArray<Cells> } => {
  const patches = new Map<string, { readonly key: Cells; readonly patch: Patch }>()
  for (const step of batch.steps) {
    const turnId = turnOf(step)
    if (turnId === null) continue
    const key = keyOf(step.record.threadId, turnId)
    const before = patches.get(key)?.patch ?? untouched
    if (before.settledAt === null) {
      patches.set(key, { key: [step.record.threadId, turnId], patch: patched(before, step) })
    }
  }
  const created: Array<Cells> = []
  const changed: Array<Cells> = []
  for (const { key, patch } of patches.values()) {
    if (patch.made === null) changed.push([...key, ...changesOf(patch)])
    else created.push([...patch.made, ...startOf(patch)])
  }
  return { created, changed }
}

const startOf = (patch: Patch): Cells => [
  patch.state,
  patch.providerTurnId,
  patch.startedAt,
  patch.interruptAskedAt,
  patch.quiet?.value ?? null,
  patch.quiet?.since ?? null,
  patch.delivered,
  patch.reason,
  patch.into,
  patch.settledAt
]

const changesOf = (patch: Patch): Cells => [
  patch.state,
  patch.providerTurnId,
  patch.quiet === null ? 0 : patch.quiet.anew ? 2 : 1,
  patch.quiet?.value ?? null,
  patch.quiet?.since ?? null,
  patch.startedAt,
  patch.interruptAskedAt,
  patch.delivered,
  patch.reason,
  patch.into,
  patch.settledAt
]

/** The turn whose row the event changes, or null. */
const turnOf = ({ record: { event } }: Step): TurnId | null => {
  switch (event.type) {
    case "turn.queued":
    case "turn.adopted":
    case "turn.send_started":
    case "turn.requeued":
    case "turn.started":
    case "turn.referenced":
    case "turn.interrupt_requested":
    case "turn.quiet":
    case "turn.settled":
      return event.turnId
    default:
      return null
  }
}

const patched = (patch: Patch, step: Step): Patch => {
  const { event, at } = step.record
  switch (event.type) {
    case "turn.queued":
      return { ...patch, made: queued(step, event), state: "queued" }
    case "turn.adopted":
      return {
        ...patch,
        made: adopted(step, event),
        state: "running",
        providerTurnId: event.providerTurnId,
        startedAt: at
      }
    case "turn.send_started":
      return { ...patch, state: "sending" }
    case "turn.requeued":
      return { ...patch, state: "queued" }
    case "turn.started":
      return {
        ...patch,
        state: "running",
        providerTurnId: event.providerTurnId ?? patch.providerTurnId,
        startedAt: patch.startedAt ?? at
      }
    case "turn.referenced":
      return { ...patch, providerTurnId: event.providerTurnId }
    case "turn.interrupt_requested":
      return { ...patch, interruptAskedAt: patch.interruptAskedAt ?? at }
    case "turn.quiet":
      return { ...patch, quiet: quietAt(patch.quiet, event.quiet, silentSince(event, at)) }
    case "turn.settled":
      return {
        ...patch,
        state: event.state,
        quiet: quietAt(patch.quiet, null, at),
        delivered: event.delivery,
        reason: event.reason,
        into: event.into,
        settledAt: at
      }
    default:
      return patch
  }
}

const queued = ({ record }: Step, event: EventOf<"turn.queued">): Cells => [
  record.threadId,
  event.turnId,
  record.version,
  event.messageId,
  "user",
  event.delivery,
  event.retryOf,
  event.provider,
  event.model,
  event.runtimeMode,
  event.interactionMode,
  event.at
]

/** The event of a turn of the provider's own names no settings: they are the thread's at that moment. */
const adopted = ({ record, after }: Step, event: EventOf<"turn.adopted">): Cells => {
  const turn = after.turns.find((turn) => turn.id === event.turnId)
  const { info, session } = after
  return [
    record.threadId,
    event.turnId,
    record.version,
    null,
    "provider",
    "queue",
    null,
    turn?.provider ?? session.provider ?? info?.provider ?? null,
    turn === undefined ? (info?.model ?? null) : turn.model,
    turn?.runtimeMode ?? info?.runtimeMode ?? null,
    turn?.interactionMode ?? info?.interactionMode ?? null,
    record.at
  ]
}

const select = (sql: SqlClient) =>
  sql.literal(`SELECT turn_id AS turnId, thread_id AS threadId, message_id AS messageId, origin, state,
    provider_turn_id AS providerTurnId, delivery, delivered, reason, steered_into AS "into",
    interrupt_asked_at AS interruptAskedAt, quiet, quiet_since AS quietSince, retry_of AS retryOf, provider, model,
    runtime_mode AS runtimeMode, interaction_mode AS interactionMode, queued_at AS queuedAt,
    started_at AS startedAt, settled_at AS settledAt, position AS ordinal, ${usageOfTurn} AS usage FROM turns`)

const read = rowReader("turns", TurnRow, { json: ["usage"] })
