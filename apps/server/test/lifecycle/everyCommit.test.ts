/**
 * Something goes wrong at every single commit of a conversation: the power goes off before it, or right
 * behind it; or the disk is full for a moment. Whatever was acknowledged is there, no prompt reached the
 * provider twice, and what the turns say of their delivery is what the provider's own record says.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Turn } from "./conversation.ts"
import { conversation, rest, say, truthful, turns } from "./conversation.ts"
import { isSettled, scenario } from "./harness.ts"

const commits = 30

/** Such a provider has to repeat its questions to who comes back, or nobody could answer them. */
const outliving = { outlivesServer: true, reasksRequests: true }

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
