/**
 * The database file and the three ways into it.
 *
 * `Writer` belongs to the commit fiber alone, so that a transaction never meets a foreign statement.
 * `Reader` runs single statements, `SnapshotReader` only transactions: a statement of one fiber can then
 * never land inside the older snapshot that another fiber is reading.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { Context, Effect, Layer, Schema, Semaphore } from "effect"
import { Reactivity } from "effect/reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import { makeCompilerSqlite } from "effect/sql/Statement"

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
    Effect.flatMap(steady),
    Effect.tap((sql) =>
      Effect.forEach(readonly ? readerPragmas : writerPragmas, (text) => pragma(sql, text))
    ),
    Effect.catchTag("SqlError", (error) => Effect.fail(unusable(options, error.reason.cause))),
    // The driver throws when it cannot open the file.
    Effect.catchDefect((defect) =>
      resultCode(defect) === null ? Effect.die(defect) : Effect.fail(unusable(options, defect))
    )
  )

/**
 * The same client on a connection that recovers from what a disk may do. The package's own keeps the failure
 * to prepare a statement for minutes, throws where it should fail, and stays in a transaction whose end failed.
 */
const steady = (client: SqliteClient.SqliteClient) =>
  Effect.gen(function* () {
    const connection = recovering(yield* Effect.scoped(client.reserve))
    const transactions = yield* Semaphore.make(1)
    const made = yield* SqlClient.make({
      acquirer: Effect.succeed(connection),
      transactionAcquirer: Effect.as(transactions.takeScoped(1), connection),
      onCommitFailure: () => Effect.asVoid(connection.executeUnprepared(rollback, [], undefined)),
      driver: client.driver,
      compiler: makeCompilerSqlite(),
      spanAttributes: []
    })
    const { config, backup, loadExtension } = client
    const own = { [SqliteClient.TypeId]: SqliteClient.TypeId, config, backup, loadExtension } as const
    return Object.assign(made, own) as SqliteClient.SqliteClient
  })

const rollback = "ROLLBACK"

const recovering = (connection: Connection): Connection => {
  /** Statements whose preparation failed once. As many at most as the program has texts. */
  const unprepared = new Set<string>()
  const executeUnprepared: Connection["executeUnprepared"] = (...statement) => {
    const run = failing(() => connection.executeUnprepared(...statement))
    // SQLite may have rolled back already: then there is nothing to undo, which is what was wanted. It is tried
    // once more all the same, and at once, without a sleep in which another fiber would meet the open
    // transaction: a connection that stays in its transaction is of no use any more.
    return statement[0] === rollback
      ? run.pipe(
          Effect.catch(() => run),
          Effect.orElseSucceed(() => [])
        )
      : run
  }
  return {
    ...connection,
    executeUnprepared,
    executeValuesUnprepared: (...statement) =>
      failing(() => connection.executeValuesUnprepared(...statement)),
    execute: (...statement) => {
      const [text] = statement
      if (unprepared.has(text)) return executeUnprepared(...statement)
      // Not tried again at once: SQLite may have undone the transaction that this statement belongs to.
      return Effect.tapError(connection.execute(...statement), (error) =>
        Effect.sync(() => error.reason.operation === "prepare" && unprepared.add(text))
      )
    }
  }
}

/** What SQLite throws is a failure like any other; what is thrown otherwise stays a defect. */
const failing = <A>(run: () => Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
  Effect.catchDefect(Effect.suspend(run), (defect) =>
    resultCode(defect) === null
      ? Effect.die(defect)
      : Effect.fail(new SqlError({ reason: classifySqliteError(defect, { operation: "prepare" }) }))
  )

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
