import { assert, describe, it } from "@effect/vitest"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Listener from "../src/Listener.ts"
import * as Outbox from "../src/Outbox.ts"

const notice = (message: string): ProviderEvent => ({ type: "notice", message })

const make = Effect.gen(function* () {
  const outbox = Outbox.make({ eventsMax: 2 })
  const wasDeaf: Array<boolean> = []
  const listener = Listener.make({
    outbox,
    standstill: "30 seconds",
    scope: yield* Effect.scope,
    hearAgain: () => Effect.sync(() => void wasDeaf.push(listener.isDeaf()))
  })
  yield* listener.tell([notice("1"), notice("2")])
  const read = (count: number) => outbox.events.pipe(Stream.take(count), Stream.runCollect)
  return { listener, read, wasDeaf }
})

describe("a listener that does not read", () => {
  it.effect("is waited for", () =>
    Effect.gen(function* () {
      const { listener, read, wasDeaf } = yield* make
      const telling = yield* Effect.forkScoped(listener.tell([notice("3")]))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(telling.pollUnsafe())
      assert.deepEqual(yield* read(3), [notice("1"), notice("2"), notice("3")])
      yield* Fiber.join(telling)
      assert.deepEqual(wasDeaf, [])
    })
  )

  it.effect("holds nobody up for longer than the standstill, and hears again once it reads", () =>
    Effect.gen(function* () {
      const { listener, read, wasDeaf } = yield* make
      const telling = yield* Effect.forkScoped(listener.tell([notice("3")]))
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(telling)
      assert.isTrue(listener.isDeaf())
      assert.deepEqual(wasDeaf, [])
      // What was being told when it went deaf is kept for it.
      assert.deepEqual(yield* read(3), [notice("1"), notice("2"), notice("3")])
      yield* TestClock.adjust("1 second")
      assert.deepEqual(wasDeaf, [false])
    })
  )

  it.effect("hears again once, however many were holding something for it", () =>
    Effect.gen(function* () {
      const { listener, read, wasDeaf } = yield* make
      const first = yield* Effect.forkScoped(listener.tell([notice("3")]))
      yield* TestClock.adjust("10 seconds")
      const second = yield* Effect.forkScoped(listener.tell([notice("4")]))
      yield* TestClock.adjust("30 seconds")
      yield* Effect.all([Fiber.join(first), Fiber.join(second)])
      assert.deepEqual(
        yield* read(4),
        ["1", "2", "3", "4"].map((message) => notice(message))
      )
      yield* TestClock.adjust("1 second")
      assert.deepEqual(wasDeaf, [false])
    })
  )
})
