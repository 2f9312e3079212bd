/**
 * Holds the tables against the log (L15): a copy of the database is made, its tables are made anew from its
 * log, and both are compared row by row. The database itself is only read, and whoever writes to it goes on.
 *
 * It needs room for two copies. What streams is in no event yet and is not compared; neither is a deleted
 * thread whose rows are on their way out.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as fs from "node:fs"
import { join } from "node:path"
import type { Rebuilt } from "../projection/Projection.ts"
import { isOutdated, projections, rebuildAll } from "../projection/Projection.ts"
import { migrated } from "../store/Migrations.ts"
import * as Sqlite from "../store/Sqlite.ts"
import { CopyFailed, backup } from "./backup.ts"

export interface Difference {
  readonly table: string
  /** Rows that the log says and the table has not, or has otherwise. */
  readonly missing: number
  /** Rows of the table that the log does not say, or says otherwise. */
  readonly extra: number
}

export interface Verdict extends Rebuilt {
  readonly differences: ReadonlyArray<Difference>
  /** What SQLite itself finds wrong with the file; empty where it is sound. */
  readonly damage: ReadonlyArray<string>
  /** The tables were made by another version of the program: its next start makes them anew, so they are not compared. */
  readonly outdated: boolean
}

/** `directory`: where the copies go, with as much room as two of the database; they are gone afterwards. */
export const verify = (database: string, directory: string) =>
  Effect.acquireUseRelease(
    Effect.try({
      try: () => fs.mkdtempSync(join(directory, "verify-")),
      catch: (cause) => new CopyFailed({ reason: String(cause) })
    }),
    (place) =>
      Effect.gen(function* () {
        const [was, anew] = [join(place, "was.db"), join(place, "anew.db")]
        yield* backup(database, was)
        const { damage, outdated } = yield* inspected(was)
        yield* backup(was, anew)
        return yield* compared(was, anew, { damage, outdated })
      }),
    (place) => Effect.sync(() => fs.rmSync(place, { recursive: true, force: true }))
  )

const inspected = (was: string) =>
  Effect.gen(function* () {
    const sql = yield* Sqlite.Writer
    const outdated = yield* isOutdated(sql)
    const [row] = yield* Sqlite.pragma(sql, "integrity_check(1)")
    const said = String(Object.values(row ?? {})[0] ?? "")
    const index = yield* Effect.exit(
      sql`INSERT INTO message_search (message_search, rank) VALUES ('integrity-check', 1)`
    )
    const damage = [
      ...(said === "ok" ? [] : [said]),
      ...(outdated || index._tag === "Success" ? [] : ["The search index is not that of the messages"])
    ]
    return { damage, outdated }
  }).pipe(Effect.provide(migrated(Sqlite.layer({ filename: was }))))

const compared = (was: string, anew: string, found: Pick<Verdict, "damage" | "outdated">) =>
  Effect.gen(function* () {
    const sql = yield* Sqlite.Writer
    yield* sql`BEGIN`
    const rebuilt = yield* rebuildAll(sql)
    yield* sql`COMMIT`
    yield* sql`ATTACH ${was} AS was`
    const all = found.outdated
      ? []
      : yield* Effect.forEach(projections, ({ table }) => difference(sql, table))
    const verdict: Verdict = {
      ...rebuilt,
      ...found,
      differences: all.filter(({ extra, missing }) => extra + missing > 0)
    }
    return verdict
  }).pipe(Effect.provide(migrated(Sqlite.layer({ filename: anew }))))

const difference = (sql: SqlClient, table: string): Effect.Effect<Difference, SqlError> =>
  Effect.gen(function* () {
    const rows = (schema: string) => `SELECT * FROM ${schema}.${table} ${table === "projects" ? "" : whole}`
    const count = (one: string, other: string) =>
      Effect.map(
        sql.unsafe<{ n: number }>(`SELECT count(*) AS n FROM (${rows(one)} EXCEPT ${rows(other)})`),
        ([row]) => row?.n ?? 0
      )
    return { table, missing: yield* count("main", "was"), extra: yield* count("was", "main") }
  })

const whole = `WHERE thread_id NOT IN (
  SELECT thread_id FROM was.forgetting WHERE newest_version IS NOT NULL
)`
