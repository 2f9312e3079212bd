/**
 * One connection to the database file, over `node:sqlite`: for Effect SQL, and for transactions of plain calls.
 *
 * What SQLite refuses is a typed failure. A statement whose preparation failed is prepared anew the next time,
 * and whatever fails in a transaction, its COMMIT included, is followed by a ROLLBACK.
 */
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import { DatabaseSync } from "node:sqlite"
import type { SQLInputValue, StatementSync } from "node:sqlite"
import type { Cell } from "./rows.ts"

/** Runs a statement that gives no rows, and throws what SQLite throws. Prepared once for each text. */
export type Run = (text: string, cells: ReadonlyArray<Cell>) => void

/**
 * BEGIN to COMMIT as plain calls, with nothing of another fiber in between: an effect for each small statement
 * costs more than the statement. What the body throws that is not SQLite's is a defect.
 */
export type Transact = (body: (run: Run) => void) => Effect.Effect<void, SqlError>

export interface Opened {
  readonly connection: Connection
  readonly transact: Transact
}

/** Open until the scope closes. Dies with SQLite's error when the file cannot be opened. */
export const open = (filename: string, readOnly: boolean): Effect.Effect<Opened, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new DatabaseSync(filename, { readOnly })),
      (database) => Effect.sync(() => database.close())
    ),
    (database) => {
      const prepared = statementsOf(database)
      return { connection: connectionOf(database, prepared), transact: transactOn(database, prepared) }
    }
  )

/** SQLite's primary result code of a failure, or null where it is not SQLite's. */
export const resultCode = (cause: unknown): number | null => {
  if (typeof cause !== "object" || cause === null || !("errcode" in cause)) return null
  return typeof cause.errcode === "number" ? cause.errcode & 0xff : null
}

// Prepared statements

interface Prepared {
  readonly statement: StatementSync
  readonly givesRows: boolean
}

type Statements = (text: string) => Prepared

/** More than the program has texts for its writes; a read with an unusual text makes room. */
const preparedMax = 400

const prepare = (database: DatabaseSync, text: string): Prepared => {
  const statement = database.prepare(text)
  return { statement, givesRows: statement.columns().length > 0 }
}

const statementsOf = (database: DatabaseSync): Statements => {
  const known = new Map<string, Prepared>()
  return (text) => {
    const before = known.get(text)
    if (before !== undefined) return before
    const made = prepare(database, text)
    known.set(text, made)
    if (known.size > preparedMax) known.delete(known.keys().next().value!)
    return made
  }
}

/** Effect SQL gives what the program gave it; SQLite checks the types. */
type Values = ReadonlyArray<SQLInputValue>

const step = ({ statement, givesRows }: Prepared, params: ReadonlyArray<unknown>): ReadonlyArray<object> => {
  if (givesRows) return statement.all(...(params as Values))
  statement.run(...(params as Values))
  return []
}

// For Effect SQL

const rollback = "ROLLBACK"

const connectionOf = (database: DatabaseSync, prepared: Statements): Connection => {
  const values = (text: string, params: ReadonlyArray<unknown>) =>
    attempt(() => {
      const anew = prepare(database, text)
      anew.statement.setReturnArrays(true)
      return step(anew, params) as unknown as ReadonlyArray<ReadonlyArray<unknown>>
    })
  const connection: Connection = {
    execute: (text, params, transform) =>
      Effect.map(
        text === rollback ? undoing(database) : attempt(() => step(prepared(text), params)),
        (rows) => transform?.(rows) ?? rows
      ),
    executeUnprepared: (text, params, transform) =>
      Effect.map(
        text === rollback ? undoing(database) : attempt(() => step(prepare(database, text), params)),
        (rows) => transform?.(rows) ?? rows
      ),
    executeRaw: (text, params) => attempt(() => prepared(text).statement.run(...(params as Values))),
    executeValues: values,
    executeValuesUnprepared: values,
    executeStream: () => Stream.die("This connection does not stream")
  }
  return connection
}

const undoing = (database: DatabaseSync): Effect.Effect<ReadonlyArray<object>> =>
  Effect.sync(() => {
    undo(database)
    return []
  })

const attempt = <A>(run: () => A): Effect.Effect<A, SqlError> => Effect.try({ try: run, catch: failure })

const failure = (cause: unknown) => new SqlError({ reason: classifySqliteError(numbered(cause)) })

/** The classification looks for the code under the name that other drivers give it. */
const numbered = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "errcode" in cause && !("errno" in cause)
    ? Object.assign(cause, { errno: cause.errcode })
    : cause

// Transactions

const transactOn = (database: DatabaseSync, prepared: Statements): Transact => {
  const run: Run = (text, cells) => {
    prepared(text).statement.run(...cells)
  }
  return (body) =>
    Effect.suspend(() => {
      try {
        run("BEGIN IMMEDIATE", [])
        body(run)
        run("COMMIT", [])
        return Effect.void
      } catch (cause) {
        undo(database)
        return resultCode(cause) === null ? Effect.die(cause) : Effect.fail(failure(cause))
      }
    })
}

/**
 * SQLite may have rolled back already: then there is nothing to undo. A failure is tried once more, and at
 * once, without a moment in which another fiber would meet the open transaction: a connection that stays in its
 * transaction is of no use any more. Unprepared: what the first try prepared may be what failed.
 */
const undo = (database: DatabaseSync): void => {
  for (let tries = 0; tries < 2 && database.isTransaction; tries++) {
    try {
      database.prepare(rollback).run()
    } catch {
      // What made the undoing necessary is the failure to tell.
    }
  }
}

// Without Effect SQL

/** One look at the database, by a connection of its own. */
export const looked = <A>(filename: string, look: (database: DatabaseSync) => A): A => {
  const database = new DatabaseSync(filename, { readOnly: true })
  try {
    return look(database)
  } finally {
    database.close()
  }
}
