/**
 * Databases of every schema that was ever released, opened by the server as it is now. `databases/` has what
 * programs of their time wrote, as SQL: a few threads that lived through crashes, refusals and restarts. A schema
 * of which none is kept is made from the one before it, by its migration.
 */
import { assert, describe, it } from "@effect/vitest"
import type { CommandId, ThreadId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { join } from "node:path"
import { textOf } from "../../src/projection/rowText.ts"
import { verify } from "../../src/maintenance/verify.ts"
import { schemaVersion } from "../../src/store/Migrations.ts"
import * as Sqlite from "../../src/store/Sqlite.ts"
import { temporaryDirectory } from "../store/fixtures.ts"
import { isSettled, scenarioOn } from "./harness.ts"

const kept = (version: number) => join(import.meta.dirname, "databases", `schema-${version}.sql`)
const migrations = join(import.meta.dirname, "../../src/store/migrations")

describe("a database of an earlier version", () => {
  for (let version = 1; version <= schemaVersion; version++) {
    it.effect(
      `L15: of schema ${version} opens with all that it had, verifies, and goes on`,
      () =>
        Effect.gen(function* () {
          const directory = yield* temporaryDirectory
          const database = join(directory, "turnkeeper.db")
          yield* makeDatabase(database, version)
          const before = historyOf(database)
          assert.isAbove(before.turns.length, 10)
          assert.isAbove(before.messages.length, 10)
          const providers = [{ id: "one" }, { id: "two" }]
          yield* scenarioOn({ directory, providers }, (app) =>
            Effect.gen(function* () {
              assert.deepStrictEqual(historyOf(database), before)
              const verdict = yield* verify(database, directory)
              assert.deepInclude(verdict, { differences: [], damage: [], unreadable: 0, outdated: false })
              assert.isAbove(verdict.events, before.turns.length)
              const thread = before.turns[0]!["thread_id"] as ThreadId
              yield* app.say("upgraded", "[[text:still here]]", {
                to: thread,
                commandId: "upgraded" as CommandId
              })
              const view = yield* app.until(isSettled("upgraded"), thread)
              assert.strictEqual(view.turn("upgraded").state, "completed")
            })
          )
        }),
      60_000
    )
  }

  it("the oldest one is kept as it was written", () => {
    assert.isTrue(existsSync(kept(1)))
  })
})

/** What a user would miss. */
const historyOf = (database: string) => {
  const file = new DatabaseSync(database, { readOnly: true })
  const all = (sql: string) => file.prepare(sql).all()
  const columns = all("SELECT name FROM pragma_table_info('messages')").map(({ name }) => name)
  const text = columns.includes("text_at") ? textOf("messages") : "text"
  const found = {
    turns: all("SELECT thread_id, turn_id, state, delivered, reason FROM turns ORDER BY thread_id, turn_id"),
    messages: all(
      `SELECT thread_id, message_id, role, status, ${text} AS text FROM messages ORDER BY thread_id, message_id`
    ),
    receipts: all(
      "SELECT command_id, hash FROM command_receipts WHERE command_id <> 'make-project' ORDER BY 1"
    )
  }
  file.close()
  return found
}

/** As a program of that schema has left it. */
const makeDatabase = (database: string, version: number) =>
  Effect.gen(function* () {
    const from = Array.from({ length: version }, (_, n) => version - n).find((one) => existsSync(kept(one)))!
    const file = new DatabaseSync(database)
    file.exec(readFileSync(kept(from), "utf8"))
    file.close()
    for (let next = from + 1; next <= version; next++) yield* migrate(database, next)
  })

const migrate = (database: string, version: number) =>
  Effect.gen(function* () {
    const sql = yield* Sqlite.Writer
    const name = readdirSync(migrations).find((one) => Number.parseInt(one, 10) === version)!
    const { default: migration } = yield* Effect.promise(() => import(join(migrations, name)))
    yield* Effect.provideService(migration as Effect.Effect<void, never, SqlClient>, SqlClient, sql)
    const row = { migration_id: version, name: name.slice(5, -3) }
    yield* sql`INSERT INTO migrations ${sql.insert(row)}`
  }).pipe(Effect.provide(Sqlite.layer({ filename: database })))
