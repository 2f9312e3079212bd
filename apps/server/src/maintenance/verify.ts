/**
 * Holds the tables against the log (L15): a copy of the database is made, the tables are made a second time in it
 * from its log, and both are compared row by row. The database itself is only read, and whoever writes to it goes
 * on.
 *
 * It needs room for the copy. What streams is in no event yet and is not compared; neither is a deleted thread
 * whose rows are on their way out.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import type { DatabaseSync } from "node:sqlite"
import { join } from "node:path"
import { isOutdated, projections } from "../projection/Projection.ts"
import { migrated } from "../store/Migrations.ts"
import * as Sqlite from "../store/Sqlite.ts"
import { CopyFailed, backup } from "./backup.ts"
import type { Rebuilt } from "./remake.ts"
import { filling, openBoth, stepwise } from "./remake.ts"
import { shadowOf } from "./shadow.ts"

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

/** What it does now, and how far it is with it, 0 to 1. */
export type Told = (stage: "copying" | "inspecting" | "reading" | "comparing", share: number) => void

/** `directory`: where the copy goes, with as much room as two of the database; it is gone afterwards. */
export const verify = (database: string, directory: string, told: Told = () => {}) =>
  Effect.acquireUseRelease(
    attempt(() => fs.mkdtempSync(join(directory, "verify-"))),
    (place) =>
      Effect.gen(function* () {
        const copy = join(place, "copy.db")
        told("copying", 0)
        yield* backup(database, copy)
        told("inspecting", 0)
        const found = yield* inspected(copy)
        const verdict: Verdict = { ...(yield* compared(copy, found.outdated, told)), ...found }
        return verdict
      }),
    (place) => Effect.sync(() => fs.rmSync(place, { recursive: true, force: true }))
  )

const attempt = <A>(body: () => A) =>
  Effect.try({
    try: body,
    catch: (cause) => new CopyFailed({ reason: cause instanceof Error ? cause.message : String(cause) })
  })

const inspected = (copy: string) =>
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
  }).pipe(Effect.provide(migrated(Sqlite.layer({ filename: copy }))))

const compared = (copy: string, outdated: boolean, told: Told) =>
  Effect.acquireUseRelease(
    attempt(() => openBoth(copy)),
    ({ read, write }) =>
      Effect.gen(function* () {
        // A copy that nobody needs after a power cut.
        yield* attempt(() => write.exec("PRAGMA synchronous = OFF"))
        const rebuilt = yield* stepwise(attempt, filling(write, read), (share) =>
          Effect.sync(() => told("reading", share))
        )
        const differences: Array<Difference> = []
        for (const [index, { table }] of outdated ? [] : projections.entries()) {
          told("comparing", index / projections.length)
          const found = yield* attempt(() => difference(write, table))
          if (found.extra + found.missing > 0) differences.push(found)
          yield* Effect.yieldNow
        }
        return { ...rebuilt, differences }
      }),
    ({ read, write }) =>
      Effect.sync(() => {
        read.close()
        write.close()
      })
  )

const difference = (database: DatabaseSync, table: string): Difference => {
  const rows = (name: string) => `SELECT * FROM ${name} ${table === "projects" ? "" : whole}`
  const count = (one: string, other: string) =>
    Number(
      database.prepare(`SELECT count(*) AS n FROM (${rows(one)} EXCEPT ${rows(other)})`).get()?.["n"] ?? 0
    )
  return { table, missing: count(shadowOf(table), table), extra: count(table, shadowOf(table)) }
}

const whole = `WHERE thread_id NOT IN (SELECT thread_id FROM forgetting WHERE newest_version IS NOT NULL)`
