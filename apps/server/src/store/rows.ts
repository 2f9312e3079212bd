/**
 * Rows in sets: many rows per statement on the way in, checked rows on the way out.
 *
 * Writing costs a statement per few hundred rows, not per row. Reading one unreadable row never spoils
 * the others: it is left out, counted and reported.
 */
import { Effect, Metric, Schema } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Run } from "./Connection.ts"

export type Cell = string | number | null | Uint8Array
export type Cells = ReadonlyArray<Cell>

/** What a table is called where the rows go. A rebuilding fills tables of other names. */
export type Named = (table: string) => string
const asItIs: Named = (table) => table

/** A statement that takes any number of rows of `width` cells. */
export interface RowStatement {
  readonly width: number
  readonly text: (values: string, named: Named) => string
}

/** A statement with all its rows: what is to be written, whoever writes it. */
export interface Write {
  readonly statement: RowStatement
  readonly rows: ReadonlyArray<Cells>
}

/** `INSERT INTO table (columns) VALUES … tail`. */
export const insertInto = (table: string, columns: ReadonlyArray<string>, tail = ""): RowStatement => ({
  width: columns.length,
  text: (values, named) => `INSERT INTO ${named(table)} (${columns.join(", ")}) VALUES ${values} ${tail}`
})

/** Any statement over rows; in `text` the rows' cells are called column1, column2 … of `values`. */
export const overRows = (width: number, text: RowStatement["text"]): RowStatement => ({
  width,
  text: (values, named) => text(`(VALUES ${values})`, named)
})

/** Runs the statement for all rows. A few fixed sizes, so that each is prepared once and found again. */
export const runRows = (
  sql: SqlClient,
  statement: RowStatement,
  rows: ReadonlyArray<Cells>
): Effect.Effect<void, SqlError> => {
  if (rows.length === 0) return Effect.void
  return Effect.forEach(
    chunksOf(rows),
    (chunk) => sql.unsafe(textOf(statement, chunk.length), chunk.flat()),
    {
      discard: true
    }
  )
}

/** The same as plain calls, inside a transaction of them. */
export const runWrite = (run: Run, { statement, rows }: Write): void => {
  for (const chunk of chunksOf(rows)) run(textOf(statement, chunk.length), cellsOf(chunk))
}

/** One after another; several times as fast as `flat`. */
export const cellsOf = (rows: ReadonlyArray<Cells>): ReadonlyArray<Cell> => {
  const cells: Array<Cell> = []
  for (const row of rows) for (const cell of row) cells.push(cell)
  return cells
}

const sizes = [256, 64, 32, 16, 8, 4, 2, 1]

/** The rows in sets of those sizes. */
export const chunksOf = (rows: ReadonlyArray<Cells>): ReadonlyArray<ReadonlyArray<Cells>> => {
  const chunks: Array<ReadonlyArray<Cells>> = []
  let at = 0
  for (const size of sizes) {
    for (; rows.length - at >= size; at += size) chunks.push(rows.slice(at, at + size))
  }
  return chunks
}

const texts = new WeakMap<RowStatement, Map<number, string>>()

const textOf = (statement: RowStatement, rows: number): string => {
  const known = texts.get(statement) ?? new Map<number, string>()
  texts.set(statement, known)
  const text = known.get(rows) ?? statement.text(placesOf(statement, rows), asItIs)
  known.set(rows, text)
  return text
}

/** The places of so many rows' cells. */
export const placesOf = ({ width }: RowStatement, rows: number): string =>
  Array(rows)
    .fill(`(${Array(width).fill("?")})`)
    .join(",")

/** Rows that could not be read, by table. */
export const unreadableRows = Metric.counter("turnkeeper_unreadable_rows", {
  description: "Stored rows that were left out because they could not be read",
  incremental: true
})

export const reportUnreadable = (table: string, count: number) =>
  count === 0
    ? Effect.void
    : Effect.andThen(
        Metric.update(Metric.withAttributes(unreadableRows, { table }), count),
        Effect.logWarning(`Left out ${count} unreadable row(s) of ${table}`)
      )

/** Makes checked rows of what SQLite gives. `json` names the columns that hold JSON. */
export const rowReader = <A>(
  table: string,
  schema: Schema.Schema<A>,
  { json = [] }: { readonly json?: ReadonlyArray<string> } = {}
) => {
  // Rows are checked as this program writes them; reading an unknown word tolerantly is for clients.
  const isRow = Schema.is(schema)
  const readOne = (row: Record<string, unknown>): A | null => {
    const cells: Record<string, unknown> = { ...row }
    for (const name of json) {
      const parsed = parseJson(cells[name])
      if (parsed === unparsable) return null
      cells[name] = parsed
    }
    return isRow(cells) ? cells : null
  }
  return (rows: ReadonlyArray<object>): Effect.Effect<ReadonlyArray<A>> => {
    const read = rows.map((row) => readOne(row as Record<string, unknown>)).filter((row) => row !== null)
    return Effect.as(reportUnreadable(table, rows.length - read.length), read)
  }
}

export const unparsable = Symbol("unparsable")

/** null stays null; what is no JSON is `unparsable`, never a throw. */
export const parseJson = (text: unknown): unknown => {
  if (text === null) return null
  if (typeof text !== "string") return unparsable
  try {
    return JSON.parse(text)
  } catch {
    return unparsable
  }
}

/** How many of `sized`, from the front, stay within both bounds; at least one where there is one. */
export const withinBounds = (
  sized: ReadonlyArray<{ readonly bytes: number }>,
  bounds: { readonly rows: number; readonly bytes: number }
): number => {
  let total = 0
  let count = 0
  for (const { bytes } of sized) {
    if (count === bounds.rows) break
    total += bytes
    if (count > 0 && total > bounds.bytes) break
    count += 1
  }
  return count
}
