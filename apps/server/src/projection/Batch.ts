/**
 * What one group commit means for the tables, and what a table has to offer to take part.
 *
 * Promise (L15): the rows after a batch depend on the log alone, not on how it was cut into batches. So
 * `writes` reads nothing but the batch; its statements touch the rows they change, by key, and nothing else.
 * Its work per event is constant.
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { ProjectRecord, ThreadRecord } from "../engine/Change.ts"
import type { Write } from "../store/rows.ts"

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
  /** In the order in which they have to be written. */
  readonly writes: (batch: Batch) => ReadonlyArray<Write>
}

/** Each thread's newest step in the batch. */
export const lastSteps = (batch: Batch): ReadonlyMap<ThreadId, Step> =>
  new Map(batch.steps.map((step) => [step.record.threadId, step]))

/** Key of a row inside a thread. The separator occurs in no id. */
export const keyOf = (threadId: ThreadId, id: string) => `${threadId}\n${id}`

/** JSON of a value, or null for null: what a nullable column holds. */
export const jsonOrNull = (value: unknown): string | null => (value === null ? null : JSON.stringify(value))
