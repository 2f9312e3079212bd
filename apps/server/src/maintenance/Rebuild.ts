/**
 * Makes all tables anew from the log while the server works.
 *
 *     thread:  read, fold ──▶ ready ──▶ write ──▶ read, fold ──▶ ready ──▶ write …  ──▶ ready ──▶ the rest, switch
 *     server:   commits        turn ────▶  commits               turn ────▶                turn ────▶ commits
 *
 * Promises: readers see the old tables until they see the new ones; commits wait for a turn of a few
 * milliseconds at most; whatever ends it early, the old tables stay in use, and what was made is cleared away.
 */
import { Overloaded, StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { RebuildItem } from "@turnkeeper/contracts/Maintenance"
import { Context, Effect, Layer, Queue, Stream } from "effect"
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { Commit } from "../engine/Commit.ts"
import { Reader } from "../store/Sqlite.ts"
import { attempt, unavailable } from "../store/storageFault.ts"
import type { Part } from "./Anew.ts"
import { fileOf } from "./remake.ts"
import type { Asked, Counts, Said, WorkerData } from "./rebuildThread.ts"
import { clearStep, countLeft, inTransaction, openShadow } from "./shadow.ts"

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
          const file = yield* filename
          const threads = yield* Effect.forEach(parts, (part) => started(file, part))
          const counts = threads.map((): Counts => ({ events: 0, unreadable: 0, share: 0 }))
          const turn = (thread: Thread, asked: Asked) =>
            Effect.map(wroteAfter(thread, asked), (wrote) => {
              counts[threads.indexOf(thread)] = wrote
              told(sumOf(counts))
            })
          const caughtUp = Effect.fnUntraced(function* (thread: Thread) {
            for (;;) {
              const said = yield* thread.next
              if (said.type === "caughtUp") return
              if (said.type !== "ready") return yield* lost(said)
              yield* commit.lend(turn(thread, "turn"))
            }
          })
          yield* Effect.forEach(threads, caughtUp, { concurrency: "unbounded", discard: true })
          // What has come for the quicker one while it waited is not left to the last turn, either.
          yield* Effect.forEach(threads, (thread) => Effect.andThen(thread.ask("goOn"), caughtUp(thread)), {
            concurrency: "unbounded",
            discard: true
          })
          const last = Effect.andThen(
            Effect.forEach(threads, (thread) => turn(thread, "rest"), { discard: true }),
            Effect.forEach(threads.slice(0, 1), (thread) => turn(thread, "conclude"), { discard: true })
          )
          yield* commit.lend(last)
          yield* Effect.logInfo(`Made the tables anew: ${sumOf(counts).events} events`)
          return { ...sumOf(counts), share: 1 }
        }).pipe(Effect.scoped)

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

/** A turn that is not given back in this time is taken back, with the thread. Far longer than one takes. */
const turnLimit = "30 seconds"

const lost = (said: Said) =>
  Effect.andThen(
    Effect.logError(
      `The tables were not made anew: ${said.type === "failed" ? said.message : "its thread did not answer"}`
    ),
    new StorageUnavailable({ retryable: said.type !== "failed" || said.code !== null })
  )

const partsOf = (of: number) => Array.from({ length: of }, (_, index): Part => ({ index, of }))
/** Two read in turn while the other writes; only one can write, so that more of them would wait for each other. */
const parts: ReadonlyArray<Part> = partsOf(Math.min(2, availableParallelism()))

interface Thread {
  readonly next: Effect.Effect<Said>
  readonly ask: (asked: Asked) => Effect.Effect<void>
  readonly end: Effect.Effect<void>
}

/** A thread for a part, as long as the scope is open. */
const started = Effect.fnUntraced(function* (filename: string, part: Part) {
  const { entry, name } = yield* Effect.promise(() => import("./rebuildThread.ts"))
  const workerData: WorkerData = { name, filename, part }
  // It speaks only when it was spoken to, and says that it is gone.
  const heard = yield* Queue.bounded<Said>(8)
  const worker = yield* Effect.acquireRelease(
    Effect.sync(() => new Worker(new URL(entry), { workerData, name, resourceLimits })),
    (worker) => Effect.promise(() => worker.terminate())
  )
  worker.on("message", (said: Said) => void Queue.offerUnsafe(heard, said))
  worker.on("error", () => {})
  worker.on("exit", () => void Queue.offerUnsafe(heard, gone))
  const thread: Thread = {
    next: Queue.take(heard),
    // A thread has no origin.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    ask: (asked) => Effect.sync(() => worker.postMessage(asked)),
    end: Effect.promise(() => worker.terminate())
  }
  return thread
})

/** What the thread has made when it gives the turn back. */
const wroteAfter = Effect.fnUntraced(function* (thread: Thread, asked: Asked) {
  yield* thread.ask(asked)
  const said = yield* Effect.timeoutOrElse(thread.next, {
    duration: turnLimit,
    orElse: () => Effect.as(thread.end, gone)
  })
  return said.type === "wrote" ? said.counts : yield* lost(said)
})

const sumOf = (counts: ReadonlyArray<Counts>): Counts => ({
  events: counts.reduce((sum, { events }) => sum + events, 0),
  unreadable: counts.reduce((sum, { unreadable }) => sum + unreadable, 0),
  share: counts.reduce((sum, { share }) => sum + share, 0) / counts.length
})

/**
 * Pages of the log live as long as it takes to write them: long enough to be moved about in a small young
 * generation. The other bound is far beyond the open states of all threads, which is what it keeps.
 */
const resourceLimits = { maxYoungGenerationSizeMb: 64, maxOldGenerationSizeMb: 1_024 }

const gone: Said = { type: "failed", message: "its thread has ended", code: null }
