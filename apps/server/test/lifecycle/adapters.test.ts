/** Adapters that are slow to end, or end without a word: the server does not trust what is not proven. */
import { assert, describe } from "@effect/vitest"
import type { ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { holdAnswer } from "@turnkeeper/provider-kit/testing/control"
import { Deferred, Effect, Stream } from "effect"
import type { App, Options } from "./harness.ts"
import { isIn, isSettled, quietly, scenario, textsOf, thread } from "./harness.ts"
import { manual } from "./speech.ts"

const countOf = (app: App, operation: string) =>
  app
    .control()
    .calls()
    .filter((call) => call.operation === operation).length

/** The first generation is not gone before the gate opens. */
const slowToEnd = (gate: Deferred.Deferred<void>): Options => ({
  around: (provider) => ({
    ...provider,
    open: (wanted) =>
      Effect.tap(provider.open(wanted), () =>
        wanted.generation === 1 ? Effect.addFinalizer(() => Deferred.await(gate)) : Effect.void
      )
  })
})

const overheard = (change: (session: ProviderSession) => Stream.Stream<unknown>): Options => ({
  around: (provider) => ({
    ...provider,
    open: (wanted) =>
      Effect.map(provider.open(wanted), (session) => ({
        ...session,
        events: change(session) as ProviderSession["events"]
      }))
  })
})

describe("a session that takes its time to end", () => {
  const first = Deferred.makeUnsafe<void>()
  scenario(
    "B4: the next generation is opened only when the one before is gone",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "[[die]]")
        yield* app.until(isSettled("t1"))
        yield* app.say("t2", "[[text:Hello]]")
        yield* app.until(({ session }) => session.generation === 2)
        yield* quietly
        assert.strictEqual(countOf(app, "open"), 1)
        yield* Deferred.succeed(first, undefined)
        const view = yield* app.until(isSettled("t2"))
        assert.strictEqual(view.turn("t2").state, "completed")
        assert.strictEqual(countOf(app, "open"), 2)
      }),
    slowToEnd(first)
  )

  const second = Deferred.makeUnsafe<void>()
  scenario(
    "L12: whether a message arrived is asked for good only when nothing can deliver it any more",
    (app) =>
      Effect.gen(function* () {
        const never = yield* Deferred.make<void, ProviderError>()
        app.control().next("send", holdAnswer(never))
        yield* app.say("t1", "[[manual]] hello")
        yield* app.control().until(() => app.control().received().length === 1)
        yield* app.control().crash(thread)
        yield* app.until(({ session }) => session.status === "error")
        yield* quietly
        assert.strictEqual(countOf(app, "evidence"), 0)
        assert.isTrue(isIn("t1", "sending")(yield* app.view()))
        yield* Deferred.succeed(second, undefined)
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").delivered, "delivered")
        assert.deepStrictEqual(textsOf(app.control().received()), ["[[manual]] hello"])
      }),
    slowToEnd(second)
  )
})

describe("an event stream that ends without a word", () => {
  scenario(
    "B9, L14: is the end of the session, and the turn with it",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* app.control().crash(thread)
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "error")
        assert.strictEqual(view.session.status, "error")
        yield* app.say("t2", "[[text:Hello]]")
        const next = yield* app.until(isSettled("t2"))
        assert.strictEqual(next.session.generation, 2)
      }),
    overheard((session) => Stream.filter(session.events, ({ type }) => type !== "session.exited"))
  )

  scenario(
    "B9, L14: so is one that breaks",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "[[stall]]")
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "error")
        yield* app.control().until(() => app.control().live().length === 0)
      }),
    {
      ...overheard((session) =>
        Stream.tap(session.events, ({ type }) =>
          type === "text.delta" ? Effect.die(new Error("The adapter broke")) : Effect.void
        )
      ),
      mayLogErrors: true
    }
  )
})
