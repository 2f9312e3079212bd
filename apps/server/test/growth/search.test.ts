/** Words are found where they were said, as long as they are there. */
import { assert, describe, it } from "@effect/vitest"
import type { SearchPage } from "@turnkeeper/contracts/Search"
import { Effect, Layer } from "effect"
import * as fc from "fast-check"
import { Commit } from "../../src/engine/Commit.ts"
import { Upkeep } from "../../src/maintenance/Upkeep.ts"
import { HeavyReads } from "../../src/reads/HeavyReads.ts"
import type { SearchRequest } from "../../src/reads/search.ts"
import { matchOf } from "../../src/reads/search.ts"
import { Writer } from "../../src/store/Sqlite.ts"
import { dice, step } from "../projection/walk.ts"
import type { Author } from "../store/fixtures.ts"
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
  storeAt,
  temporaryDirectory,
  threadId,
  turnId
} from "../store/fixtures.ts"

const store = Layer.unwrap(
  Effect.map(temporaryDirectory, (directory) =>
    Layer.merge(storeAt(`${directory}/test.db`), HeavyReads.layer(`${directory}/test.db`))
  )
)

const look = (query: string, more: Partial<SearchRequest> = {}) =>
  Effect.flatMap(HeavyReads, ({ search }) =>
    search({ query, threadId: null, limit: 50, before: null, ...more })
  )

/** The entries with the words, the newest first. */
const found = (query: string, more: Partial<SearchRequest> = {}) =>
  Effect.map(look(query, more), ({ hits }) => hits.map(({ threadId, entryId }) => `${threadId} ${entryId}`))

const commit = (thread: Author, ...events: Parameters<typeof next>[1]) =>
  Effect.flatMap(Commit, ({ submit }) => submit(next(thread, events)))

/** A thread with one prompt and one answer. */
const talked = (name: string, prompt: string, answer: string) =>
  Effect.gen(function* () {
    const thread = author(name)
    yield* commit(thread, created, starting, sessionStarted, queued("a", prompt), ...sent("a"))
    yield* commit(thread, begun("a", 0), ended("a", 0, answer), settled("a"))
    return thread
  })

/** SQLite's own comparison of the index with the rows it stands for: fails as damaged where they differ. */
const isSound = Effect.flatMap(
  Writer,
  (sql) => sql`INSERT INTO message_search (message_search, rank) VALUES ('integrity-check', 1)`
)

const rebuild = Effect.flatMap(Commit, (commit) => commit.rebuild)

describe("searching", () => {
  it.effect("finds prompts and answers by their words, in any order and case, the newest first", () =>
    Effect.gen(function* () {
      yield* talked("t", "Where is the Config file?", "The file is in src/config.ts, naïvely placed.")
      yield* talked("u", "Something else", "No such thing; the config moved.")
      const answer = itemId("a", 0)
      assert.deepStrictEqual(yield* found("config"), [`u ${answer}`, `t ${answer}`, "t a-prompt"])
      assert.deepStrictEqual(yield* found("FILE config"), [`t ${answer}`, "t a-prompt"])
      assert.deepStrictEqual(yield* found("naively"), [`t ${answer}`])
      assert.deepStrictEqual(yield* found("src/config.ts"), [`t ${answer}`])
      assert.deepStrictEqual(yield* found("conf"), yield* found("config"), "the last word may go on")
      assert.deepStrictEqual(yield* found("conf file"), [], "the others may not")
      assert.deepStrictEqual(yield* found("nowhere"), [])
      const { hits } = yield* look("naively")
      const { snippet, ...hit } = hits[0]!
      assert.deepInclude(hit, {
        threadId: threadId("t"),
        turnId: turnId("a"),
        role: "assistant",
        threadTitle: "A thread"
      })
      assert.deepStrictEqual(
        snippet.marks.map(({ start, end }) => snippet.text.slice(start, end)),
        ["naïvely"]
      )
    }).pipe(Effect.provide(store))
  )

  it.effect("does not find what is still streaming, nor reasoning, nor what a tool printed", () =>
    Effect.gen(function* () {
      const thread = author("t")
      yield* commit(thread, created, starting, sessionStarted, queued("a", "go"), ...sent("a"))
      yield* commit(thread, begun("a", 0), appended("a", 0, 0, "pelican"))
      yield* commit(thread, begun("a", 1, "reasoning"), begun("a", 2, "command"))
      yield* commit(thread, ended("a", 1, "pelican", { kind: "reasoning" }))
      yield* commit(thread, ended("a", 2, "pelican", { kind: "command" }))
      assert.deepStrictEqual(yield* found("pelican"), [])
      yield* commit(thread, ended("a", 0, "pelican"))
      assert.deepStrictEqual(yield* found("pelican"), [`t ${itemId("a", 0)}`])
      yield* isSound
    }).pipe(Effect.provide(store))
  )

  it.effect("follows a prompt that is edited while it waits, in one commit or in two", () =>
    Effect.gen(function* () {
      const thread = author("t")
      const edit = (text: string) => ({ type: "turn.edited", turnId: queued("a", "").turnId, text }) as const
      yield* commit(thread, created, queued("a", "first"), edit("second"))
      assert.deepStrictEqual([yield* found("first"), yield* found("second")], [[], ["t a-prompt"]])
      yield* commit(thread, edit("third"), edit("fourth"))
      assert.deepStrictEqual([yield* found("second"), yield* found("third")], [[], []])
      assert.deepStrictEqual(yield* found("fourth"), ["t a-prompt"])
      yield* isSound
    }).pipe(Effect.provide(store))
  )

  it.effect("in one thread alone where it is named; page by page, nothing left out and nothing twice", () =>
    Effect.gen(function* () {
      const [t, u] = [author("t"), author("u")]
      yield* commit(t, created)
      yield* commit(u, created)
      for (let n = 0; n < 2_300; n += 100) {
        const many = Array.from({ length: 100 }, (_, k) => queued(`q${n + k}`, `heron ${n + k}`))
        yield* commit(n < 100 ? t : u, ...many)
      }
      const all: Array<string> = []
      let pages = 0
      for (let before: number | null = null, more = true; more; pages++) {
        const page: SearchPage = yield* look("heron", { threadId: t.id, limit: 40, before })
        all.push(...page.hits.map(({ entryId }) => entryId))
        before = page.before
        more = before !== null
      }
      assert.deepStrictEqual(
        all,
        Array.from({ length: 100 }, (_, n) => `q${99 - n}-prompt`)
      )
      assert.isAtLeast(pages, 4)
    }).pipe(Effect.provide(store))
  )

  it.effect("D6: finds nothing of a deleted thread, before its rows have gone and after", () =>
    Effect.gen(function* () {
      const thread = yield* talked("t", "a bittern", "the bittern booms")
      yield* talked("u", "another bittern", "no")
      assert.lengthOf(yield* found("bittern"), 3)
      yield* commit(thread, { type: "session.stopped", generation: 1, end: "asked", message: null })
      yield* commit(thread, { type: "thread.deleted" })
      assert.deepStrictEqual(yield* found("bittern"), ["u a-prompt"])
      yield* Effect.flatMap(Upkeep, ({ run }) => run)
      assert.deepStrictEqual(yield* found("bittern"), ["u a-prompt"])
      yield* isSound
    }).pipe(Effect.provide(Layer.provideMerge(Upkeep.layer, store)))
  )

  for (const seed of [1, 2, 3]) {
    it.effect(`L15: the index is what the log says, also when it is made anew (walk ${seed})`, () =>
      Effect.gen(function* () {
        const threads = [author("a"), author("b")]
        const roll = dice(seed)
        for (let n = 0; n < 500; n++) {
          const thread = roll.of(threads)
          const events = step(thread, roll)
          if (events.length > 0) yield* commit(thread, ...events)
        }
        yield* isSound
        const live = yield* found("do")
        assert.isNotEmpty(live)
        yield* rebuild
        yield* isSound
        assert.deepStrictEqual(yield* found("do"), live)
      }).pipe(Effect.provide(store))
    )
  }

  it.effect(
    "nothing that a user writes is syntax, and nothing breaks it",
    () =>
      Effect.gen(function* () {
        yield* talked("t", 'He said "NOT now" AND left*', "col:umn (NEAR) -minus ^caret")
        for (const query of [
          '"NOT',
          "AND",
          "left*",
          "col:umn",
          "(NEAR",
          "-minus",
          "^caret",
          "NEAR(a b",
          '"""',
          "\0x"
        ]) {
          yield* look(query)
        }
        assert.deepStrictEqual(yield* found('"NOT now" AND'), ["t a-prompt"])
        assert.deepStrictEqual(yield* found("col:umn"), [`t ${itemId("a", 0)}`])
        for (const empty of ["", "   ", '"', "*", "- ( ) :", "\ud800"])
          assert.deepStrictEqual(yield* found(empty), [])
        const anything = fc.sample(fc.string({ unit: "binary", maxLength: 60 }), { numRuns: 400, seed: 7 })
        for (const query of anything) yield* look(query)
        assert.strictEqual(matchOf('a"b c'), '"a""b" "c" *')
      }).pipe(Effect.provide(store)),
    60_000
  )
})
