/**
 * Something goes wrong at every single commit of a conversation: the power goes off before it, or right
 * behind it; or the disk is full for a moment. Whatever was acknowledged is there, no prompt reached the
 * provider twice, and what the turns say of their delivery is what the provider's own record says.
 */
import { assert, describe } from "@effect/vitest"
import type { DispatchFailure } from "@turnkeeper/contracts/Errors"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { App, View } from "./harness.ts"
import { isSettled, project, scenario, thread } from "./harness.ts"

const commits = 30

const texts = {
  t1: "[[id:t1]][[ask:make]][[text:Yes]]",
  t2: "[[id:t2]][[text:Two]]",
  t3: "[[id:t3]][[fail:broken]]",
  t4: "[[id:t4]][[text:Four]]"
} as const
type Turn = keyof typeof texts
const turns = Object.keys(texts) as ReadonlyArray<Turn>

/** As a client does: the same command under the same id, for as long as the server only cannot take it. */
const insist = <A>(send: Effect.Effect<A, DispatchFailure>): Effect.Effect<A, DispatchFailure> =>
  Effect.catchTag(send, "StorageUnavailable", (refused) => {
    assert.isTrue(refused.retryable)
    return Effect.andThen(TestClock.adjust("1 second"), insist(send))
  })

const say = (app: App, turn: Turn) =>
  insist(
    app.say(turn, texts[turn], {
      commandId: `say-${turn}` as never,
      ...(turn === "t1" && {
        createThread: { projectId: project, title: "T", provider: "scripted" as never }
      })
    })
  )

/** An approval, a follow-up that waits, a failure, a stop; `told` holds what was acknowledged. */
const conversation = (app: App, told: Set<Turn>) =>
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
    const { requests } = yield* app.passUntil(asks)
    const { requestId } = requests[0]!
    yield* insist(app.dispatch({ type: "thread.request.answer", requestId, decision: "accept" }))
  })

const asks = (view: View) => view.requests.some(({ status }) => status === "open")

/** Such a provider has to repeat its questions to who comes back, or nobody could answer them. */
const outliving = { outlivesServer: true, reasksRequests: true }

const openTurns = (view: View) => view.turns.filter(({ settledAt }) => settledAt === null)

/** Every turn that the tables know, against the provider's record. */
const truthful = (app: App, view: View) =>
  Effect.gen(function* () {
    const recorded = yield* app.recorded("scripted")
    for (const turn of view.turns) {
      const times = recorded.filter((text) => text.includes(`[[id:${turn.turnId}]]`)).length
      const about = `${turn.turnId} is ${turn.state}, ${turn.delivered}`
      assert.isAtMost(times, 1, `${about} and was sent ${times} times`)
      if (turn.delivered === "delivered") assert.strictEqual(times, 1, about)
      if (turn.delivered === "not_delivered") assert.strictEqual(times, 0, about)
    }
  })

/** Waits until nothing is open, and says yes to whatever is asked meanwhile. */
const rest = (app: App): Effect.Effect<View, DispatchFailure> =>
  Effect.gen(function* () {
    const view = yield* app.passUntil((now) => openTurns(now).length === 0 || asks(now))
    if (!asks(view)) return view
    yield* answered(app)
    return yield* rest(app)
  })

describe("something goes wrong at each commit", () => {
  scenario("the conversation has as many commits as are tried below", (app) =>
    Effect.gen(function* () {
      const more = yield* Effect.forkChild(app.failAt(commits, "disk full"), { startImmediately: true })
      yield* conversation(app, new Set())
      yield* rest(app)
      assert.isUndefined(more.pollUnsafe(), `The conversation has more than ${commits} commits`)
    })
  )

  for (const [how, provider] of [
    ["power off before", "dies"],
    ["power off after", "dies"],
    ["power off after", "lives"]
  ] as const) {
    for (let commit = 1; commit <= commits; commit++) {
      scenario(
        `L12, L14: ${how} commit ${commit}, the provider ${provider}: nothing is lost, doubled or left open`,
        (app) =>
          Effect.gen(function* () {
            const told = new Set<Turn>()
            const dark = yield* Effect.forkChild(app.failAt(commit, how), { startImmediately: true })
            const user = yield* Effect.forkChild(Effect.exit(conversation(app, told)))
            yield* Effect.raceFirst(Fiber.join(dark), Fiber.join(user))
            yield* app.kill(provider)
            yield* Fiber.interrupt(user)
            yield* app.boot

            if (told.size > 0) {
              const view = yield* rest(app)
              const known = view.turns.map(({ turnId }) => turnId as string)
              for (const turn of told) assert.include(known, turn, "what was acknowledged is there")
              yield* truthful(app, view)
            }
            // The client does not know what became of its last message, and sends it again as it was (L11).
            const unheard = turns.find((turn) => !told.has(turn))
            if (unheard !== undefined) yield* say(app, unheard)
            const view = yield* rest(app)
            yield* truthful(app, view)
            if (unheard !== undefined) assert.isTrue(isSettled(unheard)(view))
            // And the thread is as good as new.
            yield* app.say("last", "[[id:last]][[text:Last]]")
            const after = yield* app.until(isSettled("last"))
            assert.strictEqual(after.turn("last").state, "completed")
            assert.isNull(after.session.lastError)
          }),
        { providers: [{ id: "scripted", capabilities: provider === "lives" ? outliving : {} }] }
      )
    }
  }

  for (let commit = 1; commit <= commits; commit++) {
    scenario(
      `L12, L14: the disk is full at commit ${commit}: once it is not, all goes on as if it had never been`,
      (app) =>
        Effect.gen(function* () {
          yield* Effect.forkChild(app.failAt(commit, "disk full"), { startImmediately: true })
          yield* conversation(app, new Set())
          const view = yield* rest(app)
          yield* truthful(app, view)
          assert.deepStrictEqual(
            turns.map((turn) => view.turn(turn).state),
            ["completed", "completed", "error", "completed"]
          )
        }),
      { mayLogErrors: true }
    )
  }
})
