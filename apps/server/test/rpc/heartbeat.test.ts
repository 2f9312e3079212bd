/** A heartbeat says that the subscription lives, exactly when nothing else has for so long. */
import { expect, it } from "@effect/vitest"
import { limits } from "@turnkeeper/contracts/Limits"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { bell } from "../../src/engine/Feed.ts"
import { withHeartbeats } from "../../src/rpc/heartbeat.ts"
import { shifted } from "../clock/shifted.ts"

const silence = limits.heartbeatMillis

/** News by its name, and what a subscription makes of it. */
const subscribed = Effect.gen(function* () {
  const news = bell<string>()
  const next = yield* withHeartbeats(news, (taken) => Effect.succeed(taken))
  return { ring: (name: string) => news.ring(name, name), next }
})

it.effect("comes after each silence, and says when", () =>
  Effect.gen(function* () {
    const { next } = yield* subscribed
    for (const n of [1, 2, 3]) {
      const coming = yield* Effect.forkChild(next, { startImmediately: true })
      yield* TestClock.adjust(silence)
      expect(yield* Fiber.join(coming)).toEqual([{ type: "heartbeat", at: n * silence }])
    }
  })
)

it.effect("the silence is counted from the last news", () =>
  Effect.gen(function* () {
    const { next, ring } = yield* subscribed
    yield* TestClock.adjust(silence - 1)
    ring("one")
    expect(yield* next).toEqual(["one"])

    const coming = yield* Effect.forkChild(next, { startImmediately: true })
    yield* TestClock.adjust(silence - 1)
    expect(coming.pollUnsafe()).toBeUndefined()
    yield* TestClock.adjust(1)
    expect(yield* Fiber.join(coming)).toEqual([{ type: "heartbeat", at: 2 * silence - 1 }])
  })
)

for (const [way, jump] of [
  ["back", -3_600_000],
  ["forwards", 3_600_000]
] as const) {
  it.effect(`the clock on the wall is set ${way}: it comes when it would have come`, () =>
    Effect.gen(function* () {
      const wall = { offset: 0 }
      const clock = yield* Effect.clockWith((inner) => Effect.succeed(shifted(inner, wall)))
      const { next } = yield* Effect.provideService(subscribed, Clock.Clock, clock)
      const coming = yield* Effect.forkChild(next, { startImmediately: true })
      yield* TestClock.adjust(1)
      wall.offset = jump
      yield* TestClock.adjust(silence - 2)
      expect(coming.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust(1)
      expect(yield* Fiber.join(coming)).toMatchObject([{ type: "heartbeat" }])
    })
  )
}

it.effect("who was away for many silences is told once", () =>
  Effect.gen(function* () {
    const { next, ring } = yield* subscribed
    yield* TestClock.adjust(5 * silence)
    expect(yield* next).toMatchObject([{ type: "heartbeat" }])

    const coming = yield* Effect.forkChild(next, { startImmediately: true })
    ring("one")
    expect(yield* Fiber.join(coming)).toEqual(["one"])
  })
)

it.effect("news that waits is told instead, and all of it", () =>
  Effect.gen(function* () {
    const { next, ring } = yield* subscribed
    yield* TestClock.adjust(2 * silence)
    ring("one")
    ring("two")
    yield* TestClock.adjust(silence)
    expect(yield* next).toEqual(["one", "two"])
  })
)
