/** A session that outlived the server and that this one does not hold is there all the same. */
import { assert, describe } from "@effect/vitest"
import { refuse } from "@turnkeeper/provider-kit/testing/control"
import { Effect } from "effect"
import { isSettled, scenario } from "./harness.ts"
import type { App, View } from "./harness.ts"
import { manual } from "./speech.ts"

const outliving = { providers: [{ id: "scripted", capabilities: { outlivesServer: true } }] }

/** The server is killed and the session lives on; the next server is refused when it opens it, once or always. */
const comesBack = (app: App, refused: "always" | "next") =>
  Effect.gen(function* () {
    yield* app.kill("lives")
    app.control()[refused]("open", refuse("Unavailable"))
    yield* app.boot
  })

describe("L9: a session that outlived the server and could not be taken up", () => {
  scenario(
    "L9: a stop takes it up, and ends it",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* comesBack(app, "next")
        assert.lengthOf(app.control().live(), 1)
        assert.strictEqual((yield* app.view()).turn("t1").state, "running")
        yield* app.dispatch({ type: "thread.session.stop" })
        const view = yield* app.until(isSettled("t1"))
        assert.strictEqual(view.session.status, "stopped")
        assert.deepStrictEqual(app.control().live(), [])
      }),
    outliving
  )

  scenario(
    "L9: a stop that cannot reach it is no success: the session stays as it is and says so",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* comesBack(app, "always")
        yield* app.dispatch({ type: "thread.session.stop" })
        const view = yield* app.until(({ session }) => session.lastError !== null)
        assert.match(view.session.lastError ?? "", /could not be stopped/)
        assert.strictEqual(view.turn("t1").state, "running")
        assert.lengthOf(app.control().live(), 1)
      }),
    outliving
  )

  scenario(
    "L9: an interrupt that cannot reach it settles nothing: the turn runs on, and its page says why",
    (app) =>
      Effect.gen(function* () {
        yield* manual(app, "t1")
        yield* comesBack(app, "always")
        yield* app.dispatch({ type: "thread.turn.interrupt" })
        const view = yield* app.until(hasNotice)
        assert.strictEqual(view.turn("t1").state, "running")
        assert.lengthOf(app.control().live(), 1)
      }),
    outliving
  )

  scenario(
    "L5: an answer that cannot reach it leaves its request open, to be answered again",
    (app) =>
      Effect.gen(function* () {
        yield* app.say("t1", "[[ask:make]]")
        const { requests } = yield* app.until((view) => view.requests.length === 1)
        const { requestId } = requests[0]!
        yield* comesBack(app, "always")
        yield* app.dispatch({ type: "thread.request.answer", requestId, decision: "accept" })
        const view = yield* app.until(hasNotice)
        assert.deepStrictEqual(
          view.requests.map((request) => [request.requestId, request.status]),
          [[requestId, "open"]]
        )
        assert.strictEqual(view.turn("t1").state, "running")
      }),
    outliving
  )
})

const hasNotice = ({ entries }: View) =>
  entries.some((entry) => entry.type === "item" && entry.kind === "notice")
