import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import { isThreadRecord, EventLog } from "../../src/store/EventLog.ts"
import { pragma, Reader, Writer } from "../../src/store/Sqlite.ts"
import {
  appended,
  author,
  begun,
  created,
  dump,
  next,
  queued,
  receipt,
  sent,
  sessionStarted,
  settled,
  starting,
  store,
  storeAt,
  temporaryDirectory,
  turnId
} from "../store/fixtures.ts"

const everything = { rows: 1_000, bytes: 1_000_000 }

describe("Commit", () => {
  it.effect("answers with the place in the log, and what was written can be read back", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const log = yield* EventLog
      const thread = author("t")
      const change = next(thread, [created, queued("a", "hello")], receipt("c1"))
      assert.deepStrictEqual(yield* submit(change), { sequence: 2, version: 2 })

      const page = yield* log.readThread(thread.id, 0, everything)
      assert.deepStrictEqual(
        page.records.filter(isThreadRecord).map(({ version, event }) => [version, event]),
        change.events.map((event, index) => [index + 1, event])
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("counts versions per thread and sequences over all threads", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const [a, b] = [author("a"), author("b")]
      yield* submit(next(a, [created]))
      yield* submit(next(b, [created]))
      assert.deepStrictEqual(yield* submit(next(a, [queued("x", "hi")])), { sequence: 3, version: 2 })
    }).pipe(Effect.provide(store))
  )

  it.effect("refuses a change that was decided on another version, and writes nothing of it", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(next(thread, [created]))
      const late = { ...next(thread, [queued("a", "late")]), expected: 0 }
      const before = yield* dump
      const error = yield* Effect.flip(submit(late))
      assert.deepInclude(error, { _tag: "VersionConflict", expected: 0, actual: 1 })
      const ahead = yield* Effect.flip(submit({ ...late, expected: 7 }))
      assert.deepInclude(ahead, { _tag: "VersionConflict", expected: 7, actual: 1 })
      assert.strictEqual(yield* dump, before)
    }).pipe(Effect.provide(store))
  )

  it.effect("refuses streamed text that belongs to another version", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(next(thread, [created]))
      const error = yield* Effect.flip(submit({ ...next(thread, [appended("a", 0, 0, "x")]), expected: 0 }))
      assert.strictEqual(error._tag, "VersionConflict")
      const sql = yield* Reader
      assert.lengthOf(yield* sql`SELECT 1 FROM message_chunks`, 0)
    }).pipe(Effect.provide(store))
  )

  it.effect("L11: the same command gets the same answer, at once or later, and is carried out once", () =>
    Effect.gen(function* () {
      const { submit, receiptOf } = yield* Commit
      const log = yield* EventLog
      const thread = author("t")
      const change = next(thread, [created], receipt("c1"))
      const [first, second] = yield* Effect.all([submit(change), submit(change)], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(second, first)
      yield* submit(next(thread, [queued("a", "more")]))
      assert.deepStrictEqual(yield* submit(change), first)
      assert.deepStrictEqual(yield* receiptOf(receipt("c1").commandId), { hash: "hash", ...first })
      assert.isNull(yield* receiptOf(receipt("c2").commandId))
      assert.lengthOf((yield* log.readThread(thread.id, 0, everything)).records, 2)
    }).pipe(Effect.provide(store))
  )

  it.effect("L11: the same command id with another body is refused, together and apart", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const [a, b, c] = [author("a"), author("b"), author("c")]
      const exits = yield* Effect.all(
        [next(a, [created], receipt("c1", "one")), next(b, [created], receipt("c1", "two"))].map((change) =>
          Effect.exit(submit(change))
        ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false])
      const error = yield* Effect.flip(submit(next(c, [created], receipt("c1", "three"))))
      assert.strictEqual(error._tag, "CommandIdReused")
    }).pipe(Effect.provide(store))
  )

  it.effect("a change that the tables refuse harms only itself, in whatever company it comes", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const healthy = Array.from({ length: 20 }, (_, index) => author(`healthy-${index}`))
      const ill = author("ill")
      // The CHECK constraint, built from the kernel's own words, does not know this state.
      const poison = next(ill, [created, queued("a", "x"), settled("a", { state: "exploded" as "error" })])
      const changes = healthy.map((thread) => next(thread, [created, queued("a", "hi")]))
      const exits = yield* Effect.forEach(
        [...changes.slice(0, 10), poison, ...changes.slice(10)],
        (change) => Effect.exit(submit(change)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        exits.map(Exit.isSuccess),
        exits.map((_, index) => index !== 10)
      )
      const sql = yield* Reader
      const [events] = yield* sql<{ n: number }>`SELECT count(*) AS n FROM events`
      assert.strictEqual(events?.n, 40)
      const error = yield* Effect.flip(submit(poison))
      assert.deepInclude(error, { _tag: "StorageUnavailable", retryable: false })
      // Sequences have no hole where the refused change was.
      assert.deepStrictEqual(yield* submit(next(author("after"), [created])), { sequence: 41, version: 1 })
    }).pipe(Effect.provide(store))
  )

  it.effect("a change that is no JSON is refused before it meets another", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      const circular: Record<string, unknown> = {}
      circular["self"] = circular
      const change = next(thread, [created, { ...begun("a", 0, "command"), detail: circular }])
      assert.deepInclude(yield* Effect.flip(submit(change)), { _tag: "StorageUnavailable", retryable: false })
    }).pipe(Effect.provide(store))
  )

  it.effect("an author that breaks over its answer harms neither the others nor what was written", () =>
    Effect.gen(function* () {
      const { submit, take } = yield* Commit
      const [a, b] = [author("a"), author("b")]
      take(next(a, [created]), () => {
        throw new Error("an author that breaks")
      })
      assert.deepStrictEqual(yield* submit(next(b, [created])), { sequence: 2, version: 1 })
      assert.deepStrictEqual(yield* submit(next(a, [queued("x", "hi")])), { sequence: 3, version: 2 })
    }).pipe(Effect.provide(store))
  )

  it.effect("commits more changes than one batch takes, each thread's in its order", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      const first = next(thread, [created, starting, sessionStarted])
      const rest = Array.from({ length: 3_000 }, (_, index) =>
        next(thread, [{ type: "notice.recorded", turnId: null, message: `notice ${index}` }])
      )
      const answers = yield* Effect.forEach([first, ...rest], submit, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        answers.map((answer) => answer.version),
        [first, ...rest].map((_, index) => 3 + index)
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("does nothing for an empty change but answer", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(next(thread, [created]))
      assert.deepStrictEqual(yield* submit(next(thread, [], receipt("c1"))), { sequence: 1, version: 1 })
    }).pipe(Effect.provide(store))
  )

  it.effect(
    "writes user intent with synchronous FULL and provider output with NORMAL, however often it changes",
    () =>
      Effect.gen(function* () {
        const { submit } = yield* Commit
        const writer = yield* Writer
        const thread = author("t")
        const level = Effect.map(
          pragma(writer, "synchronous"),
          ([row]) => (row as { synchronous: number }).synchronous
        )
        const seen: Array<number> = []
        yield* submit(next(thread, [created], receipt("c0")))
        for (let round = 0; round < 3; round++) {
          yield* submit(next(thread, [queued(`a${round}`, "x")], receipt(`c${round + 1}`)))
          seen.push(yield* level)
          yield* submit(next(thread, [{ type: "notice.recorded", turnId: null, message: "n" }]))
          seen.push(yield* level)
        }
        assert.deepStrictEqual(seen, [2, 1, 2, 1, 2, 1])
      }).pipe(Effect.provide(store))
  )

  it.effect(
    "acknowledges nothing while the storage refuses to write, and goes on when it takes writes again",
    () =>
      Effect.gen(function* () {
        const { submit } = yield* Commit
        const writer = yield* Writer
        const [a, b] = [author("a"), author("b")]
        yield* submit(next(a, [created]))
        const before = yield* dump
        yield* pragma(writer, "query_only = ON")
        const change = next(a, [queued("x", "hello")], receipt("c1"))
        const other = next(b, [created])
        const errors = yield* Effect.forEach([change, other], (change) => Effect.flip(submit(change)), {
          concurrency: "unbounded"
        })
        for (const error of errors) assert.deepInclude(error, { _tag: "StorageUnavailable", retryable: true })
        assert.strictEqual(yield* dump, before)
        yield* pragma(writer, "query_only = OFF")
        assert.deepStrictEqual(yield* submit(change), { sequence: 2, version: 2 })
        assert.deepStrictEqual(yield* submit(other), { sequence: 3, version: 1 })
      }).pipe(Effect.provide(store))
  )

  it.effect("a full disk is a typed, retryable answer; with space again everything goes on", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const writer = yield* Writer
      const thread = author("t")
      yield* submit(next(thread, [created]))
      const [pages] = yield* pragma(writer, "page_count")
      yield* pragma(writer, `max_page_count = ${(pages as { page_count: number }).page_count}`)
      const change = next(thread, [queued("a", "x".repeat(500_000))], receipt("c1"))
      assert.deepInclude(yield* Effect.flip(submit(change)), { _tag: "StorageUnavailable", retryable: true })
      yield* pragma(writer, "max_page_count = 1073741823")
      assert.deepStrictEqual(yield* submit(change), { sequence: 2, version: 2 })
    }).pipe(Effect.provide(store))
  )

  it.effect("takes the same id for a turn of two threads", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const changes = ["a", "b"].map((name) =>
        next(author(name), [created, starting, sessionStarted, queued("same", "x"), ...sent("same")])
      )
      yield* Effect.forEach(changes, submit, { concurrency: "unbounded" })
      const sql = yield* Reader
      assert.lengthOf(
        yield* sql`SELECT 1 FROM turns WHERE turn_id = ${turnId("same")} AND state = 'running'`,
        2
      )
    }).pipe(Effect.provide(store))
  )
})

describe("closing", () => {
  it.effect("answers every change that was submitted, and what it acknowledged is in the database", () =>
    Effect.gen(function* () {
      const filename = `${yield* temporaryDirectory}/test.db`
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(storeAt(filename), scope)
      const { submit } = Context.get(context, Commit)
      const changes = Array.from({ length: 6_000 }, (_, n) => next(author(`t${n}`), [created]))
      const waiting = yield* Effect.forEach(changes, (change) => Effect.forkChild(submit(change)))
      // More than the queue holds: some are written, some wait in the queue, some before it.
      yield* Fiber.join(waiting[0]!)
      yield* Scope.close(scope, Exit.void)
      const exits = yield* Effect.forEach(waiting, Fiber.await)
      const acknowledged = changes
        .filter((_, n) => Exit.isSuccess(exits[n]!))
        .map((change) => change.threadId)
      for (const exit of exits.filter(Exit.isFailure)) {
        const error = Cause.findError(exit.cause)
        assert.deepInclude(error, { _tag: "Success" })
        if (error._tag === "Success")
          assert.deepInclude(error.success, { _tag: "StorageUnavailable", retryable: true })
      }
      assert.isAbove(acknowledged.length, 0)
      assert.isBelow(acknowledged.length, changes.length)
      const late = yield* Effect.flip(submit(next(author("late"), [created])))
      assert.deepInclude(late, { _tag: "StorageUnavailable", retryable: true })

      const stored = yield* Effect.gen(function* () {
        const sql = yield* Reader
        return yield* sql<{ id: string }>`SELECT thread_id AS id FROM threads`
      }).pipe(Effect.provide(storeAt(filename)))
      assert.sameMembers(
        stored.map((row) => row.id),
        acknowledged
      )
    }).pipe(Effect.scoped)
  )
})
