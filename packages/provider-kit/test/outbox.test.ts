import { assert, it } from "@effect/vitest"
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect, Fiber, Stream } from "effect"
import * as Outbox from "../src/Outbox.ts"

const text = (value: string, item = "i"): ProviderEvent => ({
  type: "text.delta",
  providerTurnId: ProviderTurnId.make("P1"),
  providerItemId: item,
  text: value
})
const notice = (message: string): ProviderEvent => ({ type: "notice", message })
const exited: ProviderEvent = { type: "session.exited", clean: true, message: null }

it.effect("joins text of one item that nobody has read yet, and nothing else", () =>
  Effect.gen(function* () {
    const outbox = Outbox.make()
    yield* outbox.put([text("a"), text("b"), text("c", "other"), notice("n"), text("d", "other")])
    outbox.end(exited)
    assert.deepEqual(yield* Stream.runCollect(outbox.events), [
      text("ab"),
      text("c", "other"),
      notice("n"),
      text("d", "other"),
      exited
    ])
  })
)

it.effect("makes a writer wait when it is full, until somebody reads", () =>
  Effect.gen(function* () {
    const outbox = Outbox.make({ eventsMax: 2 })
    yield* outbox.put([notice("1"), notice("2")])
    const writing = yield* Effect.forkScoped(outbox.put([notice("3")]))
    yield* Effect.yieldNow
    assert.isUndefined(writing.pollUnsafe())
    assert.deepEqual(yield* outbox.events.pipe(Stream.take(2), Stream.runCollect), [notice("1"), notice("2")])
    yield* Fiber.join(writing)
  })
)

it.effect("bounds text by its length, not by the number of its pieces", () =>
  Effect.gen(function* () {
    const outbox = Outbox.make({ textMax: 10 })
    yield* outbox.put([text("12345678901")])
    const writing = yield* Effect.forkScoped(outbox.put([text("2")]))
    yield* Effect.yieldNow
    assert.isUndefined(writing.pollUnsafe())
  })
)

it.effect("ends with one last event, whoever waits and whatever comes after it", () =>
  Effect.gen(function* () {
    const outbox = Outbox.make({ eventsMax: 1 })
    yield* outbox.put([notice("1")])
    const writing = yield* Effect.forkScoped(outbox.put([notice("lost")]))
    yield* Effect.yieldNow
    outbox.end(exited)
    outbox.end({ ...exited, clean: false })
    yield* Fiber.join(writing)
    assert.deepEqual(yield* Stream.runCollect(outbox.events), [notice("1"), exited])
  })
)

it.effect("an abandoned one holds nobody up and still says its last event", () =>
  Effect.gen(function* () {
    const outbox = Outbox.make({ eventsMax: 1 })
    yield* outbox.put([notice("1")])
    const writing = yield* Effect.forkScoped(outbox.put([notice("2")]))
    outbox.abandon()
    yield* Fiber.join(writing)
    yield* outbox.put([notice("3")])
    outbox.end(exited)
    assert.deepEqual(yield* Stream.runCollect(outbox.events), [notice("1"), exited])
  })
)

it.effect("wakes a reader that came back while it was being woken", () =>
  Effect.gen(function* () {
    const outbox = Outbox.make()
    const heard: Array<string> = []
    /** What is heard causes more to be said, at once: the reader is then where it began before `put` returns. */
    const answering = (event: ProviderEvent) =>
      Effect.sync(() => {
        if (event.type !== "notice") return
        heard.push(event.message)
        if (heard.length === 1) Effect.runSync(outbox.put([notice("2")]))
      })
    yield* Effect.forkScoped(Stream.runForEach(outbox.events, answering), { startImmediately: true })
    yield* Effect.yieldNow
    yield* outbox.put([notice("1")])
    yield* Effect.yieldNow
    yield* outbox.put([notice("3")])
    yield* Effect.yieldNow
    assert.deepEqual(heard, ["1", "2", "3"])
  })
)
