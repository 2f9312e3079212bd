/**
 * Real agents on the fake model: what the conformance suite does not ask. Each runs where its variable names its
 * program, and is skipped where it does not.
 */
import { assert, describe, it } from "@effect/vitest"
import { acpVariables } from "@turnkeeper/testkit/acpHome"
import { Effect, Schedule } from "effect"
import { agents, makeRealWorld, programOf } from "./real.ts"
import type { AcpAgentName, RealWorld } from "./real.ts"
import { pids, prompt, session, survivors } from "./world.ts"

/** Waits, with a bound, until it is so. */
const until = (what: string, holds: () => boolean) =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.fail(what))).pipe(
    Effect.retry({ times: 400, schedule: Schedule.spaced("50 millis") })
  )

const killAll = ({ options }: RealWorld) =>
  Effect.sync(() => {
    for (const pid of pids(options.ledgerDirectory)) process.kill(pid, "SIGKILL")
  })

/** What the model was shown with the prompt that has this marker; some agents ask it for a title beside that. */
const shownWith = ({ model }: RealWorld, marker: string): string =>
  model
    .requests()
    .filter((one) => one.main && one.markers.includes(marker))
    .flatMap((one) => one.context.map(({ text }) => text))
    .join("\n")

/** A command that takes long and that no agent takes for mere waiting. */
const long = "for i in $(seq 600); do echo tick; sleep 0.1; done"

/** How each tells that the model refused: as an error, or as an answer like any other. */
const outcomes: Record<AcpAgentName, "failed" | "completed"> = {
  opencode: "failed",
  claude: "failed",
  codex: "completed"
}

describe.each(agents)("%s", (agent) => {
  describe.skipIf(programOf(agent) === null)(
    `set ${acpVariables[agent]} to run`,
    { timeout: 180_000 },
    () => {
      it.live("B11: remembers the conversation after its process was killed", () =>
        Effect.gen(function* () {
          const world = yield* makeRealWorld(agent)
          const first = yield* session(world)
          yield* first.run(prompt("[[text:the word is heliotrope]]"))
          const resume = first.newestResume()
          yield* killAll(world)
          yield* first.ear.endedPromptly
          const second = yield* session(world, { generation: 2, resume })
          assert.isNull(second.notice)
          assert.equal((yield* second.run(prompt("[[text:again]] [[id:again]]"))).outcome, "completed")
          assert.include(shownWith(world, "again"), "heliotrope")
          assert.notInclude(JSON.stringify(second.ear.of("text.delta")), "heliotrope")
        })
      )

      it.live("asks nothing in full access; killed amid a command it leaves none behind", () =>
        Effect.gen(function* () {
          const world = yield* makeRealWorld(agent)
          const one = yield* session(world, { runtimeMode: "full_access" })
          yield* one.begin(prompt(`[[shell:${long}]]`, { runtimeMode: "full_access" }))
          yield* until("the command", () => survivors(world).some((line) => line.includes("seq 600")))
          assert.deepEqual(one.ear.of("request.opened"), [])
          yield* killAll(world)
          yield* one.ear.endedPromptly
          yield* until("the end of the command", () => survivors(world).length === 0)
        })
      )

      it.live("a refusal of the model ends the turn with its words, and the next message works", () =>
        Effect.gen(function* () {
          const one = yield* session(yield* makeRealWorld(agent))
          const end = yield* one.run(prompt("[[http:400]]"))
          assert.equal(end.outcome, outcomes[agent])
          const words =
            end.message ??
            one.ear
              .of("text.delta")
              .map(({ text }) => text)
              .join("")
          assert.include(words, "400")
          assert.equal((yield* one.run(prompt("[[text:fine]]"))).outcome, "completed")
          assert.deepEqual(one.ear.breaches(), [])
        })
      )

      it.live("a conversation that it does not know is gone, and no failure of the agent", () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(
            session(yield* makeRealWorld(agent), { resume: "01a1fbbd-4cab-7fb0-92f8-6921ba3dc293" })
          )
          assert.equal(error.fault.reason, "SessionGone")
        })
      )
    }
  )
})
