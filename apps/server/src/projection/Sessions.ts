/** Sessions: one row per thread, as the state says it. */
import { SessionRow } from "@turnkeeper/contracts/Rows"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Cells } from "../store/rows.ts"
import { insertInto, rowReader } from "../store/rows.ts"
import type { Projection, Step } from "./Batch.ts"
import { jsonOrNull, lastSteps } from "./Batch.ts"

export const projection: Projection = {
  table: "sessions",
  writes: (batch) => [{ statement: upsert, rows: [...lastSteps(batch).values()].map(rowOf) }]
}

/** The session of a thread, or null where there is no such thread. */
export const sessionOf = Effect.fnUntraced(function* (sql: SqlClient, threadId: ThreadId) {
  const rows = yield* sql`SELECT thread_id AS threadId, status, generation, provider,
    active_turn_id AS activeTurnId, last_error AS lastError, recovering, stopping, updated_at AS updatedAt
    FROM sessions WHERE thread_id = ${threadId}`
  const [row] = yield* read(rows)
  return row ?? null
})

const upsert = insertInto(
  "sessions",
  [
    "thread_id",
    "status",
    "generation",
    "open",
    "provider",
    "active_turn_id",
    "last_error",
    "recovering",
    "stopping",
    "updated_at",
    "version"
  ],
  `ON CONFLICT (thread_id) DO UPDATE SET
    status = excluded.status,
    generation = excluded.generation,
    open = excluded.open,
    provider = excluded.provider,
    active_turn_id = excluded.active_turn_id,
    last_error = excluded.last_error,
    recovering = excluded.recovering,
    stopping = excluded.stopping,
    updated_at = excluded.updated_at,
    version = excluded.version`
)

const rowOf = ({ record, after: { session } }: Step): Cells => [
  record.threadId,
  session.status,
  session.generation,
  session.open ? 1 : 0,
  session.provider,
  session.activeTurnId,
  session.lastError,
  jsonOrNull(session.recovering),
  jsonOrNull(session.stopAsked),
  record.at,
  record.version
]

const read = rowReader("sessions", SessionRow, { json: ["recovering", "stopping"] })
