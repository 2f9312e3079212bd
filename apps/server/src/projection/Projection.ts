/**
 * All tables that follow from the log, and their rebuilding from it.
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
import { isThreadRecord, readLog } from "../store/EventLog.ts"
import type { Kept } from "../store/Forgetting.ts"
import { halfForgotten } from "../store/Forgetting.ts"
import type { Write } from "../store/rows.ts"
import { runRows } from "../store/rows.ts"
import type { Batch, Projection, Step } from "./Batch.ts"
import * as Items from "./Items.ts"
import * as Messages from "./Messages.ts"
import * as Projects from "./Projects.ts"
import * as Requests from "./Requests.ts"
import { removeAll } from "./searchIndex.ts"
import * as Sessions from "./Sessions.ts"
import * as ThreadStates from "./ThreadStates.ts"
import * as Threads from "./Threads.ts"
import * as Turns from "./Turns.ts"
import * as UsageTotals from "./UsageTotals.ts"

/** Raise it when a table has to be made anew from the log: the next start does so. */
export const projectionVersion = 3

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

export interface Rebuilt {
  readonly events: number
  readonly unreadable: number
}

/**
 * Empties the tables and fills them from the log, page by page. Call only inside the commit's transaction:
 * readers see the old rows until it commits. Holds one open state per thread in memory.
 */
export const rebuildAll = Effect.fnUntraced(function* (sql: SqlClient) {
  yield* removeAll(sql)
  yield* Effect.forEach(projections, ({ table }) => sql.unsafe(`DELETE FROM ${table}`), { discard: true })
  const states = new Map<ThreadId, ThreadState>()
  const forgotten = yield* halfForgotten(sql)
  let events = 0
  let unreadable = 0
  for (let after = 0, complete = false; !complete;) {
    const page = yield* readLog(sql, after, pageBounds)
    yield* applyAll(sql, foldedFrom(states, page.records, forgotten))
    events += page.records.length
    unreadable += page.unreadable
    after = page.next
    complete = page.complete
    // The rest of the process gets its turn between two pages.
    yield* Effect.yieldNow
  }
  yield* sql`INSERT INTO meta (key, value) VALUES ('projections', ${String(projectionVersion)})
    ON CONFLICT (key) DO UPDATE SET value = excluded.value`
  const rebuilt: Rebuilt = { events, unreadable }
  return rebuilt
})

const pageBounds = { rows: 2_000, bytes: 4 * 1024 * 1024 }

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
