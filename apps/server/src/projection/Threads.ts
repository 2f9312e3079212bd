/** Threads: one row each with all that the sidebar shows, so that a list of threads opens none of them. */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { isActivity } from "@turnkeeper/contracts/Fold"
import { ThreadRow } from "@turnkeeper/contracts/Rows"
import type { Millis, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import { Context, Effect, Layer } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { newestSequence, ownerOf, streamsSince } from "../store/EventLog.ts"
import type { Owner } from "../store/EventLog.ts"
import type { Cells } from "../store/rows.ts"
import { insertInto, rowReader } from "../store/rows.ts"
import { Reader } from "../store/Sqlite.ts"
import { unavailable } from "../store/storageFault.ts"
import type { Batch, Projection, Step } from "./Batch.ts"
import { jsonOrNull, lastSteps } from "./Batch.ts"

export class Threads extends Context.Service<
  Threads,
  {
    /** Every thread that is not deleted, the latest active first. */
    readonly all: Effect.Effect<ReadonlyArray<ThreadRow>, StorageUnavailable>
    /** Those of `ids` that exist, deleted ones included (`deletedAt` says so); the rest is left out. */
    readonly byIds: (
      ids: ReadonlyArray<ThreadId>
    ) => Effect.Effect<ReadonlyArray<ThreadRow>, StorageUnavailable>
    /** Sequence of the newest event ever written: every row shows at least what is up to it. */
    readonly newest: Effect.Effect<number, StorageUnavailable>
    /** The threads and projects that have events above `after`, each once; those that were deleted, too. */
    readonly changedSince: (after: number) => Effect.Effect<ReadonlyArray<Owner>, StorageUnavailable>
  }
>()("server/projection/Threads") {
  static readonly layer = Layer.effect(
    Threads,
    Effect.gen(function* () {
      const sql = yield* Reader
      return Threads.of({
        all: sql`${select(sql)} WHERE threads.deleted_at IS NULL
          ORDER BY threads.last_activity_at DESC, threads.thread_id`.pipe(Effect.flatMap(read), unavailable),
        byIds: (ids) => threadsById(sql, ids).pipe(unavailable),
        newest: unavailable(newestSequence(sql)),
        changedSince: (after) =>
          streamsSince(sql, after).pipe(
            Effect.map((streams) => streams.map(ownerOf).filter((owner) => owner !== null)),
            unavailable
          )
      })
    })
  )
}

export const threadsById = (sql: SqlClient, ids: ReadonlyArray<ThreadId>) =>
  sql`${select(sql)} WHERE threads.thread_id IN (SELECT value FROM json_each(${JSON.stringify(ids)}))`.pipe(
    Effect.flatMap(read)
  )

export const projection: Projection = {
  table: "threads",
  writes: (batch) => [{ statement: upsert, rows: rowsOf(batch) }]
}

const upsert = insertInto(
  "threads",
  [
    "thread_id",
    "project_id",
    "title",
    "provider",
    "model",
    "runtime_mode",
    "interaction_mode",
    "cwd",
    "created_at",
    "archived_at",
    "deleted_at",
    "session_status",
    "last_error",
    "recovering",
    "stopping",
    "active_turn_id",
    "latest_turn_id",
    "open_requests",
    "queued_turns",
    "last_activity_at",
    "version"
  ],
  // -1 says: as the row knows it. archived_at is null from the state once unarchived.
  `ON CONFLICT (thread_id) DO UPDATE SET
    title = excluded.title,
    provider = excluded.provider,
    model = excluded.model,
    runtime_mode = excluded.runtime_mode,
    interaction_mode = excluded.interaction_mode,
    cwd = excluded.cwd,
    archived_at = CASE excluded.archived_at WHEN -1 THEN archived_at ELSE excluded.archived_at END,
    deleted_at = coalesce(excluded.deleted_at, deleted_at),
    session_status = excluded.session_status,
    last_error = excluded.last_error,
    recovering = excluded.recovering,
    stopping = excluded.stopping,
    active_turn_id = excluded.active_turn_id,
    latest_turn_id = coalesce(excluded.latest_turn_id, latest_turn_id),
    open_requests = excluded.open_requests,
    queued_turns = excluded.queued_turns,
    last_activity_at = CASE excluded.last_activity_at WHEN -1 THEN last_activity_at
      ELSE excluded.last_activity_at END,
    version = excluded.version`
)

/** What the batch says of a thread that its state does not keep. */
interface Seen {
  createdAt: Millis | null
  archivedAt: Millis | null
  deletedAt: Millis | null
  lastActivityAt: Millis | null
  latestTurnId: TurnId | null
}

const rowsOf = (batch: Batch): ReadonlyArray<Cells> => {
  const seen = new Map<ThreadId, Seen>()
  for (const { record } of batch.steps) seen.set(record.threadId, looked(seen.get(record.threadId), record))
  return [...lastSteps(batch)].flatMap(([threadId, step]) => rowOf(step, seen.get(threadId) ?? nothing))
}

const nothing: Seen = {
  createdAt: null,
  archivedAt: null,
  deletedAt: null,
  lastActivityAt: null,
  latestTurnId: null
}

const looked = (before: Seen = nothing, { event, at }: Step["record"]): Seen => {
  const seen = isActivity(event) ? { ...before, lastActivityAt: at } : before
  switch (event.type) {
    case "thread.created":
      return { ...seen, createdAt: at }
    case "thread.archived":
      return { ...seen, archivedAt: at }
    case "thread.deleted":
      return { ...seen, deletedAt: at }
    case "turn.queued":
    case "turn.adopted":
      return { ...seen, latestTurnId: event.turnId }
    default:
      return seen
  }
}

const rowOf = ({ record, after }: Step, seen: Seen): ReadonlyArray<Cells> => {
  const { info, session, turns, requests } = after
  if (info === null) return []
  const row: Cells = [
    record.threadId,
    info.projectId,
    info.title,
    info.provider,
    info.model,
    info.runtimeMode,
    info.interactionMode,
    info.cwd,
    seen.createdAt ?? record.at,
    info.archived ? (seen.archivedAt ?? -1) : null,
    seen.deletedAt,
    session.status,
    session.lastError,
    jsonOrNull(session.recovering),
    session.stopAsked?.by ?? null,
    session.activeTurnId,
    seen.latestTurnId,
    requests.filter((request) => request.answer === null).length,
    turns.filter((turn) => turn.state === "queued").length,
    seen.lastActivityAt ?? -1,
    record.version
  ]
  return [row]
}

const select = (sql: SqlClient) =>
  sql.literal(`SELECT threads.thread_id AS threadId, project_id AS projectId, title, threads.provider,
    threads.model, threads.runtime_mode AS runtimeMode, threads.interaction_mode AS interactionMode, cwd,
    archived_at AS archivedAt, deleted_at AS deletedAt, session_status AS sessionStatus,
    last_error AS lastError, recovering, stopping, open_requests AS openRequests,
    queued_turns AS queuedTurns, last_activity_at AS lastActivityAt, created_at AS createdAt, version,
    CASE WHEN turns.turn_id IS NULL THEN NULL ELSE json_object(
      'turnId', turns.turn_id, 'state', turns.state, 'delivered', turns.delivered
    ) END AS latestTurn,
    CASE WHEN active.turn_id IS NULL THEN NULL ELSE json_object(
      'turnId', active.turn_id, 'startedAt', active.started_at,
      'interruptAskedAt', active.interrupt_asked_at, 'quiet', active.quiet,
      'quietSince', active.quiet_since
    ) END AS activeTurn
    FROM threads
    LEFT JOIN turns ON turns.thread_id = threads.thread_id AND turns.turn_id = threads.latest_turn_id
    LEFT JOIN turns AS active
      ON active.thread_id = threads.thread_id AND active.turn_id = threads.active_turn_id`)

const read = rowReader("threads", ThreadRow, { json: ["recovering", "latestTurn", "activeTurn"] })
