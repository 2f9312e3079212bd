/** What `turnkeeper verify` and `turnkeeper backup` promise. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { Commit } from "../../src/engine/Commit.ts"
import { backup } from "../../src/maintenance/backup.ts"
import { forgetStep } from "../../src/maintenance/forget.ts"
import { rebuildOffline } from "../../src/maintenance/offline.ts"
import { verify } from "../../src/maintenance/verify.ts"
import { DataDirectory, databaseIn } from "../../src/store/DataDirectory.ts"
import { Writer } from "../../src/store/Sqlite.ts"
import { dice, step } from "../projection/walk.ts"
import { author, dump, next, storeAt, temporaryDirectory } from "../store/fixtures.ts"

/** A database in which much has happened and much is open. */
const walked = Effect.gen(function* () {
  const { submit } = yield* Commit
  const threads = [author("a"), author("b")]
  const roll = dice(11)
  for (let n = 0; n < 600; n++) {
    const thread = roll.of(threads)
    const events = step(thread, roll)
    if (events.length > 0) yield* submit(next(thread, events))
  }
  return threads
})

const onFile = <A, E, R>(body: (directory: string) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(temporaryDirectory, body).pipe(Effect.scoped)

const harms = [
  ["a text that was changed", "UPDATE messages SET text = text || ' heron' WHERE rowid = 1", ["messages"]],
  ["a row that is gone", "DELETE FROM turns WHERE rowid = 2", ["turns"]],
  ["a state that is not so", "UPDATE sessions SET generation = generation + 1", ["sessions"]],
  ["a row that nobody said", "INSERT INTO usage VALUES ('a', 'never', 1, 1, 1, 1, 1, 1)", ["usage"]]
] as const

describe("verify", () => {
  it.effect("L15, E6: finds nothing while the server works, and leaves nothing behind", () =>
    onFile((directory) =>
      Effect.gen(function* () {
        yield* walked
        const before = yield* dump
        const verdict = yield* verify(`${directory}/test.db`, directory)
        assert.deepInclude(verdict, { differences: [], damage: [], outdated: false, unreadable: 0 })
        assert.isAbove(verdict.events, 200)
        assert.strictEqual(yield* dump, before)
        assert.deepStrictEqual(
          fs.readdirSync(directory).filter((name) => !name.startsWith("test.db")),
          []
        )
      }).pipe(Effect.provide(storeAt(`${directory}/test.db`)))
    )
  )

  for (const [what, harm, tables] of harms) {
    it.effect(`L15: finds ${what}, and says in which table`, () =>
      onFile((directory) =>
        Effect.gen(function* () {
          yield* walked
          const sql = yield* Writer
          yield* sql.unsafe(harm)
          const { damage, differences } = yield* verify(`${directory}/test.db`, directory)
          assert.deepStrictEqual(
            differences.map(({ table }) => table),
            [...tables]
          )
          // The index is held against the rows as they are, so a text that was changed shows there too.
          assert.lengthOf(damage, harm.includes("text") ? 1 : 0)
        }).pipe(Effect.provide(storeAt(`${directory}/test.db`)))
      )
    )
  }

  it.effect("finds a search index that is not that of the messages", () =>
    onFile((directory) =>
      Effect.gen(function* () {
        yield* walked
        const sql = yield* Writer
        yield* sql`INSERT INTO message_search (message_search) VALUES ('delete-all')`
        const { damage, differences } = yield* verify(`${directory}/test.db`, directory)
        assert.deepStrictEqual([differences, damage.length], [[], 1])
      }).pipe(Effect.provide(storeAt(`${directory}/test.db`)))
    )
  )

  it.effect("does not take a thread for damaged whose history is on its way out", () =>
    onFile((directory) =>
      Effect.gen(function* () {
        const [thread] = yield* walked
        const { submit, upkeep } = yield* Commit
        const open = thread!.state.turns.map((turn) => turn.id)
        yield* submit(
          next(thread!, [
            ...open.map((turnId) => ({
              type: "turn.settled" as const,
              turnId,
              state: "cancelled" as const,
              reason: "gone",
              delivery: "not_delivered" as const,
              into: null
            })),
            {
              type: "session.stopped",
              generation: thread!.state.session.generation,
              end: "asked",
              message: null
            },
            { type: "thread.deleted" }
          ])
        )
        for (let left = "more"; left === "more";) {
          const { damage, differences } = yield* verify(`${directory}/test.db`, directory)
          assert.deepStrictEqual([differences, damage], [[], []])
          left = yield* upkeep(forgetStep)
        }
      }).pipe(Effect.provide(storeAt(`${directory}/test.db`)))
    )
  )

  it.effect("no database is a typed error", () =>
    onFile((directory) =>
      Effect.gen(function* () {
        const failed = yield* Effect.flip(verify(`${directory}/none.db`, directory))
        assert.strictEqual(failed._tag, "CopyFailed")
        assert.deepStrictEqual(fs.readdirSync(directory), [])
      })
    )
  )
})

describe("rebuild", () => {
  it.effect(
    "L15: makes good what was damaged; it waits for no server and takes nobody's directory",
    () =>
      onFile((directory) =>
        Effect.gen(function* () {
          const database = databaseIn(directory)
          yield* Effect.gen(function* () {
            yield* walked
            const sql = yield* Writer
            for (const [, harm] of harms) yield* sql.unsafe(harm)
            yield* sql`INSERT INTO message_search (message_search) VALUES ('delete-all')`
          }).pipe(Effect.provide(storeAt(database), { local: true }))
          const before = yield* verify(database, directory)
          assert.lengthOf(before.differences, 4)
          const refused = yield* Effect.flip(
            Effect.provide(
              rebuildOffline(directory, () => {}),
              DataDirectory.layer(directory),
              { local: true }
            )
          )
          assert.strictEqual(refused._tag, "DataDirectoryInUse")
          assert.strictEqual((yield* rebuildOffline(directory, () => {})).events, before.events)
          assert.deepInclude(yield* verify(database, directory), { differences: [], damage: [] })
        })
      ),
    60_000
  )
})

describe("backup", () => {
  it.effect("is the whole database of one moment, for its owner alone; and never takes a file's place", () =>
    onFile((directory) =>
      Effect.gen(function* () {
        const copy = `${directory}/copy.db`
        const before = yield* Effect.gen(function* () {
          yield* walked
          yield* backup(`${directory}/test.db`, copy)
          const refused = yield* Effect.flip(backup(`${directory}/test.db`, copy))
          assert.strictEqual(refused._tag, "CopyFailed")
          return yield* dump
        }).pipe(Effect.provide(storeAt(`${directory}/test.db`), { local: true }))
        assert.strictEqual(fs.statSync(copy).mode & 0o777, 0o600)
        assert.strictEqual(yield* dump.pipe(Effect.provide(storeAt(copy), { local: true })), before)
      })
    )
  )
})
