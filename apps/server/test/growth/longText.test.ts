/** Long outputs: stored once, shown by their ends, read in parts. */
import { assert, describe, it } from "@effect/vitest"
import { ItemId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import { shortened } from "../../src/projection/rowText.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { eventBytes } from "../../src/store/EventLog.ts"
import { Reader } from "../../src/store/Sqlite.ts"
import {
  appended,
  author,
  begun,
  created,
  dump,
  ended,
  itemId,
  next,
  queued,
  sent,
  sessionStarted,
  starting,
  store
} from "../store/fixtures.ts"

const long = Array.from({ length: 40_000 }, (_, n) => `line ${n}\n`).join("")
const command = { kind: "command" } as const

/** A thread in which a command runs, and the command's end. */
const running = Effect.gen(function* () {
  const { submit } = yield* Commit
  const thread = author("t")
  yield* submit(next(thread, [created, starting, sessionStarted, queued("a", "go"), ...sent("a")]))
  yield* submit(next(thread, [begun("a", 0, "command")]))
  return { thread, end: (output: string) => submit(next(thread, [ended("a", 0, output, command)])) }
})

const inParts = (name: string, size: number) =>
  Effect.gen(function* () {
    const { itemText } = yield* ThreadView
    const parts: Array<string> = []
    for (let offset = 0, length = 1; offset < length;) {
      const part = yield* itemText(author("t").id, ItemId.make(name), offset, size)
      assert.strictEqual(part.offset, offset)
      length = part.length
      parts.push(part.text)
      offset += Math.max(1, part.text.length)
    }
    return parts
  })

describe("a long output", () => {
  it.effect("D7: stands once in the database, is shown by its ends, and is read in parts", () =>
    Effect.gen(function* () {
      const { thread, end } = yield* running
      yield* end(long)
      const { snapshot } = yield* ThreadView
      const entry = (yield* snapshot(thread.id))?.entries.find(({ id }) => id === itemId("a", 0))
      if (entry?.type !== "item" || entry.omitted === undefined) return assert.fail("nothing was left out")
      const { from, length } = entry.omitted
      assert.isAtMost(entry.text.length, 32_768)
      assert.strictEqual(
        entry.text.slice(0, from) + long.slice(from, from + length) + entry.text.slice(from),
        long
      )
      const parts = yield* inParts(itemId("a", 0), 100_000)
      assert.lengthOf(parts, Math.ceil(long.length / 100_000))
      assert.strictEqual(parts.join(""), long)
      const sql = yield* Reader
      const [stored] = yield* sql<{ n: number }>`SELECT
        (SELECT sum(${sql.literal(eventBytes)}) FROM events) + (SELECT sum(octet_length(text)) FROM items)
        + (SELECT coalesce(sum(octet_length(text)), 0) FROM message_chunks) AS n`
      assert.isBelow(stored?.n ?? Infinity, long.length * 1.3)
      // L15
      const live = yield* dump
      yield* Effect.flatMap(Commit, ({ rebuild }) => rebuild)
      assert.strictEqual(yield* dump, live)
    }).pipe(Effect.provide(store))
  )

  it.effect("D7: is appended while it grows, never written again; and is whole as long as it is open", () =>
    Effect.gen(function* () {
      const { thread } = yield* running
      const { submit } = yield* Commit
      const sql = yield* Reader
      const size = Effect.map(
        sql<{
          n: number
        }>`SELECT sum(octet_length(text)) AS n FROM message_chunks
          WHERE text_id = (SELECT text_id FROM open_texts WHERE thread_id = ${thread.id})`,
        ([row]) => row?.n
      )
      for (let offset = 0; offset < long.length; offset += 50_000) {
        yield* submit(next(thread, [appended("a", 0, offset, long.slice(offset, offset + 50_000))]))
        assert.strictEqual(yield* size, Math.min(long.length, offset + 50_000))
      }
      const { itemText } = yield* ThreadView
      const part = yield* itemText(thread.id, itemId("a", 0), 300_000, 10)
      assert.deepStrictEqual(part, {
        text: long.slice(300_000, 300_010),
        offset: 300_000,
        length: long.length
      })
    }).pipe(Effect.provide(store))
  )

  it.effect("a short one is read in parts, too; one that nobody knows has no text", () =>
    Effect.gen(function* () {
      const { thread, end } = yield* running
      yield* end("short")
      const { itemText } = yield* ThreadView
      assert.deepStrictEqual(yield* itemText(thread.id, itemId("a", 0), 1, 3), {
        text: "hor",
        offset: 1,
        length: 5
      })
      const none = yield* itemText(thread.id, itemId("a", 9), 0, 10)
      assert.deepStrictEqual(none, { text: "", offset: 0, length: 0 })
    }).pipe(Effect.provide(store))
  )

  it("no character is cut in two, wherever the cuts fall", () => {
    for (let shift = 0; shift < 4; shift++) {
      const text = "x".repeat(shift) + "\u{1f600}".repeat(40_000)
      const { text: short, omitted } = shortened(text, 7)
      assert.isTrue(short.isWellFormed())
      const { from, length } = omitted!
      assert.strictEqual(short.slice(0, from) + text.slice(from, from + length) + short.slice(from), text)
    }
    assert.deepStrictEqual(shortened("y".repeat(65_536), 7).omitted, null)
  })
})
