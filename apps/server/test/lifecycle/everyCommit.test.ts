/**
 * The power goes off at every single commit of a conversation, before it and right behind it. Whatever was
 * acknowledged is there, no prompt reached the provider twice, and what the turns say of their delivery is
 * what the provider's own record says.
 */
import { assert, describe } from "@effect/vitest"
import type { DispatchFailure } from "@turnkeeper/contracts/Errors"
import type { TurnId } from "@turnkeeper/domain/ids"
import { Effect, Fiber } from "effect"
import type { App, View } from "./harness.ts"
import { isSettled, scenario } from "./harness.ts"

const commits = 30

const turns = ["t1", "t2", "t3", "t4"] as const

/** An approval, a follow-up that waits, a failure, a retry; `told` holds what was acknowledged. */
const conversation = (app: App, told: Set<string>) =>
  Effect.gen(function* () {
    const say = (turn: string, text: string) =>
      Effect.andThen(
        app.say(turn, text, { commandId: `say-${turn}` as never }),
        Effect.sync(() => told.add(turn))
      )
    yield* say("t1", "[[id:t1]][[ask:make]][[text:Yes]]")
    yield* say("t2", "[[id:t2]][[text:Two]]")
    const { requests } = yield* app.until((view) => view.requests.length === 1)
    yield* app.dispatch({
      type: "thread.request.answer",
      requestId: requests[0]!.requestId,
      decision: "accept"
    })
    yield* app.until(isSettled("t2"))
    yield* say("t3", "[[id:t3]][[fail:broken]]")
    yield* app.until(isSettled("t3"))
    yield* app.dispatch({ type: "thread.session.stop" })
    yield* say("t4", "[[id:t4]][[text:Four]]")
    yield* app.until(isSettled("t4"))
  })

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
    const view = yield* app.passUntil((now) => openTurns(now).length === 0 || waiting(now) !== undefined)
    const request = waiting(view)
    if (request === undefined) return view
    const { requestId } = request
    yield* app.dispatch({ type: "thread.request.answer", requestId, decision: "accept" })
    return yield* rest(app)
  })

const waiting = (view: View) => view.requests.find(({ status }) => status === "open")

describe("the power goes off", () => {
  scenario("the conversation has as many commits as are tried below", (app) =>
    Effect.gen(function* () {
      const more = yield* Effect.forkChild(app.powerOffAt(commits, "after"), { startImmediately: true })
      yield* conversation(app, new Set())
      yield* rest(app)
      assert.isUndefined(more.pollUnsafe(), `The conversation has more than ${commits} commits`)
    })
  )

  for (const [when, provider] of [
    ["before", "dies"],
    ["after", "dies"],
    ["after", "lives"]
  ] as const) {
    for (let commit = 1; commit <= commits; commit++) {
      scenario(
        `L12, L14: ${when} commit ${commit}, the provider ${provider}: nothing is lost, doubled or left open`,
        (app) =>
          Effect.gen(function* () {
            const told = new Set<string>()
            const dark = yield* Effect.forkChild(app.powerOffAt(commit, when), { startImmediately: true })
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
            // The client does not know what became of its last message, and sends it again as it was.
            const unheard = turns.find((turn) => !told.has(turn))
            if (unheard !== undefined) {
              yield* app
                .say(unheard, `[[id:${unheard}]][[text:Again]]`, { commandId: `again-${unheard}` as never })
                .pipe(Effect.catchTag("TurnIdTaken", () => Effect.void))
            }
            const view = yield* rest(app)
            yield* truthful(app, view)
            if (unheard !== undefined) assert.isTrue(isSettled(unheard)(view))
            // And the thread is as good as new.
            yield* app.say("last", "[[id:last]][[text:Last]]")
            const after = yield* app.until(isSettled("last"))
            assert.strictEqual(after.turn("last" as TurnId).state, "completed")
            assert.isNull(after.session.lastError)
          }),
        { providers: [{ id: "scripted", capabilities: provider === "lives" ? outliving : {} }] }
      )
    }
  }
})
