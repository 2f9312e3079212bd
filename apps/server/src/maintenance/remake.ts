/**
 * Makes the tables anew where nobody else writes: before the doors open, and in a copy; a short log in this thread,
 * a page at a time. As beside the work, a second set of tables is made and put in the place of the first, so
 * that a crash leaves the old ones in use.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { Clock, Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { DatabaseSync } from "node:sqlite"
import { looked } from "../store/Connection.ts"
import { attempt, unavailable } from "../store/storageFault.ts"
import { readingLog, runsOf } from "./Anew.ts"
import { madeByThreads } from "./threads.ts"
import {
  clearStep,
  concluded,
  createShadow,
  inTransaction,
  isEmpty,
  openShadow,
  setVersion,
  shadowOf
} from "./shadow.ts"

export interface Rebuilt {
  readonly events: number
  readonly unreadable: number
}

/** The file of a database. */
export const fileOf = (sql: SqlClient): Effect.Effect<string, StorageUnavailable> =>
  unavailable(sql<{ file: string }>`SELECT file FROM pragma_database_list WHERE name = 'main'`).pipe(
    Effect.map(([main]) => main?.file ?? "")
  )

/**
 * All tables of the database, whose only writer calls it and waits. Readers see the old rows until it is done.
 * The old tables are left under the names of the second set.
 */
export const remade = (filename: string): Effect.Effect<Rebuilt, StorageUnavailable> =>
  Effect.gen(function* () {
    const say = yield* sayingShare
    const { events, unreadable } = yield* (yield* attempt(() => looked(filename, isLong)))
      ? Effect.andThen(
          leftCleared(filename),
          madeByThreads(
            filename,
            (work) => work,
            ({ share }) => say(share)
          )
        )
      : remadeHere(filename, say)
    if (events > 0) {
      yield* Effect.logInfo(`Made the tables anew: ${events} events, ${unreadable} of them unreadable`)
    }
    return { events, unreadable }
  })

/** Threads of its own begin to pay from so many events on. */
const longLog = 100_000

const isLong = (database: DatabaseSync): boolean =>
  Number(database.prepare("SELECT max(sequence) AS n FROM events").get()?.["n"]) >= longLog

const remadeHere = (filename: string, told: (share: number) => Effect.Effect<void>) =>
  Effect.acquireUseRelease(
    attempt(() => openBoth(filename)),
    (both) => remadeBy(both, told),
    ({ read, write }) =>
      Effect.sync(() => {
        read.close()
        write.close()
      })
  )

interface Both {
  readonly write: DatabaseSync
  readonly read: DatabaseSync
}

export const openBoth = (filename: string): Both => {
  const write = openShadow(filename)
  try {
    return { write, read: new DatabaseSync(filename, { readOnly: true }) }
  } catch (cause) {
    write.close()
    throw cause
  }
}

const remadeBy = ({ read, write }: Both, told: (share: number) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    if (yield* attempt(() => isEmpty(write))) {
      yield* attempt(() => setVersion(write))
      return { events: 0, unreadable: 0 }
    }
    const rebuilt = yield* stepwise(attempt, filling(write, read), told)
    yield* attempt(() => inTransaction(write, () => concluded(write)))
    return rebuilt
  })

/** Takes away what a rebuilding has left, where nobody else writes. */
export const leftCleared = (filename: string): Effect.Effect<void, StorageUnavailable> =>
  Effect.acquireUseRelease(
    attempt(() => openShadow(filename)),
    (write) => stepwise(attempt, clearing(write), () => Effect.void),
    (write) => Effect.sync(() => write.close())
  )

/** Makes the second set of the tables; a step for each page of the log, which says how far it is, 0 to 1. */
export function* filling(write: DatabaseSync, read: DatabaseSync): Generator<number, Rebuilt> {
  yield* clearing(write)
  inTransaction(write, () => createShadow(write))
  const next = readingLog(read)
  const runs = runsOf(write, shadowOf)
  let events = 0
  let unreadable = 0
  for (let complete = false; !complete;) {
    const page = next()
    inTransaction(write, () => {
      for (const run of runs(page)) run()
    })
    events += page.events
    unreadable += page.unreadable
    complete = page.complete
    yield page.share
  }
  return { events, unreadable }
}

function* clearing(write: DatabaseSync): Generator<number, void> {
  while (inTransaction(write, () => clearStep(write))) yield 0
}

/** To its end, step by step: the rest of the process gets its turn between two. */
export const stepwise = <A, E>(
  attempt: <B>(body: () => B) => Effect.Effect<B, E>,
  steps: Generator<number, A>,
  told: (share: number) => Effect.Effect<void>
): Effect.Effect<A, E> =>
  Effect.gen(function* () {
    for (;;) {
      const step = yield* attempt(() => steps.next())
      if (step.done === true) return step.value
      yield* told(step.value)
      yield* Effect.yieldNow
    }
  })

const saidEveryMs = 3_000

/** Whoever waits for the start of a server is told now and then how far it is. */
const sayingShare = Effect.map(Clock.currentTimeMillis, (begun) => {
  let said = begun
  return (share: number) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (now - said < saidEveryMs) return Effect.void
      said = now
      return Effect.logInfo(`Making the tables anew from the log: ${Math.floor(share * 100)} %`)
    })
})
