/**
 * All tables that follow from the log, and how they follow from it.
 *
 * Law L15: rebuilt from nothing they hold the same rows, to the byte, as when they were kept commit by
 * commit.
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import { evolve } from "@turnkeeper/domain/thread/evolve"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { initial } from "@turnkeeper/domain/thread/State"
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { ProjectRecord } from "../engine/Change.ts"
import type { StoredRecord } from "../store/EventLog.ts"
import { isThreadRecord } from "../store/EventLog.ts"
import type { Kept } from "../store/Forgetting.ts"
import type { Write } from "../store/rows.ts"
import { runRows } from "../store/rows.ts"
import type { Batch, Projection, Step } from "./Batch.ts"
import * as Items from "./Items.ts"
import * as Messages from "./Messages.ts"
import * as Projects from "./Projects.ts"
import * as Requests from "./Requests.ts"
import * as Sessions from "./Sessions.ts"
import * as ThreadStates from "./ThreadStates.ts"
import * as Threads from "./Threads.ts"
import * as Turns from "./Turns.ts"
import * as UsageTotals from "./UsageTotals.ts"

/** Raise it when a table has to be made anew from the log: the next start does so. */
export const projectionVersion = 4

/** Turns come before messages: an edited prompt is found through its turn. */
export const projections: ReadonlyArray<Projection> = [
  Projects.projection,
  Threads.projection,
  Sessions.projection,
  Turns.projection,
  Messages.projection,
  Items.projection,
  Requests.projection,
  UsageTotals.projection,
  ThreadStates.projection
]

/** What brings every table up to the batch, in the order in which it has to be written. */
export const writesOf = (batch: Batch): ReadonlyArray<Write> =>
  batch.steps.length === 0 && batch.projects.length === 0
    ? []
    : projections.flatMap(({ writes }) => writes(batch).filter(({ rows }) => rows.length > 0))

/** Brings every table up to the batch. Call only inside the commit's transaction. */
export const applyAll = (sql: SqlClient, batch: Batch) =>
  Effect.forEach(writesOf(batch), ({ statement, rows }) => runRows(sql, statement, rows), { discard: true })

/** Whether the tables were made by another version of this program's projections. */
export const isOutdated = (sql: SqlClient) =>
  Effect.map(
    sql<{ value: string }>`SELECT value FROM meta WHERE key = 'projections'`,
    ([row]) => row?.value !== String(projectionVersion)
  )

/**
 * The records as a batch. `states` holds the state that each thread has come to and is brought up to date; of
 * a half forgotten thread only what it keeps counts.
 */
export const foldedFrom = (
  states: Map<ThreadId, ThreadState>,
  records: ReadonlyArray<StoredRecord>,
  forgotten: ReadonlyMap<ThreadId, Kept> = new Map()
): Batch => {
  const steps: Array<Step> = []
  const projects: Array<ProjectRecord> = []
  for (const record of records) {
    if (!isThreadRecord(record)) {
      projects.push(record)
      continue
    }
    if (forgotten.get(record.threadId)?.has(record.version) === false) continue
    const after = evolve(states.get(record.threadId) ?? initial, record.event)
    states.set(record.threadId, after)
    steps.push({ record, after })
  }
  return { steps, projects }
}
