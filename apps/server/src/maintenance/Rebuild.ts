/**
 * Makes all tables anew from the log while the server works.
 *
 * Promises: readers see the old tables until they see the new ones; commits wait for a turn of a few
 * milliseconds at most; whatever ends it early, the old tables stay in use, and what was made is cleared away.
 */
import { Overloaded } from "@turnkeeper/contracts/Errors"
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { RebuildItem } from "@turnkeeper/contracts/Maintenance"
import { Context, Effect, Layer, Queue, Stream } from "effect"
import { Commit } from "../engine/Commit.ts"
import { Reader } from "../store/Sqlite.ts"
import { attempt, unavailable } from "../store/storageFault.ts"
import { fileOf } from "./remake.ts"
import type { Counts } from "./rebuildThread.ts"
import { clearStep, countLeft, inTransaction, openShadow } from "./shadow.ts"
import { madeByThreads } from "./threads.ts"

export type { Counts } from "./rebuildThread.ts"

export class Rebuild extends Context.Service<
  Rebuild,
  {
    /**
     * `told` is called after each step. One at a time; interrupting it takes it back. Resolves with the tables in
     * use; the old ones are left for `clear`.
     */
    readonly run: (told: (counts: Counts) => void) => Effect.Effect<Counts, StorageUnavailable | Overloaded>
    /** The same as a client is told it: now and then how far it is, and at last that it is done. */
    readonly items: Stream.Stream<RebuildItem, StorageUnavailable | Overloaded>
    /** While it is, nothing may be forgotten: the log has to stay what was read. */
    readonly underWay: () => boolean
    /** Takes away what an earlier rebuilding has left, step by step; nothing while one is under way. */
    readonly clear: Effect.Effect<void, StorageUnavailable>
  }
>()("server/maintenance/Rebuild") {
  static readonly layer = Layer.effect(
    Rebuild,
    Effect.gen(function* () {
      const commit = yield* Commit
      const sql = yield* Reader
      let busy = false

      const filename = fileOf(sql)

      const cleared = Effect.gen(function* () {
        const [left] = yield* unavailable(sql.unsafe<{ n: number }>(countLeft))
        if (left?.n === 0) return
        const file = yield* filename
        const database = yield* Effect.acquireRelease(
          attempt(() => openShadow(file)),
          (database) => Effect.sync(() => database.close())
        )
        const step = attempt(() => inTransaction(database, () => clearStep(database)))
        while (yield* commit.lend(step)) yield* Effect.yieldNow
      }).pipe(Effect.scoped)

      const made = (told: (counts: Counts) => void) =>
        Effect.gen(function* () {
          yield* cleared
          const counts = yield* madeByThreads(yield* filename, commit.lend, (counts) =>
            Effect.sync(() => told(counts))
          )
          yield* Effect.logInfo(`Made the tables anew: ${counts.events} events`)
          return counts
        })

      const run: Rebuild["Service"]["run"] = (told) =>
        Effect.suspend((): Effect.Effect<Counts, StorageUnavailable | Overloaded> => {
          if (busy) return Effect.fail(new Overloaded({ what: "rebuilds", limit: 1 }))
          busy = true
          return Effect.ensuring(
            made(told),
            Effect.sync(() => (busy = false))
          )
        })

      return Rebuild.of({
        run,
        items: itemsOf(run),
        underWay: () => busy,
        clear: Effect.suspend(() => (busy ? Effect.void : cleared))
      })
    })
  )
}

/** Between two shares that a client is told. */
const toldEvery = 0.005

/** A client that reads slowly is told the newest. */
const itemsOf = (run: Rebuild["Service"]["run"]) =>
  Stream.callback<RebuildItem, StorageUnavailable | Overloaded>(
    (items) =>
      Effect.gen(function* () {
        let shown = -1
        const counts = yield* run((counts) => {
          if (counts.share - shown < toldEvery) return
          shown = counts.share
          Queue.offerUnsafe(items, { done: false, ...counts })
        })
        yield* Queue.offer(items, { done: true, ...counts })
        yield* Queue.end(items)
      }).pipe(Effect.catch((error) => Queue.fail(items, error))),
    { bufferSize: 2, strategy: "sliding" }
  )
