/**
 * Reads the log from its beginning and fills tables from it, page by page, on connections of its own: no effect
 * and no statement per event. By the very rules of the commit (`foldedFrom`, what each table `writes`), so that it
 * makes the same rows (L15).
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import { foldedFrom, projections } from "../projection/Projection.ts"
import type { Row, StoredRecord } from "../store/EventLog.ts"
import { lengthOf, recordReader } from "../store/EventLog.ts"
import type { HalfForgotten, Kept } from "../store/Forgetting.ts"
import { halfForgottenRows, keptOf } from "../store/Forgetting.ts"
import type { Named, RowStatement, Write } from "../store/rows.ts"
import { cellsOf, chunksOf, placesOf } from "../store/rows.ts"

/** What was read of the log, and what has to be written for it. */
export interface Page {
  readonly writes: ReadonlyArray<Write>
  readonly events: number
  readonly unreadable: number
  /** How far it comes, of the log as it was at the beginning, 0 to 1. What came later is behind 1. */
  readonly share: number
  /** Nothing was behind it when it was read. */
  readonly complete: boolean
}

/** Large, so that the rows of one table are written together: a page of the file that takes many of them, once. */
const pageBounds = { rows: 16_384, bytes: 32 * 1024 * 1024 } as const

/**
 * Events that are folded together: enough that most of what begins among them ends there, too, and is written once;
 * few enough that their states are of no use any more when the memory is looked through, which costs more than
 * folding does.
 */
const foldedAtOnce = 512

/** Goes on where the last page ended. Holds one open state per thread in memory. */
export const readingLog = (database: DatabaseSync): (() => Page) => {
  const forgotten: ReadonlyMap<ThreadId, Kept> = keptOf(
    database.prepare(halfForgottenRows).all() as unknown as ReadonlyArray<HalfForgotten>
  )
  const read = database.prepare(
    `SELECT sequence, stream, version, event_version, payload, text, cause, at FROM events
      WHERE sequence > ? ORDER BY sequence LIMIT ?`
  )
  // Several times as fast as rows by their columns' names.
  read.setReturnArrays(true)
  const recordOf = recordReader()
  const states = new Map<ThreadId, ThreadState>()
  const newest = Number(database.prepare("SELECT max(sequence) AS newest FROM events").get()?.["newest"] ?? 0)
  let after = 0
  return () => {
    // Table by table, because one page of the file has the rows of one table.
    const tables = projections.map((): Array<Write> => [])
    let records: Array<StoredRecord> = []
    const fold = () => {
      const batch = foldedFrom(states, records, forgotten)
      for (const [index, { writes }] of projections.entries()) {
        for (const write of writes(batch)) if (write.rows.length > 0) tables[index]?.push(write)
      }
      records = []
    }
    let rows = 0
    let events = 0
    let bytes = 0
    for (const cells of read.iterate(after, pageBounds.rows) as unknown as Iterable<RowCells>) {
      const row = rowOf(cells)
      after = row.sequence
      rows += 1
      bytes += lengthOf(row)
      const record = recordOf(row)
      if (record !== null) {
        records.push(record)
        events += 1
      }
      if (records.length === foldedAtOnce) fold()
      if (bytes >= pageBounds.bytes) break
    }
    fold()
    return {
      writes: tables.flat(),
      events,
      unreadable: rows - events,
      share: newest === 0 ? 1 : Math.min(1, after / newest),
      complete: rows < pageBounds.rows && bytes < pageBounds.bytes
    }
  }
}

/** In the order in which `readingLog` asks for them. */
type RowCells = readonly [number, string, number, number, string, string | null, string, number]

const rowOf = ([sequence, stream, version, event_version, payload, text, cause, at]: RowCells): Row => ({
  sequence,
  stream,
  version,
  event_version,
  payload,
  text,
  cause,
  at
})

/** A set of rows with its statement, ready to be run. */
export type Run = () => void

/** The writes as single runs, in their order. Each statement is prepared once for each of a few sizes. */
export const runsOf = (database: DatabaseSync, named: Named) => {
  const prepared = new Map<RowStatement, Map<number, StatementSync>>()
  const statementOf = (statement: RowStatement, size: number): StatementSync => {
    const sizes = prepared.get(statement) ?? new Map<number, StatementSync>()
    prepared.set(statement, sizes)
    const known = sizes.get(size) ?? database.prepare(statement.text(placesOf(statement, size), named))
    sizes.set(size, known)
    return known
  }
  return (writes: ReadonlyArray<Write>): ReadonlyArray<Run> =>
    writes.flatMap(({ rows, statement }) =>
      chunksOf(rows).map((chunk) => () => {
        statementOf(statement, chunk.length).run(...(cellsOf(chunk) as ReadonlyArray<SQLInputValue>))
      })
    )
}
