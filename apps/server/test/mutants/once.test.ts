/** What has to happen once, looked at from the provider: tests that mutants of the server asked for. */
import { assert, describe } from "@effect/vitest"
import { hold, pretend } from "@turnkeeper/provider-kit/testing/control"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Deferred, Effect, Exit } from "effect"
import { Mailboxes } from "../../src/engine/Mailboxes.ts"
import { aheadMax } from "../../src/ingestion/ahead.ts"
import { Reactor } from "../../src/reactor/Reactor.ts"
import { Writer } from "../../src/store/Sqlite.ts"
import type { App } from "../lifecycle/harness.ts"
import { isSettled, quietly, scenario, thread } from "../lifecycle/harness.ts"
import { begunItem, end, manual, tell, words } from "../lifecycle/speech.ts"

describe("once", () => {
  scenario(
    "L12: a thread that is looked at again and again is sent to, answered and asked after once",
    (app) =>
      Effect.gen(function* () {
        const look = app.use(Effect.flatMap(Reactor, (reactor) => reactor.look(thread)))
        const lookOften = Effect.repeat(Effect.andThen(look, quietly), { times: 5 })
        const open = yield* Deferred.make<void, ProviderError>()
        const send = yield* Deferred.make<void, ProviderError>()
        const answer = yield* Deferred.make<void, ProviderError>()
        app.control().next("open", hold(open))
        app.control().next("send", hold(send))
        app.control().next("answer", hold(answer))

        yield* app.say("t1", "[[ask:make]]")
        for (const [operation, gate] of [
          ["open", open],
          ["send", send]
        ] as const) {
          yield* app.control().called(operation)
          yield* lookOften
          Deferred.doneUnsafe(gate, Exit.void)
        }
        const { requests } = yield* app.until((view) => view.requests.length === 1)
        const { requestId } = requests[0]!
        yield* app.dispatch({ type: "thread.request.answer", requestId, decision: "accept" })
        yield* app.control().called("answer")
        yield* lookOften
        Deferred.doneUnsafe(answer, Exit.void)
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.turn("t1").state, "completed")
        const calls = app
          .control()
          .calls()
          .map(({ operation }) => operation)
        assert.deepStrictEqual(
          calls.filter((operation) => operation !== "list"),
          ["open", "send", "answer"]
        )
      })
  )

  scenario("L7: what one listing says counts for nothing: the next one may know the turn again", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      const listings = () =>
        app
          .control()
          .calls()
          .filter(({ operation }) => operation === "list").length
      const before = listings()
      const idle = [{ threadId: thread, generation: 1, activeProviderTurnId: null, activeTurnId: null }]
      for (const plan of [pretend(idle), null, pretend(idle), null]) {
        if (plan !== null) app.control().next("list", plan)
        yield* app.sleepThrough("1 minute")
        yield* quietly
      }
      assert.strictEqual(listings(), before + 4)
      assert.strictEqual((yield* app.view()).turn("t1").state, "running")
    })
  )

  scenario("D9: a session whose generation is closed, by whatever, is ended", (app) =>
    Effect.gen(function* () {
      yield* manual(app, "t1")
      const occasion = { reason: "It is closed by hand", now: 0, intentLimitMs: null }
      yield* app.use(
        Effect.gen(function* () {
          const mailbox = yield* Effect.flatMap(Mailboxes, (boxes) => boxes.of(thread))
          yield* mailbox.reconcile({ type: "absent" }, occasion, null)
        })
      )
      yield* app.until(isSettled("t1"))
      yield* app.control().until(() => app.control().live().length === 0)
    })
  )

  scenario(
    "L12: what a provider said while the disk was full is kept, in its order",
    (app) =>
      Effect.gen(function* () {
        const answers = yield* answersOverFullDisk(
          app,
          Effect.gen(function* () {
            for (const word of ["one ", "two ", "three"]) yield* tell(app, words("m1", word))
            yield* tell(app, end("completed"))
          })
        )
        assert.deepStrictEqual(answers, ["one two three"])
      }),
    { mayLogErrors: true }
  )

  scenario(
    "L12: what was read ahead while the disk was full is kept once and in its order, however much",
    (app) =>
      Effect.gen(function* () {
        const said = Array.from({ length: 3 * aheadMax }, (_, n) => `word ${n}, `)
        const noted = [1, 2, 3].map((n) => `note ${n}`)
        const answers = yield* answersOverFullDisk(
          app,
          // It is held back until there is room on the disk.
          Effect.forkChild(
            Effect.gen(function* () {
              for (const word of said) yield* tell(app, words("m1", word))
              for (const message of noted) yield* tell(app, () => ({ type: "notice", message }))
              yield* tell(app, end("completed"))
            })
          )
        )
        assert.deepStrictEqual(answers, [said.join("")])
        assert.deepStrictEqual(yield* notes(app), noted)
      }),
    { mayLogErrors: true }
  )

  scenario(
    "L12: of what a provider said at once the tables refuse the poisoned event alone",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* app.use(
          Effect.gen(function* () {
            const sql = yield* Writer
            yield* sql.unsafe(`CREATE TRIGGER poisoned BEFORE INSERT ON events
              WHEN NEW.type = 'notice.recorded' AND NEW.payload LIKE '%poison%'
              BEGIN SELECT RAISE(ABORT, 'poisoned'); END`)
            const mailbox = yield* Effect.flatMap(Mailboxes, (boxes) => boxes.of(thread))
            const { generation, seen } = mailbox.current().state.session
            const said = ["one", "poison", "two", "three"].map((message, index) => ({
              type: "provider" as const,
              generation,
              seq: seen + index + 1,
              event: { type: "notice" as const, message }
            }))
            yield* mailbox.hear(said, { type: "provider", generation })
          })
        )
        assert.deepStrictEqual(yield* notes(app), ["one", "two", "three"])
      }),
    { mayLogErrors: true }
  )
})

/** What the answers of a turn say in the end, where the disk is full when `speak` says its words as `m1`. */
const answersOverFullDisk = Effect.fnUntraced(function* <E, R>(
  app: App,
  speak: Effect.Effect<unknown, E, R>
) {
  yield* manual(app, "t1")
  yield* tell(app, begunItem("m1"))
  yield* app.until(({ messages }) => messages.some(({ role }) => role === "assistant"))
  const full = yield* Effect.forkChild(app.failAt(1, "disk full"), { startImmediately: true })
  yield* speak
  const view = yield* app.passUntil(isSettled("t1"))
  assert.isDefined(full.pollUnsafe(), "the disk was full")
  return view.messages.filter(({ role }) => role === "assistant").map(({ text }) => text)
})

const notes = (app: App) =>
  Effect.map(app.log(), (log) =>
    log.flatMap(({ event }) => (event.type === "notice.recorded" ? [event.message] : []))
  )
