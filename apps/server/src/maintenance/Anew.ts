/**
 * Reads the log from its beginning and fills tables from it, page by page, on connections of its own: no effect
 * and no statement per event. By the very rules of the commit (`foldedFrom`, what each table `writes`), so that it
 * makes the same rows (L15).
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"
import { foldedFrom, projections } from "../projection/Projection.ts"
import { standIn, textForRows } from "../projection/rowText.ts"
import type { Words } from "../projection/searchIndex.ts"
import { addWords, presentIds, promptId, removePrompts, taken, wordsOf } from "../projection/searchIndex.ts"
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

/** Streams by their names: those behind `after` up to `upTo`, and with it, or all but those. */
export interface Part {
  readonly after: string
  readonly upTo: string
  readonly between: boolean
}
const allOfIt: Part = { after: "", upTo: "", between: false }

/** Two parts with about as many events each. A thread's are all in one of them, and so is every other stream. */
export const halves = (database: DatabaseSync): ReadonlyArray<Part> => {
  const { after, upTo } = halfOf(sizesOf(database))
  return [true, false].map((between) => ({ after, upTo, between }))
}

interface Size {
  readonly stream: string
  readonly events: number
}

/** By the tables in use. Where they cannot be read they have to be made anew all the same: then one part is all. */
const sizesOf = (database: DatabaseSync): ReadonlyArray<Size> => {
  try {
    return database
      .prepare("SELECT thread_id AS id, version FROM threads ORDER BY thread_id")
      .all()
      .map(({ id, version }) => ({ stream: threadStream(String(id)), events: Number(version) }))
  } catch {
    return []
  }
}

/**
 * Neighbours in the order of their names that have together as nearly half of the events as any: a first few
 * alone may be far from it, where one thread has much.
 */
export const halfOf = (sizes: ReadonlyArray<Size>): Pick<Part, "after" | "upTo"> => {
  const total = sizes.reduce((sum, { events }) => sum + events, 0)
  let best = { after: "", upTo: "", off: total }
  let inside = 0
  let first = 0
  for (const { events, stream } of sizes) {
    inside += events
    // Without its first ones, as long as that is nearer to the half.
    while (2 * inside - total > sizes[first]!.events) inside -= sizes[first++]!.events
    const off = Math.abs(2 * inside - total)
    if (off < best.off) best = { after: sizes[first - 1]?.stream ?? "", upTo: stream, off }
  }
  return best
}

/** Large, so that the rows of one table are written together: a page of the file that takes many of them, once. */
export const pageBounds = { rows: 32_768, bytes: 64 * 1024 * 1024 } as const

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
  const readings = readingRows(database, part)
  const recordOf = recordReader()
  const states = new Map<ThreadId, ThreadState>()
  return () => {
    const page = gathering(states, forgotten)
    const seen = { rows: 0, events: 0, bytes: 0, last: 0, complete: false }
    for (const { complete, last, rows } of readings()) {
      for (const cells of rows) {
        const row = rowOf(cells)
        seen.bytes += lengthOf(row)
        const record = recordOf(row)
        if (record === null) continue
        page.add(record)
        seen.events += 1
      }
      seen.rows += rows.length
      seen.last = last
      seen.complete = complete
      if (complete || seen.rows >= pageBounds.rows || seen.bytes >= pageBounds.bytes) break
    }
    const { complete, events, last, rows } = seen
    return {
      ...page.all(),
      events,
      unreadable: rows - events,
      share: complete || newest === 0 ? 1 : Math.min(1, last / newest),
      complete
    }
  }
}

/** Few, because there is no other bound on the bytes of one reading, and a provider's line may have 16 MiB. */
const readAtOnce = 32
/**
 * Readings of one transaction. One that begins after somebody's commit has nothing in its cache; while it is open, the
 * log is held against a checkpoint.
 */
const readingsInARow = 16

/** Goes on where it was left, for as long as it is asked. */
const readingRows = (database: DatabaseSync, { after, between, upTo }: Part) => {
  const read = database.prepare(
    `SELECT sequence, stream, version, event_version, payload, ${textForRows}, cause, at FROM events
      WHERE sequence > ? AND (stream > ? AND stream <= ?) = ?
      ORDER BY sequence LIMIT ${readAtOnce}`
  )
  // Several times as fast as rows by their columns' names, and one by one.
  read.setReturnArrays(true)
  let last = 0
  return function* () {
    for (;;) {
      database.exec("BEGIN")
      try {
        for (let n = 0; n < readingsInARow; n++) {
          const rows = read.all(last, after, upTo, Number(between)) as unknown as ReadonlyArray<RowCells>
          last = rows.at(-1)?.[0] ?? last
          yield { rows, last, complete: rows.length < readAtOnce }
        }
      } finally {
        if (database.isTransaction) database.exec("COMMIT")
      }
    }
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

/** Messages that come to the index in one run: they are looked up together, and their texts are held. */
const addedAtOnce = readAtOnce

const indexing = (database: DatabaseSync, named: Named) => {
  const prompt = database.prepare(promptId(named))
  const textsOf = lookingUp(database, named)
  const add = database.prepare(addWords(named))
  return function* ({ edited, found }: Words): Generator<Run, void> {
    const known = new Map(found.map(([id, text]) => [Number(id), String(text)]))
    // What was read of it, if it was read, may not be its last words.
    for (const row of edited.flatMap((cells) => prompt.all(...cells))) known.set(Number(row["id"]), standIn)
    const ids = [...known.keys()].sort((a, b) => a - b)
    for (let from = 0; from < ids.length; from += addedAtOnce) {
      yield () => {
        const some = ids.slice(from, from + addedAtOnce)
        const texts = textsOf(some, known)
        for (const id of some) {
          const text = texts.get(id)
          if (text !== undefined) add.run(id, text)
        }
      }
    }
  }
}

/** Search id to text, of those that a row has; a text that is not known is read. */
const lookingUp = (database: DatabaseSync, named: Named) => {
  const present = database.prepare(presentIds(named))
  const words = database.prepare(wordsOf(named))
  return (ids: ReadonlyArray<number>, known: ReadonlyMap<number, string>): ReadonlyMap<number, string> => {
    const isKnown = (id: number) => known.get(id) !== standIn
    const unknown = ids.filter((id) => !isKnown(id))
    return new Map([
      ...rowsOf<[number, string]>(words, unknown),
      ...rowsOf<[number]>(present, ids.filter(isKnown)).map(([id]) => [id, known.get(id)!] as const)
    ])
  }
}

const rowsOf = <Row>(statement: StatementSync, ids: ReadonlyArray<number>): ReadonlyArray<Row> => {
  if (ids.length === 0) return []
  statement.setReturnArrays(true)
  return statement.all(JSON.stringify(ids)) as unknown as ReadonlyArray<Row>
}

const distinct = (rows: Words["edited"]): Words["edited"] => [
  ...new Map(rows.map((cells) => [cells.join("\n"), cells])).values()
]
