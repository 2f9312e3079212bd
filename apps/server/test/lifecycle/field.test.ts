/** What goes wrong in the field with sessions and turns, row by row, on the real engine. */
import { assert, describe } from "@effect/vitest"
import type { RequestId } from "@turnkeeper/domain/ids"
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { deadlines } from "@turnkeeper/domain/thread/lifecycle"
import { hang, pretend, refuse } from "@turnkeeper/provider-kit/testing/control"
import { Effect } from "effect"
import { readdirSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { Mailboxes } from "../../src/engine/Mailboxes.ts"
import type { App } from "./harness.ts"
import { answers, isIn, isSettled, scenario, textsOf, thread } from "./harness.ts"
import { asks, begunItem, end, manual, tell, words } from "./speech.ts"

const opens = (app: App) =>
  app
    .control()
    .calls()
    .flatMap((call) => (call.operation === "open" ? [call.arguments] : []))

/** Puts a provider's word into the thread's mailbox, as a stream of that generation would. */
const hear = (app: App, generation: number, event: ProviderEvent, seq = 1_000) =>
  app.use(
    Effect.gen(function* () {
      const mailbox = yield* Effect.flatMap(Mailboxes, (boxes) => boxes.of(thread))
      yield* mailbox.hear([{ type: "provider", generation, seq, event }], { type: "provider", generation })
    })
  )

describe("B1: every word of a provider has a meaning", () => {
  scenario("B1: a stop that comes as turn.aborted and as nothing else settles the turn", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      app.control().next("interrupt", pretend(undefined))
      yield* app.dispatch({ type: "thread.turn.interrupt" })
      yield* app.control().called("interrupt")
      yield* tell(app, (providerTurnId) => ({ type: "turn.aborted", providerTurnId, message: null }))
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.strictEqual(view.session.status, "ready")
    })
  )

  scenario("B1: a word that nobody knows harms nothing", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[unknown:future/thing]][[text:Fine]]")
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "completed")
      assert.deepStrictEqual(answers(view, "t1"), [{ status: "completed", text: "Fine" }])
    })
  )
})

describe("B2: an interrupt is recorded and ends in proof", () => {
  scenario(
    "B2, L14: an interrupt that the provider accepts and forgets goes on to the session's stop",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        app.control().next("interrupt", pretend(undefined))
        yield* app.dispatch({ type: "thread.turn.interrupt" })
        const asked = yield* app.view()
        assert.isNotNull(asked.turn("t1").interruptAskedAt)
        assert.strictEqual(asked.turn("t1").state, "running")
        const view = yield* app.passUntil(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "interrupted")
        assert.strictEqual(view.session.status, "stopped")
        assert.deepStrictEqual(app.control().live(), [])
      })
  )

  scenario("B2: a second interrupt asks for nothing new, one behind the end is refused by type", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      app.control().next("interrupt", hang)
      yield* app.dispatch({ type: "thread.turn.interrupt" })
      yield* app.dispatch({ type: "thread.turn.interrupt" })
      yield* tell(app, end("interrupted"))
      yield* app.until(isSettled("t1"))
      const late = yield* Effect.flip(app.dispatch({ type: "thread.turn.interrupt", turnId: "t1" as never }))
      assert.strictEqual(late._tag, "NothingToInterrupt")
      assert.lengthOf(
        app
          .control()
          .calls()
          .filter(({ operation }) => operation === "interrupt"),
        1
      )
    })
  )
})

describe("B3: silence is asked about, never guessed from", () => {
  scenario("B3, L14: a quiet turn that its provider still works on is kept, and shown as quiet", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[stall]]")
      yield* app.until(isIn("t1", "running"))
      const quiet = yield* app.passUntil(({ turns }) => turns.some((turn) => turn.quiet === "alive"))
      assert.strictEqual(quiet.turn("t1").state, "running")
      assert.strictEqual(quiet.session.status, "running")
      // Since its last word, not since somebody noticed.
      const log = yield* app.log()
      const noticed = log.findIndex(({ event }) => event.type === "turn.quiet")
      assert.strictEqual(quiet.turn("t1").quietSince, log[noticed]!.at - deadlines.quiet)
      assert.isAtLeast(quiet.turn("t1").quietSince!, log[noticed - 1]!.at)
      yield* tell(app, words("item-1", "goes on"))
      const lively = yield* app.until(({ turns }) => turns.every((turn) => turn.quiet === null))
      assert.strictEqual(lively.turn("t1").state, "running")
    })
  )

  scenario("B3, L14: a quiet turn that its provider no longer knows is settled", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[stall]]")
      yield* app.until(isIn("t1", "running"))
      app.control().next("probe", pretend({ type: "gone" } as const))
      const view = yield* app.passUntil(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.isNull(view.session.activeTurnId)
    })
  )

  scenario("B3, L7: a quiet turn that ended unheard takes the end that its provider tells", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[stall]]")
      yield* app.until(isIn("t1", "running"))
      const truth = { type: "ended", outcome: "failed", message: "out of memory" } as const
      app.control().next("probe", pretend(truth))
      const view = yield* app.passUntil(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "error")
      assert.strictEqual(view.turn("t1").reason, "out of memory")
    })
  )

  scenario("B3: a provider that does not answer the question changes nothing, and is asked again", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[stall]]")
      yield* app.until(isIn("t1", "running"))
      app.control().next("probe", hang)
      const view = yield* app.passUntil(({ turns }) => turns.some((turn) => turn.quiet === "unknown"))
      assert.strictEqual(view.turn("t1").state, "running")
      yield* app.passUntil(({ turns }) => turns.some((turn) => turn.quiet === "alive"))
    })
  )

  scenario("B3: a turn that waits for the user may be quiet for days", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[ask:make]]")
      yield* app.until(({ requests }) => requests.length === 1)
      for (let hour = 0; hour < 48; hour++) yield* app.sleepThrough("1 hour")
      const view = yield* app.view()
      assert.strictEqual(view.turn("t1").state, "running")
      assert.isNull(view.turn("t1").quiet)
      assert.lengthOf(
        app
          .control()
          .calls()
          .filter(({ operation }) => operation === "probe"),
        0
      )
    })
  )
})

describe("B4, L10: what is over has no say", () => {
  scenario("B4, L10: the exit of an old generation leaves the new one alone", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.control().crash(thread, "first")
      yield* app.until(isSettled("t1"))
      yield* manual(app, "t2")
      yield* hear(app, 1, { type: "session.exited", clean: false, message: "very late" })
      yield* hear(app, 1, {
        type: "turn.completed",
        providerTurnId: null,
        outcome: "completed",
        message: null
      })
      const view = yield* app.view()
      assert.strictEqual(view.session.status, "running")
      assert.strictEqual(view.session.generation, 2)
      assert.strictEqual(view.turn("t2").state, "running")
      assert.isNull(view.session.lastError)
    })
  )

  scenario(
    "L10: a word that was heard before changes nothing, nor does one of a generation that is closed",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        const name = app.control().activeTurn(thread)!
        yield* tell(app, end("completed"))
        const before = yield* app.until(isSettled("t1"))
        yield* hear(app, 1, { type: "turn.started", providerTurnId: name, turnId: null }, 1)
        yield* app.dispatch({ type: "thread.session.stop" })
        const stopped = yield* app.until(({ session }) => session.status === "stopped")
        yield* hear(app, 1, {
          type: "turn.started",
          providerTurnId: ProviderTurnId.make("ghost"),
          turnId: null
        })
        const after = yield* app.view()
        assert.strictEqual(after.version, stopped.version)
        assert.lengthOf(after.turns, before.turns.length)
        assert.strictEqual(after.session.status, "stopped")
      })
  )
})

describe("B5 to B8", () => {
  scenario("B5: a final error settles nothing before the turn's end, and gives it its reason", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* tell(app, (providerTurnId) => ({ type: "error.final", providerTurnId, message: "quota" }))
      yield* tell(app, begunItem("m1"))
      const still = yield* app.until(({ messages }) => messages.some(({ role }) => role === "assistant"))
      assert.strictEqual(still.turn("t1").state, "running")
      yield* tell(app, end("failed"))
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").reason, "quota")
    })
  )

  scenario("B5, L14: a final error whose end never comes is settled by ending the session", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* tell(app, (providerTurnId) => ({ type: "error.final", providerTurnId, message: "quota" }))
      const view = yield* app.passUntil(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "error")
      assert.strictEqual(view.turn("t1").reason, "quota")
      assert.deepStrictEqual(app.control().live(), [])
    })
  )

  scenario("B6, L4: an end without a name settles no turn that never ran, and none that runs", (app) =>
    Effect.gen(function* () {
      const unnamed = {
        type: "turn.completed",
        providerTurnId: null,
        outcome: "completed",
        message: null
      } as const
      yield* app.say("t1", "hello")
      yield* app.until(isSettled("t1"))
      app.control().next("send", hang)
      yield* app.say("t2", "[[manual]]")
      yield* app.control().called("send", ({ arguments: { prompt } }) => prompt.turnId === "t2")
      yield* app.control().emit(thread, unnamed)
      yield* app.control().emit(thread, { type: "notice", message: "all heard" })
      const view = yield* app.until(({ items }) => items.length > 0)
      assert.strictEqual(view.turn("t2").state, "sending")
    })
  )

  scenario("B7: a whole answer and its usage are no end", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* tell(app, (providerTurnId) => ({
        type: "item.completed",
        providerTurnId,
        providerItemId: "m1",
        kind: "assistant_message",
        title: "",
        end: "completed",
        text: "All done!",
        detail: {}
      }))
      const view = yield* app.until(({ messages }) => messages.some(({ text }) => text === "All done!"))
      assert.strictEqual(view.turn("t1").state, "running")
    })
  )

  scenario("B8: what a provider begins by itself is a turn of its own, and shows", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[own]]hello")
      const view = yield* app.until(({ turns }) =>
        turns.some(({ origin, state }) => origin === "provider" && state === "completed")
      )
      assert.strictEqual(view.turn("t1").state, "completed")
      const own = view.turns.find(({ origin }) => origin === "provider")!
      assert.lengthOf(answers(view, own.turnId), 1)
    })
  )
})

describe("B9: a session is heard as long as it lives", () => {
  scenario("B9: turn after turn, and what it says between them", (app) =>
    Effect.gen(function* () {
      for (const turn of ["t1", "t2", "t3"]) {
        yield* app.say(turn, "hello")
        yield* app.until(isSettled(turn))
        yield* app.control().emit(thread, { type: "notice", message: `behind ${turn}` })
        yield* app.until(({ items }) =>
          items.some(({ text, title }) => `${title}${text}`.includes(`behind ${turn}`))
        )
      }
      assert.lengthOf(opens(app), 1)
    })
  )

  scenario("B9: a flood is heard to its end, in order", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[flood:3000]]")
      const view = yield* app.until(isSettled("t1"))
      const text = Array.from({ length: 3_000 }, (_, n) => `w${n} `).join("")
      assert.deepStrictEqual(answers(view, "t1"), [{ status: "completed", text }])
    })
  )
})

describe("B10, L5: a question that nobody waits for is no question", () => {
  scenario("B10, L5: after a restart its card is gone, and an answer to it is refused by type", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[ask:make]]")
      const { requests } = yield* app.until((view) => view.requests.length === 1)
      yield* app.crash("dies")
      const view = yield* app.view()
      assert.deepStrictEqual(view.requests, [])
      const refused = yield* Effect.flip(answer(app, requests[0]!.requestId))
      assert.strictEqual(refused._tag, "RequestNotOpen")
    })
  )

  scenario("B10: an answer that the provider no longer waits for closes the card", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[ask:make]]")
      const { requests } = yield* app.until((view) => view.requests.length === 1)
      app.control().next("answer", refuse("RequestGone", "too late"))
      yield* answer(app, requests[0]!.requestId)
      const view = yield* app.until(({ requests: open }) => open.length === 0)
      assert.strictEqual(view.turn("t1").state, "running")
      assert.strictEqual(view.thread.openRequests, 0)
    })
  )

  scenario("B10: an answer that could not be passed on leaves the card open, and can be given again", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "[[ask:make]]")
      const { requests } = yield* app.until((view) => view.requests.length === 1)
      app.control().next("answer", refuse("Unavailable", "try later"))
      yield* answer(app, requests[0]!.requestId)
      const again = yield* app.until(({ session }) => session.lastError !== null)
      assert.include(again.session.lastError, "try later")
      assert.lengthOf(again.requests, 1)
      yield* answer(app, requests[0]!.requestId)
      const view = yield* app.until(isSettled("t1"))
      assert.strictEqual(view.turn("t1").state, "completed")
    })
  )

  scenario("B10, L5: the turn's end takes its questions with it", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* tell(app, asks("r1"))
      yield* app.until((view) => view.requests.length === 1)
      yield* tell(app, end("completed"))
      const view = yield* app.until(isSettled("t1"))
      assert.deepStrictEqual(view.requests, [])
    })
  )
})

describe("B11, B12: the conversation goes on", () => {
  scenario("B11: the cursor is kept through a stop, a provider's crash and a restart", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "one")
      yield* app.until(isSettled("t1"))
      assert.isNull(cursorOf(app))
      yield* app.dispatch({ type: "thread.session.stop" })
      yield* app.until(({ session }) => session.status === "stopped")
      yield* app.say("t2", "two")
      yield* app.until(isSettled("t2"))
      const cursor = cursorOf(app)
      assert.isNotNull(cursor)
      yield* app.control().crash(thread)
      yield* app.until(({ session }) => session.status === "error")
      yield* app.say("t3", "three")
      yield* app.until(isSettled("t3"))
      assert.strictEqual(cursorOf(app), cursor)
      yield* app.crash("dies")
      yield* app.say("t4", "four")
      const view = yield* app.until(isSettled("t4"))
      assert.strictEqual(cursorOf(app), cursor)
      assert.strictEqual(view.turn("t4").state, "completed")
      assert.strictEqual(view.session.generation, 4)
    })
  )

  scenario("B11: a cursor that changes is committed at once", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "one")
      yield* app.until(isSettled("t1"))
      yield* app.control().emit(thread, { type: "resume.changed", resume: "conv-new" })
      yield* app.control().emit(thread, { type: "notice", message: "all heard" })
      yield* app.until(({ items }) => items.length > 0)
      yield* app.crash("dies")
      app.control().next("open", refuse("Unavailable"))
      yield* app.say("t2", "two")
      yield* app.until(isSettled("t2"))
      assert.strictEqual(cursorOf(app), "conv-new")
    })
  )

  scenario("B12: a history that is gone gives a new session, and the user is told", (app) =>
    Effect.gen(function* () {
      yield* app.say("t1", "one")
      yield* app.until(isSettled("t1"))
      yield* app.kill("dies")
      const record = join(dirname(app.database), "scripted")
      for (const file of readdirSync(record)) rmSync(join(record, file))
      yield* app.boot
      yield* app.say("t2", "two")
      const view = yield* app.until(isSettled("t2"))
      assert.strictEqual(view.turn("t2").state, "completed")
      assert.isTrue(
        view.items.some(
          ({ kind, title, text }) => kind === "notice" && /no longer has this/.test(title + text)
        )
      )
      yield* app.dispatch({ type: "thread.session.stop" })
      yield* app.until(({ session }) => session.status === "stopped")
      yield* app.say("t3", "three")
      const next = yield* app.until(isSettled("t3"))
      assert.strictEqual(next.turn("t3").state, "completed")
      assert.deepStrictEqual(textsOf(app.control().received()), ["two", "three"])
    })
  )
})

describe("B13, B15", () => {
  scenario("B13, L13: a stop takes the queue with it: nothing goes out afterwards", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      yield* app.say("t2", "two")
      yield* app.dispatch({ type: "thread.session.stop" })
      const view = yield* app.until(({ session }) => session.status === "stopped")
      assert.strictEqual(view.turn("t1").state, "interrupted")
      assert.strictEqual(view.turn("t2").state, "cancelled")
      assert.deepStrictEqual(textsOf(app.control().received()), ["[[manual]] t1"])
    })
  )

  scenario(
    "B15, L12: a session whose transport broke is not used again, and its prompt is not replayed",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "[[die]]")
        const dead = yield* app.until(isSettled("t1"))
        assert.strictEqual(dead.turn("t1").state, "error")
        assert.strictEqual(dead.session.status, "error")
        yield* app.say("t2", "hello")
        const view = yield* app.until(isSettled("t2"))
        assert.strictEqual(view.session.generation, 2)
        assert.deepStrictEqual(textsOf(app.control().received()), ["[[die]]", "hello"])
      })
  )
})

const answer = (app: App, requestId: RequestId) =>
  app.dispatch({ type: "thread.request.answer", requestId, decision: "accept" })

const cursorOf = (app: App) => opens(app).at(-1)?.resume ?? null
