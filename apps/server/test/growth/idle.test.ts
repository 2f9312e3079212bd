/** Sessions that nobody uses are closed, and the conversation goes on. */
import { assert, describe } from "@effect/vitest"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import { IdleSessions } from "../../src/reconciler/IdleSessions.ts"
import { defaults } from "../../src/Settings.ts"
import { Mailboxes } from "../../src/engine/Mailboxes.ts"
import type { App } from "../lifecycle/harness.ts"
import { isSettled, scenario, thread } from "../lifecycle/harness.ts"
import { end, manual, tell } from "../lifecycle/speech.ts"

const minute = 60_000

/** A word, and its answer. */
const answered = (app: App, turn: string, to = thread) =>
  Effect.andThen(app.say(turn, "[[text:Words]]", { to }), app.until(isSettled(turn), to))

type Look = IdleSessions["Service"]["look"]

/** In the server, which looks after its sessions when it is told to. */
const looking = <E, R extends Mailboxes>(app: App, body: (look: Look) => Effect.Effect<void, E, R>) =>
  app.use(Effect.flatMap(IdleSessions, ({ look }) => body(look)).pipe(Effect.provide(IdleSessions.layer)))

/** Looks once a minute, for so many minutes; the first look is the one that finds the session at rest. */
const rested = (app: App, minutes: number) =>
  looking(app, (look) =>
    Effect.gen(function* () {
      yield* look
      for (let n = 0; n < minutes; n++) {
        yield* app.sleepThrough(minute)
        yield* look
      }
    })
  )

const idleMinutes = defaults.idleMs / minute

const opened = (app: App) =>
  app
    .control()
    .calls()
    .flatMap((call) => (call.operation === "open" ? [call.arguments.resume] : []))

describe("a session that nobody uses", () => {
  scenario(
    "D9: is closed after a while, without a word of an error; the next message goes on from it",
    (app) =>
      Effect.gen(function* () {
        yield* answered(app, "t1")
        yield* rested(app, idleMinutes - 1)
        assert.strictEqual((yield* app.view()).session.status, "ready")
        yield* rested(app, idleMinutes)
        const view = yield* app.view()
        assert.deepInclude(view.session, { status: "stopped", lastError: null })
        yield* app.control().until(() => app.control().live().length === 0)
        yield* app.say("t2", "[[text:Two]]")
        const later = yield* app.until(isSettled("t2"))
        assert.strictEqual(later.turn("t2").state, "completed")
        const [first, second] = opened(app)
        assert.isNull(first)
        assert.isNotNull(second)
        const conversations = app
          .control()
          .received()
          .map(({ conversation }) => conversation)
        assert.strictEqual(conversations[0], conversations[1])
      })
  )

  scenario(
    "D9: is never closed while it works, however long that takes; its rest is counted from its end",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* rested(app, 2 * idleMinutes)
        assert.strictEqual((yield* app.view()).session.status, "running")
        yield* tell(app, end("completed"))
        yield* app.until(isSettled("t1"))
        yield* rested(app, idleMinutes - 1)
        assert.strictEqual((yield* app.view()).session.status, "ready")
      })
  )

  scenario("D9: a message in the meantime begins its rest anew", (app) =>
    Effect.gen(function* () {
      yield* answered(app, "t1")
      yield* looking(app, (look) =>
        Effect.gen(function* () {
          for (const turn of ["t2", "t3"]) {
            yield* look
            yield* app.sleepThrough(defaults.idleMs - minute)
            yield* answered(app, turn)
            yield* app.sleepThrough(minute)
            yield* look
            assert.strictEqual((yield* app.view()).session.status, "ready")
          }
        })
      )
      assert.lengthOf(opened(app), 1)
    })
  )

  scenario("D9: a message at the very moment is sent once, on whichever session", (app) =>
    Effect.gen(function* () {
      yield* answered(app, "t1")
      yield* looking(app, (look) =>
        Effect.gen(function* () {
          yield* look
          yield* app.sleepThrough(defaults.idleMs)
          yield* Effect.all([look, app.say("t2", "[[id:t2]][[text:Two]]")], { concurrency: "unbounded" })
        })
      )
      const view = yield* app.until(isSettled("t2"))
      assert.strictEqual(view.turn("t2").state, "completed")
      assert.lengthOf(
        (yield* app.recorded("scripted")).filter((text) => text.includes("[[id:t2]]")),
        1
      )
    })
  )

  scenario(
    "D9: stays where its provider could not go on with the conversation",
    (app) =>
      Effect.gen(function* () {
        yield* answered(app, "t1")
        yield* rested(app, 3 * idleMinutes)
        assert.strictEqual((yield* app.view()).session.status, "ready")
        assert.lengthOf(app.control().live(), 1)
      }),
    { providers: [{ id: "scripted", capabilities: { resume: false } }] }
  )

  scenario("D9: each is looked at by itself", (app) =>
    Effect.gen(function* () {
      const other = "thread-2" as ThreadId
      yield* answered(app, "t1")
      yield* answered(app, "u1", other)
      yield* looking(app, (look) =>
        Effect.gen(function* () {
          yield* look
          yield* app.sleepThrough(defaults.idleMs - minute)
          yield* answered(app, "u2", other)
          yield* app.sleepThrough(minute)
          yield* look
          const mailboxes = yield* Mailboxes
          const closed = (yield* mailboxes.of(thread)).current().state.session
          assert.isFalse(closed.open)
          assert.isTrue((yield* mailboxes.of(other)).current().state.session.open)
        })
      )
    })
  )
})
