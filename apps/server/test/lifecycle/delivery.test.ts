/** What a user asked for happens once, or ends with a reason: commands (L11), prompts (L12), queues. */
import { assert, describe } from "@effect/vitest"
import type { ProjectId, ProviderTurnId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import { deliverAndHang, hang, hold, lose, refuse } from "@turnkeeper/provider-kit/testing/control"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { Writer } from "../../src/store/Sqlite.ts"
import type { App } from "./harness.ts"
import { answers, isIn, isSettled, project, scenario, textsOf, thread } from "./harness.ts"
import { begunItem, end, manual, tell, words } from "./speech.ts"

const prompts = (app: App) => textsOf(app.control().received())
const idOf = (app: App, turn: string) => app.control().activeTurn(thread) ?? (turn as ProviderTurnId)

describe("L11: a command is answered once", () => {
  scenario("L11: the same command gets the same answer, and is carried out once", (app) =>
    Effect.gen(function* () {
      const once = app.say("t1", "hello", { commandId: "c1" as never, createThread: newThread })
      const [first, second] = yield* Effect.all([once, once], { concurrency: "unbounded" })
      assert.deepStrictEqual(second, first)
      yield* app.until(isSettled("t1"))
      assert.deepStrictEqual(yield* once, first)
      assert.deepStrictEqual(prompts(app), ["hello"])
      const view = yield* app.view()
      assert.lengthOf(view.turns, 1)
    })
  )

  scenario("L11: also after a crash", (app) =>
    Effect.gen(function* () {
      const once = app.say("t1", "hello", { commandId: "c1" as never, createThread: newThread })
      const first = yield* once
      yield* app.until(isSettled("t1"))
      yield* app.crash("dies")
      assert.deepStrictEqual(yield* once, first)
      const view = yield* app.view()
      assert.lengthOf(view.turns, 1)
      assert.deepStrictEqual(prompts(app), [])
    })
  )

  scenario("L11, C3: the same id with another body is refused, and nothing is done", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "hello", { commandId: "c1" as never })
      yield* app.until(isSettled("t1"))
      const other = yield* Effect.flip(app.say("t2", "something else", { commandId: "c1" as never }))
      assert.strictEqual(other._tag, "CommandIdReused")
      const view = yield* app.view()
      assert.deepStrictEqual(
        view.turns.map(({ turnId }) => turnId as string),
        ["t1"]
      )
      assert.deepStrictEqual(prompts(app), ["hello"])
    })
  )

  scenario("L11, C3: an answer of another thread is no answer", (app) =>
    Effect.gen(function* () {
      const body = { type: "thread.create", projectId: project, title: "T", provider: "scripted" } as never
      yield* app.dispatch(body, "one" as ThreadId, "c1")
      const other = yield* Effect.flip(app.dispatch(body, "two" as ThreadId, "c1"))
      assert.strictEqual(other._tag, "CommandIdReused")
      const project_ = yield* Effect.flip(
        app.dispatch(
          { type: "project.create", projectId: "p2", title: "P", directory: "/p" } as never,
          thread,
          "c1"
        )
      )
      assert.strictEqual(project_._tag, "CommandIdReused")
    })
  )

  scenario("L11, C4: a rejection is not kept: the same command succeeds once it can", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "hello")
      yield* app.until(isSettled("t1"))
      const interrupt = app.dispatch({ type: "thread.turn.interrupt" }, thread, "c1")
      const refused = yield* Effect.flip(interrupt)
      assert.strictEqual(refused._tag, "NothingToInterrupt")
      yield* manual(app, "t2")
      yield* interrupt
      const view = yield* app.until(isSettled("t2"))
      assert.strictEqual(view.turn("t2").state, "interrupted")
    })
  )

  scenario("C5: a first message that was refused can be sent again, whole, under the same ids", (app) =>
    Effect.gen(function* () {
      const lost = { ...newThread, projectId: "nowhere" as ProjectId }
      const refused = yield* Effect.flip(
        app.say("t1", "hello", { commandId: "c1" as never, createThread: lost })
      )
      assert.strictEqual(refused._tag, "ProjectNotFound")
      const nothing = yield* Effect.flip(app.dispatch({ type: "thread.session.stop" }))
      assert.strictEqual(nothing._tag, "ThreadNotFound")
      yield* app.say("t1", "hello", { commandId: "c1" as never, createThread: newThread })
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "completed")
      assert.strictEqual(view.thread.title, "New")
      assert.deepStrictEqual(prompts(app), ["hello"])
    })
  )

  scenario("C5: a first message whose turn failed is there to be retried", (app) =>
    Effect.gen(function* () {
      app.control().next("open", refuse("Unavailable", "nobody home"))
      yield* app.say("t1", "hello", { createThread: newThread })
      yield* app.until(isIn("t1", "error"))
      yield* retry(app, "t1", "t2")
      const view = yield* app.until(isSettled("t2"))
      assert.strictEqual(view.turn("t2").state, "completed")
      assert.strictEqual(view.turn("t2").retryOf, "t1")
      assert.deepStrictEqual(prompts(app), ["hello"])
    })
  )
})

const newThread = { projectId: project, title: "New", provider: "scripted" as never }

const retry = (app: App, turn: string, as: string) =>
  app.dispatch({
    type: "thread.turn.retry",
    turnId: turn as TurnId,
    newTurnId: as as TurnId,
    newMessageId: `${as}-message` as never
  })

describe("L12: a prompt is sent once, and none vanishes", () => {
  scenario(
    "L12, C1: a crash right behind the answer to the user: the message is sent afterwards, once",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "hello")
        yield* app.crash("dies")
        const view = yield* app.until(isSettled("t1"))
        // The prompt may have reached the provider that died; then it must not reach the next one.
        const before = yield* received(app)
        assert.strictEqual(before.filter((text) => text === "hello").length, 1)
        assert.include(["completed", "interrupted"], view.turn("t1").state)
      })
  )

  scenario("L12, C1: a crash while the session starts: the message is sent by the next server, once", (app) =>
    Effect.gen(function* () {
      app.control().next("open", hang)
      yield* app.say("t1", "hello")
      yield* app.until(({ session }) => session.status === "starting")
      yield* app.control().called("open")
      yield* app.crash("dies")
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "completed")
      assert.deepStrictEqual(yield* received(app), ["hello"])
    })
  )

  scenario("L12, C1: a crash between the marker and the call: provably not delivered, so it is sent", (app) =>
    Effect.gen(function* () {
      app.control().next("send", hang)
      yield* app.say("t1", "hello")
      yield* app.until(isIn("t1", "sending"))
      yield* app.control().called("send")
      yield* app.crash("dies")
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "completed")
      assert.deepStrictEqual(yield* received(app), ["hello"])
    })
  )

  scenario("L12, L14: also where the provider cannot be listed: its record is asked", (app) =>
    Effect.gen(function* () {
      app.control().next("send", hang)
      yield* app.say("t1", "hello")
      yield* app.until(isIn("t1", "sending"))
      yield* app.control().called("send")
      yield* app.kill("dies")
      app.control().always("list", refuse("Unavailable"))
      yield* app.boot
      const view = yield* app.passUntil(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "completed")
      assert.deepStrictEqual(yield* received(app), ["hello"])
    })
  )

  scenario("L12: a crash after the delivery, before its answer: it is not sent again", (app) =>
    Effect.gen(function* () {
      app.control().next("send", deliverAndHang)
      yield* app.say("t1", "[[manual]] hello")
      yield* app.control().until(() => app.control().received().length === 1)
      yield* app.crash("dies")
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.strictEqual(view.turn("t1").delivered, "delivered")
      assert.deepStrictEqual(yield* received(app), ["[[manual]] hello"])
    })
  )

  scenario("L12, L7: what the record says of such a turn is its end, with its text", (app) =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void, ProviderError>()
      app.control().next("send", (real) => Effect.andThen(real, Deferred.await(gate)) as never)
      yield* app.say("t1", "[[manual]] hello")
      yield* app.control().until(() => app.control().received().length === 1)
      const name = idOf(app, "t1")
      yield* tell(app, begunItem("m1"))
      yield* tell(app, words("m1", "The whole answer."))
      yield* tell(app, (providerTurnId) => ({
        type: "item.completed",
        providerTurnId,
        providerItemId: "m1",
        kind: "assistant_message",
        title: "",
        end: "completed",
        text: "The whole answer.",
        detail: {}
      }))
      yield* app.control().emit(thread, end("completed")(name))
      yield* app.crash("dies")
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "completed")
      assert.deepStrictEqual(answers(view, "t1"), [{ status: "completed", text: "The whole answer." }])
      assert.deepStrictEqual(yield* received(app), ["[[manual]] hello"])
    })
  )

  scenario("L12: an answer that got lost is looked up in the record, and the turn goes on", (app) =>
    Effect.gen(function* () {
      app.control().next("send", lose())
      yield* app.say("t1", "[[manual]] hello")
      yield* app.until(isIn("t1", "running"))
      yield* tell(app, end("completed"))
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "completed")
      assert.deepStrictEqual(prompts(app), ["[[manual]] hello"])
    })
  )

  scenario(
    "L12: a send in doubt that the record does not know ends the generation and is sent in the next",
    (app) =>
      Effect.gen(function* () {
        app.control().next("send", refuse("Unknown", "the line went dead"))
        yield* app.say("t1", "hello")
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "completed")
        assert.strictEqual(view.session.generation, 2)
        assert.deepStrictEqual(prompts(app), ["hello"])
      })
  )

  scenario(
    "L12: a send that is never answered becomes a doubt when its time is over, and is settled by the record",
    (app) =>
      Effect.gen(function* () {
        app.control().next("send", hang)
        yield* app.say("t1", "hello")
        const view = yield* app.passUntil(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "completed")
        assert.deepStrictEqual(prompts(app), ["hello"])
      })
  )

  scenario(
    "L12: without a record such a turn ends as unknown, its generation is retired, and only the user sends it again",
    (app) =>
      Effect.gen(function* () {
        app.control().next("send", lose("the line went dead"))
        yield* app.say("t1", "[[manual]] hello")
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "interrupted")
        assert.strictEqual(view.turn("t1").delivered, "unknown")
        assert.strictEqual(view.session.status, "stopped")
        assert.deepStrictEqual(app.control().live(), [])
        assert.isTrue(view.messages.some(({ text }) => text === "[[manual]] hello"))
        yield* retry(app, "t1", "t2")
        const again = yield* app.until(isIn("t2", "running"))
        assert.strictEqual(again.session.generation, 2)
        assert.deepStrictEqual(prompts(app), ["[[manual]] hello", "[[manual]] hello"])
      }),
    { providers: [{ id: "scripted", capabilities: { history: false } }] }
  )

  scenario(
    "L12: a crash after the delivery to a provider without a record: unknown, not sent again",
    (app) =>
      Effect.gen(function* () {
        app.control().next("send", deliverAndHang)
        yield* app.say("t1", "[[manual]] hello")
        yield* app.control().until(() => app.control().received().length === 1)
        yield* app.crash("dies")
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "interrupted")
        assert.strictEqual(view.turn("t1").delivered, "unknown")
        assert.deepStrictEqual(yield* received(app), ["[[manual]] hello"])
      }),
    { providers: [{ id: "scripted", capabilities: { history: false } }] }
  )

  scenario(
    "L12: a marker that the tables refuse is no permission to send",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t0", "hello")
        yield* app.until(isSettled("t0"))
        yield* app.use(
          Effect.flatMap(Writer, (sql) =>
            sql.unsafe(`CREATE TRIGGER poisoned BEFORE INSERT ON events WHEN NEW.type = 'turn.send_started'
              BEGIN SELECT RAISE(ABORT, 'poisoned'); END`)
          )
        )
        yield* app.say("t1", "careful")
        // Time enough to try it several times.
        for (let second = 0; second < 5; second++) yield* app.sleepThrough("1 second")
        const waiting = yield* app.view()
        assert.strictEqual(waiting.turn("t1").state, "queued")
        assert.deepStrictEqual(prompts(app), ["hello"])
        yield* app.use(Effect.flatMap(Writer, (sql) => sql.unsafe("DROP TRIGGER poisoned")))
        const view = yield* app.passUntil(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "completed")
        assert.deepStrictEqual(prompts(app), ["hello", "careful"])
      }),
    { mayLogErrors: true }
  )
})

describe("C7: the queue is part of the state", () => {
  scenario("C7, L12: messages that wait behind a start are all sent after a crash, in their order", (app) =>
    Effect.gen(function* () {
      app.control().next("open", hang)
      yield* app.say("t1", "one")
      yield* app.say("t2", "two")
      yield* app.say("t3", "three")
      yield* app.crash("dies")
      const view = yield* app.until(isSettled("t3"))
      assert.deepStrictEqual(
        view.turns.map(({ state }) => state),
        ["completed", "completed", "completed"]
      )
      assert.deepStrictEqual(yield* app.recorded("scripted"), ["one", "two", "three"])
    })
  )

  scenario(
    "C7, L13: messages behind a turn that a crash cut off keep their text and wait for the user",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* app.say("t2", "two")
        yield* app.say("t3", "three")
        yield* app.crash("dies")
        const view = yield* app.view()
        for (const turn of ["t2", "t3"]) {
          assert.strictEqual(view.turn(turn).state, "cancelled")
          assert.strictEqual(view.turn(turn).delivered, "not_delivered")
          assert.isNotNull(view.turn(turn).reason)
        }
        yield* retry(app, "t2", "t4")
        const again = yield* app.until(isSettled("t4"))
        assert.strictEqual(again.turn("t4").state, "completed")
        assert.deepStrictEqual(prompts(app), ["two"])
      })
  )

  scenario("C7: a message that waited too long while the server was down is withdrawn with a reason", (app) =>
    Effect.gen(function* () {
      app.control().next("open", hang)
      yield* app.say("t1", "one")
      yield* app.kill("dies")
      yield* app.sleepThrough("13 hours")
      yield* app.boot
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "cancelled")
      assert.include(view.turn("t1").reason, "while the server was down")
      assert.deepStrictEqual(prompts(app), [])
    })
  )
})

describe("C8: nothing is sent beside a turn that runs", () => {
  scenario(
    "C8, L1, L12: follow-ups while busy never steer: they go out one by one, each as its own turn",
    (app) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void, ProviderError>()
        app.control().next("send", hold(gate))
        const turns = ["t1", "t2", "t3", "t4", "t5"]
        for (const turn of turns) yield* app.say(turn, `text of ${turn}`)
        yield* Deferred.succeed(gate, undefined)
        const view = yield* app.until(isSettled("t5"))
        assert.deepStrictEqual(
          view.turns.map(({ state }) => state),
          turns.map(() => "completed")
        )
        assert.deepStrictEqual(
          app
            .control()
            .received()
            .map(({ how, turnId }) => `${how} ${turnId}`),
          turns.map((turn) => `send ${turn}`)
        )
        assert.lengthOf(
          app
            .control()
            .calls()
            .filter(({ operation }) => operation === "send"),
          turns.length
        )
        assert.lengthOf(
          app
            .control()
            .calls()
            .filter(({ operation }) => operation === "steer"),
          0
        )
      })
  )

  scenario("C8: a message that asks to steer goes into the running turn", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[ask:make]]")
      yield* app.until(({ requests }) => requests.length === 1)
      yield* app.say("t2", "[[text:By the way]]", { delivery: "steer" })
      const view = yield* app.until(isSettled("t2"))
      assert.strictEqual(view.turn("t2").state, "steered")
      assert.strictEqual(view.turn("t2").into, "t1")
      assert.strictEqual(view.turn("t2").delivered, "delivered")
      yield* app.dispatch({
        type: "thread.request.answer",
        requestId: view.requests[0]!.requestId,
        decision: "accept"
      })
      const done = yield* app.until(isSettled("t1"))
      assert.strictEqual(done.turn("t1").state, "completed")
      assert.deepStrictEqual(
        app
          .control()
          .received()
          .map(({ how }) => how),
        ["send", "steer"]
      )
    })
  )

  scenario(
    "C8: where the provider cannot steer the message waits for its own turn",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* app.say("t2", "second", { delivery: "steer" })
        yield* app.control().called("steer")
        yield* app.until(isIn("t2", "queued"))
        yield* tell(app, end("completed"))
        const view = yield* app.until(isSettled("t2"))
        assert.strictEqual(view.turn("t2").state, "completed")
        assert.deepStrictEqual(
          app
            .control()
            .received()
            .map(({ how }) => how),
          ["send", "send"]
        )
      }),
    { providers: [{ id: "scripted", capabilities: { steer: false } }] }
  )

  scenario("C8: a steer whose answer got lost is looked up, and not sent again", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      app.control().next("steer", lose())
      yield* app.say("t2", "[[text:By the way]]", { delivery: "steer" })
      const view = yield* app.until(isSettled("t2"))
      assert.strictEqual(view.turn("t2").state, "steered")
      yield* tell(app, end("completed"))
      yield* app.until(isSettled("t1"))
      assert.deepStrictEqual(
        app
          .control()
          .received()
          .map(({ how }) => how),
        ["send", "steer"]
      )
    })
  )
})

describe("C6: a text stands once", () => {
  scenario("C6: the completion takes the place of what was streamed", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* tell(app, begunItem("m1"))
      yield* tell(app, words("m1", "Hello "))
      yield* tell(app, words("m1", "wor"))
      yield* app.until(({ messages }) => messages.some(({ text }) => text === "Hello wor"))
      yield* tell(app, (providerTurnId) => ({
        type: "item.completed",
        providerTurnId,
        providerItemId: "m1",
        kind: "assistant_message",
        title: "",
        end: "completed",
        text: "Hello world",
        detail: {}
      }))
      yield* tell(app, end("completed"))
      const view = yield* app.until(isSettled("t1"))
      assert.deepStrictEqual(answers(view, "t1"), [{ status: "completed", text: "Hello world" }])
    })
  )

  scenario("C6: pieces told twice are taken once, by their offsets", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* tell(app, begunItem("m1"))
      yield* tell(app, piece("Hello ", 0))
      yield* tell(app, piece("Hello ", 0))
      yield* tell(app, piece("lo world", 3))
      yield* tell(app, end("completed"))
      const view = yield* app.until(isSettled("t1"))
      assert.deepStrictEqual(answers(view, "t1"), [{ status: "completed", text: "Hello world" }])
    })
  )
})

describe("C1, C2: what the user was told is true", () => {
  scenario("C1, L12: a message that was acknowledged is in the database, whatever comes next", (app) =>
    Effect.gen(function* () {
      app.control().next("open", hang)
      yield* app.say("t1", "hello")
      const asked = yield* Effect.forkChild(app.say("t2", "almost too late"), { startImmediately: true })
      yield* app.kill("dies")
      // Who has no answer by now never gets one.
      yield* Fiber.interrupt(asked)
      const told = yield* Fiber.await(asked)
      yield* app.boot
      const view = yield* app.until(isSettled("t1"))
      const known = view.turns.map(({ turnId }) => turnId as string)
      assert.include(known, "t1")
      if (Exit.isSuccess(told)) assert.include(known, "t2")
    })
  )

  scenario("C2: two clients that send at once make two turns, each sent once", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t0")
      const both = yield* Effect.forkChild(
        Effect.all([app.say("t1", "mine"), app.say("t2", "yours")], { concurrency: "unbounded" })
      )
      yield* Fiber.join(both)
      yield* tell(app, end("completed"))
      yield* app.until(isSettled("t1"))
      yield* app.until(isSettled("t2"))
      assert.deepStrictEqual(prompts(app).toSorted(), ["[[manual]] t0", "mine", "yours"])
    })
  )
})

/** The record of the provider that was there before the crash, and of the one behind it. */
const received = (app: App) => app.recorded("scripted")

const piece = (text: string, offset: number) => (providerTurnId: ProviderTurnId) =>
  ({ type: "text.delta", providerTurnId, providerItemId: "m1", text, offset }) as const
