/**
 * One conversation with everything in it: an approval, a follow-up that waits, a failure, a stop, an answer.
 * Scenarios let something go wrong at each of its steps and then hold what the client was told against what
 * the tables and the provider's own record say.
 */
import { assert } from "@effect/vitest"
import type { DispatchFailure } from "@turnkeeper/contracts/Errors"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { App, View } from "./harness.ts"
import { isSettled, project, thread } from "./harness.ts"

export const texts = {
  t1: "[[id:t1]][[ask:make]][[text:Yes]]",
  t2: "[[id:t2]][[text:Two]]",
  t3: "[[id:t3]][[fail:broken]]",
  t4: "[[id:t4]][[text:Four]]"
} as const
export type Turn = keyof typeof texts
export const turns = Object.keys(texts) as ReadonlyArray<Turn>

/** As a client does: the same command under the same id, for as long as the server only cannot take it. */
export const insist = <A>(send: Effect.Effect<A, DispatchFailure>): Effect.Effect<A, DispatchFailure> =>
  Effect.catchTag(send, "StorageUnavailable", (refused) => {
    assert.isTrue(refused.retryable)
    return Effect.andThen(TestClock.adjust("1 second"), insist(send))
  })

export const say = (app: App, turn: Turn) =>
  insist(
    app.say(turn, texts[turn], {
      commandId: `say-${turn}` as never,
      ...(turn === "t1" && {
        createThread: { projectId: project, title: "T", provider: "scripted" as never }
      })
    })
  )

/** An approval, a follow-up that waits, a failure, a stop; `told` holds what was acknowledged. */
export const conversation = (app: App, told: Set<Turn>) =>
  Effect.gen(function* () {
    const next = (turn: Turn) => Effect.tap(say(app, turn), () => Effect.sync(() => told.add(turn)))
    yield* next("t1")
    yield* next("t2")
    yield* answered(app)
    yield* app.passUntil(isSettled("t2"))
    yield* next("t3")
    yield* app.passUntil(isSettled("t3"))
    yield* insist(app.dispatch({ type: "thread.session.stop" }, thread, "stop"))
    yield* next("t4")
    yield* app.passUntil(isSettled("t4"))
  })

const answered = (app: App) =>
  Effect.gen(function* () {
    const { requests } = yield* app.passUntil((view) => asks(view) || isSettled("t1")(view))
    if (requests.length === 0) return
    const { requestId } = requests[0]!
    const answer = { type: "thread.request.answer", requestId, decision: "accept" } as const
    yield* insist(app.dispatch(answer, thread, `answer-${requestId.replaceAll("/", "-")}`))
  })

const asks = (view: View) => view.requests.some(({ status }) => status === "open")

const openTurns = (view: View) => view.turns.filter(({ settledAt }) => settledAt === null)

/** Every turn of the user that the tables know, against the provider's record. */
export const truthful = (app: App, view: View) =>
  Effect.gen(function* () {
    const recorded = yield* app.recorded("scripted")
    for (const turn of view.turns.filter(({ origin }) => origin === "user")) {
      const times = recorded.filter((text) => text.includes(`[[id:${turn.turnId}]]`)).length
      const about = `${turn.turnId} is ${turn.state}, ${turn.delivered}`
      assert.isAtMost(times, 1, `${about} and was sent ${times} times`)
      if (turn.delivered === "delivered") assert.strictEqual(times, 1, about)
      if (turn.delivered === "not_delivered") assert.strictEqual(times, 0, about)
    }
  })

/** Waits until nothing is open, and says yes to whatever is asked meanwhile. */
export const rest = (app: App): Effect.Effect<View, DispatchFailure> =>
  Effect.gen(function* () {
    const view = yield* app.passUntil((now) => openTurns(now).length === 0 || asks(now))
    if (!asks(view)) return view
    yield* answered(app)
    return yield* rest(app)
  })
