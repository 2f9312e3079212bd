/**
 * What a failure of SQLite means: is the storage in trouble, or only the one change that was written?
 * Decided by SQLite's result code.
 */
import { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { Effect } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { resultCode } from "./Connection.ts"
import { resultCodeOf } from "./Sqlite.ts"

export type Fault =
  /** Nothing can be written or read now: every change fails alike. `retryable`: it may pass. */
  | { readonly type: "storage"; readonly retryable: boolean }
  /** This change does not fit the tables; others do. */
  | { readonly type: "change" }

/** Busy, locked, out of memory, read-only, I/O error, disk full, cannot open. */
const passing = new Set([5, 6, 7, 8, 10, 13, 14])
/** Damaged, or not a database. */
const lasting = new Set([11, 26])

export const faultOf = (error: SqlError): Fault => faultOfCode(resultCodeOf(error))

const faultOfCode = (code: number | null): Fault => {
  if (code !== null && passing.has(code)) return { type: "storage", retryable: true }
  if (code !== null && lasting.has(code)) return { type: "storage", retryable: false }
  return { type: "change" }
}

/** At the edge of a read: the request fails with a typed answer, the log says why. */
export const unavailable = <A, R>(
  read: Effect.Effect<A, SqlError, R>
): Effect.Effect<A, StorageUnavailable, R> =>
  Effect.catchTag(read, "SqlError", (error) =>
    Effect.andThen(
      Effect.logError("A read from the database failed", error),
      Effect.fail(unavailableBy(faultOf(error)))
    )
  )

/** The same for plain calls. What is thrown that is not SQLite's is a defect. */
export const attempt = <A>(calls: () => A): Effect.Effect<A, StorageUnavailable> =>
  Effect.try({ try: calls, catch: (cause) => cause }).pipe(
    Effect.catch((cause) => {
      const code = resultCode(cause)
      if (code === null) return Effect.die(cause)
      return Effect.andThen(
        Effect.logError("The database refused a plain call", cause),
        Effect.fail(unavailableBy(faultOfCode(code)))
      )
    })
  )

const unavailableBy = (fault: Fault) =>
  new StorageUnavailable({ retryable: fault.type === "storage" && fault.retryable })
