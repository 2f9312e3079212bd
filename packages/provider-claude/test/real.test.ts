/**
 * The real program on the fake model: what the conformance suite does not ask. Runs where
 * TURNKEEPER_CLAUDE_SDK names a Claude Agent SDK, and is skipped where it does not.
 */
import { assert, describe, it } from "@effect/vitest"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { OpenOptions, Provider } from "@turnkeeper/provider-kit/Provider"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import {
  commandEndsWithProcess,
  freedomChangesByTurn,
  grantIsOfTheSession,
  remembersAfterKill
} from "@turnkeeper/testkit/providerCases"
import { Effect } from "effect"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import * as Claude from "../src/Claude.ts"
import {
  hold,
  killAll,
  longCommand,
  makeWorld,
  observed,
  openOptions,
  pids,
  prompt,
  sdk,
  session,
  startToBeKilled,
  survivors,
  wasInterrupted
} from "./real.ts"
import type { World } from "./real.ts"

const accept = { decision: "accept", answers: {} } as const
const decline = { decision: "decline", answers: {} } as const

let world: World
let provider: Provider
let release: () => Promise<void>

describe.skipIf(sdk === undefined)("claude (set TURNKEEPER_CLAUDE_SDK to run)", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    ;({ provider, release, world } = await hold(makeWorld(), Claude.make))
  })
  afterAll(() => release(), 60_000)

  describe("what the user allows", () => {
    it.live("full_access: nothing is asked; and the choice may change from turn to turn", () =>
      freedomChangesByTurn(world, provider)
    )

    it.live("what is accepted for the session is not asked again in it, and is asked in another", () =>
      Effect.gen(function* () {
        const granted = "[[shell:touch granted]]"
        const one = yield* grantIsOfTheSession(world, provider, { granted, again: `${granted} again` })
        // Nothing of it was written down for other sessions.
        assert.isFalse(existsSync(join(world.project, ".claude", "settings.local.json")))
        // What was granted does not widen a narrower freedom.
        yield* one.send(prompt("[[shell:touch granted]]", { runtimeMode: "read_only" }))
        yield* one.ear.until("a second request", () => one.ear.of("request.opened").length === 2)
      })
    )

    it.live("read_only changes no file, whatever the user's own rules say; approval_required asks", () =>
      Effect.gen(function* () {
        const own = yield* makeWorld()
        const config = join(own.directory, "home", "config")
        mkdirSync(config, { recursive: true })
        writeFileSync(join(config, "settings.json"), '{"permissions":{"allow":["Write","Edit"]}}')
        const mine = yield* Claude.make(own.options)
        const file = join(own.project, "new.txt")
        const one = yield* session(own, mine)
        yield* one.run(prompt(`[[write:${file}|hello]]`, { runtimeMode: "read_only" }))
        const [refused] = one.ear.of("item.completed")
        assert.deepInclude(refused, { kind: "file_change", end: "declined" })
        // Opened so, it is not even offered the tools that write; the model tries a command, which is asked for.
        const shut = yield* session(own, mine, { runtimeMode: "read_only" })
        yield* shut.send(prompt(`[[write:${file}|hello]]`, { runtimeMode: "read_only" }))
        const tried = yield* shut.ear.first("request.opened")
        assert.equal(tried.kind, "command_approval")
        yield* shut.answer(tried.requestKey, decline)
        yield* shut.ear.first("turn.completed")
        assert.isFalse(existsSync(file))

        const two = yield* session(world, provider)
        const other = join(world.project, "asked.txt")
        yield* two.send(prompt(`[[write:${other}|hello]]`))
        const { requestKey, kind } = yield* two.ear.first("request.opened")
        assert.equal(kind, "file_change_approval")
        yield* two.answer(requestKey, accept)
        yield* two.ear.first("turn.completed")
        assert.equal(readFileSync(other, "utf8"), "hello")
        const [done] = two.ear.of("item.completed").filter((item) => item.kind === "file_change")
        assert.deepInclude(done?.detail, { tool: "Write", path: other })
        assert.include(String(done?.detail["diff"]), "+hello")
      })
    )

    it.live("an edit is shown with what it changed", () =>
      Effect.gen(function* () {
        const file = join(world.project, "edited.txt")
        writeFileSync(file, "one\ntwo\n")
        const free = { runtimeMode: "full_access" } as const
        const one = yield* session(world, provider, free)
        const read = JSON.stringify({ file_path: file })
        yield* one.run(prompt(`[[tool:Read|${read}]]`, free))
        const edit = JSON.stringify({ file_path: file, old_string: "two", new_string: "three" })
        yield* one.run(prompt(`[[tool:Edit|${edit}]]`, free))
        const [done] = one.ear.of("item.completed").filter((item) => item.kind === "file_change")
        assert.equal(done?.title, file)
        assert.include(String(done?.detail["diff"]), "-two\n+three")
      })
    )

    it.live("a plan changes no file, however free its thread is, and is left again", () =>
      Effect.gen(function* () {
        const free = { runtimeMode: "full_access", interactionMode: "plan" } as const
        const file = join(world.project, "planned.txt")
        const one = yield* session(world, provider, free)
        yield* one.run(prompt(`[[write:${file}|no]]`, free))
        assert.isFalse(existsSync(file))
        yield* one.send(prompt("[[shell:touch planned-too.txt]]", free))
        const { requestKey, kind } = yield* one.ear.first("request.opened")
        assert.equal(kind, "command_approval")
        yield* one.answer(requestKey, decline)
        yield* one.ear.until("the second end", () => one.ear.of("turn.completed").length === 2)
        yield* one.run(prompt(`[[write:${file}|yes]]`, { ...free, interactionMode: "default" }))
        assert.isTrue(existsSync(file))
      })
    )
  })

  it.live("the model can be chosen from turn to turn, and is the configured one again without a choice", () =>
    Effect.gen(function* () {
      const one = yield* session(world, provider, { model: "fake-one" })
      yield* one.run(prompt("[[id:model-1]]"))
      yield* one.run(prompt("[[id:model-2]]", { model: "fake-two" }))
      yield* one.run(prompt("[[id:model-3]]"))
      const modelOf = (marker: string) =>
        world.model.requests().find(({ markers }) => markers.includes(marker))?.model
      assert.deepEqual(["model-1", "model-2", "model-3"].map(modelOf), ["fake-one", "fake-two", "fake-one"])
    })
  )

  it.live("an answered question reaches the model with its answer; a declined one lets it go on", () =>
    Effect.gen(function* () {
      const question =
        '[[tool:AskUserQuestion|{"questions":[{"question":"Which colour?","header":"Colour","multiSelect":false,"options":[{"label":"Red","description":"like fire"},{"label":"Blue","description":"like water"}]}]}]]'
      const one = yield* session(world, provider, { runtimeMode: "full_access" })
      yield* one.send(prompt(`${question} [[id:asked]]`, { runtimeMode: "full_access" }))
      const { requestKey, ask } = yield* one.ear.first("request.opened")
      assert.deepEqual(ask.questions[0]?.options[1], { label: "Blue", description: "like water" })
      yield* one.answer(requestKey, { decision: null, answers: { "0": ["Blue"] } })
      assert.equal((yield* one.ear.first("turn.completed")).outcome, "completed")
      assert.include(world.model.contextTexts("asked").join("\n"), "Blue")
      yield* one.send(prompt(question, { runtimeMode: "full_access" }))
      yield* one.ear.until("a second question", () => one.ear.of("request.opened").length === 2)
      yield* one.answer(one.ear.of("request.opened")[1]!.requestKey, decline)
      yield* one.ear.until("the second end", () => one.ear.of("turn.completed").length === 2)
      assert.equal(one.ear.of("turn.completed")[1]?.outcome, "completed")
    })
  )

  it.live("what Claude begins by itself is a turn of its own, and does not end ours", () =>
    Effect.gen(function* () {
      const free = { runtimeMode: "full_access" } as const
      const one = yield* session(world, provider, free)
      const background = '{"command":"sleep 0.3; echo done","description":"d","run_in_background":true}'
      const sent = prompt(`[[tool:Bash|${background}]]`, free)
      const { providerTurnId } = yield* one.send(sent)
      yield* one.ear.until("two turns", () => one.ear.of("turn.completed").length === 2)
      const [ours, own] = one.ear.of("turn.started")
      assert.deepInclude(ours, { providerTurnId, turnId: sent.turnId })
      assert.isNull(own?.turnId)
      assert.deepEqual(
        one.ear.of("turn.completed").map((end) => [end.providerTurnId, end.outcome]),
        [
          [providerTurnId, "completed"],
          [own?.providerTurnId, "completed"]
        ]
      )
      assert.equal((yield* one.run(prompt("[[text:and on]]", free))).outcome, "completed")
      assert.deepEqual(breachesOf(one.ear.heard(), false), [])
    })
  )

  it.live(
    "L6: an error inside the stream is retried by Claude in silence, and the cut text is told as cut",
    () =>
      Effect.gen(function* () {
        const one = yield* session(world, provider)
        assert.equal((yield* one.run(prompt("[[drop:2]]"))).outcome, "completed")
        const transient = one.ear.of("error.transient")
        assert.deepEqual(
          transient.map(({ attempt, limit }) => [attempt, limit]),
          [
            [1, 3],
            [2, 3]
          ]
        )
        assert.equal((yield* one.run(prompt("[[failed:1]]"))).outcome, "completed")
        assert.deepEqual(breachesOf(one.ear.heard(), false), [])
      })
  )

  it.live("a turn's use is told with what it has cost, also after the conversation was resumed", () =>
    Effect.gen(function* () {
      const one = yield* session(world, provider)
      yield* one.run(prompt("[[text:one]]"))
      yield* one.run(prompt("[[text:two]]"))
      const costs = one.ear.of("usage").map(({ usage }) => usage.costUsd ?? 0)
      assert.equal(costs.length, 2)
      assert.isAbove(costs[0]!, 0)
      assert.approximately(costs[0]!, costs[1]!, 1e-9)
      yield* one.stop("stop")
      const two = yield* session(world, provider, { generation: 2, resume: one.resume })
      yield* two.run(prompt("[[text:three]]"))
      assert.approximately(two.ear.of("usage")[0]?.usage.costUsd ?? 0, costs[0]!, 1e-9)
    })
  )

  it.live("no model is asked beside the turns, and every prompt reaches it once", () =>
    Effect.gen(function* () {
      const before = world.model.requests().length
      const one = yield* session(world, provider)
      yield* one.run(prompt("[[text:hello]] [[id:once]]"))
      assert.equal(world.model.promptsSeen("once"), 1)
      assert.equal(world.model.requests().length, before + 1)
    })
  )

  it.live("B11: remembers the conversation after its process was killed", () =>
    remembersAfterKill(world, provider)
  )

  it.live("a conversation in which nothing was said yet is opened again, without a word", () =>
    Effect.gen(function* () {
      const first = yield* session(world, provider)
      yield* first.close
      const second = yield* session(world, provider, { generation: 2, resume: first.resume })
      assert.deepEqual([second.resume, second.notice], [first.resume, null])
      assert.equal((yield* second.run(prompt("[[text:hello]]"))).outcome, "completed")
    })
  )

  it.live("a session that has nothing to do ends by itself, and goes on when it is opened again", () =>
    Effect.gen(function* () {
      const own = yield* makeWorld({ timeouts: { idle: "5 seconds" } })
      const mine = yield* Claude.make(own.options)
      const one = yield* session(own, mine, { runtimeMode: "full_access" })
      // Work in the background is something to do.
      const background = '{"command":"sleep 7","description":"d","run_in_background":true}'
      const free = { runtimeMode: "full_access" } as const
      yield* one.run(prompt(`[[tool:Bash|${background}]] the word is heliotrope`, free))
      yield* one.ear.first("session.exited")
      assert.equal(one.ear.of("turn.completed").length, 2)
      assert.deepEqual(one.ear.of("session.exited"), [{ type: "session.exited", clean: true, message: null }])
      assert.deepEqual(pids(own), [])
      assert.equal((yield* Effect.flip(one.send(prompt("late")))).fault.reason, "SessionGone")
      const patient = yield* Claude.make({ ...own.options, timeouts: {} })
      const two = yield* session(own, patient, { generation: 2, resume: one.resume })
      yield* two.run(prompt("[[id:again]]"))
      assert.include(own.model.contextTexts("again").join("\n"), "heliotrope")
    })
  )

  it.live("a conversation that the user clears goes on under another name, and is resumed under that", () =>
    Effect.gen(function* () {
      const one = yield* session(world, provider)
      yield* one.run(prompt("[[text:the word is marigold]]"))
      yield* one.run(prompt("/clear"))
      const after = prompt("[[text:the word is heliotrope]]")
      yield* one.run(after)
      const [{ resume } = { resume: null }] = one.ear.of("resume.changed")
      assert.notEqual(resume ?? one.resume, one.resume)
      const evidence = yield* provider.evidence({ resume, ...after })
      assert.isTrue(evidence.type === "found" && !evidence.running && evidence.outcome === "completed")
      assert.equal((yield* provider.evidence({ resume, ...prompt("never") })).type, "absent")
      yield* one.close
      const two = yield* session(world, provider, { generation: 2, resume })
      yield* two.run(prompt("[[id:cleared]]"))
      const context = world.model.contextTexts("cleared").join("\n")
      assert.include(context, "heliotrope")
      assert.notInclude(context, "marigold")
    })
  )

  it.live("what Claude answers by itself, without a model, is shown", () =>
    Effect.gen(function* () {
      const one = yield* session(world, provider)
      yield* one.run(prompt("/cost"))
      const [message] = one.ear.of("item.completed")
      assert.equal(message?.kind, "assistant_message")
      assert.match(message?.text ?? "", /cost/i)
    })
  )

  it.live("two generations never work on one conversation: the older one gives way", () =>
    Effect.gen(function* () {
      const one = yield* session(world, provider)
      yield* one.run(prompt("[[text:hello]]"))
      const before = pids(world)
      const two = yield* session(world, provider, { generation: 2, resume: one.resume })
      yield* one.ear.endedPromptly
      assert.isTrue(pids(world).every((pid) => !before.includes(pid)))
      assert.equal((yield* two.run(prompt("[[text:and on]]"))).outcome, "completed")
    })
  )

  it.live("B14: a command does not outlive the process that is killed under it", () =>
    commandEndsWithProcess(world, provider, `${longCommand} # b14`, "b14")
  )

  it.live("L12: killed at any moment of a send, what is called absent the model has not seen", () =>
    Effect.gen(function* () {
      const seen = { absent: 0, none: 0, found: 0 }
      let resume: string | null = null
      for (const moment of [0, 2, 15, 40, 70, 100, 400]) {
        const options: Partial<OpenOptions> = { resume, runtimeMode: "full_access" }
        const one = yield* session(world, provider, options)
        resume = one.resume
        const sent = prompt(`[[slow]] [[id:moment-${moment}]]`, { runtimeMode: "full_access" })
        if (moment > 0) {
          yield* Effect.forkScoped(Effect.ignore(one.send(sent)))
          yield* Effect.sleep(moment)
        }
        yield* killAll(world)
        yield* one.ear.endedPromptly
        const evidence = yield* provider.evidence({ resume, ...sent })
        seen[evidence.type]++
        if (evidence.type === "absent") assert.equal(world.model.promptsSeen(`moment-${moment}`), 0)
        if (evidence.type === "found") assert.isTrue(wasInterrupted(evidence))
      }
      // Both happened, or this shows nothing.
      assert.isAbove(seen.absent, 0)
      assert.isAbove(seen.found, 0)
    })
  )

  it.live("L12: what a killed server left behind is dead before its record is read", () =>
    Effect.gen(function* () {
      const own = yield* makeWorld()
      const script = new URL("serverToKill.ts", import.meta.url)
      const { kill, sent } = yield* startToBeKilled(script, own, `[[shell:${longCommand} # orphan]]`)
      const orphans = () => survivors(own).filter((command) => command.includes("orphan"))
      yield* observed(() => orphans().length > 0)
      kill()
      // The program itself dies as well, and only its command is left, which nobody has on record.
      yield* killAll(own)
      assert.isTrue(orphans().length > 0)
      const provider = yield* Claude.make(own.options)
      assert.deepEqual(orphans(), [])
      assert.isTrue(wasInterrupted(yield* provider.evidence(sent)))
    })
  )

  it.live("says what is wrong when there is no SDK, no program, or nobody is signed in", () =>
    Effect.gen(function* () {
      let others = 0
      const other = (changes: Partial<Claude.ClaudeOptions>) =>
        Claude.make({
          ...world.options,
          instanceId: ProviderInstanceId.make(`other-${++others}`),
          ...changes
        })
      const missing = yield* other({ sdk: "/no/such/sdk" })
      assert.equal((yield* missing.probe).status, "not_installed")
      const error = yield* Effect.flip(Effect.scoped(missing.open(openOptions(world))))
      assert.equal(error.fault.reason, "NotInstalled")

      const noProgram = yield* other({ binary: "/no/such/claude" })
      assert.equal((yield* noProgram.probe).status, "not_installed")
      const broken = yield* other({ binary: "/bin/false" })
      assert.equal((yield* broken.probe).status, "failed")
      const failed = yield* Effect.flip(Effect.scoped(broken.open(openOptions(world))))
      assert.equal(failed.fault.reason, "Unavailable")

      const stranger = yield* other({ env: { ...world.options.env, ANTHROPIC_API_KEY: undefined } })
      const health = yield* stranger.probe
      assert.equal(health.status, "not_signed_in")
      assert.include(health.advice ?? "", "/login")
      const { models, version } = yield* provider.probe
      assert.isAbove(models.length, 0)
      assert.match(version ?? "", /^\d+\.\d+\.\d+$/)
    })
  )
})
