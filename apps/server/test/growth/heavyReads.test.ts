/** Heavy reads run beside the server, and their thread is none that anybody has to rely on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { existsSync } from "node:fs"
import { Commit } from "../../src/engine/Commit.ts"
import { HeavyReads } from "../../src/reads/HeavyReads.ts"
import { author, created, next, queued, storeAt, temporaryDirectory } from "../store/fixtures.ts"

const wanted = { query: "curlew", threadId: null, limit: 10, before: null }
const look = Effect.flatMap(HeavyReads, ({ search }) => search(wanted))

const filled = (filename: string) =>
  Effect.flatMap(Commit, ({ submit }) => submit(next(author("t"), [created, queued("a", "a curlew")]))).pipe(
    Effect.provide(storeAt(filename), { local: true })
  )

const inDirectory = <A, E>(body: (filename: string) => Effect.Effect<A, E>) =>
  Effect.flatMap(temporaryDirectory, (directory) => body(`${directory}/test.db`)).pipe(Effect.scoped)

describe("heavy reads", () => {
  it.effect("a thread that died is a typed answer, and the next question has a new one", () =>
    inDirectory((filename) =>
      Effect.gen(function* () {
        assert.isFalse(existsSync(filename))
        for (let n = 0; n < 2; n++) {
          const refused = yield* Effect.flip(look)
          assert.deepInclude(refused, { _tag: "StorageUnavailable", retryable: true })
        }
        yield* filled(filename)
        assert.lengthOf((yield* look).hits, 1)
      }).pipe(Effect.provide(HeavyReads.layer(filename)))
    )
  )

  it.effect("one that takes too long is given up, again and again, and nothing waits behind it", () =>
    inDirectory((filename) =>
      Effect.gen(function* () {
        yield* filled(filename)
        for (let n = 0; n < 3; n++) {
          const refused = yield* Effect.flip(look)
          assert.deepInclude(refused, { _tag: "StorageUnavailable", retryable: true })
        }
      }).pipe(Effect.provide(HeavyReads.layer(filename, { waiting: 1, deadlineMs: 0 })))
    )
  )

  it.effect("so many may wait; more are refused at once, and those who waited are answered", () =>
    inDirectory((filename) =>
      Effect.gen(function* () {
        yield* filled(filename)
        const all = yield* Effect.all(
          Array.from({ length: 5 }, () => Effect.result(look)),
          { concurrency: "unbounded" }
        )
        const refused = all.filter(Result.isFailure).map(({ failure }) => failure)
        assert.lengthOf(refused, 3)
        for (const failure of refused) assert.deepInclude(failure, { _tag: "Overloaded", limit: 2 })
        for (const one of all.filter(Result.isSuccess)) assert.lengthOf(one.success.hits, 1)
      }).pipe(Effect.provide(HeavyReads.layer(filename, { waiting: 2, deadlineMs: 60_000 })))
    )
  )

  it.effect("sees what was committed before it was asked", () =>
    inDirectory((filename) =>
      Effect.gen(function* () {
        const { submit } = yield* Commit
        const thread = author("t")
        yield* submit(next(thread, [created]))
        for (let n = 1; n <= 5; n++) {
          yield* submit(next(thread, [queued(`q${n}`, "a curlew")]))
          assert.lengthOf((yield* look).hits, n)
        }
      }).pipe(Effect.provide(Layer.merge(HeavyReads.layer(filename), storeAt(filename))))
    )
  )
})
