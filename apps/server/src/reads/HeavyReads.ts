/**
 * Reads that may take long run in a thread of their own, one after the other.
 *
 * Promises: the server's own thread is never held up by one; so many wait at most, each with a deadline; a
 * thread that dies or hangs is replaced at the next question, and whoever waited for it gets a typed answer.
 */
import { Overloaded, StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { SearchHit } from "@turnkeeper/contracts/Search"
import type { SearchPage } from "@turnkeeper/contracts/Search"
import { Context, Deferred, Effect, Exit, Layer, Option, Semaphore } from "effect"
import { Worker } from "node:worker_threads"
import { rowReader } from "../store/rows.ts"
import type { FoundPage, SearchRequest } from "./search.ts"
import type { Question, Reply, Request, WorkerData } from "./worker.ts"

export type HeavyReadFailure = StorageUnavailable | Overloaded

export class HeavyReads extends Context.Service<
  HeavyReads,
  { readonly search: (request: SearchRequest) => Effect.Effect<SearchPage, HeavyReadFailure> }
>()("server/reads/HeavyReads") {
  static readonly layer = (filename: string, limits: Limits = usual) =>
    Layer.effect(HeavyReads, make(filename, limits))
}

export interface Limits {
  /** Questions that are waiting or being answered. */
  readonly waiting: number
  readonly deadlineMs: number
}

const usual: Limits = { waiting: 32, deadlineMs: 10_000 }

const make = Effect.fnUntraced(function* (filename: string, { deadlineMs, waiting }: Limits) {
  const oneByOne = yield* Semaphore.make(1)
  let here = 0
  let running: Running | null = null

  const stop = Effect.suspend(() => {
    const last = running
    running = null
    return last === null ? Effect.void : Effect.promise(() => last.worker.terminate())
  })
  yield* Effect.addFinalizer(() => stop)

  const started = Effect.suspend(() =>
    running === null || running.isGone()
      ? Effect.map(
          Effect.promise(() => start(filename)),
          (fresh) => (running = fresh)
        )
      : Effect.succeed(running)
  )

  /** Only one is asked at a time: that it is late, or that its thread died, concerns nobody else. */
  const ask = (request: Request) =>
    Effect.gen(function* () {
      const done = Deferred.makeUnsafe<FoundPage, StorageUnavailable>()
      const { put } = yield* started
      put(request, done)
      const answer = yield* Effect.timeoutOption(Deferred.await(done), deadlineMs)
      if (Option.isSome(answer)) return answer.value
      yield* Effect.logWarning(`A ${request.type} took longer than ${deadlineMs} ms; it was given up`)
      // Native work cannot be interrupted: the thread is left to its end, and nobody waits for that.
      yield* Effect.forkDetach(stop)
      return yield* new StorageUnavailable({ retryable: true })
    })

  const bounded = <A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E | Overloaded> =>
    Effect.suspend((): Effect.Effect<A, E | Overloaded> => {
      if (here >= waiting) return Effect.fail(new Overloaded({ what: "searches", limit: waiting }))
      here += 1
      return Effect.ensuring(
        oneByOne.withPermit(work),
        Effect.sync(() => void (here -= 1))
      )
    })

  return HeavyReads.of({
    search: (request) =>
      Effect.flatMap(bounded(ask({ type: "search", ...request })), ({ hits, before }) =>
        Effect.map(readHits(hits), (checked): SearchPage => ({ hits: checked, before }))
      )
  })
})

const readHits = rowReader("messages", SearchHit)

type Waiting = Deferred.Deferred<FoundPage, StorageUnavailable>

interface Running {
  readonly worker: Worker
  readonly isGone: () => boolean
  readonly put: (request: Request, done: Waiting) => void
}

const start = async (filename: string): Promise<Running> => {
  const { entry, name } = await import("./worker.ts")
  const workerData: WorkerData = { name, filename }
  const worker = new Worker(new URL(entry), { workerData, name })
  // The process may end while it has nothing to do.
  worker.unref()
  let gone = false
  let questions = 0
  let asked: { readonly id: number; readonly done: Waiting } | null = null
  const settle = (exit: Exit.Exit<FoundPage, StorageUnavailable>) => {
    const answered = asked
    // First: whoever is answered may ask again at once.
    asked = null
    if (answered !== null) Deferred.doneUnsafe(answered.done, exit)
  }
  const unavailable = Exit.fail(new StorageUnavailable({ retryable: true }))
  worker.on("message", (reply: Reply) => {
    if (reply.id !== asked?.id) return
    settle(reply.type === "answer" ? Exit.succeed(reply.answer) : unavailable)
  })
  // An error is followed by the exit.
  worker.on("error", () => (gone = true))
  worker.on("exit", () => {
    gone = true
    settle(unavailable)
  })
  return {
    worker,
    isGone: () => gone,
    put: (request, done) => {
      questions += 1
      asked = { id: questions, done }
      // A thread has no origin.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      worker.postMessage({ id: questions, request } satisfies Question)
    }
  }
}
