import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Commit } from "../../src/engine/Commit.ts"
import type { ThreadNews } from "../../src/engine/Feed.ts"
import { Feed, followerLimits } from "../../src/engine/Feed.ts"
import { EventLog } from "../../src/store/EventLog.ts"
import {
  appended,
  author,
  begun,
  created,
  next,
  project,
  projectChange,
  queued,
  sent,
  starting,
  store
} from "../store/fixtures.ts"

const names = (news: ReadonlyArray<ThreadNews>) =>
  news.map((one) => {
    if (one.type === "record") return `${one.record.version} ${one.record.event.type}`
    return one.type === "delta" ? `delta ${one.delta.event.text}` : one.type
  })

const notice = (message: string) => ({ type: "notice.recorded" as const, turnId: null, message })

describe("Feed", () => {
  it.effect(
    "gives a thread's records and deltas in order, from the moment of attaching, and of no other thread",
    () =>
      Effect.gen(function* () {
        const { submit } = yield* Commit
        const feed = yield* Feed
        const [thread, other] = [author("t"), author("u")]
        yield* submit(next(thread, [created]))
        const { take } = yield* feed.thread(thread.id)
        yield* submit(next(other, [created]))
        yield* submit(
          next(thread, [starting, queued("a", "x"), ...sent("a"), begun("a", 0), appended("a", 0, 0, "hi")])
        )
        yield* submit(next(thread, [appended("a", 0, 2, "!"), notice("n")]))
        assert.deepStrictEqual(names(yield* take), [
          "2 session.starting",
          "3 turn.queued",
          "4 turn.send_started",
          "5 turn.started",
          "6 item.started",
          "delta hi",
          "delta !",
          "7 notice.recorded"
        ])
      }).pipe(Effect.scoped, Effect.provide(store))
  )

  it.effect("what is published can be read already", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const feed = yield* Feed
      const log = yield* EventLog
      const thread = author("t")
      const { take } = yield* feed.thread(thread.id)
      const reading = yield* Effect.forkChild(
        Effect.andThen(take, log.readThread(thread.id, 0, { rows: 10, bytes: 10_000 }))
      )
      yield* submit(next(thread, [created]))
      assert.lengthOf((yield* Fiber.join(reading)).records, 1)
    }).pipe(Effect.scoped, Effect.provide(store))
  )

  it.effect("a change that is refused is not published", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const feed = yield* Feed
      const thread = author("t")
      yield* submit(next(thread, [created]))
      const { take } = yield* feed.thread(thread.id)
      yield* Effect.flip(submit({ ...next(author("t"), [created]), threadId: thread.id }))
      yield* submit(next(thread, [notice("real")]))
      assert.deepStrictEqual(names(yield* take), ["2 notice.recorded"])
    }).pipe(Effect.scoped, Effect.provide(store))
  )

  it.effect("a slow reader is told once that it missed something; what comes then was committed after", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const feed = yield* Feed
      const thread = author("t")
      yield* submit(next(thread, [created]))
      const slow = yield* feed.thread(thread.id)
      const prompt = yield* feed.thread(thread.id)
      const many = Array.from({ length: followerLimits.entries }, (_, n) => notice(`${n}`))
      yield* submit(next(thread, many))
      assert.lengthOf(yield* prompt.take, followerLimits.entries)
      yield* submit(next(thread, [notice("one too many")]))
      yield* submit(next(thread, [notice("and more")]))
      assert.deepStrictEqual(names(yield* slow.take), ["overflowed"])
      assert.lengthOf(yield* prompt.take, 2)
      yield* submit(next(thread, [notice("after")]))
      assert.deepStrictEqual(names(yield* slow.take), [`${thread.version} notice.recorded`])
    }).pipe(Effect.scoped, Effect.provide(store))
  )

  it.effect("what waits for a reader is bounded in bytes too, but one entry always passes", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const feed = yield* Feed
      const thread = author("t")
      yield* submit(next(thread, [created]))
      const { take } = yield* feed.thread(thread.id)
      yield* submit(next(thread, [notice("x".repeat(followerLimits.bytes))]))
      assert.deepStrictEqual(names(yield* take), ["2 notice.recorded"])
      yield* submit(next(thread, [notice("x".repeat(followerLimits.bytes))]))
      yield* submit(next(thread, [notice("y")]))
      assert.deepStrictEqual(names(yield* take), ["overflowed"])
    }).pipe(Effect.scoped, Effect.provide(store))
  )

  it.effect(
    "the shell and the doorbell hear of each change once, streamed text aside, and never overflow",
    () =>
      Effect.gen(function* () {
        const { submit } = yield* Commit
        const feed = yield* Feed
        const shell = yield* feed.shell
        const doorbell = yield* feed.afterCommit
        const threads = Array.from({ length: 100 }, (_, n) => author(`t${n}`))
        yield* submit(projectChange(project, 0, [{ type: "project.created", title: "P", directory: "/p" }]))
        for (const thread of threads) {
          yield* submit(next(thread, [created, queued("a", "x"), begun("a", 0)]))
          yield* submit(
            next(
              thread,
              Array.from({ length: 20 }, (_, n) => notice(`${n}`))
            )
          )
        }
        // Each with the sequence of its newest event.
        assert.deepStrictEqual(yield* shell.take, [
          { type: "project", projectId: project, sequence: 1 },
          ...threads.map(({ id }, n) => ({
            type: "thread" as const,
            threadId: id,
            sequence: 1 + (n + 1) * 23
          }))
        ])
        assert.deepStrictEqual(
          yield* doorbell.take,
          threads.map(({ id }) => id)
        )
        yield* submit(next(threads[0]!, [appended("a", 0, 0, "text")]))
        yield* submit(next(threads[1]!, [notice("n")]))
        assert.deepStrictEqual(yield* doorbell.take, [threads[1]!.id])
      }).pipe(Effect.scoped, Effect.provide(store))
  )

  it.effect("a reader that was interrupted while waiting misses nothing", () =>
    Effect.gen(function* () {
      const { submit } = yield* Commit
      const feed = yield* Feed
      const thread = author("t")
      const { take } = yield* feed.thread(thread.id)
      const waiting = yield* Effect.forkChild(take)
      yield* Effect.yieldNow
      yield* Fiber.interrupt(waiting)
      yield* submit(next(thread, [created]))
      assert.deepStrictEqual(names(yield* take), ["1 thread.created"])
    }).pipe(Effect.scoped, Effect.provide(store))
  )
})
