import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { Reader, Writer } from "../../src/store/Sqlite.ts"
import type { Author } from "../store/fixtures.ts"
import {
  author,
  created,
  dump,
  ended,
  begun,
  next,
  project,
  projectChange,
  queued,
  receipt,
  store
} from "../store/fixtures.ts"
import { dice, step } from "./walk.ts"

/** Walks several threads, committing in groups of changing size. */
const walk = (threads: ReadonlyArray<Author>, seed: number, steps: number) =>
  Effect.gen(function* () {
    const { submit } = yield* Commit
    const roll = dice(seed)
    yield* submit(projectChange(project, 0, [{ type: "project.created", title: "P", directory: "/p" }]))
    yield* submit(projectChange(project, 1, [{ type: "project.updated", title: "Q" }]))
    let done = 0
    while (done < steps) {
      const size = 1 + roll.below(40)
      const first = done
      done += size
      const group = Array.from({ length: size }, (_, index) => {
        const thread = roll.of(threads)
        const events = step(thread, roll)
        return events.length === 0
          ? null
          : next(thread, events, roll.below(5) === 0 ? receipt(`r${seed}-${first + index}`) : null)
      })
      yield* Effect.forEach(
        group.filter((change) => change !== null),
        submit,
        { concurrency: "unbounded" }
      )
      yield* Effect.forEach(threads, loadsAs)
    }
  })

/** What is loaded is what the mailbox holds, streamed text and all. */
const loadsAs = (thread: Author) =>
  Effect.gen(function* () {
    const { load } = yield* ThreadView
    const loaded = yield* load(thread.id)
    if (loaded === null) return assert.strictEqual(thread.version, 0)
    assert.strictEqual(loaded.version, thread.version)
    // A number that only streamed text had reached may go with that text; it counts for a live stream alone.
    const { seen } = loaded.state.session
    assert.isAtMost(seen, thread.state.session.seen)
    const live = { ...thread.state, session: { ...thread.state.session, seen } }
    assert.deepStrictEqual(loaded.state, JSON.parse(JSON.stringify(live)))
  })

/** What is open in the tables is what is open in the state. */
const showsAs = (thread: Author) =>
  Effect.gen(function* () {
    const sql = yield* Reader
    const ids = (table: string, id: string, where: string) =>
      Effect.map(
        sql.unsafe<{ id: string }>(`SELECT ${id} AS id FROM ${table} WHERE thread_id = ? AND ${where}`, [
          thread.id
        ]),
        (rows) => rows.map((row) => row.id).toSorted()
      )
    const { turns, items, requests, session } = thread.state
    const openTurns = yield* ids("turns", "turn_id || ' ' || state", "settled_at IS NULL")
    assert.deepStrictEqual(openTurns, turns.map((turn) => `${turn.id} ${turn.state}`).toSorted())
    const open = [
      ...(yield* ids("messages", "message_id", "status = 'open'")),
      ...(yield* ids("items", "item_id", "status = 'open'"))
    ]
    assert.deepStrictEqual(open.toSorted(), items.map((item) => item.id as string).toSorted())
    const waiting = yield* ids("requests", "request_id", "status IN ('open', 'answering')")
    assert.deepStrictEqual(waiting, requests.map((request) => request.id as string).toSorted())
    assert.deepStrictEqual(yield* ids("sessions", "status", "1"), [session.status])
    const stale = yield* sql`SELECT 1 FROM open_texts WHERE thread_id = ${thread.id}
      AND item_id NOT IN (SELECT value FROM json_each(${JSON.stringify(items.map((item) => item.id))}))`
    assert.lengthOf(stale, 0)
    const lost =
      yield* sql`SELECT 1 FROM message_chunks WHERE text_id NOT IN (SELECT text_id FROM open_texts)`
    assert.lengthOf(lost, 0)
  })

describe("rebuilding the tables", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it.effect(`L15: tables rebuilt from the log are the same to the byte (walk ${seed})`, () =>
      Effect.gen(function* () {
        const threads = [author("a"), author("b"), author("c")]
        yield* walk(threads, seed, 900)
        yield* Effect.forEach(threads, showsAs)
        const { rebuild } = yield* Commit
        const live = yield* dump
        const rebuilt = yield* rebuild
        assert.isAtLeast(rebuilt.events, 150)
        assert.strictEqual(rebuilt.unreadable, 0)
        assert.strictEqual(yield* dump, live)
        yield* Effect.forEach(threads, loadsAs)
      }).pipe(Effect.provide(store))
    )
  }

  it.effect("E3: reads the whole log, however many pages it has", () =>
    Effect.gen(function* () {
      const { submit, rebuild } = yield* Commit
      const thread = author("t")
      yield* submit(next(thread, [created]))
      for (let round = 0; round < 6; round++) {
        const notices = Array.from({ length: 900 }, (_, index) => ({
          type: "notice.recorded" as const,
          turnId: null,
          message: `notice ${round} ${index}`
        }))
        yield* submit(next(thread, notices))
      }
      const live = yield* dump
      assert.strictEqual((yield* rebuild).events, 5_401)
      assert.strictEqual(yield* dump, live)
    }).pipe(Effect.provide(store))
  )

  it.effect("E5: leaves out an event that cannot be read, counts it, and rebuilds the rest", () =>
    Effect.gen(function* () {
      const { submit, rebuild } = yield* Commit
      const writer = yield* Writer
      const thread = author("t")
      yield* submit(next(thread, [created, queued("a", "one"), queued("b", "two")]))
      yield* writer`UPDATE events SET payload = '{' WHERE version = 2`
      assert.deepStrictEqual(yield* rebuild, { events: 2, unreadable: 1 })
      const sql = yield* Reader
      const turns = yield* sql<{ id: string }>`SELECT turn_id AS id FROM turns`
      assert.deepStrictEqual(
        turns.map((row) => row.id),
        ["b"]
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("restores rows that were lost, and changes committed behind it are kept", () =>
    Effect.gen(function* () {
      const { submit, rebuild } = yield* Commit
      const writer = yield* Writer
      const thread = author("t")
      yield* submit(next(thread, [created, queued("a", "one"), begun("a", 0), ended("a", 0, "text")]))
      const live = yield* dump
      yield* writer`DELETE FROM messages`
      yield* writer`UPDATE threads SET title = 'damaged'`
      const [, answer] = yield* Effect.all([rebuild, submit(next(author("u"), [created]))], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(answer, { sequence: 5, version: 1 })
      yield* writer`DELETE FROM events WHERE stream = 'thread:u'`
      yield* rebuild
      assert.strictEqual(yield* dump, live)
    }).pipe(Effect.provide(store))
  )
})
