/** Streamed text that a provider begins anew, as clients read it: a test that a mutant of the server asked for. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import {
  appended,
  author,
  begun,
  created,
  next,
  queued,
  sent,
  sessionStarted,
  starting,
  store
} from "../store/fixtures.ts"

describe("text that is begun anew", () => {
  it.effect("C6: it takes the place of what was there, in a snapshot and in what a client missed", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const view = yield* ThreadView
      const thread = author("t")
      const open = [created, starting, sessionStarted, queued("a", "hi"), ...sent("a"), begun("a", 0)]
      yield* submit(next(thread, open))
      yield* submit(next(thread, [appended("a", 0, 0, "Hello, world")]))
      yield* submit(next(thread, [appended("a", 0, 7, "moon")]))
      const snapshot = yield* view.snapshot(thread.id)
      const shown = snapshot?.entries.filter(({ status }) => status === "open").map(({ text }) => text)
      assert.deepStrictEqual(shown, ["Hello, moon"])
      const gap = yield* view.eventsAfter(thread.id, 1)
      assert.deepStrictEqual(
        gap?.texts.map(({ text }) => text),
        ["Hello, moon"]
      )
    }).pipe(Effect.provide(store))
  )
})
