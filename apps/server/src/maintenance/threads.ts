/**
 * The threads that make the tables anew, and who writes when.
 *
 *     one:     read, fold ──▶ ready ──▶ write ──▶ read, fold ──▶ ready ──▶ write …   caughtUp ──▶ the rest, conclude
 *     other:   read, fold ───────▶ ready ──▶ write ──▶ read, fold ──▶ ready ──▶ …    caughtUp ──▶ the rest
 *     server:   commits        turn ──▶ turn ──▶ commits        turn ──▶ turn ──▶ …  commits ───▶ turn ──▶ commits
 */
import { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { Effect, Queue, Semaphore } from "effect"
import { setFlagsFromString } from "node:v8"
import { Worker } from "node:worker_threads"
import { looked } from "../store/Connection.ts"
import { attempt } from "../store/storageFault.ts"
import type { Part } from "./Anew.ts"
import { halves } from "./Anew.ts"
import type { Asked, Counts, Said, WorkerData } from "./rebuildThread.ts"

/** While `work` runs nobody else writes. */
type Lend = <A>(work: Effect.Effect<A, StorageUnavailable>) => Effect.Effect<A, StorageUnavailable>

/**
 * Resolves with the tables in use. Nothing of an earlier making may be left, and nothing be forgotten meanwhile.
 * `told` is called after each turn. Interrupted, it leaves the old tables in use, and what was made for `clear`.
 */
export const madeByThreads = (
  filename: string,
  lend: Lend,
  told: (counts: Counts) => Effect.Effect<void>
): Effect.Effect<Counts, StorageUnavailable> =>
  Effect.gen(function* () {
    yield* ownYoungGeneration
    // Only one can write at a time, so that more than two would wait for each other.
    const parts = yield* attempt(() => looked(filename, halves))
    const threads = yield* Effect.forEach(parts, (part) => started(filename, part))
    const counts = threads.map((): Counts => ({ events: 0, unreadable: 0, share: 0 }))
    const turn = Effect.fnUntraced(function* (thread: Thread, asked: Asked) {
      const wrote = yield* wroteAfter(thread, asked)
      counts[threads.indexOf(thread)] = wrote.counts
      yield* told(sumOf(counts))
      return wrote
    })
    /** Turn after turn, until its page is written. */
    const page = Effect.fnUntraced(function* (thread: Thread) {
      while ((yield* lend(turn(thread, "turn"))).more) yield* readyAgain(thread)
    })
    const onePage = Semaphore.makeUnsafe(1)
    const caughtUp = Effect.fnUntraced(function* (thread: Thread) {
      for (;;) {
        const said = yield* thread.next
        if (said.type === "caughtUp") return
        if (said.type !== "ready") return yield* lost(said)
        // Else both would write in turn, and then both read.
        yield* onePage.withPermit(page(thread))
      }
    })
    yield* Effect.forEach(threads, caughtUp, together)
    // What has come for the quicker one while it waited is not left to the last turn, either.
    yield* Effect.forEach(threads, (thread) => Effect.andThen(thread.ask("goOn"), caughtUp(thread)), together)
    const rest = Effect.forEach(threads, (thread) => turn(thread, "rest"), { discard: true })
    const conclude = Effect.forEach(threads.slice(0, 1), (thread) => turn(thread, "conclude"), {
      discard: true
    })
    yield* lend(Effect.andThen(rest, conclude))
    return { ...sumOf(counts), share: 1 }
  }).pipe(Effect.scoped)

const together = { concurrency: "unbounded", discard: true } as const

/** A turn that is not given back in this time is taken back, with the thread. Far longer than one takes. */
const turnLimit = "30 seconds"

const lost = (said: Said) =>
  Effect.andThen(
    Effect.logError(
      `The tables were not made anew: ${said.type === "failed" ? said.message : "its thread did not answer"}`
    ),
    new StorageUnavailable({ retryable: said.type !== "failed" || said.code !== null })
  )

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
  return said.type === "wrote" ? said : yield* lost(said)
})

const readyAgain = Effect.fnUntraced(function* (thread: Thread) {
  const said = yield* thread.next
  if (said.type !== "ready") yield* lost(said)
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

/**
 * While the scope is open, a thread that starts has the young generation of its limits. An option that was given to
 * the process overrules them: the server's own is small, with which this work takes a third longer.
 */
const ownYoungGeneration = Effect.acquireRelease(
  Effect.sync(() => setFlagsFromString(`${semiSpace}=0`)),
  () =>
    Effect.sync(() => {
      for (const option of process.execArgv) if (option.startsWith(semiSpace)) setFlagsFromString(option)
    })
)
const semiSpace = "--max-semi-space-size"

const gone: Said = { type: "failed", message: "its thread has ended", code: null }
