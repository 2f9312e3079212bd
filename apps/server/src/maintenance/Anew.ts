/**
 * Reads the log from its beginning and fills tables from it, page by page, on connections of its own: no effect
 * and no statement per event. By the very rules of the commit (`foldedFrom`, what each table `writes`), so that it
 * makes the same rows (L15).
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import { foldedFrom, projections } from "../projection/Projection.ts"
import { textForRows } from "../projection/rowText.ts"
import type { Words } from "../projection/searchIndex.ts"
import { addWords, promptId, removePrompts, taken, wordsOf } from "../projection/searchIndex.ts"
import type { Row, StoredRecord } from "../store/EventLog.ts"
import { lengthOf, recordReader, threadStream } from "../store/EventLog.ts"
import type { HalfForgotten, Kept } from "../store/Forgetting.ts"
import { halfForgottenRows, keptOf } from "../store/Forgetting.ts"
import type { Named, RowStatement, Write } from "../store/rows.ts"
import { cellsOf, chunksOf, placesOf } from "../store/rows.ts"

/** What was read of the log, and what has to be written for it. */
export interface Page {
  readonly writes: ReadonlyArray<Write>
  readonly words: Words
  readonly events: number
  readonly unreadable: number
  /** How far it comes, of the log as it was at the beginning, 0 to 1. What came later is behind 1. */
  readonly share: number
  /** Nothing was behind it when it was read. */
  readonly complete: boolean
}

/** Streams in the order of their names: behind `after`, up to `upTo` and with it; null: without that end. */
export interface Part {
  readonly after: string | null
  readonly upTo: string | null
}
const allOfIt: Part = { after: null, upTo: null }

/** Two parts with about as many events each. A thread's are all in one of them, and nothing is between two threads. */
export const halves = (database: DatabaseSync): ReadonlyArray<Part> => {
  const upTo = threadStream(middleThread(database))
  return [
    { after: null, upTo },
    { after: upTo, upTo: null }
  ]
}

/** By the tables in use. Where they cannot be read they have to be made anew all the same: then one part is all. */
const middleThread = (database: DatabaseSync): string => {
  try {
    const row = database
      .prepare(
        `SELECT thread_id AS id FROM (
            SELECT thread_id, sum(version) OVER (ORDER BY thread_id) AS so_far, sum(version) OVER () AS total
            FROM threads
          ) ORDER BY abs(2 * so_far - total) LIMIT 1`
      )
      .get()
    return String(row?.["id"] ?? "")
  } catch {
    return ""
  }
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
export const readingLog = (database: DatabaseSync, part = allOfIt): (() => Page) => {
  const forgotten: ReadonlyMap<ThreadId, Kept> = keptOf(
    database.prepare(halfForgottenRows).all() as unknown as ReadonlyArray<HalfForgotten>
  )
  const newest = Number(database.prepare("SELECT max(sequence) AS newest FROM events").get()?.["newest"] ?? 0)
  const read = readingRows(database, part)
  const recordOf = recordReader()
  const states = new Map<ThreadId, ThreadState>()
  return () => {
    const page = gathering(states, forgotten)
    const seen = { rows: 0, events: 0, bytes: 0 }
    for (;;) {
      const { complete, last, rows } = read()
      for (const cells of rows) {
        const row = rowOf(cells)
        seen.bytes += lengthOf(row)
        const record = recordOf(row)
        if (record === null) continue
        page.add(record)
        seen.events += 1
      }
      seen.rows += rows.length
      if (!complete && seen.rows < pageBounds.rows && seen.bytes < pageBounds.bytes) continue
      return {
        ...page.all(),
        events: seen.events,
        unreadable: seen.rows - seen.events,
        share: complete || newest === 0 ? 1 : Math.min(1, last / newest),
        complete
      }
    }
  }
}

/**
 * Few, because there is no other bound on the bytes of one reading, and a provider's line may have 16 MiB. Between
 * two readings the log is not held against a checkpoint.
 */
const readAtOnce = 32

const readingRows = (database: DatabaseSync, { after, upTo }: Part) => {
  const read = database.prepare(
    // The sign keeps the streams' index out of it: the log is read in its order.
    `SELECT sequence, stream, version, event_version, payload, ${textForRows}, cause, at FROM events
      WHERE sequence > ? AND (?2 IS NULL OR +stream > ?2) AND (?3 IS NULL OR +stream <= ?3)
      ORDER BY sequence LIMIT ${readAtOnce}`
  )
  // Several times as fast as rows by their columns' names, and one by one.
  read.setReturnArrays(true)
  let last = 0
  return () => {
    const rows = read.all(last, after, upTo) as unknown as ReadonlyArray<RowCells>
    last = rows.at(-1)?.[0] ?? last
    return { rows, last, complete: rows.length < readAtOnce }
  }
}

/** Table by table, because one page of the file has the rows of one table. */
const gathering = (states: Map<ThreadId, ThreadState>, forgotten: ReadonlyMap<ThreadId, Kept>) => {
  const tables = projections.map((): Array<Write> => [])
  const words: Words = { edited: [], found: [] }
  let records: Array<StoredRecord> = []
  const fold = () => {
    const batch = foldedFrom(states, records, forgotten)
    records = []
    for (const [index, { writes }] of projections.entries()) {
      for (const write of writes(batch)) {
        if (write.rows.length > 0 && !taken(words, write)) tables[index]?.push(write)
      }
    }
  }
  return {
    add: (record: StoredRecord): void => {
      records.push(record)
      if (records.length === foldedAtOnce) fold()
    },
    all: () => {
      fold()
      return { writes: tables.flat(), words }
    }
  }
}

/** In the order in which `readingRows` asks for them. */
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

/** A part of what has to be written for a page, ready to be run. */
export type Run = () => void

/** The page as single runs, in their order; each one before the next is asked for. The tables have to be there. */
export const runsOf = (database: DatabaseSync, named: Named) => {
  const statementOf = preparing(database, named)
  const runsOfWrite = ({ rows, statement }: Write): ReadonlyArray<Run> =>
    chunksOf(rows).map((chunk) => () => {
      statementOf(statement, chunk.length).run(...(cellsOf(chunk) as ReadonlyArray<SQLInputValue>))
    })
  const index = indexing(database, named)
  return function* ({ words, writes }: Page): Generator<Run, void> {
    yield* runsOfWrite({ statement: removePrompts, rows: distinct(words.edited) })
    for (const write of writes) yield* runsOfWrite(write)
    yield* index(words)
  }
}

/** Each statement is prepared once for each of a few sizes. */
const preparing = (database: DatabaseSync, named: Named) => {
  const prepared = new Map<RowStatement, Map<number, StatementSync>>()
  return (statement: RowStatement, size: number): StatementSync => {
    const sizes = prepared.get(statement) ?? new Map<number, StatementSync>()
    prepared.set(statement, sizes)
    const known = sizes.get(size) ?? database.prepare(statement.text(placesOf(statement, size), named))
    sizes.set(size, known)
    return known
  }
}

/** Messages that come to the index in one run. */
const addedAtOnce = 64

const indexing = (database: DatabaseSync, named: Named) => {
  const prompt = database.prepare(promptId(named))
  const words = database.prepare(wordsOf(named))
  const add = database.prepare(addWords(named))
  return function* ({ edited, found }: Words): Generator<Run, void> {
    const prompts = edited.flatMap((cells) => prompt.all(...cells).map(({ id }) => Number(id)))
    const ids = [...new Set([...found.map(Number), ...prompts])].sort((a, b) => a - b)
    for (let from = 0; from < ids.length; from += addedAtOnce) {
      yield () => {
        for (const id of ids.slice(from, from + addedAtOnce)) {
          const row = words.get(id)
          if (row !== undefined) add.run(id, String(row["text"]))
        }
      }
    }
  }
}

const distinct = (rows: Words["edited"]): Words["edited"] => [
  ...new Map(rows.map((cells) => [cells.join("\n"), cells])).values()
]
