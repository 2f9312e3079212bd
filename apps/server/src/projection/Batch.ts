/**
 * What one group commit means for the tables, and what a table has to offer to take part.
 *
 * Promise (L15): the rows after a batch depend on the log alone, not on how it was cut into batches. So
 * `apply` reads nothing but the batch and the rows it changes, by key, and its work per event is constant.
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { ProjectRecord, ThreadRecord } from "../engine/Change.ts"

/** One stored event of a thread, with a state that it led to: right after it, or after its whole change. */
export interface Step {
  readonly record: ThreadRecord
  readonly after: ThreadState
}

export interface Batch {
  /** In the order of the log. */
  readonly steps: ReadonlyArray<Step>
  readonly projects: ReadonlyArray<ProjectRecord>
}

export interface Projection {
  readonly table: string
  readonly apply: (sql: SqlClient, batch: Batch) => Effect.Effect<void, SqlError>
}

/** Each thread's newest step in the batch. */
export const lastSteps = (batch: Batch): ReadonlyMap<ThreadId, Step> =>
  new Map(batch.steps.map((step) => [step.record.threadId, step]))

/** Key of a row inside a thread. The separator occurs in no id. */
export const keyOf = (threadId: ThreadId, id: string) => `${threadId}\n${id}`

/** JSON of a value, or null for null: what a nullable column holds. */
export const jsonOrNull = (value: unknown): string | null => (value === null ? null : JSON.stringify(value))
