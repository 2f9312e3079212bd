/**
 * The database file and the three ways into it.
 *
 * `Writer` belongs to the commit fiber alone, so that a transaction never meets a foreign statement.
 * `Reader` runs single statements, `SnapshotReader` only transactions: a statement of one fiber can then
 * never land inside the older snapshot that another fiber is reading.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { Context, Effect, Layer, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlError } from "effect/sql/SqlError"

/** The one connection that writes. */
export class Writer extends Context.Service<Writer, SqliteClient.SqliteClient>()("server/store/Writer") {}

/** Read-only, for reads of one statement: each sees everything committed before it. */
export class Reader extends Context.Service<Reader, SqliteClient.SqliteClient>()("server/store/Reader") {}

/** Read-only, used through `withTransaction` only: all statements inside see one moment. */
export class SnapshotReader extends Context.Service<SnapshotReader, SqliteClient.SqliteClient>()(
  "server/store/SnapshotReader"
) {}

/** The file cannot be opened as a database: damaged, not a database, not permitted. */
export class DatabaseUnusable extends Schema.TaggedError<DatabaseUnusable>()("DatabaseUnusable", {
  filename: Schema.String,
  /** SQLite's result code, where it gave one. */
  code: Schema.NullOr(Schema.Int),
  reason: Schema.String
}) {}

export interface SqliteOptions {
  readonly filename: string
}

/** Opens the file (made when missing) for as long as the layer lives. */
export const layer = (options: SqliteOptions) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const writer = yield* open(options, false)
      const reader = yield* open(options, true)
      const snapshots = yield* open(options, true)
      return Context.make(Writer, writer).pipe(
        Context.add(Reader, reader),
        Context.add(SnapshotReader, snapshots)
      )
    })
  ).pipe(Layer.provide(Reactivity.layer))

/** SQLite's primary result code of a failure, or null where it is not SQLite's. */
export const resultCode = (cause: unknown): number | null => {
  if (typeof cause !== "object" || cause === null || !("errcode" in cause)) return null
  return typeof cause.errcode === "number" ? cause.errcode & 0xff : null
}

export const resultCodeOf = (error: SqlError): number | null => resultCode(error.reason.cause)

/**
 * A pragma, prepared anew each time: SQLite carries out some of them while preparing, so that a cached
 * statement would do nothing the second time.
 */
export const pragma = (sql: SqliteClient.SqliteClient, text: string) =>
  sql.unsafe(`PRAGMA ${text}`).unprepared

const open = (options: SqliteOptions, readonly: boolean) =>
  SqliteClient.make({ filename: options.filename, readonly, disableWAL: true }).pipe(
    Effect.tap((sql) =>
      Effect.forEach(readonly ? readerPragmas : writerPragmas, (text) => pragma(sql, text))
    ),
    Effect.catchTag("SqlError", (error) => Effect.fail(unusable(options, error.reason.cause))),
    // The driver throws when it cannot open the file.
    Effect.catchDefect((defect) =>
      resultCode(defect) === null ? Effect.die(defect) : Effect.fail(unusable(options, defect))
    )
  )

const unusable = ({ filename }: SqliteOptions, cause: unknown) =>
  new DatabaseUnusable({
    filename,
    code: resultCode(cause),
    reason: cause instanceof Error ? cause.message : "The database cannot be opened"
  })

/** Waiting blocks the event loop, so it is short; one writer and read-only readers hardly ever wait. */
const busyTimeout = "busy_timeout = 1000"

const writerPragmas = [
  busyTimeout,
  // Has to come before the first page is written, which switching to WAL does.
  "auto_vacuum = INCREMENTAL",
  "journal_mode = WAL",
  "synchronous = NORMAL",
  "journal_size_limit = 67108864",
  "cache_size = -16384",
  "temp_store = MEMORY"
]
const readerPragmas = [busyTimeout, "query_only = ON", "cache_size = -8192", "temp_store = MEMORY"]
