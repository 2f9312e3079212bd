/**
 * Brings a database to the schema of this program: numbered steps, forward only, each applied once, all
 * missing ones in one transaction. A database of a newer program is refused, not guessed at.
 */
import { Context, Effect, Layer, Schema } from "effect"
import * as Migrator from "effect/sql/Migrator"
import { SqlClient } from "effect/sql/SqlClient"
import first from "./migrations/0001_tables.ts"
import forgetting from "./migrations/0002_forgetting.ts"
import longTexts from "./migrations/0003_long_texts.ts"
import search from "./migrations/0004_search.ts"
import sinceAndBy from "./migrations/0005_since_and_by.ts"
import openTexts from "./migrations/0006_open_texts.ts"
import textsOnce from "./migrations/0007_texts_once.ts"
import { Writer } from "./Sqlite.ts"

const migrations = {
  "0001_tables": first,
  "0002_forgetting": forgetting,
  "0003_long_texts": longTexts,
  "0004_search": search,
  "0005_since_and_by": sinceAndBy,
  "0006_open_texts": openTexts,
  "0007_texts_once": textsOnce
}

/** Number of the newest schema this program knows. */
export const schemaVersion = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name, 10)))

/** The database was written by a newer version of the program. */
export class DatabaseTooNew extends Schema.TaggedError<DatabaseTooNew>()("DatabaseTooNew", {
  found: Schema.Int,
  known: Schema.Int
}) {}

export class MigrationFailed extends Schema.TaggedError<MigrationFailed>()("MigrationFailed", {
  reason: Schema.String
}) {}

/** Resolves when the schema is current; does nothing when it already is. */
export const migrate = Effect.gen(function* () {
  const sql = yield* Writer
  const run = Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: "migrations" })
  yield* run.pipe(
    Effect.provideService(SqlClient, sql),
    Effect.mapError((error) => new MigrationFailed({ reason: error.message }))
  )
  const [newest] = yield* sql<{ id: number }>`SELECT max(migration_id) AS id FROM migrations`.pipe(
    Effect.mapError((error) => new MigrationFailed({ reason: error.message }))
  )
  const found = newest?.id ?? 0
  if (found > schemaVersion) return yield* new DatabaseTooNew({ found, known: schemaVersion })
})

/** The same clients, once the schema is current: nothing that reads or writes tables is built before. */
export const migrated = <R, E, RIn>(sqlite: Layer.Layer<R | Writer, E, RIn>) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const clients = yield* Layer.build(sqlite)
      yield* Effect.provideService(migrate, Writer, Context.get(clients, Writer))
      return clients
    })
  )
