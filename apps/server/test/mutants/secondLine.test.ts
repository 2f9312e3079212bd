/**
 * What stands behind another defence and is never reached while that one holds: tests that mutants of the server
 * asked for.
 */
import { assert, describe, it } from "@effect/vitest"
import type { ThreadItem } from "@turnkeeper/contracts/Streams"
import { breakDisk, mendDisk, takeFailures } from "@turnkeeper/testkit/simulation/Disk"
import { Effect, Fiber, Stream } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import { Feed } from "../../src/engine/Feed.ts"
import { Mailboxes } from "../../src/engine/Mailboxes.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { threadSubscription } from "../../src/rpc/ThreadSubscription.ts"
import { Meta } from "../../src/store/Meta.ts"
import { isSettled, quietly, scenario } from "../lifecycle/harness.ts"
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

describe("a thread that sleeps and owes something", () => {
  // A thread that owes something is awake, and a start that cannot read one is refused: so it takes a hand to
  // write a message past its mailbox.
  scenario(
    "L14: where its state cannot be read, it is looked at again",
    (app) =>
      Effect.gen(function* () {
        const asleep = author("asleep")
        yield* app.use(
          Effect.gen(function* () {
            const { submit } = yield* Commit
            yield* submit(next(asleep, [created, queued("t1", "Hello")]))
            yield* Effect.addFinalizer(() => Effect.sync(mendDisk))
            takeFailures()
            breakDisk(app.database, { place: "read", at: 1, times: 1, error: "busy", undoes: false })
            ;(yield* Mailboxes).ring(asleep.id)
            yield* quietly
          })
        )
        assert.strictEqual(takeFailures(), 1)
        assert.isFalse(
          app
            .control()
            .calls()
            .some(({ operation }) => operation === "open")
        )
        yield* app.sleepThrough("2 seconds")
        const view = yield* app.until(isSettled("t1"), asleep.id)
        assert.strictEqual(view.turn("t1").state, "completed")
      }),
    { providers: [{ id: "codex" }], mayLogErrors: true }
  )
})

describe("a feed that loses a piece of text", () => {
  it.effect("C6: a text with a hole before it is not shown: what is missing is read first", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const thread = author("t")
      yield* submit(
        next(thread, [created, queued("t1", "Hi"), starting, sessionStarted, ...sent("t1"), begun("t1", 1)])
      )
      const source = { feed: yield* losing("two "), view: yield* ThreadView, epoch: (yield* Meta).epoch }
      let shown = ""
      const hearing = yield* threadSubscription(source, { threadId: thread.id }).pipe(
        Stream.tap((item) => Effect.sync(() => (shown = textAfter(shown, item)))),
        Stream.takeUntil(() => shown.endsWith("four")),
        Stream.runDrain,
        Effect.forkChild({ startImmediately: true })
      )
      yield* quietly
      for (const [offset, piece] of [
        [0, "one "],
        [4, "two "],
        [8, "three "],
        [14, "four"]
      ] as const) {
        yield* submit(next(thread, [appended("t1", 1, offset, piece)]))
        yield* quietly
      }
      yield* Fiber.join(hearing)
      assert.strictEqual(shown, "one two three four")
    }).pipe(Effect.provide(store))
  )
})

const losing = (piece: string) =>
  Effect.map(Feed, (feed): Feed["Service"] => ({
    ...feed,
    thread: (threadId) =>
      Effect.map(feed.thread(threadId), ({ nudge, take }) => ({
        nudge,
        take: Effect.map(take, (news) =>
          news.filter((one) => one.type !== "delta" || one.delta.event.text !== piece)
        )
      }))
  }))

/** As a client does that trusts the offsets. */
const textAfter = (shown: string, item: ThreadItem): string =>
  item.type === "delta" ? shown.slice(0, item.offset) + item.text : shown
