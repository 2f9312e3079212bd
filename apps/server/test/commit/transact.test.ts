/** The transaction of plain calls: all of it or nothing, and the connection is free again. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { resultCodeOf, Writer } from "../../src/store/Sqlite.ts"
import { store } from "../store/fixtures.ts"

const insert = "INSERT INTO meta (key, value) VALUES (?, ?)"
const keys = Effect.flatMap(Writer, (sql) =>
  Effect.map(sql<{ key: string }>`SELECT key FROM meta WHERE key LIKE 'test-%' ORDER BY key`, (rows) =>
    rows.map(({ key }) => key)
  )
)

it.effect("what SQLite refuses is a failure, and nothing of the transaction stays", () =>
  Effect.gen(function* () {
    const { transact } = yield* Writer
    const error = yield* Effect.flip(
      transact((run) => {
        run(insert, ["test-1", ""])
        run(insert, ["test-1", ""])
      })
    )
    assert.strictEqual(resultCodeOf(error), 19)
    assert.deepStrictEqual(yield* keys, [])
    yield* transact((run) => run(insert, ["test-2", ""]))
    assert.deepStrictEqual(yield* keys, ["test-2"])
  }).pipe(Effect.provide(store))
)

it.effect("a statement that could not be prepared can be as soon as there is what it needs", () =>
  Effect.gen(function* () {
    const sql = yield* Writer
    const write = sql.transact((run) => run("INSERT INTO later (word) VALUES (?)", ["now"]))
    assert.strictEqual((yield* Effect.flip(write))._tag, "SqlError")
    yield* sql`CREATE TABLE later (word TEXT)`
    yield* write
    assert.deepStrictEqual(yield* sql`SELECT word FROM later`, [{ word: "now" }])
  }).pipe(Effect.provide(store))
)

it.effect("what the program itself throws is a defect, and nothing of the transaction stays either", () =>
  Effect.gen(function* () {
    const { transact } = yield* Writer
    const thrown = new Error("a bug")
    const exit = yield* Effect.exit(
      transact((run) => {
        run(insert, ["test-1", ""])
        throw thrown
      })
    )
    assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), thrown)
    assert.deepStrictEqual(yield* keys, [])
    yield* transact((run) => run(insert, ["test-2", ""]))
    assert.deepStrictEqual(yield* keys, ["test-2"])
  }).pipe(Effect.provide(store))
)
