/**
 * The database file and the three ways into it.
 *
 * `Writer` belongs to the commit fiber alone, so that a transaction never meets a foreign statement.
 * `Reader` runs single statements, `SnapshotReader` only transactions: a statement of one fiber can then
 * never land inside the older snapshot that another fiber is reading.
 */
import { Context, Effect, Layer, Schema, Semaphore } from "effect"
import { Reactivity } from "effect/reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { makeCompilerSqlite } from "effect/sql/Statement"
import * as Connection from "./Connection.ts"
import { resultCode } from "./Connection.ts"

/** The one connection that writes. */
export class Writer extends Context.Service<
  Writer,
  SqlClient.SqlClient & { readonly transact: Connection.Transact }
>()("server/store/Writer") {}

/** Read-only, for reads of one statement: each sees everything committed before it. */
export class Reader extends Context.Service<Reader, SqlClient.SqlClient>()("server/store/Reader") {}

/** Read-only, used through `withTransaction` only: all statements inside see one moment. */
export class SnapshotReader extends Context.Service<SnapshotReader, SqlClient.SqlClient>()(
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

export const resultCodeOf = (error: SqlError): number | null => resultCode(error.reason.cause)

/**
 * A pragma, prepared anew each time: SQLite carries out some of them while preparing, so that a cached
 * statement would do nothing the second time.
 */
export const pragma = (sql: SqlClient.SqlClient, text: string) => sql.unsafe(`PRAGMA ${text}`).unprepared

const open = (options: SqliteOptions, readonly: boolean) =>
  Connection.open(options.filename, readonly).pipe(
    Effect.flatMap(clientOn),
    Effect.tap((sql) =>
      Effect.forEach(readonly ? readerPragmas : writerPragmas, (text) => pragma(sql, text))
    ),
    Effect.catchTag("SqlError", (error) => Effect.fail(unusable(options, error.reason.cause))),
    Effect.catchDefect((defect) =>
      resultCode(defect) === null ? Effect.die(defect) : Effect.fail(unusable(options, defect))
    )
  )

const clientOn = ({ connection, transact }: Connection.Opened) =>
  Effect.gen(function* () {
    const transactions = yield* Semaphore.make(1)
    const client = yield* SqlClient.make({
      acquirer: Effect.succeed(connection),
      transactionAcquirer: Effect.as(transactions.takeScoped(1), connection),
      onCommitFailure: () => Effect.asVoid(connection.executeUnprepared("ROLLBACK", [], undefined)),
      driver: "sqlite-node",
      compiler: makeCompilerSqlite(),
      spanAttributes: []
    })
    return Object.assign(client, { transact })
  })

const unusable = ({ filename }: SqliteOptions, cause: unknown) => {
  const code = resultCode(cause)
  const reason = cause instanceof Error ? cause.message : "The database cannot be opened"
  return new DatabaseUnusable({
    filename,
    code,
    reason: code === damaged || code === notADatabase ? `it is damaged (${reason}). ${advice}` : reason
  })
}

/** SQLite's result codes. */
const damaged = 11
const notADatabase = 26
const advice = "Nothing was changed: put a copy of it back, or move it away to begin anew."

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
