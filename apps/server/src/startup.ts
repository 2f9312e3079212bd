/**
 * From a directory to a server that answers, in this order: the lock, the database with its migrations, the
 * tables, the truth about live sessions, what is still owed, and only then the door.
 */
import { Effect } from "effect"
import { Reconciler } from "./reconciler/Reconciler.ts"

/** Everything before the door. Layers have opened and migrated by the time this runs. */
export const beforeListening = Effect.gen(function* () {
  const reconciler = yield* Reconciler
  const { threads, unknown } = yield* reconciler.atStartUp
  if (threads > 0) yield* Effect.logInfo(`Looked after ${threads} threads that were not at rest`)
  if (unknown > 0) yield* Effect.logWarning(`${unknown} of them wait: their provider could not be listed`)
})
