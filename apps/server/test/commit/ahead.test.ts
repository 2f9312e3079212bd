/** What a session says while its last words are being committed: read a little further, in order, and never lost. */
import { assert, it } from "@effect/vitest"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect, Exit, Fiber } from "effect"
import * as Ahead from "../../src/ingestion/ahead.ts"

const word = (n: number): ProviderEvent => ({ type: "notice", message: `word ${n}` })
const wordsFrom = (first: number, count: number) => Array.from({ length: count }, (_, n) => word(first + n))

/** A mailbox that holds each portion until it is told what became of it. */
const holding = () => {
  const taken: Array<Ahead.Portion> = []
  let pending: ((exit: Exit.Exit<void>) => void) | null = null
  const ahead = Ahead.make((portion, sent) => {
    assert.isNull(pending, "one portion at a time")
    taken.push(portion)
    pending = sent
  })
  const tell = (exit: Exit.Exit<void>) => {
    const sent = pending!
    pending = null
    sent(exit)
  }
  return { ahead, taken, tell }
}

it.effect("L12: what comes while a portion is committed is the next one, in its order and once", () =>
  Effect.gen(function* () {
    const { ahead, taken, tell } = holding()
    for (const n of [1, 2, 3]) yield* ahead.add([word(n)])
    assert.deepStrictEqual(taken, [[word(1)]])
    tell(Exit.void)
    assert.deepStrictEqual(taken, [[word(1)], [word(2), word(3)]])
    yield* ahead.add([word(4)])
    tell(Exit.void)
    tell(Exit.void)
    assert.deepStrictEqual(taken.slice(2), [[word(4)]])
  })
)

it.effect("B9: nothing more is read while as much waits as may wait", () =>
  Effect.gen(function* () {
    const { ahead, taken, tell } = holding()
    yield* ahead.add([word(0)])
    yield* ahead.add(wordsFrom(1, Ahead.aheadMax - 1))
    const last = yield* Effect.forkChild(ahead.add([word(Ahead.aheadMax)]), { startImmediately: true })
    yield* Effect.yieldNow
    assert.isUndefined(last.pollUnsafe())
    tell(Exit.void)
    yield* Fiber.join(last)
    assert.deepStrictEqual(taken, [[word(0)], wordsFrom(1, Ahead.aheadMax)])
  })
)

it.effect("it has settled when nothing waits and nothing is being committed", () =>
  Effect.gen(function* () {
    const { ahead, tell } = holding()
    yield* ahead.settled
    yield* ahead.add([word(1)])
    yield* ahead.add([word(2)])
    const settled = yield* Effect.forkChild(ahead.settled, { startImmediately: true })
    tell(Exit.void)
    yield* Effect.yieldNow
    assert.isUndefined(settled.pollUnsafe())
    tell(Exit.void)
    yield* Fiber.join(settled)
  })
)

it.effect("what waits behind a portion that broke is not said", () =>
  Effect.gen(function* () {
    const { ahead, taken, tell } = holding()
    yield* ahead.add([word(1)])
    yield* ahead.add([word(2)])
    tell(Exit.die("broken"))
    assert.deepStrictEqual(yield* Effect.exit(ahead.broken), Exit.die("broken"))
    yield* ahead.settled
    yield* ahead.add([word(3)])
    assert.deepStrictEqual(taken, [[word(1)], [word(3)]])
  })
)

it.effect("L10: what waits when nobody listens any more is not said", () =>
  Effect.gen(function* () {
    const { ahead, taken, tell } = holding()
    yield* ahead.add([word(1)])
    yield* ahead.add([word(2)])
    ahead.drop()
    tell(Exit.void)
    assert.deepStrictEqual(taken, [[word(1)]])
  })
)

it.effect("portions that mean nothing are no tower of calls, however many", () =>
  Effect.gen(function* () {
    let taken = 0
    const ahead = Ahead.make((portion, sent) => {
      taken += portion.length
      sent(Exit.void)
    })
    for (let n = 0; n < 20_000; n++) yield* ahead.add([word(n)])
    assert.strictEqual(taken, 20_000)
  })
)
