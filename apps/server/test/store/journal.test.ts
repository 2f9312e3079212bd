import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { pragma, Reader, Writer } from "../../src/store/Sqlite.ts"
import type { Author } from "./fixtures.ts"
import {
  appended,
  author,
  begun,
  created,
  ended,
  itemId,
  next,
  queued,
  sent,
  sessionStarted,
  settled,
  starting,
  store
} from "./fixtures.ts"

/** A thread with a running turn and one open message. */
const streaming = (thread: Author) =>
  next(thread, [
    created,
    starting,
    sessionStarted,
    queued("a", "hi"),
    ...sent("a"),
    begun("a", 0, "assistant_message", 1)
  ])

const openText = (thread: Author) =>
  Effect.gen(function* () {
    const { load } = yield* ThreadView
    return (yield* load(thread.id))?.state.items[0]?.text
  })

const chunks = Effect.flatMap(
  Reader,
  (sql) => sql<{ offset: number; text: unknown }>`SELECT offset, text FROM message_chunks ORDER BY rowid`
)

describe("the text journal", () => {
  it.effect("joins what was streamed, over many commits, by offset", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(streaming(thread))
      yield* submit(next(thread, [appended("a", 0, 0, "Hello", 2)]))
      yield* submit(next(thread, [appended("a", 0, 5, ", wor", 3), appended("a", 0, 10, "ld", 4)]))
      assert.strictEqual(yield* openText(thread), "Hello, world")
      // What follows on directly within one commit is one row.
      assert.deepStrictEqual(
        (yield* chunks).map(({ offset, text }) => ({ offset, text })),
        [
          { offset: 0, text: "Hello" },
          { offset: 5, text: ", world" }
        ]
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("text at an earlier offset takes the place of what was there", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(streaming(thread))
      yield* submit(next(thread, [appended("a", 0, 0, "Hello, world", 2)]))
      yield* submit(next(thread, [appended("a", 0, 7, "moon", 3)]))
      assert.strictEqual(yield* openText(thread), "Hello, moon")
      assert.strictEqual(thread.state.items[0]?.text, "Hello, moon")
    }).pipe(Effect.provide(store))
  )

  it.effect("keeps a surrogate pair that was cut in two, and a zero character", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(streaming(thread))
      yield* submit(next(thread, [appended("a", 0, 0, "a\ud83d", 2)]))
      yield* submit(next(thread, [appended("a", 0, 2, "\ude00\u0000z", 3)]))
      assert.strictEqual(yield* openText(thread), "a\u{1f600}\u0000z")
    }).pipe(Effect.provide(store))
  )

  it.effect("remembers the number of the newest provider event that only brought text (L10)", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { load } = yield* ThreadView
      const thread = author("t")
      yield* submit(streaming(thread))
      yield* submit(next(thread, [appended("a", 0, 0, "x", 7)]))
      assert.strictEqual((yield* load(thread.id))?.state.session.seen, 7)
      // A command in between carries no number and takes none back.
      yield* submit(next(thread, [queued("b", "more")]))
      assert.strictEqual((yield* load(thread.id))?.state.session.seen, 7)
    }).pipe(Effect.provide(store))
  )

  it.effect("is empty as soon as the item completes; the message has the whole text in the same commit", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const { snapshot } = yield* ThreadView
      const thread = author("t")
      yield* submit(streaming(thread))
      yield* submit(next(thread, [appended("a", 0, 0, "Hello", 2)]))
      yield* submit(next(thread, [appended("a", 0, 5, "!", 3), ended("a", 0, "Hello!", { seq: 4 })]))
      assert.lengthOf(yield* chunks, 0)
      const entry = (yield* snapshot(thread.id))?.entries.find(({ id }) => id === itemId("a", 0))
      assert.deepInclude(entry, { type: "message", status: "completed", text: "Hello!" })
    }).pipe(Effect.provide(store))
  )

  it.effect("takes in nothing that comes behind the end of its item in one commit", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(streaming(thread))
      yield* submit(next(thread, [ended("a", 0, "Hello", { seq: 2 }), appended("a", 0, 5, "!", 3)]))
      assert.lengthOf(yield* chunks, 0)
    }).pipe(Effect.provide(store))
  )

  it.effect("goes on with a text after a failure and after upkeep, as one text", () =>
    Effect.gen(function* () {
      const { submit, upkeep } = yield* Commit
      const writer = yield* Writer
      const thread = author("t")
      yield* submit(streaming(thread))
      yield* submit(next(thread, [appended("a", 0, 0, "Hel", 2)]))
      const more = next(thread, [appended("a", 0, 3, "lo", 3)])
      yield* pragma(writer, "query_only = ON")
      yield* Effect.flip(submit(more))
      yield* pragma(writer, "query_only = OFF")
      yield* submit(more)
      yield* upkeep(() => Effect.void)
      yield* submit(next(thread, [appended("a", 0, 5, "!", 4)]))
      assert.strictEqual(yield* openText(thread), "Hello!")
      yield* submit(next(thread, [ended("a", 0, "Hello!", { seq: 5 })]))
      assert.lengthOf(yield* chunks, 0)
      const sql = yield* Reader
      assert.lengthOf(yield* sql`SELECT 1 FROM open_texts`, 0)
    }).pipe(Effect.provide(store))
  )

  it.effect("the log does not grow with streamed text", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const sql = yield* Reader
      const thread = author("t")
      yield* submit(streaming(thread))
      const before = thread.version
      for (let n = 0; n < 50; n++) yield* submit(next(thread, [appended("a", 0, n, "x", 2 + n)]))
      yield* submit(next(thread, [ended("a", 0, "x".repeat(50), { seq: 60 }), settled("a")]))
      const [row] = yield* sql<{ n: number }>`SELECT max(version) AS n FROM events`
      assert.strictEqual(row?.n, before + 2)
    }).pipe(Effect.provide(store))
  )
})
