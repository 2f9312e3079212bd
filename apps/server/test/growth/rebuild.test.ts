/** Making the tables anew while the server works: nobody sees it, and nothing that ends it early leaves a trace. */
import { assert, describe, it } from "@effect/vitest"
import { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { Deferred, Effect, Exit, Fiber, Layer } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import { pageBounds } from "../../src/maintenance/Anew.ts"
import { forgetStep } from "../../src/maintenance/forget.ts"
import { Rebuild } from "../../src/maintenance/Rebuild.ts"
import { Upkeep } from "../../src/maintenance/Upkeep.ts"
import { Reader, SnapshotReader, Writer } from "../../src/store/Sqlite.ts"
import { dice, step } from "../projection/walk.ts"
import type { Author } from "../store/fixtures.ts"
import {
  author,
  begun,
  created,
  dump,
  ended,
  next,
  queued,
  sessionStarted,
  settled,
  starting,
  store,
  storeAt,
  temporaryDirectory,
  turnId
} from "../store/fixtures.ts"

/** Each rebuilding loads the server's code into a thread of its own. */
const slow = 60_000

/** So many steps of a random walk, each committed by itself. */
const walk = (threads: ReadonlyArray<Author>, seed: number, steps: number) =>
  Effect.gen(function* () {
    const { submit } = yield* Commit
    const roll = dice(seed)
    for (let n = 0; n < steps; n++) {
      const thread = roll.of(threads)
      const events = step(thread, roll)
      if (events.length > 0) yield* submit(next(thread, events))
    }
  })

const run = Effect.flatMap(Rebuild, (rebuild) => rebuild.run(() => {}))

/** More events than a rebuilding reads of a part of the log before it writes. */
const pageOfEvents = pageBounds.rows + 500

const commit = (thread: Author, ...events: Parameters<typeof next>[1]) =>
  Effect.flatMap(Commit, ({ submit }) => submit(next(thread, events)))

const notices = Effect.fnUntraced(function* (
  thread: Author,
  count: number,
  ...first: Parameters<typeof next>[1]
) {
  if (first.length > 0) yield* commit(thread, ...first)
  for (let done = 0; done < count; done += 1_000) {
    const some = Array.from({ length: Math.min(1_000, count - done) }, (_, n) => ({
      type: "notice.recorded" as const,
      turnId: null,
      message: `notice ${done + n}`
    }))
    yield* commit(thread, ...some)
  }
})

const edited = (turn: string, text: string) => ({ type: "turn.edited", turnId: turnId(turn), text }) as const

/** The turns of the prompts with the words. */
const found = (query: string) =>
  Effect.flatMap(Reader, (sql) =>
    Effect.map(
      sql<{ turn: string }>`SELECT turn_id AS turn FROM messages
        WHERE search_id IN (SELECT rowid FROM message_search WHERE message_search MATCH ${query}) ORDER BY turn_id`,
      (rows) => rows.map(({ turn }) => turn)
    )
  )

/** Marks the tables in use, so that one sees when others have taken their place. */
const scar = Effect.gen(function* () {
  const sql = yield* Writer
  yield* sql`UPDATE threads SET title = 'scarred'`
  yield* sql`UPDATE sessions SET generation = generation + 1000`
})

const scars = Effect.gen(function* () {
  const sql = yield* SnapshotReader
  return yield* sql.withTransaction(
    Effect.gen(function* () {
      const threads = yield* sql`SELECT 1 FROM threads WHERE title = 'scarred'`
      const sessions = yield* sql`SELECT 1 FROM sessions WHERE generation >= 1000`
      return { threads: threads.length, sessions: sessions.length }
    })
  )
})

/** What SQLite has of the tables, their indexes and their pages, and whether the search index is theirs. */
const schema = Effect.gen(function* () {
  const sql = yield* Reader
  return yield* sql<{ name: string }>`SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name`
})

const isSound = Effect.gen(function* () {
  const sql = yield* Writer
  assert.deepStrictEqual(yield* sql`PRAGMA integrity_check`.unprepared, [{ integrity_check: "ok" }])
  yield* sql`INSERT INTO message_search (message_search, rank) VALUES ('integrity-check', 1)`
})

/** The tables are what a rebuilding in this thread, with nobody beside it, makes of the log, too. */
const followsFromLog = Effect.gen(function* () {
  const { rebuild } = yield* Commit
  const kept = yield* dump
  yield* rebuild
  assert.strictEqual(yield* dump, kept)
})

describe("making the tables anew beside the work", () => {
  for (const seed of [1, 2, 3]) {
    it.effect(
      `L15: while events keep coming, the tables are the same to the byte (walk ${seed})`,
      () =>
        Effect.gen(function* () {
          const threads = [author("a"), author("b"), author("c")]
          yield* walk(threads, seed, 700)
          const before = yield* schema
          yield* scar
          const rebuilding = yield* Effect.forkChild(run)
          let beside = 0
          while (rebuilding.pollUnsafe() === undefined) {
            yield* walk(threads, seed * 1_000 + beside++, 20)
          }
          const counts = yield* Fiber.join(rebuilding)
          assert.isAbove(beside, 1)
          assert.isAbove(counts.events, 200)
          assert.deepStrictEqual(yield* scars, { threads: 0, sessions: 0 })
          yield* walk(threads, seed + 77, 200)
          yield* isSound
          yield* followsFromLog
          yield* Effect.flatMap(Rebuild, ({ clear }) => clear)
          assert.deepStrictEqual(yield* schema, before)
          yield* isSound
        }).pipe(Effect.provide(store)),
      slow
    )
  }

  it.effect(
    "L15: a log of many pages, while events keep coming, gives the same to the byte",
    () =>
      Effect.gen(function* () {
        const long = author("long")
        yield* commit(long, created)
        yield* notices(long, pageOfEvents)
        yield* notices(author("other"), pageOfEvents, created)
        const threads = [author("a"), author("b")]
        yield* walk(threads, 4, 200)
        yield* scar
        const rebuilding = yield* Effect.forkChild(run)
        let beside = 0
        while (rebuilding.pollUnsafe() === undefined) yield* walk(threads, 4_000 + beside++, 20)
        const counts = yield* Fiber.join(rebuilding)
        assert.isAbove(counts.events, 2 * pageOfEvents)
        assert.strictEqual(counts.unreadable, 0)
        assert.deepStrictEqual(yield* scars, { threads: 0, sessions: 0 })
        yield* isSound
        yield* followsFromLog
      }).pipe(Effect.provide(store)),
    slow
  )

  it.effect(
    "L15: a prompt is found by its last words, on whichever pages of the log it was written and edited",
    () =>
      Effect.gen(function* () {
        const thread = author("long")
        yield* commit(thread, created, queued("far", "about apples"), queued("near", "about plums"))
        yield* commit(thread, edited("near", "about quinces"))
        // More than are looked up together.
        const many = Array.from({ length: 70 }, (_, n) => `many-${n}`)
        yield* commit(thread, ...many.map((turn) => queued(turn, "about cherries")))
        // Longer than what is read of a text beside its event.
        yield* commit(thread, queued("wide", `about melons${", and melons again".repeat(300)}`))
        yield* notices(thread, pageOfEvents)
        // Far enough apart that they are not folded together, and on one page.
        yield* commit(thread, edited("far", "about grapes"), queued("late", "about figs"))
        yield* notices(thread, 1_000)
        yield* commit(thread, edited("far", "about pears"), edited("late", "about dates"))
        yield* notices(thread, pageOfEvents)
        for (const anew of [run, Effect.flatMap(Commit, ({ rebuild }) => rebuild)]) {
          yield* anew
          yield* isSound
          assert.deepStrictEqual(yield* found("apples OR plums OR grapes OR figs"), [])
          assert.deepStrictEqual(yield* found("pears OR quinces OR dates"), ["far", "late", "near"])
          assert.strictEqual((yield* found("cherries")).length, many.length)
          assert.deepStrictEqual(yield* found("melons"), ["wide"])
        }
        yield* followsFromLog
      }).pipe(Effect.provide(store)),
    slow
  )

  it.effect(
    "L15: a reader sees the old tables or the new ones, all of them, and one moment to its end",
    () =>
      Effect.gen(function* () {
        const threads = [author("a"), author("b")]
        yield* walk(threads, 5, 400)
        yield* scar
        const whole = yield* scars
        assert.isAbove(whole.threads, 0)
        const sql = yield* SnapshotReader
        const switched = yield* Deferred.make<void>()
        // Begins before the switch, ends behind it.
        const early = yield* sql
          .withTransaction(
            Effect.gen(function* () {
              yield* sql`SELECT 1 FROM threads`
              yield* Deferred.await(switched)
              return yield* sql`SELECT 1 FROM threads WHERE title = 'scarred'`
            })
          )
          .pipe(Effect.forkChild({ startImmediately: true }))
        yield* run
        yield* Deferred.succeed(switched, undefined)
        assert.lengthOf(yield* Fiber.join(early), whole.threads)
        assert.deepStrictEqual(yield* scars, { threads: 0, sessions: 0 })
      }).pipe(Effect.provide(store)),
    slow
  )

  it.effect(
    "L15: whoever looks meanwhile never sees a part of each",
    () =>
      Effect.gen(function* () {
        const threads = [author("a"), author("b")]
        yield* walk(threads, 6, 400)
        yield* scar
        const whole = yield* scars
        const rebuilding = yield* Effect.forkChild(run)
        const seen = new Set<string>()
        while (rebuilding.pollUnsafe() === undefined) {
          seen.add(JSON.stringify(yield* scars))
          yield* Effect.yieldNow
        }
        seen.add(JSON.stringify(yield* scars))
        assert.deepStrictEqual(
          [...seen],
          [JSON.stringify(whole), JSON.stringify({ threads: 0, sessions: 0 })]
        )
      }).pipe(Effect.provide(store)),
    slow
  )

  it.effect(
    "one at a time; interrupted, it leaves the tables as they are",
    () =>
      Effect.gen(function* () {
        const threads = [author("a")]
        yield* walk(threads, 8, 300)
        yield* scar
        const whole = yield* scars
        const rebuild = yield* Rebuild
        const begun = yield* Deferred.make<void>()
        const first = yield* rebuild
          .run(() => Deferred.doneUnsafe(begun, Exit.void))
          .pipe(Effect.forkChild({ startImmediately: true }))
        assert.isTrue(rebuild.underWay())
        assert.deepInclude(yield* Effect.flip(run), { _tag: "Overloaded", limit: 1 })
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(first)
        assert.isFalse(rebuild.underWay())
        assert.deepStrictEqual(yield* scars, whole)
        yield* run
        assert.deepStrictEqual(yield* scars, { threads: 0, sessions: 0 })
      }).pipe(Effect.provide(store)),
    slow
  )

  it.effect(
    "E5: leaves out an event that cannot be read, counts it, and makes the rest",
    () =>
      Effect.gen(function* () {
        const { submit } = yield* Commit
        const sql = yield* Writer
        yield* submit(next(author("t"), [created, queued("a", "one"), queued("b", "two")]))
        yield* sql`UPDATE events SET payload = '{' WHERE version = 2`
        assert.deepStrictEqual(yield* run, { events: 2, unreadable: 1, share: 1 })
        const turns = yield* sql`SELECT turn_id AS id FROM turns`
        assert.deepStrictEqual(turns, [{ id: "b" }])
      }).pipe(Effect.provide(store)),
    slow
  )

  it.effect(
    "D6: of a thread whose history is on its way out it makes what stays of it",
    () =>
      Effect.gen(function* () {
        const { submit, upkeep } = yield* Commit
        const thread = author("gone")
        yield* submit(next(thread, [created, starting, sessionStarted, queued("a", "x")]))
        for (let n = 0; n < 600; n++) yield* submit(next(thread, [begun("a", n), ended("a", n, "x")]))
        yield* submit(
          next(thread, [
            settled("a"),
            { type: "session.stopped", generation: 1, end: "asked", message: null },
            { type: "thread.deleted" }
          ])
        )
        yield* upkeep(forgetStep)
        yield* run
        const sql = yield* Reader
        assert.lengthOf(yield* sql`SELECT 1 FROM messages`, 0)
        assert.lengthOf(yield* sql`SELECT 1 FROM threads`, 1)
        while ((yield* upkeep(forgetStep)) === "more") {
          /* to its end */
        }
        yield* followsFromLog
      }).pipe(Effect.provide(store)),
    slow
  )
})

describe("the housekeeping beside it", () => {
  it.effect(
    "D6: forgets nothing while the tables are made anew, and afterwards clears away what is left",
    () =>
      Effect.gen(function* () {
        const filename = `${yield* temporaryDirectory}/test.db`
        const goOn = yield* Deferred.make<void>()
        // The second turn of the pen waits: the rebuilding is in its middle for as long as the test wants.
        let turns = 0
        const held = Layer.effect(
          Commit,
          Effect.map(Commit, (commit) =>
            Commit.of({
              ...commit,
              lend: (work) =>
                Effect.suspend(() =>
                  (turns += 1) === 2
                    ? Effect.andThen(Deferred.await(goOn), commit.lend(work))
                    : commit.lend(work)
                )
            })
          )
        )
        yield* Effect.gen(function* () {
          const { submit } = yield* Commit
          const { run: upkeep } = yield* Upkeep
          const rebuild = yield* Rebuild
          // The round that its start begins is over before there is anything to do.
          yield* upkeep
          const before = yield* schema
          const thread = author("gone")
          yield* submit(next(thread, [created, queued("a", "x"), settled("a", { state: "cancelled" })]))
          yield* submit(next(thread, [{ type: "thread.deleted" }]))
          const messages = Effect.flatMap(Reader, (sql) => sql`SELECT 1 FROM messages`)
          const begun = yield* Deferred.make<void>()
          const rebuilding = yield* rebuild
            .run(() => Deferred.doneUnsafe(begun, Exit.void))
            .pipe(Effect.forkChild({ startImmediately: true }))
          yield* Deferred.await(begun)
          yield* upkeep
          assert.lengthOf(yield* messages, 1)
          yield* Deferred.succeed(goOn, undefined)
          yield* Fiber.join(rebuilding)
          assert.notDeepEqual(yield* schema, before)
          yield* upkeep
          assert.lengthOf(yield* messages, 0)
          assert.deepStrictEqual(yield* schema, before)
          yield* followsFromLog
        }).pipe(
          Effect.provide(
            Upkeep.layer.pipe(
              Layer.provideMerge(Layer.provideMerge(Layer.fresh(Rebuild.layer), held)),
              Layer.provideMerge(storeAt(filename))
            ),
            { local: true }
          )
        )
      }).pipe(Effect.scoped),
    slow
  )
})

/** A crash, as the database has it: what was not committed is gone, and so is whoever was at work. */
const crashing = (at: number, when: "before" | "behind") => {
  let turns = 0
  return Layer.effect(
    Commit,
    Effect.map(Commit, (commit) =>
      Commit.of({
        ...commit,
        lend: (work) =>
          Effect.suspend(() => {
            turns += 1
            const crash = new StorageUnavailable({ retryable: true })
            if (turns !== at) return commit.lend(work)
            return when === "before"
              ? Effect.fail(crash)
              : Effect.andThen(commit.lend(work), Effect.fail(crash))
          })
      })
    )
  )
}

describe("a crash while the tables are made anew", () => {
  // The first turn makes the second set, some fill it, the last one changes them over.
  for (const when of ["before", "behind"] as const) {
    it.effect(
      `L15: ${when} each turn: the old tables or the new ones are in use, and nothing is left over`,
      () =>
        Effect.gen(function* () {
          const filename = `${yield* temporaryDirectory}/test.db`
          const threads = [author("a"), author("b")]
          yield* walk(threads, 9, 500).pipe(Effect.provide(storeAt(filename), { local: true }))
          let crashes = 0
          for (let ended = false; !ended;) {
            ended = yield* Effect.gen(function* () {
              const before = yield* schema
              yield* scar
              const whole = yield* scars
              const exit = yield* Effect.exit(run).pipe(
                Effect.provide(Layer.provideMerge(Rebuild.layer, crashing(crashes + 1, when)), {
                  local: true
                })
              )
              const left = yield* scars
              if (Exit.isSuccess(exit)) return true
              crashes += 1
              // Only the crash behind the last turn finds the new tables in use.
              const done = left.threads === 0
              assert.deepStrictEqual(left, done ? { threads: 0, sessions: 0 } : whole)
              yield* isSound
              yield* Effect.flatMap(Rebuild, ({ clear }) => clear)
              assert.deepStrictEqual(yield* schema, before)
              if (done) yield* followsFromLog
              return false
            }).pipe(Effect.provide(storeAt(filename), { local: true }))
          }
          assert.isAtLeast(crashes, 3)
          yield* Effect.andThen(isSound, followsFromLog).pipe(
            Effect.provide(storeAt(filename), { local: true })
          )
        }).pipe(Effect.scoped),
      slow
    )
  }
})
