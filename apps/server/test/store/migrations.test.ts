import { assert, describe, it } from "@effect/vitest"
import { SessionStatus, TurnState } from "@turnkeeper/domain/thread/lifecycle"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { Meta } from "../../src/store/Meta.ts"
import { migrated, schemaVersion } from "../../src/store/Migrations.ts"
import * as Sqlite from "../../src/store/Sqlite.ts"
import { chunksOf } from "../../src/store/TextJournal.ts"
import { temporaryDirectory, threadId } from "./fixtures.ts"

const database = (filename: string) => migrated(Sqlite.layer({ filename }))

const epochOf = (filename: string) =>
  Effect.map(Meta, (meta) => meta.epoch).pipe(
    Effect.provide(Meta.layer.pipe(Layer.provide(database(filename))))
  )

describe("Migrations", () => {
  it.effect("make the tables once; opening again keeps what is there, its epoch first of all", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const first = yield* epochOf(`${directory}/a.db`)
      assert.match(first, /^[0-9a-f]{32}$/)
      assert.strictEqual(yield* epochOf(`${directory}/a.db`), first)
      assert.notStrictEqual(yield* epochOf(`${directory}/b.db`), first)
    }).pipe(Effect.scoped)
  )

  it.effect("leave a database of a newer program alone", () =>
    Effect.gen(function* () {
      const filename = `${yield* temporaryDirectory}/a.db`
      yield* Effect.flatMap(
        Sqlite.Writer,
        (sql) => sql`INSERT INTO migrations (migration_id, name) VALUES (${schemaVersion + 1}, 'later')`
      ).pipe(Effect.provide(database(filename)))
      const error = yield* Effect.flip(epochOf(filename))
      assert.deepInclude(error, { _tag: "DatabaseTooNew", found: schemaVersion + 1, known: schemaVersion })
    }).pipe(Effect.scoped)
  )

  it.effect("take along the text that was streaming, each item's in its order", () =>
    Effect.gen(function* () {
      const filename = `${yield* temporaryDirectory}/a.db`
      const old = new DatabaseSync(filename)
      old.exec(fs.readFileSync(`${import.meta.dirname}/../lifecycle/databases/schema-4.sql`, "utf8"))
      const add = old.prepare("INSERT INTO message_chunks VALUES (?, ?, ?, ?, ?, ?)")
      const said = [
        ["t", "a/1", 0, "Hello", 3, 4],
        ["u", "a/1", 0, "Not here", 1, 2],
        ["t", "a/2", 0, "one", 4, 5],
        ["t", "a/1", 5, ", world", 5, 5],
        ["t", "a/1", 7, "moon", 6, 5]
      ] as const
      for (const row of said) add.run(...row)
      old.close()
      const chunks = yield* Effect.flatMap(Sqlite.Reader, (sql) => chunksOf(sql, threadId("t"))).pipe(
        Effect.provide(database(filename))
      )
      assert.deepStrictEqual(
        chunks.map((chunk) => [chunk.itemId, chunk.offset, chunk.text, chunk.seq, chunk.afterVersion]),
        said.flatMap(([thread, ...chunk]) => (thread === "t" ? [chunk] : []))
      )
    }).pipe(Effect.scoped)
  )

  it.effect("the tables know exactly the kernel's states", () =>
    Effect.gen(function* () {
      const filename = `${yield* temporaryDirectory}/a.db`
      yield* Effect.gen(function* () {
        const sql = yield* Sqlite.Writer
        const add = (status: string) =>
          sql`INSERT INTO sessions (thread_id, status, generation, open, updated_at, version)
            VALUES (${status}, ${status}, 0, 0, 0, 1)`
        yield* Effect.forEach(SessionStatus.literals, add)
        const error = yield* Effect.flip(add("idle"))
        assert.strictEqual(error.reason._tag, "ConstraintError")
        const [turns] = yield* sql<{ sql: string }>`SELECT sql FROM sqlite_master WHERE name = 'turns'`
        for (const state of TurnState.literals) assert.include(turns?.sql, `'${state}'`)
      }).pipe(Effect.provide(database(filename)))
    }).pipe(Effect.scoped)
  )
})

describe("Sqlite", () => {
  it.effect("a file that is no database is a typed error", () =>
    Effect.gen(function* () {
      const filename = `${yield* temporaryDirectory}/a.db`
      fs.writeFileSync(filename, "this is no database, however long one reads it. ".repeat(100))
      const error = yield* Effect.flip(epochOf(filename))
      assert.deepInclude(error, { _tag: "DatabaseUnusable", code: 26 })
    }).pipe(Effect.scoped)
  )

  it.effect("a directory that is not there is a typed error", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(epochOf(`${yield* temporaryDirectory}/missing/a.db`))
      assert.deepInclude(error, { _tag: "DatabaseUnusable", code: 14 })
    }).pipe(Effect.scoped)
  )

  it.effect("the readers cannot write", () =>
    Effect.gen(function* () {
      const filename = `${yield* temporaryDirectory}/a.db`
      yield* Effect.gen(function* () {
        for (const tag of [Sqlite.Reader, Sqlite.SnapshotReader]) {
          const sql = yield* tag
          const error = yield* Effect.flip(sql`DELETE FROM meta`)
          assert.strictEqual(Sqlite.resultCodeOf(error), 8)
        }
      }).pipe(Effect.provide(database(filename)))
    }).pipe(Effect.scoped)
  )

  it.effect("keeps freed pages for incremental vacuum, and writes ahead", () =>
    Effect.gen(function* () {
      const filename = `${yield* temporaryDirectory}/a.db`
      yield* Effect.gen(function* () {
        const sql = yield* Sqlite.Writer
        assert.deepStrictEqual({ ...(yield* Sqlite.pragma(sql, "auto_vacuum"))[0] }, { auto_vacuum: 2 })
        assert.deepStrictEqual({ ...(yield* Sqlite.pragma(sql, "journal_mode"))[0] }, { journal_mode: "wal" })
      }).pipe(Effect.provide(database(filename)))
    }).pipe(Effect.scoped)
  )
})
