/** Tables of another version of the program are made anew before the doors open. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { DatabaseSync } from "node:sqlite"
import { Commit } from "../../src/engine/Commit.ts"
import { Rebuild } from "../../src/maintenance/Rebuild.ts"
import { pageBounds } from "../../src/maintenance/Anew.ts"
import { shadowOf } from "../../src/maintenance/shadow.ts"
import { author, created, dump, next, queued, storeAt, temporaryDirectory } from "../store/fixtures.ts"

/** Each test writes them, and has them read. */
const slow = 60_000

/** A log with tables that are its own, and then of another version and not any more. Gives the tables as they were. */
const outdated = (filename: string, notices: number) =>
  Effect.gen(function* () {
    const { submit } = yield* Commit
    const thread = author("t")
    yield* submit(next(thread, [created, queued("a", "one")]))
    for (let done = 0; done < notices; done += 500) {
      yield* submit(
        next(
          thread,
          Array.from({ length: 500 }, (_, n) => ({
            type: "notice.recorded" as const,
            turnId: null,
            message: `notice ${done + n}`
          }))
        )
      )
    }
    return yield* dump
  }).pipe(
    Effect.provide(storeAt(filename), { local: true }),
    Effect.tap(
      inFile(
        filename,
        `UPDATE meta SET value = '0' WHERE key = 'projections'; UPDATE threads SET title = 'scarred'`
      )
    )
  )

const inFile = (filename: string, statements: string) =>
  Effect.sync(() => {
    const database = new DatabaseSync(filename)
    database.exec(statements)
    database.close()
  })

const valueOf = (filename: string, statement: string) => {
  const database = new DatabaseSync(filename, { readOnly: true })
  try {
    return Object.values(database.prepare(statement).get() ?? {})[0]
  } finally {
    database.close()
  }
}

const version = "SELECT value FROM meta WHERE key = 'projections'"
const title = "SELECT title FROM threads"
const second = `SELECT count(*) FROM sqlite_schema WHERE name = '${shadowOf("threads")}'`

const severalPages = 2 * pageBounds.rows + 1_000
const logs = [
  ["of several pages", severalPages],
  ["so long that threads of their own make them", 110_000]
] as const

describe("a start with tables of another version", () => {
  for (const [what, notices] of logs) {
    it.effect(
      `L15: makes them anew from a log ${what}, to the byte`,
      () =>
        Effect.gen(function* () {
          const filename = `${yield* temporaryDirectory}/test.db`
          const before = yield* outdated(filename, notices)
          yield* Effect.gen(function* () {
            assert.strictEqual(yield* dump, before)
            assert.notStrictEqual(valueOf(filename, version), "0")
            // The old ones are left, and go beside the work.
            assert.strictEqual(valueOf(filename, second), 1)
            yield* Effect.flatMap(Rebuild, ({ clear }) => clear)
            assert.strictEqual(valueOf(filename, second), 0)
            assert.strictEqual(yield* dump, before)
          }).pipe(Effect.provide(storeAt(filename), { local: true }))
        }).pipe(Effect.scoped),
      slow
    )

    it.effect(
      `L15: that ends in the middle of a log ${what} leaves the old ones in use, and the next start makes them anew`,
      () =>
        Effect.gen(function* () {
          const filename = `${yield* temporaryDirectory}/test.db`
          const before = yield* outdated(filename, notices)
          const opening = yield* Effect.void.pipe(
            Effect.provide(storeAt(filename), { local: true }),
            Effect.forkChild
          )
          const part = `SELECT count(*) FROM ${shadowOf("items")}`
          while (valueOf(filename, second) === 0 || valueOf(filename, part) === 0) {
            assert.isUndefined(opening.pollUnsafe())
            yield* Effect.yieldNow
          }
          yield* Fiber.interrupt(opening)
          assert.isBelow(Number(valueOf(filename, part)), notices)
          assert.strictEqual(valueOf(filename, title), "scarred")
          assert.strictEqual(valueOf(filename, version), "0")
          assert.strictEqual(yield* Effect.provide(dump, storeAt(filename), { local: true }), before)
        }).pipe(Effect.scoped),
      slow
    )
  }

  it.effect(
    "finds nothing to make in a new database, and leaves nothing in it",
    () =>
      Effect.gen(function* () {
        const filename = `${yield* temporaryDirectory}/test.db`
        yield* Effect.void.pipe(Effect.provide(storeAt(filename), { local: true }))
        assert.match(String(valueOf(filename, version)), /^[1-9]/)
        assert.strictEqual(valueOf(filename, second), 0)
      }).pipe(Effect.scoped),
    slow
  )

  it.effect(
    "takes rows away of which a log without events says nothing",
    () =>
      Effect.gen(function* () {
        const filename = `${yield* temporaryDirectory}/test.db`
        yield* outdated(filename, severalPages)
        yield* inFile(filename, "DELETE FROM events")
        yield* Effect.void.pipe(Effect.provide(storeAt(filename), { local: true }))
        assert.isUndefined(valueOf(filename, title))
      }).pipe(Effect.scoped),
    slow
  )
})
