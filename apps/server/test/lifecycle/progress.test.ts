/** Every turn comes to an end (L14), and so does what waits behind it (L13); one thread never waits for another. */
import { assert, describe } from "@effect/vitest"
import type { ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { Happening } from "@turnkeeper/domain/thread/Owed"
import { hang, pretend, refuse } from "@turnkeeper/provider-kit/testing/control"
import { Effect, Fiber } from "effect"
import { Mailboxes } from "../../src/engine/Mailboxes.ts"
import type { App, View } from "./harness.ts"
import { isIn, isSettled, scenario, textsOf, thread } from "./harness.ts"
import { begunItem, end, manual, tell } from "./speech.ts"

const callsOf = (app: App, operation: string) =>
  app
    .control()
    .calls()
    .filter((call) => call.operation === operation)

describe("L13: a turn's end says what becomes of those behind it", () => {
  const ends = [
    ["fails", (app: App) => tell(app, end("failed", "broken")), "error"],
    ["is interrupted", (app: App) => app.dispatch({ type: "thread.turn.interrupt" }), "interrupted"],
    ["is cut off by a crash of its provider", (app: App) => app.control().crash(thread), "error"],
    [
      "is stopped with its session",
      (app: App) => app.dispatch({ type: "thread.session.stop" }),
      "interrupted"
    ]
  ] as const
  for (const [how, act, state] of ends) {
    scenario(
      `L13: when it ${how} the queue is cancelled, each turn with a reason, and can be taken up again`,
      (app) =>
        Effect.gen(function* () {
          yield* manual(app, "t1")
          yield* app.say("t2", "two")
          yield* app.say("t3", "three")
          yield* act(app)
          const view = yield* app.until(isSettled("t1"))
          assert.strictEqual(view.turn("t1").state, state)
          for (const turn of ["t2", "t3"]) {
            assert.strictEqual(view.turn(turn).state, "cancelled")
            assert.strictEqual(view.turn(turn).delivered, "not_delivered")
            assert.match(view.turn(turn).reason ?? "", /^Not sent: /)
          }
          for (const [turn, as] of [
            ["t2", "t4"],
            ["t3", "t5"]
          ] as const) {
            yield* app.dispatch({
              type: "thread.turn.retry",
              turnId: turn as TurnId,
              newTurnId: as as TurnId,
              newMessageId: `${as}-message` as never
            })
          }
          const again = yield* app.until(isSettled("t5"))
          assert.strictEqual(again.turn("t4").state, "completed")
          assert.strictEqual(again.turn("t5").state, "completed")
          assert.deepStrictEqual(textsOf(app.control().received()), ["[[manual]] t1", "two", "three"])
        })
    )
  }

  scenario("L13: a message that interrupts goes out next; what waited before it is cancelled", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.say("t2", "waits")
      yield* app.say("t3", "now", { delivery: "interrupt" })
      const view = yield* app.until(isSettled("t3"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.strictEqual(view.turn("t2").state, "cancelled")
      assert.strictEqual(view.turn("t3").state, "completed")
      assert.deepStrictEqual(textsOf(app.control().received()), ["[[manual]] t1", "now"])
    })
  )

  scenario("L13: a message that is withdrawn while it waits is never sent, and the others go on", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.say("t2", "two")
      yield* app.say("t3", "three")
      yield* app.dispatch({ type: "thread.turn.interrupt", turnId: "t2" as TurnId })
      yield* tell(app, end("completed"))
      const view = yield* app.until(isSettled("t3"))
      assert.strictEqual(view.turn("t2").state, "cancelled")
      assert.strictEqual(view.turn("t3").state, "completed")
      assert.deepStrictEqual(textsOf(app.control().received()), ["[[manual]] t1", "three"])
    })
  )
})

describe("L14: whatever the environment does not do, the turn ends", () => {
  scenario("L14: the interrupt is refused: the session is stopped", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[refuse-interrupt]][[stall]]")
      yield* app.until(isIn("t1", "running"))
      yield* app.dispatch({ type: "thread.turn.interrupt" })
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.deepStrictEqual(app.control().live(), [])
    })
  )

  scenario("L14: the interrupt is never answered: its time is over, the session is stopped", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      app.control().always("interrupt", hang)
      yield* app.dispatch({ type: "thread.turn.interrupt" })
      const view = yield* app.passUntil(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.deepStrictEqual(app.control().live(), [])
    })
  )

  scenario("L14: the interrupt and the stop are refused: the provider is killed", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[refuse-interrupt]][[refuse-stop]][[stall]]")
      yield* app.until(isIn("t1", "running"))
      yield* app.dispatch({ type: "thread.turn.interrupt" })
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.deepStrictEqual(
        app
          .control()
          .calls()
          .flatMap((call) => (call.operation === "stop" ? [call.arguments.step] : [])),
        ["stop", "kill"]
      )
      assert.deepStrictEqual(app.control().live(), [])
    })
  )

  scenario(
    "L14, L9: even the kill is refused: that is said, the turn is not called ended, and its own end counts",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        app.control().always("interrupt", refuse("Rejected", "no"))
        app.control().always("stop", refuse("Rejected", "never"))
        yield* app.dispatch({ type: "thread.turn.interrupt" })
        const told = yield* app.until(
          ({ session }) => session.lastError !== null && session.stopping === null
        )
        assert.include(told.session.lastError, "never")
        assert.strictEqual(told.turn("t1").state, "running")
        yield* tell(app, end("completed"))
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "completed")
      })
  )

  scenario("L14, L9: a stop that is refused can be forced", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[refuse-stop]][[stall]]")
      yield* app.until(isIn("t1", "running"))
      yield* app.dispatch({ type: "thread.session.stop" })
      const refused = yield* app.until(({ session }) => session.lastError !== null)
      assert.strictEqual(refused.turn("t1").state, "running")
      yield* app.dispatch({ type: "thread.session.stop", force: true })
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.session.status, "stopped")
      assert.deepStrictEqual(app.control().live(), [])
    })
  )

  scenario("L14: a stop that is never answered is a stop that failed, and says so", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      app.control().next("stop", hang)
      yield* app.dispatch({ type: "thread.session.stop" })
      const view = yield* app.passUntil(({ session }) => session.lastError !== null)
      assert.isNull(view.session.stopping)
      assert.strictEqual(view.turn("t1").state, "running")
    })
  )

  scenario("L14: a start that never comes to an end fails when its time is over", (app) =>
    Effect.gen(function* () {
      app.control().next("open", hang)
      yield* app.say("t1", "hello")
      const view = yield* app.passUntil(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "error")
      assert.strictEqual(view.turn("t1").delivered, "not_delivered")
      assert.strictEqual(view.session.status, "stopped")
    })
  )

  scenario("L14: a start that hangs can be stopped at once", (app) =>
    Effect.gen(function* () {
      app.control().next("open", hang)
      yield* app.say("t1", "hello")
      yield* app.control().called("open")
      yield* app.dispatch({ type: "thread.session.stop" })
      const view = yield* app.until(({ session }) => session.status === "stopped")
      assert.strictEqual(view.turn("t1").state, "cancelled")
      yield* app.say("t2", "again")
      const next = yield* app.until(isSettled("t2"))
      assert.strictEqual(next.turn("t2").state, "completed")
    })
  )

  scenario(
    "L14: a send that hangs can be interrupted: the doubt about it is settled, nothing is sent twice",
    (app) =>
      Effect.gen(function* () {
        app.control().next("send", hang)
        yield* app.say("t1", "hello")
        yield* app.control().called("send")
        yield* app.dispatch({ type: "thread.turn.interrupt" })
        const view = yield* app.passUntil(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "cancelled")
        assert.deepStrictEqual(textsOf(app.control().received()), [])
      })
  )

  scenario(
    "L14, L12: a turn that kills each session that is to send it is given up, not tried for ever",
    (app) =>
      Effect.gen(function* () {
        app.control().always("send", refuse("SessionGone", "gone again"))
        yield* app.say("t1", "hello")
        const view = yield* app.passUntil(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "error")
        assert.include(view.turn("t1").reason, "gone again")
        assert.isAtMost(callsOf(app, "send").length, 6)
      })
  )

  scenario("L14: the reconciler notices a turn whose provider no longer knows of it", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      const idle = [{ threadId: thread, generation: 1, activeProviderTurnId: null, activeTurnId: null }]
      app.control().always("list", pretend(idle))
      const view = yield* app.passUntil(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.isAtLeast(callsOf(app, "list").length, 2)
    })
  )
})

describe("the clock on the wall", () => {
  scenario("L14: its jumps trip no deadline and put none off", (app) =>
    Effect.gen(function* () {
      const hour = 3_600_000
      yield* manual(app, "t1")
      yield* app.sleepThrough("200 seconds")
      yield* tell(app, begunItem("m1"))
      yield* app.until(({ messages }) => messages.some(({ role }) => role === "assistant"))
      yield* app.jump(hour)
      yield* app.sleepThrough("150 seconds")
      const calm = yield* app.view()
      assert.isNull(calm.turn("t1").quiet)
      yield* app.jump(-3 * hour)
      // 500 seconds and some since the last word.
      for (let second = 0; second < 360; second++) yield* app.sleepThrough("1 second")
      const asked = yield* app.until(({ turns }) => turns.some((turn) => turn.quiet === "alive"))
      assert.strictEqual(asked.turn("t1").state, "running")
    })
  )
})

describe("D4, D5: nobody waits for anybody else", () => {
  const other = "thread-2" as ThreadId
  const inOther = { to: other }

  for (const operation of ["open", "send"] as const) {
    scenario(
      `D4, D5: a provider that hangs in ${operation} does not delay another thread's turn, answer or stop`,
      (app) =>
        Effect.gen(function* () {
          app.control().next(operation, hang, thread)
          yield* app.say("t1", "hello")
          yield* app.control().called(operation, (call) => call.threadId === thread)
          yield* app.say("u1", "[[ask:make]]", inOther)
          const { requests } = yield* app.until((view) => view.requests.length === 1, other)
          const { requestId } = requests[0]!
          yield* app.dispatch({ type: "thread.request.answer", requestId, decision: "accept" }, other)
          const answered = yield* app.until(isSettled("u1"), other)
          assert.strictEqual(answered.turn("u1").state, "completed")
          yield* app.say("u2", "[[stall]]", inOther)
          yield* app.until(isIn("u2", "running"), other)
          yield* app.dispatch({ type: "thread.session.stop" }, other)
          const stopped = yield* app.until(isSettled("u2"), other)
          assert.strictEqual(stopped.session.status, "stopped")
          // No time has passed, so the other one still hangs.
          const hanging = yield* app.view()
          assert.isNull(hanging.turn("t1").settledAt)
        })
    )
  }

  scenario(
    "D4: a provider that hangs in stop keeps neither its own thread's commands nor others waiting",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        app.control().next("stop", hang)
        yield* app.dispatch({ type: "thread.session.stop" })
        yield* app.control().called("stop")
        yield* app.dispatch({ type: "thread.update", title: "Renamed" })
        const view: View = yield* app.view()
        assert.strictEqual(view.thread.title, "Renamed")
        yield* app.say("u1", "hello", inOther)
        const done = yield* app.until(isSettled("u1"), other)
        assert.strictEqual(done.turn("u1").state, "completed")
      })
  )

  scenario("D5: a user who asks without end does not keep the provider's words from being heard", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.use(
        Effect.gen(function* () {
          const mailbox = yield* Effect.flatMap(Mailboxes, (boxes) => boxes.of(thread))
          const heard = yield* Effect.forkChild(
            mailbox.hear([said(100)], { type: "provider", generation: 1 }),
            { startImmediately: true }
          )
          let asked = 0
          while (heard.pollUnsafe() === undefined && asked < 1_000) {
            const name = `again-${(asked += 1)}`
            yield* app.dispatch({ type: "thread.update", title: name }, thread, name)
          }
          assert.isBelow(asked, 200)
          yield* Fiber.join(heard)
        })
      )
    })
  )

  scenario("D5: what the user asks for overtakes what the provider has said already", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.use(
        Effect.gen(function* () {
          const mailbox = yield* Effect.flatMap(Mailboxes, (boxes) => boxes.of(thread))
          const cause = { type: "provider", generation: 1 } as const
          const flood = yield* Effect.forEach(
            Array.from({ length: 200 }, (_, n) => said(100 + n)),
            (one) => Effect.forkChild(mailbox.hear([one], cause), { startImmediately: true })
          )
          yield* app.dispatch({ type: "thread.update", title: "Now" })
          yield* Effect.forEach(flood, Fiber.join)
        })
      )
      const log = yield* app.log()
      const renamed = log.findIndex(({ event }) => event.type === "thread.updated")
      const notices = log.flatMap(({ event }, at) => (event.type === "notice.recorded" ? [at] : []))
      assert.lengthOf(notices, 200)
      assert.isBelow(notices.filter((at) => at < renamed).length, 20)
    })
  )
})

const said = (seq: number): Happening => ({
  type: "provider",
  generation: 1,
  seq,
  event: { type: "notice", message: `word ${seq}` }
})
