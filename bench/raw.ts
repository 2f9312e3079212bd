/**
 * What SQLite alone takes for the same rows: the engine's row statements are taken down as it runs, then
 * carried out again row by row, each a prepared statement of `node:sqlite`, on a copy of the database as
 * it was before.
 *
 * The engine itself writes many rows per statement; here each row is a statement of its own, as a plain
 * loop would have it.
 */
import { Writer } from "@turnkeeper/server/store/Sqlite"
import { Effect, Layer } from "effect"
import { DatabaseSync } from "node:sqlite"
import type { StatementSync, SQLInputValue } from "node:sqlite"

interface Written {
  readonly text: string
  readonly cells: ReadonlyArray<unknown>
}

/** The row statements of a connection, from `start` on. */
export interface Recording {
  readonly start: () => void
  readonly stop: () => void
  readonly written: ReadonlyArray<Written>
}

interface Recorder extends Recording {
  readonly take: (text: string, cells: ReadonlyArray<unknown>) => void
}

export const makeRecording = (): Recorder => {
  const written: Array<Written> = []
  let running = false
  return {
    written,
    start: () => (running = true),
    stop: () => (running = false),
    take: (text, cells) => {
      if (running && cells.length > 0) written.push({ text, cells })
    }
  }
}

/** The same writer, with all its row statements taken down: a reference each, which costs the run next to nothing. */
export const recorded = (recorder: Recorder) =>
  Layer.effect(
    Writer,
    Effect.map(Writer, (writer) => {
      const transact: Writer["Service"]["transact"] = (body) =>
        writer.transact((run) =>
          body((text, cells) => {
            recorder.take(text, cells)
            run(text, cells)
          })
        )
      return new Proxy(writer, {
        get: (target, name, receiver) =>
          name === "transact" ? transact : (Reflect.get(target, name, receiver) as unknown)
      })
    })
  )

/** A copy of the database as it is at this moment. */
export const copyDatabase = (from: string, to: string) => {
  const database = new DatabaseSync(from, { readOnly: true })
  try {
    database.prepare("VACUUM INTO ?").run(to)
  } finally {
    database.close()
  }
}

export interface RawRun {
  readonly seconds: number
  /** Microseconds of processor. */
  readonly cpu: number
  readonly rows: number
  /** Rows by statement and table, e.g. `insert events`. */
  readonly byStatement: ReadonlyMap<string, number>
}

/** Transactions of so many events and text pieces, with the rows that follow from them. */
const eventsPerTransaction = 100

export const replay = (filename: string, written: ReadonlyArray<Written>): RawRun => {
  const database = new DatabaseSync(filename)
  try {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384")
    const rows = written.flatMap((one) => rowsOf(database, one))
    const authored = rows.filter(({ what }) => what === "insert events" || what === "insert message_chunks")
    const perTransaction = Math.round((eventsPerTransaction * rows.length) / Math.max(1, authored.length))
    const from = performance.now()
    const used = process.cpuUsage()
    for (let at = 0; at < rows.length; at += perTransaction) {
      database.exec("BEGIN IMMEDIATE")
      for (const { statement, cells } of rows.slice(at, at + perTransaction)) statement.run(...cells)
      database.exec("COMMIT")
    }
    const seconds = (performance.now() - from) / 1_000
    const { user, system } = process.cpuUsage(used)
    return {
      seconds,
      cpu: user + system,
      rows: rows.length,
      byStatement: counted(rows.map(({ what }) => what))
    }
  } finally {
    database.close()
  }
}

interface Row {
  readonly what: string
  readonly statement: StatementSync
  readonly cells: ReadonlyArray<SQLInputValue>
}

/** One row's placeholders, with all that follow of its like. */
const tuples = /(\(\?(?:, ?\?)*\))(?:, ?\1)*/

const rowsOf = (database: DatabaseSync, { text, cells }: Written): ReadonlyArray<Row> => {
  const { statement, width, what } = single(database, text)
  if (width === 0 || cells.length % width !== 0) throw new Error(`Not a statement over rows: ${text}`)
  return Array.from({ length: cells.length / width }, (_, n) => ({
    what,
    statement,
    cells: cells.slice(n * width, (n + 1) * width) as ReadonlyArray<SQLInputValue>
  }))
}

interface Single extends Pick<Row, "what" | "statement"> {
  readonly width: number
}

const prepared = new WeakMap<DatabaseSync, Map<string, Single>>()

/** The statement for one row, prepared once per database. */
const single = (database: DatabaseSync, text: string): Single => {
  const known = prepared.get(database) ?? new Map<string, Single>()
  prepared.set(database, known)
  const one = text.replace(tuples, "$1")
  const before = known.get(one)
  if (before !== undefined) return before
  const made: Single = {
    what: nameOf(one),
    statement: database.prepare(one),
    width: one.split("?").length - 1
  }
  known.set(one, made)
  return made
}

const nameOf = (text: string): string => {
  const [, verb, name] = /^\s*(INSERT|UPDATE|DELETE)(?: INTO| FROM)? (\w+)/.exec(text) ?? []
  return `${verb?.toLowerCase()} ${name}`
}

const counted = (names: ReadonlyArray<string>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
