/**
 * A second set of the tables that follow from the log, which a rebuilding fills while the first is in use.
 *
 * Promise: the two change places in one transaction, so that every reader sees the one set or the other. Until
 * then nobody looks at the second; afterwards it holds what is of no use any more. So whatever is found under
 * its names when no rebuilding is under way can go, whether a crash came before the change or behind it.
 */
import { DatabaseSync } from "node:sqlite"
import { projections, projectionVersion } from "../projection/Projection.ts"
import { searchIndex } from "../projection/searchIndex.ts"
import { withinBounds } from "../store/rows.ts"

const suffix = "__anew"

/** The name of a table's second self. What the search index keeps itself in is named after the index. */
export const shadowOf = (table: string): string =>
  table.startsWith(`${searchIndex}_`)
    ? `${searchIndex}${suffix}${table.slice(searchIndex.length)}`
    : `${table}${suffix}`

const tables: ReadonlyArray<string> = [...projections.map(({ table }) => table), searchIndex]
/** Made and dropped with the search index. */
const ofSearchIndex = ["data", "idx", "config"].map((part) => `${searchIndex}_${part}`)

/** A table or an index, as the schema has it. */
interface Part {
  readonly type: string
  readonly name: string
  readonly table: string
  readonly sql: string
  readonly rootpage: number
}

const partsOf = (database: DatabaseSync, tables: ReadonlyArray<string>): ReadonlyArray<Part> =>
  database
    .prepare(
      `SELECT type, name, tbl_name AS "table", coalesce(sql, '') AS sql, rootpage FROM sqlite_schema
        WHERE tbl_name IN (SELECT value FROM json_each(?)) ORDER BY rowid`
    )
    .all(JSON.stringify(tables)) as unknown as ReadonlyArray<Part>

/** Makes the second set, empty, if it is not there. Call inside a transaction, when nothing of an earlier one is left. */
export const createShadow = (database: DatabaseSync) => {
  if (Number(database.prepare(countLeft).get()?.["n"]) > 0) return
  for (const { name, sql, table, type } of partsOf(database, tables)) {
    // An index of a constraint comes with its table.
    if (sql === "") continue
    const renamed = sql.replace(new RegExp(`\\b${name}\\b`), shadowOf(name))
    database.exec(
      type === "index" ? renamed.replace(new RegExp(`\\bON ${table}\\b`), `ON ${shadowOf(table)}`) : renamed
    )
  }
  mergeSegments(database, segments.filling)
}

/**
 * How many segments of one size the search index gathers before it makes one of them, little by little: few are
 * searched faster, and many are merged less often. Well below 16, where it would make one of them at once.
 */
const segments = { filling: 8, inUse: 4 } as const

const mergeSegments = (database: DatabaseSync, count: number) => {
  const index = shadowOf(searchIndex)
  database.exec(`INSERT INTO ${index} (${index}, rank) VALUES ('automerge', ${count})`)
}

/**
 * The sets change places: each name gets the other one's pages, and nothing is copied. Call inside a transaction
 * on a connection that may write to the schema and is used for nothing else afterwards.
 *
 * The schema itself is written to because the indexes have to keep their names, and SQLite has no statement
 * that renames one. Both sets were made by the same statements, so that only their pages differ.
 */
const switchOver = (database: DatabaseSync) => {
  const all = [...tables, ...ofSearchIndex]
  const pages = new Map(
    partsOf(database, all.map(shadowOf)).map(({ name, rootpage }) => [name, rootpage] as const)
  )
  const version = Number(database.prepare("PRAGMA schema_version").get()?.["schema_version"])
  database.exec("PRAGMA writable_schema = ON")
  const place = database.prepare("UPDATE sqlite_schema SET rootpage = ? WHERE name = ?")
  for (const { name, rootpage, table } of partsOf(database, all)) {
    const shadow = name.startsWith("sqlite_autoindex_")
      ? name.replace(table, shadowOf(table))
      : shadowOf(name)
    const page = pages.get(shadow)
    if (page === undefined) throw new Error(`${name} has no ${shadow}`)
    place.run(page, name)
    place.run(rootpage, shadow)
  }
  // Every connection reads the schema anew.
  database.exec(`PRAGMA schema_version = ${version + 1}; PRAGMA writable_schema = OFF`)
}

/** Ends a rebuilding: the second set comes into use, as what this program makes. Call like `switchOver`. */
export const concluded = (database: DatabaseSync) => {
  setVersion(database)
  mergeSegments(database, segments.inUse)
  switchOver(database)
}

/** The tables in use are what this program makes of the log. */
export const setVersion = (database: DatabaseSync) =>
  database
    .prepare(
      "INSERT INTO meta (key, value) VALUES ('projections', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    )
    .run(String(projectionVersion))

/** Neither the log nor a table has anything: so it is in a new database, and there is nothing to make. */
export const isEmpty = (database: DatabaseSync): boolean =>
  database
    .prepare(
      `SELECT 1 WHERE ${["events", ...projections.map(({ table }) => table)]
        .map((table) => `EXISTS (SELECT 1 FROM ${table})`)
        .join(" OR ")}`
    )
    .get() === undefined

/** Of one step of clearing away. */
const stepBounds = { rows: 500, bytes: 4 * 1024 * 1024 } as const

/** Counts what there is of a second set. Reads the schema alone. */
export const countLeft = `SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table'
  AND name IN (${tables.map((table) => `'${shadowOf(table)}'`).join(", ")})`

/**
 * Takes away some of what is left of a second set; whether there may be more. In small steps, because freeing the
 * pages of a large table at once would hold the commits up for as long. Call inside a transaction.
 */
export const clearStep = (database: DatabaseSync): boolean => {
  const left = new Set(partsOf(database, tables.map(shadowOf)).map(({ table }) => table))
  for (const name of tables.map(shadowOf)) {
    if (!left.has(name)) continue
    // What the search index keeps itself in is emptied first, and goes with it.
    const emptied = name === shadowOf(searchIndex) ? ofSearchIndex.slice(0, 2).map(shadowOf) : [name]
    if (!emptied.some((table) => removeSome(database, table) > 0)) database.exec(`DROP TABLE ${name}`)
    return true
  }
  return false
}

/** Sizes first: one step never frees more than a bounded number of pages. How many rows went. */
const removeSome = (database: DatabaseSync, table: string): number => {
  const columns = database.prepare("SELECT name, pk FROM pragma_table_info(?)").all(table)
  const kind = database.prepare("SELECT wr FROM pragma_table_list(?)").get(table)
  const key =
    kind?.["wr"] === 1 ? columns.filter(({ pk }) => Number(pk) > 0).map(({ name }) => name) : ["rowid"]
  const keys = key.join(", ")
  const bytes = columns.map(({ name }) => `coalesce(octet_length(${String(name)}), 0)`).join(" + ")
  const sized = database
    .prepare(`SELECT ${bytes} AS bytes FROM ${table} ORDER BY ${keys} LIMIT ${stepBounds.rows}`)
    .all()
    .map((row) => ({ bytes: Number(row["bytes"]) }))
  if (sized.length === 0) return 0
  const count = withinBounds(sized, stepBounds)
  database.exec(
    `DELETE FROM ${table} WHERE (${keys}) IN (SELECT ${keys} FROM ${table} ORDER BY ${keys} LIMIT ${count})`
  )
  return count
}

/** BEGIN to COMMIT; undone whatever is thrown. */
export const inTransaction = <A>(database: DatabaseSync, body: () => A): A => {
  database.exec("BEGIN IMMEDIATE")
  try {
    const made = body()
    database.exec("COMMIT")
    return made
  } catch (cause) {
    // SQLite may have rolled back already.
    if (database.isTransaction) database.exec("ROLLBACK")
    throw cause
  }
}

/** How long SQLite tries where another process works on the file, too. */
export const busyMillis = 5_000

/** A connection that may do all of the above. Its author writes only while the one writer lends its pen. */
export const openShadow = (filename: string): DatabaseSync => {
  const database = new DatabaseSync(filename, { defensive: false })
  database.exec(
    `PRAGMA busy_timeout = ${busyMillis}; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768`
  )
  // What is checked is what the program writes, and the rows are made by what makes them for the commits.
  database.exec("PRAGMA ignore_check_constraints = ON")
  return database
}
