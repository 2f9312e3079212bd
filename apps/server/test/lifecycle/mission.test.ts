/** The first block of what goes wrong in the field: each row by its name, read as a client reads it. */
import { assert, describe } from "@effect/vitest"
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import { deliverAndHang, hang, refuse } from "@turnkeeper/provider-kit/testing/control"
import { Deferred, Effect, Fiber } from "effect"
import { Feed } from "../../src/engine/Feed.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import type { App } from "./harness.ts"
import { answers, isIn, isSettled, scenario, textsOf, thread } from "./harness.ts"
import { asks, begunItem, end, lost, manual, tell, words } from "./speech.ts"

describe("A1: a transient error is no end", () => {
  scenario("A1, L6: Reconnecting 1/5 shows as recovering and is gone with the next ordinary word", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* tell(app, lost(1))
      const cut = yield* app.until(({ session }) => session.recovering !== null)
      assert.deepStrictEqual(cut.session.recovering, { message: "Reconnecting... 1/5", attempt: 1, limit: 5 })
      assert.strictEqual(cut.session.status, "running")
      assert.isNull(cut.session.lastError)
      assert.deepStrictEqual(cut.thread.recovering, cut.session.recovering)

      yield* tell(app, begunItem("m1"))
      const well = yield* app.until(({ session }) => session.recovering === null)
      assert.strictEqual(well.session.status, "running")
      yield* tell(app, words("m1", "Here again."))
      yield* tell(app, end("completed"))
      const done = yield* app.until(isSettled("t1"))
      assert.strictEqual(done.turn("t1").state, "completed")
      assert.strictEqual(done.session.status, "ready")
      assert.isNull(done.session.lastError)
    })
  )

  scenario("A1, L6: a message that was cut and begun anew stands once, and its half is marked", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[drop:3]]")
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "completed")
      const [half, whole, ...more] = answers(view, "t1")
      assert.deepStrictEqual(more, [])
      assert.strictEqual(half?.status, "superseded")
      assert.strictEqual(whole?.status, "completed")
      const log = yield* app.log()
      const transient = log.filter(({ event }) => event.type === "session.recovering")
      assert.lengthOf(transient, 3)
    })
  )
})

describe("A2: a follow-up is a turn from its first moment", () => {
  scenario("A2: it waits under its own id and runs when the turn before it has completed", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.say("t2", "second")
      const waiting = yield* app.view()
      assert.strictEqual(waiting.turn("t2").state, "queued")
      assert.strictEqual(waiting.thread.queuedTurns, 1)
      yield* tell(app, end("completed"))
      const done = yield* app.until(isSettled("t2"))
      assert.strictEqual(done.turn("t2").state, "completed")
      assert.strictEqual(done.thread.queuedTurns, 0)
      assert.deepStrictEqual(textsOf(app.control().received()), ["[[manual]] t1", "second"])
    })
  )

  scenario("A2, L13: it is cancelled with a reason and its text when the turn before it fails", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.say("t2", "second")
      yield* tell(app, end("failed", "out of luck"))
      const done = yield* app.until(isSettled("t2"))
      assert.strictEqual(done.turn("t2").state, "cancelled")
      assert.strictEqual(done.turn("t2").delivered, "not_delivered")
      assert.isNotNull(done.turn("t2").reason)
      assert.isTrue(done.messages.some(({ text, role }) => role === "user" && text === "second"))
      assert.deepStrictEqual(textsOf(app.control().received()), ["[[manual]] t1"])
    })
  )
})

describe("A3: a send that fails after it was accepted", () => {
  scenario(
    "A3, L8: with a live binding the session is in error, says why, and a later turn recovers it",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "hello")
        yield* app.until(isSettled("t1"))
        yield* app.say("t2", "[[reject:no credit left]]")
        const failed = yield* app.until(isSettled("t2"))
        assert.strictEqual(failed.turn("t2").state, "error")
        assert.strictEqual(failed.turn("t2").reason, "no credit left")
        assert.strictEqual(failed.turn("t2").delivered, "not_delivered")
        assert.strictEqual(failed.session.status, "error")
        assert.strictEqual(failed.session.lastError, "no credit left")

        yield* app.say("t3", "again")
        const healthy = yield* app.until(isSettled("t3"))
        assert.strictEqual(healthy.turn("t3").state, "completed")
        assert.strictEqual(healthy.session.status, "ready")
        assert.isNull(healthy.session.lastError)
        assert.strictEqual(healthy.session.generation, failed.session.generation)
      })
  )

  scenario("A3, L8: without a session it is stopped, says why, and a later turn recovers it", (app) =>
    Effect.gen(function* () {
      app.control().next("open", refuse("NotSignedIn", "sign in first"))
      yield* app.say("t1", "hello")
      const failed = yield* app.until(isSettled("t1"))
      assert.strictEqual(failed.turn("t1").state, "error")
      assert.strictEqual(failed.turn("t1").reason, "sign in first")
      assert.strictEqual(failed.session.status, "stopped")
      assert.strictEqual(failed.session.lastError, "sign in first")

      yield* app.say("t2", "again")
      const healthy = yield* app.until(isSettled("t2"))
      assert.strictEqual(healthy.turn("t2").state, "completed")
      assert.isNull(healthy.session.lastError)
    })
  )

  scenario("A3, L8: with a stopped session it stays stopped, says why, and a later turn recovers it", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "hello")
      yield* app.until(isSettled("t1"))
      yield* app.dispatch({ type: "thread.session.stop" })
      yield* app.until(({ session }) => session.status === "stopped")
      app.control().next("open", refuse("Unavailable", "nobody home"))
      yield* app.say("t2", "anybody?")
      const failed = yield* app.until(isSettled("t2"))
      assert.strictEqual(failed.turn("t2").state, "error")
      assert.strictEqual(failed.session.status, "stopped")
      assert.strictEqual(failed.session.lastError, "nobody home")

      yield* app.say("t3", "again")
      const healthy = yield* app.until(isSettled("t3"))
      assert.strictEqual(healthy.turn("t3").state, "completed")
      assert.isNull(healthy.session.lastError)
    })
  )

  scenario(
    "A3, L8: after a failed switch to another provider the first one works again",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "hello")
        yield* app.until(isSettled("t1"))
        app.control("other").always("open", refuse("NotInstalled", "not installed"))
        yield* app.say("t2", "switch", { provider: "other" as never })
        const failed = yield* app.until(isSettled("t2"))
        assert.strictEqual(failed.turn("t2").state, "error")
        assert.strictEqual(failed.turn("t2").reason, "not installed")
        assert.strictEqual(failed.session.status, "stopped")
        assert.strictEqual(failed.session.lastError, "not installed")

        yield* app.say("t3", "back")
        const healthy = yield* app.until(isSettled("t3"))
        assert.strictEqual(healthy.turn("t3").state, "completed")
        assert.strictEqual(healthy.session.provider, "scripted")
        assert.isNull(healthy.session.lastError)
        assert.deepStrictEqual(textsOf(app.control().received()), ["hello", "back"])
      }),
    { providers: [{ id: "scripted" }, { id: "other" }] }
  )

  scenario("A3, L8: a provider that is not configured is named in the turn's end", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "hello", { provider: "nowhere" as never })
      const failed = yield* app.until(isSettled("t1"))
      assert.strictEqual(failed.turn("t1").state, "error")
      assert.include(failed.turn("t1").reason, "nowhere")
      assert.strictEqual(failed.session.status, "stopped")
      assert.strictEqual(failed.session.lastError, failed.turn("t1").reason)
    })
  )
})

describe("A4: the end of the active turn is the end of the session's work", () => {
  const cases = [
    ["completed", end("completed"), "completed", "ready"],
    ["failed", end("failed", "broken"), "error", "error"],
    ["interrupted", end("interrupted"), "interrupted", "ready"],
    [
      "aborted",
      (providerTurnId: ProviderTurnId) => ({ type: "turn.aborted", providerTurnId, message: null }) as const,
      "interrupted",
      "ready"
    ]
  ] as const
  for (const [name, event, state, status] of cases) {
    scenario(`A4: ${name} leaves the turn ${state}, the session ${status} and nothing active`, (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* tell(app, event)
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, state)
        assert.strictEqual(view.session.status, status)
        assert.isNull(view.session.activeTurnId)
        assert.strictEqual(view.session.lastError, status === "error" ? "broken" : null)
      })
    )
  }

  scenario("A4, L3: a failed turn stays failed, whatever its provider says afterwards", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      const providerTurnId = app.control().activeTurn(thread)!
      yield* tell(app, end("failed", "broken"))
      yield* app.until(isSettled("t1"))
      yield* app.control().emit(thread, end("completed")(providerTurnId))
      yield* app.control().emit(thread, { type: "turn.aborted", providerTurnId, message: "late" })
      yield* app.control().emit(thread, { type: "notice", message: "all heard" })
      const view = yield* app.until(({ items }) => items.length > 0)
      assert.strictEqual(view.turn("t1").state, "error")
      assert.strictEqual(view.turn("t1").reason, "broken")
      assert.strictEqual(view.session.status, "error")
    })
  )
})

describe("A5: only the active turn ends the session's work", () => {
  scenario("A5, L4: a title that is generated meanwhile leaves the running turn alone", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      const other = ProviderTurnId.make("title-1")
      yield* app.control().emit(thread, { type: "turn.started", providerTurnId: other, turnId: null })
      yield* app.control().emit(thread, end("completed")(other))
      yield* app.control().emit(thread, { type: "turn.aborted", providerTurnId: other, message: null })
      yield* app.control().emit(thread, {
        type: "turn.completed",
        providerTurnId: null,
        outcome: "completed",
        message: null
      })
      yield* tell(app, begunItem("m1"))
      const view = yield* app.until(({ messages }) => messages.some(({ role }) => role === "assistant"))
      assert.strictEqual(view.turn("t1").state, "running")
      assert.strictEqual(view.session.status, "running")
      yield* tell(app, end("completed"))
      const done = yield* app.until(isSettled("t1"))
      assert.strictEqual(done.turn("t1").state, "completed")
      assert.deepStrictEqual(
        done.turns.map(({ turnId }) => turnId as string),
        ["t1"]
      )
    })
  )

  scenario("A5, L4: the scripted auxiliary turn ends nothing either", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[aux]][[text:The answer]]")
      const done = yield* app.until(isSettled("t1"))
      assert.strictEqual(done.turn("t1").state, "completed")
      assert.deepStrictEqual(answers(done, "t1"), [{ status: "completed", text: "The answer" }])
    })
  )
})

describe("A6: a restart in the middle of a turn", () => {
  scenario(
    "A6: a session that died with the server is stopped, its turn interrupted, and the thread goes on",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* app.crash("dies")
        const view = yield* app.view()
        assert.strictEqual(view.session.status, "stopped")
        assert.strictEqual(view.session.lastError, "The server restarted")
        assert.strictEqual(view.turn("t1").state, "interrupted")
        assert.isNotNull(view.turn("t1").settledAt)
        yield* app.say("t2", "go on")
        const done = yield* app.until(isSettled("t2"))
        assert.strictEqual(done.turn("t2").state, "completed")
        assert.isNull(done.session.lastError)
        assert.deepStrictEqual(textsOf(app.control().received()), ["go on"])
      })
  )

  scenario(
    "A6: a session that outlived the server with its turn is taken up again and completes",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* tell(app, begunItem("m1"))
        yield* tell(app, words("m1", "Half "))
        yield* app.until(({ messages }) => messages.some(({ text }) => text === "Half "))
        yield* app.crash("lives")
        const view = yield* app.view()
        assert.strictEqual(view.turn("t1").state, "running")
        assert.strictEqual(view.session.status, "running")
        yield* app.control().until(
          () =>
            app
              .control()
              .calls()
              .filter(({ operation }) => operation === "open").length === 2
        )
        yield* tell(app, words("m1", "of it."))
        yield* tell(app, end("completed"))
        const done = yield* app.until(isSettled("t1"))
        assert.strictEqual(done.turn("t1").state, "completed")
        assert.deepStrictEqual(answers(done, "t1"), [{ status: "completed", text: "Half of it." }])
        assert.deepStrictEqual(textsOf(app.control().received()), ["[[manual]] t1"])
      }),
    { providers: [{ id: "scripted", capabilities: { outlivesServer: true } }] }
  )

  scenario(
    "A6, L7: a turn that ended while the server was away takes its true end from the provider's record",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* app.kill("lives")
        yield* tell(app, end("completed"))
        yield* app.boot
        const done = yield* app.until(isSettled("t1"))
        assert.strictEqual(done.turn("t1").state, "completed")
        assert.strictEqual(done.session.status, "ready")
      }),
    { providers: [{ id: "scripted", capabilities: { outlivesServer: true } }] }
  )

  scenario(
    "A6, L7: without evidence such a turn is interrupted, never completed, and the session is ready",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* app.kill("lives")
        yield* tell(app, end("completed"))
        yield* app.boot
        const done = yield* app.until(isSettled("t1"))
        assert.strictEqual(done.turn("t1").state, "interrupted")
        assert.strictEqual(done.session.status, "ready")
      }),
    { providers: [{ id: "scripted", capabilities: { outlivesServer: true, history: false } }] }
  )

  scenario(
    "A6, L9: a session that outlived the server is really stopped when the user asks for it",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* app.crash("lives")
        assert.lengthOf(app.control().live(), 1)
        yield* app.dispatch({ type: "thread.session.stop" })
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.session.status, "stopped")
        assert.deepStrictEqual(app.control().live(), [])
      }),
    { providers: [{ id: "scripted", capabilities: { outlivesServer: true } }] }
  )

  scenario(
    "A6: a session that was starting when the server died, and is alive, is not used under a name nobody knows",
    (app) =>
      Effect.gen(function* () {
        app.control().next("open", deliverAndHang)
        yield* app.say("t1", "hello")
        yield* app.control().until(() => app.control().live().length === 1)
        yield* app.crash("lives")
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "completed")
        assert.strictEqual(view.session.generation, 2)
        assert.deepStrictEqual(textsOf(app.control().received()), ["hello"])
      }),
    { providers: [{ id: "scripted", capabilities: { outlivesServer: true } }] }
  )

  scenario("A6: when the provider cannot be listed nothing is changed until it can", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.kill("dies")
      app.control().always("list", refuse("Unavailable"))
      yield* app.boot
      const before = yield* app.view()
      assert.strictEqual(before.turn("t1").state, "running")
      assert.strictEqual(before.session.status, "running")
      app.control().always("list", null)
      const after = yield* app.passUntil(isSettled("t1"))
      assert.strictEqual(after.turn("t1").state, "interrupted")
      assert.strictEqual(after.session.status, "stopped")
    })
  )

  scenario("A6: a turn that hangs after the restart can be stopped", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.kill("dies")
      app.control().always("list", refuse("Unavailable"))
      yield* app.boot
      yield* app.dispatch({ type: "thread.session.stop" })
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.strictEqual(view.session.status, "stopped")
    })
  )
})

describe("A7: stop is honest", () => {
  scenario("A7, L9: a stop that fails leaves the session as it is and says so", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      app.control().next("stop", refuse("Rejected", "not now"))
      yield* app.dispatch({ type: "thread.session.stop" })
      const view = yield* app.until(({ session }) => session.lastError !== null)
      assert.strictEqual(view.session.status, "running")
      assert.isNull(view.session.stopping)
      assert.include(view.session.lastError, "not now")
      assert.strictEqual(view.turn("t1").state, "running")
      const log = yield* app.log()
      assert.isTrue(log.some(({ event }) => event.type === "session.stop_failed"))
      yield* tell(app, end("completed"))
      const done = yield* app.until(isSettled("t1"))
      assert.strictEqual(done.turn("t1").state, "completed")
    })
  )

  scenario("A7, L9: a stop of a session that the provider does not know is a success", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      app.control().next("stop", refuse("SessionGone", "no such session"))
      yield* app.dispatch({ type: "thread.session.stop" })
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.session.status, "stopped")
      assert.isNull(view.session.lastError)
      assert.strictEqual(view.turn("t1").state, "interrupted")
    })
  )
})

describe("A8: a session's end and its turn's end are one", () => {
  const ends = [
    ["crashes", (app: App) => app.control().crash(thread, "segmentation fault"), "error", "error"],
    ["exits in order", (app: App) => app.control().exit(thread, "bye"), "interrupted", "stopped"],
    ["is stopped", (app: App) => app.dispatch({ type: "thread.session.stop" }), "interrupted", "stopped"]
  ] as const
  for (const [how, act, state, status] of ends) {
    scenario(`A8: the provider ${how}: both are told in one commit, and the end is stamped`, (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        // Whoever listens hears both at once, and finds both in the tables.
        const found = yield* Effect.forkChild(
          app.use(
            Effect.gen(function* () {
              const news = yield* Effect.flatMap(Feed, (feed) => feed.thread(thread))
              for (;;) {
                const types = (yield* news.take).map((one) =>
                  one.type === "record" ? one.record.event.type : one.type
                )
                if (!types.includes("turn.settled")) continue
                assert.include(types, "session.stopped")
                return yield* app.view()
              }
            })
          ),
          { startImmediately: true }
        )
        yield* act(app)
        const first = yield* Fiber.join(found)
        assert.strictEqual(first.turn("t1").state, state)
        assert.strictEqual(first.session.status, status)
        const view = yield* app.view()
        assert.strictEqual(view.turn("t1").state, state)
        assert.isNotNull(view.turn("t1").settledAt)
        assert.strictEqual(view.session.status, status)
        assert.strictEqual(view.thread.latestTurn?.state, state)
      })
    )
  }
})

describe("A9: what is over leaves nothing busy", () => {
  scenario(
    "A9: an interrupt ends the turn, the session is ready, takes the next turn, and then stops",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "[[stall]]")
        yield* app.until(isIn("t1", "running"))
        yield* app.dispatch({ type: "thread.turn.interrupt" })
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "interrupted")
        assert.strictEqual(view.session.status, "ready")
        yield* app.say("t2", "hello")
        const next = yield* app.until(isSettled("t2"))
        assert.strictEqual(next.turn("t2").state, "completed")
        assert.strictEqual(next.session.generation, view.session.generation)
        yield* app.dispatch({ type: "thread.session.stop" })
        const stopped = yield* app.until(({ session }) => session.status === "stopped")
        assert.isNull(stopped.session.lastError)
        assert.deepStrictEqual(app.control().live(), [])
      })
  )

  scenario("A9, L8: a send that fails makes no turn: none has started, none was aborted", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[reject:no]]")
      const view = yield* app.until(isSettled("t1"))
      assert.isNull(view.turn("t1").startedAt)
      assert.isNull(view.turn("t1").providerTurnId)
      const log = yield* app.log()
      const ofTurn = log.flatMap(({ event }) =>
        "turnId" in event && event.turnId === "t1" ? [event.type] : []
      )
      assert.deepStrictEqual(ofTurn, ["turn.queued", "session.starting", "turn.send_started", "turn.settled"])
    })
  )
})

describe("A10: nothing keeps thinking after a restart", () => {
  scenario(
    "A10: the server's crash ends the message with its text, the tool with a reason, the request",
    (app) =>
      Effect.gen(function* () {
        const { version } = yield* inTheMiddle(app)
        yield* app.crash("dies")
        yield* allOver(app, version, "nterrupted: the server restarted")
        const view = yield* app.view()
        assert.strictEqual(view.turn("t1").state, "interrupted")
      })
  )

  scenario("A10: so does an orderly stop of the server", (app) =>
    Effect.gen(function* () {
      const { version } = yield* inTheMiddle(app)
      yield* app.restart
      yield* allOver(app, version, "nterrupted: the server was stopped")
    })
  )

  scenario("A10: so does the provider's own restart, at once, and a client that listens hears it", (app) =>
    Effect.gen(function* () {
      const { version } = yield* inTheMiddle(app)
      const heard = yield* Deferred.make<void>()
      yield* Effect.forkChild(
        app.use(
          Effect.gen(function* () {
            const news = yield* Effect.flatMap(Feed, (feed) => feed.thread(thread))
            for (;;) {
              const batch = yield* news.take
              if (batch.some((one) => one.type === "record" && one.record.event.type === "turn.settled")) {
                yield* Deferred.succeed(heard, undefined)
              }
            }
          })
        ),
        { startImmediately: true }
      )
      yield* app.control().crash(thread, "The provider restarted")
      yield* Deferred.await(heard)
      yield* allOver(app, version, "The provider restarted")
      const view = yield* app.view()
      assert.strictEqual(view.session.status, "error")
      assert.strictEqual(view.session.lastError, "The provider restarted")
      yield* app.say("t2", "hello again")
      const next = yield* app.until(isSettled("t2"))
      assert.strictEqual(next.turn("t2").state, "completed")
      assert.isNull(next.session.lastError)
    })
  )

  scenario("A10: a provider that died unseen while nobody listened to it is noticed by looking", (app) =>
    Effect.gen(function* () {
      yield* inTheMiddle(app)
      app.control().next("stop", hang)
      yield* app.kill("dies")
      yield* app.boot
      const view = yield* app.view()
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.deepStrictEqual(app.control().live(), [])
    })
  )
})

/** Half a message, a tool at work and a question to the user. */
const inTheMiddle = (app: App) =>
  Effect.gen(function* () {
    yield* manual(app, "t1")
    yield* tell(app, begunItem("m1"))
    yield* tell(app, words("m1", "I am about to"))
    yield* tell(app, begunItem("c1", "command"))
    yield* tell(app, words("c1", "compiling…"))
    yield* tell(app, asks("r1"))
    return yield* app.until(({ requests }) => requests.length === 1)
  })

const allOver = (app: App, before: number, reason: string) =>
  Effect.gen(function* () {
    const view = yield* app.until(isSettled("t1"))
    assert.deepStrictEqual(answers(view, "t1"), [{ status: "interrupted", text: "I am about to" }])
    const tools = view.items.filter(({ kind }) => kind === "command")
    assert.deepStrictEqual(
      tools.map(({ status, text }) => ({ status, text })),
      [{ status: "interrupted", text: "compiling…" }]
    )
    assert.deepStrictEqual(view.requests, [])
    assert.strictEqual(view.thread.openRequests, 0)
    assert.include(view.turn("t1").reason, reason)
    // A client that was there before is told by what it missed.
    const gap = yield* app.use(Effect.flatMap(ThreadView, (tables) => tables.eventsAfter(thread, before)))
    const told = gap!.records.flatMap(({ event }) =>
      event.type === "item.completed" ? [`${event.kind} ${event.status}: ${event.reason}`] : [event.type]
    )
    assert.includeMembers(told, [
      `assistant_message interrupted: ${view.turn("t1").reason}`,
      `command interrupted: ${view.turn("t1").reason}`,
      "request.closed",
      "turn.settled",
      "session.stopped"
    ])
  })
