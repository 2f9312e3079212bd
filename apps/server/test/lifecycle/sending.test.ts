/** While a message is on its way: whoever speaks first, the turn ends as it should. */
import { assert, describe } from "@effect/vitest"
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { hold, holdAnswer } from "@turnkeeper/provider-kit/testing/control"
import { Deferred, Effect } from "effect"
import type { App } from "./harness.ts"
import { answers, isIn, isSettled, scenario, textsOf, thread } from "./harness.ts"
import { end, manual, tell } from "./speech.ts"

const callsOf = (app: App, operation: string) =>
  app
    .control()
    .calls()
    .filter((call) => call.operation === operation)

describe("a message on its way", () => {
  scenario("an interrupt is recorded, and acts as soon as the outcome is known", (app) =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void, ProviderError>()
      app.control().next("send", hold(gate))
      yield* app.say("t1", "[[stall]]")
      yield* app.control().called("send")
      yield* app.dispatch({ type: "thread.turn.interrupt" })
      const asked = yield* app.view()
      assert.strictEqual(asked.turn("t1").state, "sending")
      assert.isNotNull(asked.turn("t1").interruptAskedAt)
      assert.lengthOf(callsOf(app, "interrupt"), 0)
      yield* Deferred.succeed(gate, undefined)
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.strictEqual(view.session.status, "ready")
      assert.lengthOf(callsOf(app, "interrupt"), 1)
    })
  )

  scenario("a turn that starts, works and ends before its send is answered is completed once", (app) =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void, ProviderError>()
      app.control().next("send", holdAnswer(gate))
      yield* app.say("t1", "[[text:Quick]]")
      const before = yield* app.until(isSettled("t1"))
      assert.strictEqual(before.turn("t1").state, "completed")
      yield* Deferred.succeed(gate, undefined)
      yield* app.say("t2", "[[text:Next]]")
      const view = yield* app.until(isSettled("t2"))
      assert.deepStrictEqual(answers(view, "t1"), [{ status: "completed", text: "Quick" }])
      assert.deepStrictEqual(answers(view, "t2"), [{ status: "completed", text: "Next" }])
      assert.strictEqual(view.turn("t2").state, "completed")
    })
  )

  scenario(
    "a provider that wakes up by itself meanwhile and takes the message in: its end is our turn's",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t0", "[[text:Hello]]")
        yield* app.until(isSettled("t0"))
        const gate = yield* Deferred.make<void, ProviderError>()
        app.control().next("send", hold(gate))
        yield* app.say("t1", "[[manual]]")
        yield* app.control().called("send", ({ arguments: { prompt } }) => prompt.turnId === "t1")
        const own = ProviderTurnId.make("own-1")
        yield* app.control().emit(thread, { type: "turn.started", providerTurnId: own, turnId: null })
        yield* Deferred.succeed(gate, undefined)
        const taken = yield* app.until(isIn("t1", "running"))
        assert.strictEqual(taken.turn("t1").providerTurnId, own)
        yield* app.control().emit(thread, end("completed")(own))
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "completed")
        assert.deepStrictEqual(
          view.turns.map(({ origin }) => origin),
          ["user", "user"]
        )
      }),
    { providers: [{ id: "scripted", joinsOwnTurns: true }] }
  )

  scenario(
    "a provider that dies meanwhile: the record says that nothing arrived, and it is sent anew",
    (app) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void, ProviderError>()
        app.control().next("send", hold(gate))
        yield* app.say("t1", "[[text:Hello]]")
        yield* app.control().called("send")
        yield* app.control().crash(thread, "killed")
        yield* Deferred.succeed(gate, undefined)
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "completed")
        assert.strictEqual(view.session.generation, 2)
        assert.deepStrictEqual(textsOf(app.control().received()), ["[[text:Hello]]"])
      })
  )
})

describe("around the thread", () => {
  scenario("a thread that is deleted ends its work first, and nothing goes on for it", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.say("t2", "waits")
      yield* app.dispatch({ type: "thread.delete" })
      yield* app.control().until(() => app.control().live().length === 0)
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.strictEqual(view.turn("t2").state, "cancelled")
      assert.isNotNull(view.thread.deletedAt)
      const refused = yield* Effect.flip(app.say("t3", "anybody?"))
      assert.strictEqual(refused._tag, "ThreadNotFound")
    })
  )

  scenario(
    "a turn for another provider ends the session of the first one before it starts, and comes back to it later",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "one")
        yield* app.until(isSettled("t1"))
        yield* app.say("t2", "two", { provider: "other" as never })
        const view = yield* app.until(isSettled("t2"))
        assert.strictEqual(view.turn("t2").state, "completed")
        assert.strictEqual(view.session.provider, "other")
        assert.deepStrictEqual(app.control().live(), [])
        assert.deepStrictEqual(textsOf(app.control("other").received()), ["two"])
        yield* app.say("t3", "three")
        const back = yield* app.until(isSettled("t3"))
        assert.strictEqual(back.turn("t3").state, "completed")
        assert.deepStrictEqual(app.control("other").live(), [])
      }),
    { providers: [{ id: "scripted" }, { id: "other" }] }
  )

  scenario("an orderly stop of the server leaves no session behind, and says why the turn ended", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      const { control } = app
      const first = control()
      yield* app.restart
      assert.deepStrictEqual(first.live(), [])
      const view = yield* app.view()
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.include(view.turn("t1").reason, "the server was stopped")
      yield* app.say("t2", "and on")
      const next = yield* app.until(isSettled("t2"))
      assert.strictEqual(next.turn("t2").state, "completed")
    })
  )

  scenario("the running turn's own words reach only its own thread", (app) =>
    Effect.gen(function* () {
      const other = "thread-2" as never
      yield* manual(app, "t1")
      yield* app.say("u1", "[[manual]] u1", { to: other })
      yield* app.until(isIn("u1", "running"), other)
      yield* tell(app, end("completed"))
      yield* app.until(isSettled("t1"))
      const view = yield* app.view(other)
      assert.strictEqual(view.turn("u1").state, "running")
    })
  )
})
