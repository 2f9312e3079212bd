/**
 * Housekeeping: what nobody can ask for any more goes, in small steps between the commits.
 *
 * Promise: a step holds the commit up for a few milliseconds at most, and the database is whole after each.
 * What was not done before a crash is found again by looking.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { Clock, Context, Effect, Layer } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { Commit } from "../engine/Commit.ts"
import { CommitLoad } from "../engine/CommitLoad.ts"
import { Settings } from "../Settings.ts"
import { expireReceipts, expiryOf } from "../store/Receipts.ts"
import type { Writer } from "../store/Sqlite.ts"
import { forgetStep } from "./forget.ts"
import { Rebuild } from "./Rebuild.ts"
import { vacuumStep } from "./vacuum.ts"

export class Upkeep extends Context.Service<
  Upkeep,
  {
    /**
     * Does all that is due now: what a rebuilding has left, histories of deleted threads, expired receipts, free
     * pages. The pages wait for the next time where commits wait, the histories where the tables are made anew.
     */
    readonly run: Effect.Effect<void, StorageUnavailable>
  }
>()("server/maintenance/Upkeep") {
  static readonly layer = Layer.effect(
    Upkeep,
    Effect.gen(function* () {
      const commit = yield* Commit
      const load = yield* CommitLoad
      const rebuild = yield* Rebuild
      const { upkeepEveryMs, receiptsKeptMs, receiptsMax } = yield* Settings

      /** Steps until one says that nothing was left, or `goesOn` no longer does. */
      const steps = (
        step: (sql: Writer["Service"]) => Effect.Effect<boolean, SqlError>,
        goesOn = () => true
      ) =>
        Effect.gen(function* () {
          while (goesOn() && (yield* commit.upkeep(step))) yield* Effect.yieldNow
        })

      const run = Effect.gen(function* () {
        const before = (yield* Clock.currentTimeMillis) - receiptsKeptMs
        yield* rebuild.clear
        yield* steps(
          (sql) => Effect.map(forgetStep(sql), (left) => left === "more"),
          () => !rebuild.underWay()
        )
        const expiry = yield* commit.upkeep((sql) => expiryOf(sql, before, receiptsMax))
        yield* steps((sql) => Effect.map(expireReceipts(sql, expiry), (gone) => gone > 0))
        yield* steps(
          (sql) => Effect.map(vacuumStep(sql), (pages) => pages > 0),
          () => load.waiting() === 0
        )
      })

      yield* run.pipe(
        Effect.catch(() => Effect.logWarning("Housekeeping could not write; it will try again")),
        Effect.andThen(Effect.sleep(upkeepEveryMs)),
        Effect.forever,
        Effect.forkScoped
      )
      return Upkeep.of({ run })
    })
  )
}
