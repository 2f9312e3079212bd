/** What was deleted frees its room, and what nobody can ask for any more goes. */
import { assert, describe, it } from "@effect/vitest"
import type { CommandId } from "@turnkeeper/domain/ids"
import type { ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Commit } from "../../src/engine/Commit.ts"
import { forgetStep } from "../../src/maintenance/forget.ts"
import { Upkeep } from "../../src/maintenance/Upkeep.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { defaults, Settings } from "../../src/Settings.ts"
import * as Sqlite from "../../src/store/Sqlite.ts"
import type { Author } from "../store/fixtures.ts"
import {
  appended,
  asked,
  author,
  begun,
  created,
  dump,
  ended,
  next,
  queued,
  receipt,
  sent,
  sessionStarted,
  settled,
  starting,
  storeAt,
  temporaryDirectory,
  turnId,
  undone
} from "../store/fixtures.ts"

const keptAt = (filename: string, settings: Partial<typeof defaults> = {}) =>
  Upkeep.layer.pipe(
    Layer.provideMerge(storeAt(filename)),
    Layer.provide(Layer.succeed(Settings, { ...defaults, ...settings }))
  )

/** On a file that goes with the test. */
const kept = (settings: Partial<typeof defaults> = {}) =>
  Layer.unwrap(Effect.map(temporaryDirectory, (directory) => keptAt(`${directory}/test.db`, settings)))

const upkeep = Effect.flatMap(Upkeep, ({ run }) => run)
const deletion: ThreadEvent = { type: "thread.deleted" }
const stopped: ThreadEvent = { type: "session.stopped", generation: 1, end: "asked", message: null }

/** A thread with something in every table, `turns` turns long. Its session is open. */
const grow = (thread: Author, turns: number, text = "x") =>
  Effect.gen(function* () {
    const { submit } = yield* Commit
    yield* submit(next(thread, [created, starting, sessionStarted], receipt(`create-${thread.id}`)))
    for (let n = 0; n < turns; n++) {
      const turn = `turn-${n}`
      const usage = { inputTokens: 1, cachedInputTokens: 0, outputTokens: 1, reasoningTokens: 0 }
      const work: ReadonlyArray<ThreadEvent> = [
        queued(turn, `${text} asked`),
        ...sent(turn),
        begun(turn, 0),
        ended(turn, 0, `${text} answered`),
        begun(turn, 1, "command"),
        appended(turn, 1, 0, text),
        ended(turn, 1, `${text} printed`, { kind: "command" }),
        asked(turn, `key-${n}`),
        { type: "usage.reported", turnId: turnId(turn), usage },
        settled(turn)
      ]
      yield* submit(next(thread, work))
    }
  })

const remove = (thread: Author) =>
  Effect.flatMap(Commit, ({ submit }) => submit(next(thread, [deletion], receipt(`delete-${thread.id}`))))

const close = (thread: Author) => Effect.flatMap(Commit, ({ submit }) => submit(next(thread, [stopped])))

/** How many rows each table has of the thread; tables without any are left out. */
const rowsOf = (thread: Author) =>
  Effect.gen(function* () {
    const sql = yield* Sqlite.Reader
    const tables = yield* sql<{ name: string }>`SELECT m.name FROM sqlite_master AS m
      JOIN pragma_table_info(m.name) AS c ON c.name = 'thread_id' WHERE m.type = 'table' ORDER BY m.name`
    const counts: Record<string, number> = {}
    for (const { name } of tables) {
      const [row] = yield* sql.unsafe<{ n: number }>(
        `SELECT count(*) AS n FROM ${name} WHERE thread_id = ?`,
        [thread.id]
      )
      if (row !== undefined && row.n > 0) counts[name] = row.n
    }
    const [events] = yield* sql<{
      n: number
    }>`SELECT count(*) AS n FROM events WHERE stream = ${`thread:${thread.id}`}`
    return { ...counts, events: events?.n }
  })

/** Its creation, its deletion, and what came last where that is not the deletion itself. */
const bare = { events: 2, sessions: 1, thread_states: 1, threads: 1 }

const onFile = <A, E>(body: (filename: string) => Effect.Effect<A, E>) =>
  Effect.flatMap(temporaryDirectory, (directory) => body(`${directory}/test.db`)).pipe(Effect.scoped)

describe("a deleted thread", () => {
  it.effect("D6: loses its rows, its text and its events; others keep theirs", () =>
    Effect.gen(function* () {
      const [gone, stays] = [author("gone"), author("stays")]
      yield* grow(gone, 150)
      yield* grow(stays, 2)
      yield* close(gone)
      const before = yield* rowsOf(stays)
      assert.isAtLeast(Object.keys(yield* rowsOf(gone)).length, 8)
      yield* remove(gone)
      yield* upkeep
      assert.deepStrictEqual(yield* rowsOf(gone), bare)
      assert.deepStrictEqual(yield* rowsOf(stays), before)
      const { receiptOf, rebuild, submit } = yield* Commit
      const answer = yield* receiptOf("delete-gone" as CommandId)
      assert.strictEqual(answer?.version, gone.version)
      // L11: the repeated command is answered as then.
      const again = { ...next(author("gone"), [], receipt("delete-gone")), expected: gone.version }
      assert.deepStrictEqual(yield* submit(again), { sequence: answer?.sequence, version: gone.version })
      const view = yield* ThreadView
      assert.deepInclude((yield* view.load(gone.id))?.state.info, { deleted: true })
      // L15: a rebuild makes the same of what is left.
      const live = yield* dump
      yield* rebuild
      assert.strictEqual(yield* dump, live)
    }).pipe(Effect.provide(kept()))
  )

  it.effect("D6: loses nothing while its session has not ended; it ends, and the next round takes it", () =>
    Effect.gen(function* () {
      const thread = author("t")
      yield* grow(thread, 2)
      yield* remove(thread)
      const before = yield* rowsOf(thread)
      yield* upkeep
      assert.deepStrictEqual(yield* rowsOf(thread), before)
      yield* close(thread)
      yield* TestClock.adjust(defaults.upkeepEveryMs)
      yield* upkeep
      assert.deepStrictEqual(yield* rowsOf(thread), { ...bare, events: 3 })
      // What comes after all that goes on from the thread's last version.
      const { submit } = yield* Commit
      const committed = yield* submit(next(thread, [{ type: "notice.recorded", turnId: null, message: "m" }]))
      assert.strictEqual(committed.version, thread.version)
    }).pipe(Effect.provide(kept()))
  )

  it.effect("D6: a crash behind any step loses nothing else; a rebuild in between makes the same rows", () =>
    onFile((filename) =>
      Effect.gen(function* () {
        const [gone, stays] = [author("gone"), author("stays")]
        const step = Effect.flatMap(Commit, ({ upkeep: run }) => run(forgetStep))
        const opened = <A, E, R>(body: Effect.Effect<A, E, R>) =>
          body.pipe(Effect.provide(storeAt(filename), { local: true }))
        yield* opened(
          Effect.gen(function* () {
            yield* grow(gone, 100)
            yield* grow(stays, 2)
            yield* close(gone)
            yield* remove(gone)
          })
        )
        let steps = 0
        for (let left = "more"; left === "more"; steps++) {
          // Each step in a server of its own, as if the one before had been killed.
          left = yield* opened(step)
          yield* opened(Effect.flatMap(Commit, ({ rebuild }) => rebuild))
        }
        assert.isAtLeast(steps, 5)
        yield* opened(
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* rowsOf(gone), bare)
            const live = yield* dump
            yield* Effect.flatMap(Commit, ({ rebuild }) => rebuild)
            assert.strictEqual(yield* dump, live)
          })
        )
      })
    )
  )

  it.effect(
    "D6: is left in small steps, and commits go in between",
    () =>
      Effect.gen(function* () {
        const [gone, busy] = [author("gone"), author("busy")]
        yield* grow(gone, 300)
        yield* close(gone)
        yield* remove(gone)
        const { submit } = yield* Commit
        const sql = yield* Sqlite.Reader
        yield* submit(next(busy, [created]))
        const left: Array<number> = []
        const talk = Effect.gen(function* () {
          for (let n = 0; n < 20; n++) {
            yield* submit(next(busy, [{ type: "notice.recorded", turnId: null, message: `${n}` }]))
            const [row] = yield* sql<{
              n: number
            }>`SELECT count(*) AS n FROM events WHERE stream = 'thread:gone'`
            left.push(row?.n ?? 0)
          }
        })
        yield* Effect.all([upkeep, talk], { concurrency: "unbounded" })
        assert.isAbove(new Set(left).size, 2, "the steps were seen from in between")
        assert.deepStrictEqual(yield* rowsOf(gone), bare)
        assert.strictEqual((yield* rowsOf(busy)).events, 21)
      }).pipe(Effect.provide(kept())),
    60_000
  )

  it.effect("E2: who missed what has gone is not told of a part of it", () =>
    Effect.gen(function* () {
      const thread = author("t")
      yield* grow(thread, 2)
      yield* close(thread)
      yield* remove(thread)
      const { eventsAfter } = yield* ThreadView
      assert.isNotNull(yield* eventsAfter(thread.id, 4))
      yield* upkeep
      assert.isNull(yield* eventsAfter(thread.id, 4))
    }).pipe(Effect.provide(kept()))
  )

  it.effect("D6: also one that was deleted by a program that kept everything", () =>
    onFile((filename) =>
      Effect.gen(function* () {
        const thread = author("t")
        yield* Effect.gen(function* () {
          yield* grow(thread, 2)
          yield* close(thread)
          yield* remove(thread)
          const sql = yield* Sqlite.Writer
          yield* Effect.forEach(undone, (statement) => sql.unsafe(statement))
        }).pipe(Effect.provide(storeAt(filename), { local: true }))
        yield* Effect.andThen(upkeep, rowsOf(thread)).pipe(
          Effect.provide(keptAt(filename)),
          Effect.tap((rows) => Effect.sync(() => assert.deepStrictEqual(rows, bare)))
        )
      })
    )
  )
})

describe("receipts", () => {
  const idsLeft = Effect.flatMap(Sqlite.Reader, (sql) =>
    Effect.map(sql<{ id: string }>`SELECT command_id AS id FROM command_receipts ORDER BY at`, (rows) =>
      rows.map((row) => row.id)
    )
  )
  const give = (thread: Author, id: string, at: number) =>
    Effect.flatMap(Commit, ({ submit }) =>
      submit({ ...next(thread, [{ type: "notice.recorded", turnId: null, message: id }], receipt(id)), at })
    )

  it.effect("D6: expire by age; until then the same command has the same answer", () =>
    Effect.gen(function* () {
      const thread = author("t")
      const day = 86_400_000
      yield* give(thread, "old", 0)
      yield* give(thread, "young", 2 * day)
      yield* TestClock.setTime(30 * day)
      yield* upkeep
      assert.deepStrictEqual(yield* idsLeft, ["old", "young"])
      yield* TestClock.setTime(30 * day + 1)
      yield* upkeep
      assert.deepStrictEqual(yield* idsLeft, ["young"])
    }).pipe(Effect.provide(kept()))
  )

  it.effect("D6: expire by number, the oldest first", () =>
    Effect.gen(function* () {
      const thread = author("t")
      for (let n = 0; n < 5; n++) yield* give(thread, `r${n}`, n)
      yield* upkeep
      assert.deepStrictEqual(yield* idsLeft, ["r2", "r3", "r4"])
    }).pipe(Effect.provide(kept({ receiptsMax: 3 })))
  )
})

describe("free pages", () => {
  const pages = (name: "page_count" | "freelist_count") =>
    Effect.flatMap(Sqlite.Writer, (sql) =>
      Effect.map(Sqlite.pragma(sql, name), ([row]) => (row as Record<string, number>)[name] ?? 0)
    )

  it.effect(
    "D6: what a deleted thread took goes back to the file system, but for a reserve",
    () =>
      Effect.gen(function* () {
        const thread = author("t")
        yield* grow(thread, 40, "long text ".repeat(10_000))
        yield* close(thread)
        const full = yield* pages("page_count")
        assert.isAbove(full, 2_000)
        yield* remove(thread)
        yield* upkeep
        assert.isAtMost(yield* pages("freelist_count"), 1_000)
        assert.isBelow(yield* pages("page_count"), full - 1_000)
      }).pipe(Effect.provide(kept())),
    60_000
  )

  it.effect("a file that was made without the means keeps them, and housekeeping ends", () =>
    onFile((filename) =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { DatabaseSync } = yield* Effect.promise(() => import("node:sqlite"))
            const raw = new DatabaseSync(filename)
            raw.exec("PRAGMA auto_vacuum = NONE; VACUUM; CREATE TABLE filler (text TEXT)")
            raw.exec(
              "INSERT INTO filler SELECT hex(randomblob(4000)) FROM json_each('[' || '1' || replace(hex(zeroblob(1500)), '00', ',1') || ']')"
            )
            raw.exec("DROP TABLE filler")
            raw.close()
          })
        )
        yield* Effect.gen(function* () {
          const free = yield* pages("freelist_count")
          assert.isAbove(free, 1_000)
          yield* upkeep
          assert.strictEqual(yield* pages("freelist_count"), free)
        }).pipe(Effect.provide(keptAt(filename)))
      })
    )
  )
})
