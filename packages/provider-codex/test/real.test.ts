/**
 * The real program on the fake model: what the conformance suite does not ask. Runs where
 * TURNKEEPER_CODEX_BIN names a `codex`, and is skipped where it does not.
 */
import { assert, describe, it } from "@effect/vitest"
import { ThreadId } from "@turnkeeper/domain/ids"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { freedomChangesByTurn } from "@turnkeeper/testkit/providerCases"
import { Effect } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Codex from "../src/Codex.ts"
import { isAlive, startTimeOf } from "@turnkeeper/provider-kit/processes"
import {
  binary,
  killAll,
  makeWorld,
  observed,
  openOptions,
  pids,
  prompt,
  session,
  startToBeKilled,
  survivors,
  wasInterrupted
} from "./real.ts"
import type { World } from "./real.ts"

const start = Effect.gen(function* () {
  const world = yield* makeWorld()
  return { world, provider: yield* Codex.make(world.options) }
})

interface Killed {
  readonly resume: string | null
  readonly found: boolean
}

/** Sends, kills the process so many steps of time later, and compares its record with what the model saw. */
const killedAt = Effect.fnUntraced(function* (
  world: World,
  provider: Provider,
  moment: number,
  resume: string | null
) {
  const one = yield* session(world, provider, { generation: moment + 1, resume })
  const sent = prompt(`[[slow]] [[id:moment-${moment}]]`)
  yield* Effect.forkScoped(Effect.ignore(one.send(sent)))
  yield* Effect.sleep(`${moment * 2} millis`)
  yield* killAll(world)
  yield* one.ear.endedPromptly
  const cursor = one.ear.of("resume.changed").at(-1)?.resume ?? one.resume
  const evidence = yield* provider.evidence({ resume: cursor, ...sent })
  if (evidence.type === "absent") assert.equal(world.model.promptsSeen(`moment-${moment}`), 0)
  else assert.isTrue(wasInterrupted(evidence))
  return { resume: cursor, found: evidence.type === "found" }
})

describe.skipIf(binary === undefined)("codex (set TURNKEEPER_CODEX_BIN to run)", () => {
  it.live("B11: remembers the conversation after its process was killed", () =>
    Effect.gen(function* () {
      const { world, provider } = yield* start
      const first = yield* session(world, provider)
      yield* first.run(prompt("[[text:the word is heliotrope]]"))
      const resume = first.ear.of("resume.changed").at(-1)!.resume
      yield* killAll(world)
      yield* first.ear.endedPromptly
      const second = yield* session(world, provider, { generation: 2, resume })
      assert.isNull(second.notice)
      assert.equal((yield* second.run(prompt("[[text:again]] [[id:again]]"))).outcome, "completed")
      assert.include(world.model.contextTexts("again").join("\n"), "heliotrope")
    })
  )

  it.live("one process serves all threads, and is gone a while after the last has left", () =>
    Effect.gen(function* () {
      const { world, provider } = yield* start
      const one = yield* session(world, provider)
      const two = yield* session(world, provider, { threadId: ThreadId.make("thread-2") })
      yield* Effect.all([one.run(prompt("[[text:one]]")), two.run(prompt("[[text:two]]"))], {
        concurrency: 2
      })
      const [pid, ...others] = pids(world)
      assert.deepEqual(others, [])
      const child = { pid: pid!, startTime: startTimeOf(pid!)! }
      yield* one.close
      yield* two.close
      assert.isTrue(isAlive(child))
      // The idle time of this world is one second; the end is seen by the ledger's entry going.
      yield* observed(() => pids(world).length === 0)
      assert.isFalse(isAlive(child))
    })
  )

  it.live("a stopped conversation is opened again on the same process", () =>
    Effect.gen(function* () {
      const { world, provider } = yield* start
      const keeper = yield* session(world, provider, { threadId: ThreadId.make("keeper") })
      const first = yield* session(world, provider)
      yield* first.run(prompt("[[text:the word is amaranth]]"))
      const resume = first.ear.of("resume.changed").at(-1)!.resume
      yield* first.close
      const second = yield* session(world, provider, { generation: 2, resume })
      yield* second.run(prompt("[[text:again]] [[id:same]]"))
      assert.include(world.model.contextTexts("same").join("\n"), "amaranth")
      assert.isFalse(keeper.ear.hasEnded())
      assert.equal(pids(world).length, 1)
    })
  )

  it.live("a conversation in which nothing was said is opened again without a word", () =>
    Effect.gen(function* () {
      const { world, provider } = yield* start
      const first = yield* session(world, provider)
      yield* killAll(world)
      yield* first.ear.endedPromptly
      const never = prompt("never sent")
      assert.deepEqual(yield* provider.evidence({ resume: first.resume, ...never }), { type: "absent" })
      const second = yield* session(world, provider, { generation: 2, resume: first.resume })
      assert.isNull(second.notice)
      assert.equal((yield* second.run(prompt("[[text:hello]]"))).outcome, "completed")
    })
  )

  it.live("the same on a process that lives on", () =>
    Effect.gen(function* () {
      const { world, provider } = yield* start
      const first = yield* session(world, provider)
      yield* first.close
      const second = yield* session(world, provider, { generation: 2, resume: first.resume })
      assert.isNull(second.notice)
      assert.equal((yield* second.run(prompt("[[text:hello]]"))).outcome, "completed")
      assert.equal(pids(world).length, 1)
    })
  )

  describe("what the user allows", () => {
    it.live(
      "read_only: a command that wants out of the sandbox is asked for; one that only reads is not",
      () =>
        Effect.gen(function* () {
          const { world, provider } = yield* start
          const one = yield* session(world, provider, { runtimeMode: "read_only" })
          yield* one.run(prompt("[[shell:ls]]", { runtimeMode: "read_only" }))
          assert.deepEqual(one.ear.of("request.opened"), [])
          yield* one.run(prompt("[[shell:touch plain.txt]]", { runtimeMode: "read_only" }))
          assert.isFalse(existsSync(join(world.project, "plain.txt")))
          yield* one.send(prompt("[[ask:touch asked.txt]]", { runtimeMode: "read_only" }))
          const { requestKey } = yield* one.ear.first("request.opened")
          yield* one.answer(requestKey, { decision: "accept", answers: {} })
          yield* one.ear.until("the third end", () => one.ear.of("turn.completed").length === 3)
          assert.isTrue(existsSync(join(world.project, "asked.txt")))
        })
    )

    it.live("approval_required: a command is asked for without the model's wish", () =>
      Effect.gen(function* () {
        const { world, provider } = yield* start
        const one = yield* session(world, provider)
        yield* one.send(prompt("[[shell:touch x.txt]]"))
        const { requestKey, ask } = yield* one.ear.first("request.opened")
        assert.isFalse(existsSync(join(world.project, "x.txt")))
        assert.deepEqual(ask.decisions, ["accept", "decline", "cancel"])
        yield* one.answer(requestKey, { decision: "accept", answers: {} })
        yield* one.ear.first("turn.completed")
        assert.isTrue(existsSync(join(world.project, "x.txt")))
      })
    )

    it.live("full_access: nothing is asked; and the choice may change from turn to turn", () =>
      Effect.gen(function* () {
        const { world, provider } = yield* start
        yield* freedomChangesByTurn(world, provider)
      })
    )

    it.live("a file change is asked for, and made when it is accepted", () =>
      Effect.gen(function* () {
        const { world, provider } = yield* start
        const one = yield* session(world, provider)
        const patch = "*** Begin Patch\n*** Add File: new.txt\n+hello\n*** End Patch"
        yield* one.send(prompt(`[[shell:apply_patch <<'E'\n${patch}\nE]]`))
        const { requestKey, kind } = yield* one.ear.first("request.opened")
        assert.equal(kind, "file_change_approval")
        yield* one.answer(requestKey, { decision: "accept", answers: {} })
        yield* one.ear.first("turn.completed")
        assert.equal(readFileSync(join(world.project, "new.txt"), "utf8"), "hello\n")
        const done = one.ear.of("item.completed").find((item) => item.kind === "file_change")
        assert.include(JSON.stringify(done?.detail), "hello")
      })
    )

    it.live("plan mode and back", () =>
      Effect.gen(function* () {
        const { world, provider } = yield* start
        const one = yield* session(world, provider)
        for (const interactionMode of ["plan", "default"] as const) {
          const end = yield* one.run(
            prompt(`[[text:${interactionMode}]] [[id:${interactionMode}]]`, { interactionMode })
          )
          assert.equal(end.outcome, "completed")
        }
        const shown = (mode: string) =>
          world.model.contextTexts(mode).filter((text) => text.includes("Plan Mode"))
        assert.isAbove(shown("plan").length, 0)
      })
    )
  })

  it.live("B14: an interrupted command does not run on", () =>
    Effect.gen(function* () {
      const { world, provider } = yield* start
      const one = yield* session(world, provider, { runtimeMode: "full_access" })
      const { providerTurnId } = yield* one.send(
        prompt("[[shell:sleep 613]]", { runtimeMode: "full_access" })
      )
      yield* one.ear.first("item.started", ({ kind }) => kind === "command")
      yield* one.interrupt(providerTurnId)
      const end = yield* one.ear.first("turn.completed")
      assert.equal(end.outcome, "interrupted")
      yield* observed(() => !survivors(world).some((line) => line.includes("613")))
      assert.deepEqual(
        one.ear.of("notice").filter(({ message }) => message.includes("may still run")),
        []
      )
      assert.deepEqual(breachesOf(one.ear.heard(), false), [])
    })
  )

  it.live("a steered message reaches the model once, in the turn that runs", () =>
    Effect.gen(function* () {
      const { world, provider } = yield* start
      const one = yield* session(world, provider)
      const { providerTurnId } = yield* one.send(prompt("[[slow]]"))
      yield* one.ear.first("text.delta")
      const steered = prompt("[[text:turned]] [[id:steered]]")
      yield* one.steer(steered, providerTurnId)
      const end = yield* one.ear.first("turn.completed")
      assert.deepEqual([end.outcome, one.ear.of("turn.started").length], ["completed", 1])
      assert.equal(world.model.promptsSeen("steered"), 1)
      const evidence = yield* provider.evidence({
        resume: one.ear.of("resume.changed").at(-1)!.resume,
        ...steered
      })
      assert.isTrue(evidence.type === "found" && evidence.providerTurnId === providerTurnId)
    })
  )

  it.live("L12: killed at any moment of a send, what its record does not know the model has not seen", () =>
    Effect.gen(function* () {
      const { world, provider } = yield* start
      const seen = { absent: 0, found: 0 }
      let resume: string | null = null
      for (let moment = 0; moment < 24; moment++) {
        const killed: Killed = yield* killedAt(world, provider, moment, resume)
        resume = killed.resume
        seen[killed.found ? "found" : "absent"]++
      }
      // Both happened, or this shows nothing.
      assert.isAbove(seen.absent, 0)
      assert.isAbove(seen.found, 0)
    })
  )

  it.live("L12: what a killed server left behind is dead before its record is read", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const script = new URL("serverToKill.ts", import.meta.url)
      const { kill, sent } = yield* startToBeKilled(script, world, "[[slow]]")
      const [pid] = pids(world)
      const child = { pid: pid!, startTime: startTimeOf(pid!)! }
      // Stopped, it can neither notice that its server is gone nor end by itself.
      process.kill(child.pid, "SIGSTOP")
      kill()
      assert.isTrue(isAlive(child))
      const provider = yield* Codex.make(world.options)
      assert.isFalse(isAlive(child))
      assert.isTrue(wasInterrupted(yield* provider.evidence(sent)))
    })
  )

  it.live("says what is wrong when the program cannot start", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const broken = yield* Codex.make({
        ...world.options,
        configOverrides: { approval_policy: '"no such policy"' }
      })
      const error = yield* Effect.flip(Effect.scoped(broken.open(openOptions(world))))
      assert.equal(error.fault.reason, "Unavailable")
      assert.equal((yield* broken.probe).status, "failed")
      const missing = yield* Codex.make({ ...world.options, binary: "/no/such/codex" })
      assert.equal((yield* missing.probe).status, "not_installed")
      assert.equal(
        (yield* Effect.flip(Effect.scoped(missing.open(openOptions(world))))).fault.reason,
        "NotInstalled"
      )
    })
  )
})
