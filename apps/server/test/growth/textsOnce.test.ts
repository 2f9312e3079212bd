/** Each text stands in the database once, beside its event, and is shown, found and taken away as if it stood in its row. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { Commit } from "../../src/engine/Commit.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { EventLog } from "../../src/store/EventLog.ts"
import { Reader, Writer } from "../../src/store/Sqlite.ts"
import {
  author,
  begun,
  created,
  dump,
  ended,
  next,
  queued,
  sent,
  sessionStarted,
  settled,
  starting,
  store,
  turnId
} from "../store/fixtures.ts"
import type { Author } from "../store/fixtures.ts"

/** A turn with a prompt, an answer and a command's output. */
const turn = (thread: Author, name: string, texts: readonly [string, string, string]) =>
  Effect.flatMap(Commit, ({ submit }) =>
    submit(
      next(thread, [
        ...(thread.version === 0 ? [created, starting, sessionStarted] : []),
        queued(name, texts[0]),
        ...sent(name),
        begun(name, 0),
        ended(name, 0, texts[1]),
        begun(name, 1, "command"),
        ended(name, 1, texts[2], { kind: "command" }),
        settled(name)
      ])
    )
  )

const shown = (thread: Author) =>
  Effect.gen(function* () {
    const { snapshot } = yield* ThreadView
    return (yield* snapshot(thread.id))?.entries.map(({ text }) => text)
  })

const logged = (thread: Author) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const { records, unreadable } = yield* log.readThread(thread.id, 0, { rows: 1_000, bytes: 1e8 })
    assert.strictEqual(unreadable, 0)
    return records.flatMap(({ event }) => ("text" in event ? [event.text] : []))
  })

const remade = Effect.flatMap(Commit, ({ rebuild }) => rebuild)

const indexIsSound = Effect.flatMap(
  Writer,
  (sql) => sql`INSERT INTO message_search (message_search, rank) VALUES ('integrity-check', 1)`
)

const texts = ["A prompt.", "An answer of some words.", "an output\n"] as const

/** What stands in no column as it is, and what is at the edge of it. */
const strange = [
  "",
  "\0",
  "a\0b",
  "\ud800",
  "half \udfff of a pair",
  "\u{1f600}",
  "\ufeffmark",
  '"quoted" \\ {}'
]

describe("a text", () => {
  it.effect("D7: stands in no table a second time, and tables made anew are the same to the byte (L15)", () =>
    Effect.gen(function* () {
      const thread = author("t")
      const long = texts.map((text) => text.repeat(1_000)) as unknown as typeof texts
      yield* turn(thread, "a", long)
      assert.deepStrictEqual(yield* shown(thread), [...long])
      const sql = yield* Reader
      const [row] = yield* sql<{ n: number }>`SELECT (SELECT sum(octet_length(text)) FROM messages)
        + (SELECT sum(octet_length(text)) FROM items) + (SELECT sum(octet_length(state)) FROM thread_states)
        + (SELECT sum(octet_length(payload)) FROM events) AS n`
      assert.isBelow(row?.n ?? Infinity, 4_000)
      const live = yield* dump
      yield* remade
      assert.strictEqual(yield* dump, live)
      assert.deepStrictEqual(yield* shown(thread), [...long])
      yield* indexIsSound
    }).pipe(Effect.provide(store))
  )

  it.effect(
    "L12: comes out of the log as it went in, whatever it is of, and is shown as SQLite can show it",
    () =>
      Effect.gen(function* () {
        const { submit } = yield* Commit
        const thread = author("t")
        yield* submit(next(thread, [created, starting, sessionStarted]))
        const said = (text: string, n: number) => turn(thread, `turn-${n}`, [text, text, text])
        yield* Effect.forEach(strange, said, { discard: true })
        const three = strange.flatMap((text) => [text, text, text])
        assert.deepStrictEqual(yield* logged(thread), three)
        assert.deepStrictEqual(
          yield* shown(thread),
          three.map((text) => text.toWellFormed())
        )
        const live = yield* dump
        yield* remade
        assert.strictEqual(yield* dump, live)
        yield* indexIsSound
      }).pipe(Effect.provide(store))
  )

  it.effect("L12: any text comes out of the log as it went in", () =>
    Effect.gen(function* () {
      const context = yield* Effect.context<Commit | EventLog | ThreadView>()
      let n = 0
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.array(fc.string({ unit: "binary" }), { minLength: 3, maxLength: 3 }), (some) =>
            Effect.runPromiseWith(context)(
              Effect.gen(function* () {
                const thread = author(`t-${n++}`)
                yield* turn(thread, "a", some as unknown as typeof texts)
                assert.deepStrictEqual(yield* logged(thread), some)
                assert.deepStrictEqual(
                  yield* shown(thread),
                  some.map((text) => text.toWellFormed())
                )
              })
            )
          ),
          { numRuns: 60, seed: 20_261_130 }
        )
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("L12: an edited prompt is shown and found by its new words, and not by its old ones", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const sql = yield* Reader
      const thread = author("t")
      yield* submit(next(thread, [created, queued("a", "about apples")]))
      yield* submit(next(thread, [{ type: "turn.edited", turnId: turnId("a"), text: "about pears" }]))
      const found = (word: string) =>
        Effect.map(
          sql`SELECT rowid FROM message_search WHERE message_search MATCH ${word}`,
          (rows) => rows.length
        )
      assert.deepStrictEqual(yield* shown(thread), ["about pears"])
      assert.deepStrictEqual([yield* found("apples"), yield* found("pears")], [0, 1])
      yield* indexIsSound
      const live = yield* dump
      yield* remade
      assert.strictEqual(yield* dump, live)
      assert.deepStrictEqual([yield* found("apples"), yield* found("pears")], [0, 1])
      yield* indexIsSound
    }).pipe(Effect.provide(store))
  )

  it.effect(
    "E4: of an event that has it in its payload, as all had once, is shown, sized and found the same",
    () =>
      Effect.gen(function* () {
        const thread = author("t")
        yield* turn(thread, "a", texts)
        const live = yield* dump
        const sql = yield* Writer
        yield* sql`UPDATE events SET payload = json_set(payload, '$.text', text), text = NULL
        WHERE text IS NOT NULL`
        assert.deepStrictEqual(yield* shown(thread), [...texts])
        assert.deepStrictEqual(yield* logged(thread), [...texts])
        yield* indexIsSound
        yield* remade
        assert.strictEqual(yield* dump, live)
        assert.deepStrictEqual(yield* shown(thread), [...texts])
        yield* indexIsSound
      }).pipe(Effect.provide(store))
  )
})
