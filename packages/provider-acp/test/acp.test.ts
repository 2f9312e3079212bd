/**
 * The rules by which any agent is treated, each against an agent that breaks or uses it: real processes, real
 * pipes, one program of ours at the other end (`fixtures/agent.ts`).
 */
import { assert, describe, it } from "@effect/vitest"
import { ThreadId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { StartFailed } from "@turnkeeper/provider-kit/Child"
import { isAlive, startTimeOf } from "@turnkeeper/provider-kit/processes"
import { Effect, Schedule } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Acp from "../src/Acp.ts"
import { called, makeWorld, pids, prompt, recorded, session, survivors } from "./world.ts"

type Completed = Extract<ProviderEvent, { type: "item.completed" }>

const text = (events: ReadonlyArray<ProviderEvent>) =>
  events.map((event) => (event.type === "text.delta" ? event.text : "")).join("")

const decide = (decision: "accept" | "accept_for_session" | "decline" | "cancel") => ({
  decision,
  answers: {}
})

/** Waits, with a bound, until it is so. */
const until = (what: string, holds: () => boolean) =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.fail(what))).pipe(
    Effect.retry({ times: 400, schedule: Schedule.spaced("20 millis") })
  )

describe("a turn is a prompt that is not answered", () => {
  it.live("it begins with the agent's first words and ends with the answer; nothing of it comes behind", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      const end = yield* one.run(prompt("[[late]]"))
      yield* one.ear.first("notice")
      const after = one.ear.heard().slice(one.ear.heard().indexOf(end) + 1)
      assert.deepEqual(
        after.map(({ type }) => type),
        ["notice"]
      )
      assert.deepEqual(one.ear.breaches(), [])
    })
  )

  it.live(
    "what an agent asks outside of a turn is answered with a cancellation at once, and nobody is asked",
    () =>
      Effect.gen(function* () {
        const world = yield* makeWorld()
        const one = yield* session(world)
        yield* one.run(prompt("[[late]]"))
        yield* until("the answer", () => recorded(world, one.newestResume()!).includes('\\"cancelled\\"'))
        assert.deepEqual(one.ear.of("request.opened"), [])
      })
  )

  it.live("an agent that is silent for a while has taken the prompt when it is still there", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld({ thinksMs: 1_500 }))
      const { providerTurnId } = yield* one.send(prompt("[[text:at last]]"))
      assert.deepEqual(text(one.ear.heard()), "")
      yield* one.ear.first("turn.completed", (event) => event.providerTurnId === providerTurnId)
      assert.equal(text(one.ear.heard()), "at last")
    })
  )

  it.live.each([
    [-32_602, "Rejected"],
    [-32_601, "Rejected"],
    [-32_000, "NotSignedIn"]
  ] as const)("a prompt that is refused with %s was not delivered: %s", ([code, reason]) =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      const error = yield* Effect.flip(one.send(prompt(`[[refuse:${code}]]`)))
      assert.equal(error.fault.reason, reason)
      assert.deepEqual(one.ear.of("turn.started"), [])
      assert.equal((yield* one.run(prompt("[[text:goes on]]"))).outcome, "completed")
    })
  )

  it.live("a prompt of a conversation that the agent forgot says SessionGone, and the session is over", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      const error = yield* Effect.flip(one.send(prompt("[[refuse:-32002]]")))
      assert.equal(error.fault.reason, "SessionGone")
      yield* one.ear.endedPromptly
    })
  )

  it.live("an error that may have come amid the work is a failed turn with its reason", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      const end = yield* one.run(prompt("[[refuse:-32603]]"))
      assert.deepInclude(end, { outcome: "failed", message: "refused" })
      const other = yield* one.run(prompt("[[fail]]"))
      assert.deepInclude(other, { outcome: "failed", message: "Internal error: the model said no" })
    })
  )

  it.live.each([
    ["end_turn", "completed"],
    ["cancelled", "interrupted"],
    ["refusal", "failed"],
    ["max_tokens", "failed"],
    ["max_turn_requests", "failed"],
    ["something_new", "failed"]
  ] as const)("L7: a turn that stops with %s is %s", ([reason, outcome]) =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      const end = yield* one.run(prompt(`[[stop:${reason}]]`))
      assert.equal(end.outcome, outcome)
      if (outcome === "failed") assert.notEqual(end.message, null)
    })
  )

  it.live("a program that dies before it said a word leaves the message in doubt", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      const error = yield* Effect.flip(one.send(prompt("[[die]]")))
      assert.equal(error.fault.reason, "Unknown")
      yield* one.ear.endedPromptly
      assert.deepInclude(one.ear.of("session.exited")[0], {
        clean: false,
        message: "The agent ended with exit code 3."
      })
    })
  )

  it.live("conversations that are not ours say nothing here", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.run(prompt("[[other]]"))
      assert.equal(text(one.ear.heard()), "for you")
    })
  )
})

describe("an interrupt", () => {
  it.live.each(["cancelled", "end_turn", "error", "first is lost"] as const)(
    "ends the turn as interrupted, also where the answer to it is: %s",
    (cancel) =>
      Effect.gen(function* () {
        const one = yield* session(yield* makeWorld({ cancel }))
        const { providerTurnId } = yield* one.begin(prompt("[[stall]]"))
        yield* one.interrupt(providerTurnId)
        const end = yield* one.ear.first("turn.completed")
        assert.deepInclude(end, { outcome: "interrupted", message: null })
        assert.equal((yield* one.run(prompt("[[text:goes on]]"))).outcome, "completed")
      })
  )

  it.live("that is never answered leaves the turn running; a stop ends it all the same", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld({ cancel: "never" }))
      const { providerTurnId } = yield* one.begin(prompt("[[stall]]"))
      yield* one.interrupt(providerTurnId)
      assert.equal((yield* one.probe(providerTurnId)).type, "running")
      yield* one.stop("stop")
      yield* one.ear.endedPromptly
      assert.deepEqual(one.ear.of("turn.completed"), [])
      assert.equal(one.ear.of("session.exited")[0]?.clean, true)
    })
  )

  it.live("answers what the agent waits for, as the protocol wants it", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const one = yield* session(world)
      const { providerTurnId } = yield* one.begin(prompt("[[early]]"))
      const { requestKey } = yield* one.asked()
      yield* one.interrupt(providerTurnId)
      yield* one.ear.first("turn.completed", ({ outcome }) => outcome === "interrupted")
      // The agent goes on only when it is answered: it was.
      assert.equal(text(one.ear.heard()), "answered undefined")
      assert.equal((yield* Effect.flip(one.answer(requestKey, decide("accept")))).fault.reason, "RequestGone")
    })
  )

  it.live("of an agent that takes its request back closes it once", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld({ takesBack: true }))
      const { providerTurnId } = yield* one.begin(prompt("[[ask:printf no]]"))
      yield* one.asked()
      yield* one.interrupt(providerTurnId)
      yield* one.ear.first("turn.completed")
      assert.isAtMost(one.ear.of("request.resolved").length, 1)
      assert.equal((yield* one.run(prompt("[[text:goes on]]"))).outcome, "completed")
    })
  )
})

describe("a permission", () => {
  it.live("is offered with the decisions that the agent's options mean, by their kinds", () =>
    Effect.gen(function* () {
      const permissions = ["reject_always", "allow_always", "allow_once", "reject_once"]
      const world = yield* makeWorld({ permissions })
      const one = yield* session(world)
      yield* one.begin(prompt("[[ask:printf yes]]"))
      const { ask, kind, requestKey } = yield* one.asked()
      assert.equal(kind, "command_approval")
      assert.equal(ask.title, "printf yes")
      assert.deepEqual(ask.decisions, ["accept", "accept_for_session", "decline", "cancel"])
      assert.deepInclude(ask.detail, { command: "printf yes" })
      yield* one.answer(requestKey, decide("accept_for_session"))
      yield* one.ear.first("turn.completed")
      assert.include(recorded(world, one.newestResume()!), "answered allow_always")
    })
  )

  it.live("declines with the milder of two refusals", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ permissions: ["reject_always", "reject_once", "allow_once"] })
      const one = yield* session(world)
      yield* one.begin(prompt("[[ask:printf yes]]"))
      yield* one.answer((yield* one.asked()).requestKey, decide("decline"))
      yield* one.ear.first("turn.completed")
      assert.include(recorded(world, one.newestResume()!), "answered reject_once")
      const [command] = one.ear.of("item.completed").filter(({ kind }) => kind === "command")
      assert.equal(command?.end, "declined")
    })
  )

  it.live("offers no refusal where the agent has none; to cancel is always possible", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld({ permissions: ["allow_once"] }))
      yield* one.begin(prompt("[[ask:printf yes]]"))
      const { ask, requestKey } = yield* one.asked()
      assert.deepEqual(ask.decisions, ["accept", "cancel"])
      yield* one.answer(requestKey, decide("cancel"))
      assert.equal((yield* one.ear.first("turn.completed")).outcome, "interrupted")
    })
  )

  it.live("of a tool that was never mentioned shows the tool, with the change that is to be decided on", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.begin(prompt("[[early]]"))
      const { ask, kind, requestKey } = yield* one.asked()
      assert.equal(kind, "file_change_approval")
      const changes = ask.detail["changes"] as ReadonlyArray<{ diff: string; kind: { type: string } }>
      assert.deepEqual(changes, [
        { path: "a.txt", kind: { type: "add" }, diff: "@@ -0,0 +1,1 @@\n+a\n" } as never
      ])
      assert.equal(one.ear.of("item.started")[0]?.kind, "file_change")
      yield* one.answer(requestKey, decide("decline"))
      yield* one.ear.first("turn.completed")
      assert.equal(text(one.ear.heard()), "answered n")
      // It was left open; that it did not run is known.
      assert.equal(one.ear.of("item.completed")[0]?.end, "declined")
    })
  )

  it.live("without an option is refused, and harms nothing", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld({ permissions: [] }))
      assert.equal((yield* one.run(prompt("[[ask:printf no]]"))).outcome, "interrupted")
      assert.deepEqual(one.ear.of("request.opened"), [])
    })
  )

  it.live("is given without asking in full access, where the agent has no mode for that", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const one = yield* session(world, { runtimeMode: "full_access" })
      assert.isNull(one.notice)
      const end = yield* one.run(prompt("[[ask:printf yes]]", { runtimeMode: "full_access" }))
      assert.equal(end.outcome, "completed")
      assert.deepEqual(one.ear.of("request.opened"), [])
      assert.include(recorded(world, one.newestResume()!), "answered allow_once")
      yield* one.begin(prompt("[[ask:printf yes]]"))
      yield* one.asked()
    })
  )
})

describe("a permission in full access", () => {
  it.live("that ends planning is the user's to give all the same", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ toolKind: "switch_mode" })
      const one = yield* session(world, { runtimeMode: "full_access" })
      yield* one.begin(prompt("[[ask:printf yes]]", { runtimeMode: "full_access" }))
      yield* one.answer((yield* one.asked()).requestKey, decide("accept"))
      assert.equal((yield* one.ear.first("turn.completed")).outcome, "completed")
    })
  )
})

describe("a question", () => {
  it.live("is a form, answered in the types that it asks for", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.begin(prompt("[[question]]"))
      const { ask, requestKey } = yield* one.asked()
      assert.deepEqual(
        ask.questions.map(({ question, options }) => [question, options.map(({ label }) => label)]),
        [
          ["Which colour?", ["Red", "Blue"]],
          ["How many?", []],
          ["Sure?", ["true", "false"]]
        ]
      )
      const answers = { colour: ["Blue"], many: ["7"], sure: ["true"] }
      yield* one.answer(requestKey, { decision: null, answers })
      yield* one.ear.first("turn.completed")
      assert.include(
        text(one.ear.heard()),
        '{"action":"accept","content":{"colour":"b","many":7,"sure":true}}'
      )
    })
  )

  it.live("may be declined", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.begin(prompt("[[question]]"))
      yield* one.answer((yield* one.asked()).requestKey, decide("decline"))
      assert.equal((yield* one.ear.first("turn.completed")).outcome, "completed")
      assert.include(text(one.ear.heard()), '{"action":"decline"}')
    })
  )
})

describe("what an agent says", () => {
  it.live("becomes one item per run of text, thought apart from answer", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.run(prompt("[[think:why]]"))
      assert.deepEqual(
        one.ear.of("item.completed").map(({ kind, end }) => [kind, end]),
        [
          ["reasoning", "completed"],
          ["assistant_message", "completed"],
          ["assistant_message", "completed"]
        ]
      )
      assert.deepEqual(one.ear.breaches(), [])
    })
  )

  it.live("of a tool that it leaves open is left open: how it went is not known", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      assert.equal((yield* one.run(prompt("[[open]]"))).outcome, "completed")
      assert.deepEqual(
        one.ear.of("item.started").map(({ kind }) => kind),
        ["tool_call", "assistant_message"]
      )
      assert.deepEqual(
        one.ear.of("item.completed").map(({ kind }) => kind),
        ["assistant_message"]
      )
    })
  )

  it.live("of a second call under the name of one that has ended is another item; late words are none", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.run(prompt("[[again]]"))
      const tools = one.ear.of("item.completed").filter(({ kind }) => kind === "tool_call")
      assert.deepEqual(
        tools.map(({ title, text: output }) => [title, output]),
        [
          ["first", "first"],
          ["second", "second"]
        ]
      )
      assert.deepEqual(one.ear.breaches(), [])
    })
  )

  it.live("of its plan is one item that grows", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.run(prompt("[[plan]]"))
      assert.equal(one.ear.of("item.updated").length, 2)
      const done = one.ear.of("item.completed").find(({ kind }) => kind === "plan")
      assert.deepEqual(done?.detail, { steps: [{ step: "a step", status: "completed", priority: "high" }] })
    })
  )

  it.live("of a change to a file has its diff at the end", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.run(prompt("[[edit]]"))
      const change = one.ear.of("item.completed").find(({ kind }) => kind === "file_change") as Completed
      assert.deepEqual(change.detail["changes"], [
        { path: "/p/a.txt", kind: { type: "update" }, diff: "@@ -1,2 +1,2 @@\n one\n-two\n+2\n" }
      ])
      const started = one.ear.of("item.started").find(({ kind }) => kind === "file_change")
      assert.deepEqual(started?.detail["changes"], [{ path: "/p/a.txt", kind: { type: "update" } }])
    })
  )

  it.live("of a command is its output and its exit code", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.run(prompt("[[shell:echo out; exit 4]]"))
      const command = one.ear.of("item.completed").find(({ kind }) => kind === "command")
      assert.deepInclude(command, { end: "failed", text: "out\n", title: "echo out; exit 4" })
      assert.deepInclude(command?.detail, { command: "echo out; exit 4", exitCode: 4 })
    })
  )

  it.live("of tokens and cost is the turn's own", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.run(prompt("[[usage]]"))
      yield* one.run(prompt("[[usage]]"))
      const counts = { inputTokens: 10, cachedInputTokens: 2, outputTokens: 5, reasoningTokens: 0 }
      assert.deepEqual(
        one.ear.of("usage").map(({ usage }) => usage),
        [
          { ...counts, costUsd: 0.25 },
          { ...counts, costUsd: 0.25 }
        ]
      )
      assert.deepEqual(
        one.ear.of("notice").map(({ message }) => message),
        [
          "Mind this\na lot",
          "The agent shortened its memory of the conversation.",
          "Mind this\na lot",
          "The agent shortened its memory of the conversation."
        ]
      )
    })
  )

  it.live("that nobody understands is kept as unknown, counted, and harms nothing", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      assert.equal((yield* one.run(prompt("[[unknown]]"))).outcome, "completed")
      assert.deepEqual(
        one.ear.of("unknown").map(({ method }) => method),
        ["session/update brand_new_update", "_vendor/thing"]
      )
      assert.equal((yield* one.run(prompt("[[malformed]]"))).outcome, "completed")
      assert.equal(text(one.ear.heard()).endsWith("before after"), true)
      assert.deepEqual(one.ear.breaches(), [])
    })
  )

  it.live("asks for a file or a terminal that was not offered is refused", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      yield* one.run(prompt("[[rpc:fs/read_text_file]]"))
      assert.include(text(one.ear.heard()), "-32601")
      assert.deepEqual(
        one.ear.of("unknown").map(({ method }) => method),
        ["fs/read_text_file"]
      )
    })
  )

  it.live("in one line that is too long is skipped; an answer that is, is still an answer", () =>
    Effect.gen(function* () {
      const one = yield* session(yield* makeWorld())
      const tooLong = 17 * 1024 * 1024
      assert.equal((yield* one.run(prompt(`[[huge:${tooLong}]]`))).outcome, "completed")
      assert.equal(text(one.ear.heard()), "after")
      const end = yield* one.run(prompt(`[[giant:${tooLong}]]`))
      assert.deepInclude(end, { outcome: "failed", message: "The agent's answer is too long to be read." })
      assert.equal((yield* one.run(prompt("[[text:goes on]]"))).outcome, "completed")
    })
  )
})

describe("a conversation", () => {
  it.live("is taken up by resuming, where the agent can; nothing of it is said again", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const one = yield* session(world)
      yield* one.run(prompt("[[text:remember]]"))
      const resume = one.newestResume()
      yield* one.close
      const two = yield* session(world, { generation: 2, resume })
      assert.isNull(two.notice)
      yield* two.run(prompt("[[text:again]]"))
      assert.equal(text(two.ear.heard()), "again")
      assert.equal(called(world, "session/resume").length, 1)
      assert.equal(called(world, "session/load").length, 0)
    })
  )

  it.live("is taken up by loading, where that is all there is; its replay is history and no news", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ resume: false })
      const one = yield* session(world)
      yield* one.run(prompt("[[text:remember]]"))
      const resume = one.newestResume()
      yield* one.close
      const two = yield* session(world, { generation: 2, resume })
      assert.equal((yield* two.run(prompt("[[text:again]]"))).outcome, "completed")
      assert.equal(text(two.ear.heard()), "again")
      assert.equal(two.ear.of("item.started").length, 1)
      assert.deepEqual(two.ear.of("notice"), [])
    })
  )

  it.live("is loaded where resuming is told of and not there", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ refuses: { "session/resume": -32_601 } })
      const one = yield* session(world)
      yield* one.run(prompt("[[text:remember]]"))
      const two = yield* session(world, { generation: 2, resume: one.newestResume() })
      assert.equal((yield* two.run(prompt("[[text:again]]"))).outcome, "completed")
      assert.equal(called(world, "session/load").length, 1)
    })
  )

  it.live("B12: begins anew where the agent can take up none, and the loss is said", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ resume: false, load: false })
      const one = yield* session(world)
      yield* one.run(prompt("[[text:remember]]"))
      const two = yield* session(world, { generation: 2, resume: one.newestResume() })
      assert.include(two.notice, "what was said before is not known to it")
      assert.equal((yield* two.run(prompt("[[text:again]]"))).outcome, "completed")
      assert.notEqual(two.newestResume(), one.newestResume())
    })
  )

  it.live.each([
    ["its code says so", {}],
    ["its parameters were refused and it has no list", { unknownCode: -32_602 }],
    ["its list does not have it", { unknownCode: -32_603, list: true }]
  ] as const)("B12: that the agent no longer has says SessionGone, where %s", ([, manners]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(session(yield* makeWorld(manners), { resume: "lost" }))
      assert.equal(error.fault.reason, "SessionGone")
    })
  )

  it.live("that is in the agent's list is not given up for a refusal", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ list: true, refuses: { "session/resume": -32_603 } })
      const one = yield* session(world)
      yield* one.run(prompt("[[text:remember]]"))
      const error = yield* Effect.flip(session(world, { generation: 2, resume: one.newestResume() }))
      assert.notEqual(error.fault.reason, "SessionGone")
    })
  )

  it.live("in which nothing was said is begun anew without a word", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const one = yield* session(world)
      assert.match(one.resume!, /^new:/)
      const two = yield* session(world, { generation: 2, resume: "new:lost" })
      assert.equal((yield* two.run(prompt("[[text:first]]"))).outcome, "completed")
      assert.match(two.newestResume()!, /^s-/)
    })
  )

  it.live("leaves no evidence of a message: whether one arrived is not guessed", () =>
    Effect.gen(function* () {
      const { provider } = yield* makeWorld()
      const asked = prompt("[[text:anything]]")
      assert.equal((yield* provider.evidence({ resume: null, ...asked })).type, "absent")
      assert.equal((yield* provider.evidence({ resume: "new:s-1", ...asked })).type, "none")
      assert.equal((yield* provider.evidence({ resume: "s-1", ...asked })).type, "none")
    })
  )

  it.live("that cannot be opened leaves no process behind", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ refuses: { "session/new": -32_603 } })
      yield* Effect.flip(session(world))
      yield* until("the end of the process", () => pids(world.options.ledgerDirectory).length === 0)
      assert.deepEqual(survivors(world), [])
    })
  )
})

const option = (id: string, category: string | null, values: ReadonlyArray<string>) => ({
  id,
  name: id,
  type: "select",
  ...(category !== null && { category }),
  currentValue: values[0],
  options: values.map((value) => ({ value, name: value }))
})

describe("what the user allows", () => {
  it.live("is said by the agent's modes, whatever channel they have, and only where it changes", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ modes: ["agent", "read-only", "agent-full-access", "plan"] })
      const one = yield* session(world)
      yield* one.run(prompt("[[text:a]]"))
      yield* one.run(prompt("[[text:b]]", { runtimeMode: "full_access" }))
      yield* one.run(prompt("[[text:c]]", { runtimeMode: "full_access", interactionMode: "plan" }))
      yield* one.run(prompt("[[text:d]]", { runtimeMode: "full_access" }))
      assert.deepEqual(
        called(world, "session/set_mode").map(({ modeId }) => modeId),
        ["read-only", "agent-full-access", "plan", "agent-full-access"]
      )
      assert.deepEqual(one.ear.of("notice"), [])
    })
  )

  it.live("is said by the agent's options where it has these, with planning as one of its own", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({
        options: [
          option("mode", "mode", ["auto", "default", "bypassPermissions"]),
          option("collaboration", "collaboration", ["default", "plan"])
        ]
      })
      const one = yield* session(world)
      yield* one.run(prompt("[[text:a]]", { interactionMode: "plan" }))
      yield* one.run(prompt("[[text:b]]"))
      assert.deepEqual(
        called(world, "session/set_config_option").map(({ configId, value }) => [configId, value]),
        [
          ["mode", "default"],
          ["collaboration", "plan"],
          ["collaboration", "default"]
        ]
      )
    })
  )

  it.live("is set again when a conversation is taken up: an agent has forgotten it", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ modes: ["agent", "read-only"] })
      const one = yield* session(world)
      yield* one.run(prompt("[[text:a]]"))
      yield* one.close
      yield* session(world, { generation: 2, resume: one.newestResume() })
      assert.equal(called(world, "session/set_mode").length, 2)
    })
  )

  it.live("follows the names that the configuration gives", () =>
    Effect.gen(function* () {
      const modes = { approval_required: "careful", plan: "think" }
      const world = yield* makeWorld({ modes: ["bold", "careful", "think"] }, { modes })
      const one = yield* session(world)
      yield* one.run(prompt("[[text:a]]", { interactionMode: "plan" }))
      assert.deepEqual(
        called(world, "session/set_mode").map(({ modeId }) => modeId),
        ["careful", "think"]
      )
    })
  )

  it.live("that the agent has no mode for is said, once, and not when it is taken up again", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ modes: ["build", "plan"] })
      const one = yield* session(world)
      assert.include(one.notice, "no mode that asks before everything")
      yield* one.run(prompt("[[text:a]]"))
      assert.deepEqual(one.ear.of("notice"), [])
      const two = yield* session(world, { generation: 2, resume: one.newestResume() })
      assert.isNull(two.notice)
    })
  )

  it.live("is not widened by a refusal: a narrower mode that the agent refuses is an error", () =>
    Effect.gen(function* () {
      const refuses = { "session/set_mode": -32_602 }
      const narrow = yield* makeWorld({ modes: ["agent", "read-only"], refuses })
      assert.equal((yield* Effect.flip(session(narrow))).fault.reason, "Rejected")
    })
  )

  it.live("is granted by us where the agent refuses its own mode for everything", () =>
    Effect.gen(function* () {
      const refuses = { "session/set_mode": -32_602 }
      const world = yield* makeWorld({ modes: ["agent", "bypassPermissions"], refuses })
      const one = yield* session(world, { runtimeMode: "full_access" })
      const end = yield* one.run(prompt("[[ask:printf yes]]", { runtimeMode: "full_access" }))
      assert.equal(end.outcome, "completed")
      assert.deepEqual(one.ear.of("request.opened"), [])
    })
  )

  it.live("has a model of the agent's list; another one is refused before anything is sent", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ options: [option("model", "model", ["small", "large"])] })
      const one = yield* session(world)
      yield* one.run(prompt("[[text:a]]", { model: "large" }))
      assert.deepEqual(
        called(world, "session/set_config_option").map(({ value }) => value),
        ["large"]
      )
      const error = yield* Effect.flip(one.send(prompt("[[text:b]]", { model: "huge" })))
      assert.equal(error.fault.reason, "Rejected")
      assert.include(error.fault.message, "small, large")
      assert.equal(called(world, "session/prompt").length, 1)
      const { models } = yield* world.provider.probe
      assert.deepEqual(
        models.map(({ id }) => id),
        ["small", "large"]
      )
    })
  )

  it.live("has a model by the older call where the agent knows no other", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ models: ["small", "large"] })
      yield* session(world, { model: "large" })
      assert.deepEqual(
        called(world, "session/set_model").map(({ modelId }) => modelId),
        ["large"]
      )
    })
  )
})

describe("an attachment", () => {
  const attachment = (source: string, mediaType = "image/png") => [{ name: "a.png", mediaType, source }]

  it.live("goes as its bytes where the agent takes pictures, else as a link", () =>
    Effect.gen(function* () {
      for (const images of [true, false]) {
        const world = yield* makeWorld({ images })
        const file = join(world.directory, "a.png")
        writeFileSync(file, "bytes")
        const one = yield* session(world)
        yield* one.run(prompt("[[images]]", { attachments: attachment(file) }))
        const blocks = called(world, "session/prompt")[0]?.["prompt"] as ReadonlyArray<
          Record<string, unknown>
        >
        assert.deepInclude(
          blocks[1],
          images
            ? { type: "image", data: Buffer.from("bytes").toString("base64") }
            : { type: "resource_link", uri: `file://${file}` }
        )
      }
    })
  )

  it.live("that nobody can read is refused before anything is sent", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ images: true })
      const one = yield* session(world)
      for (const source of ["nonsense", join(world.directory, "missing.png")]) {
        const error = yield* Effect.flip(one.send(prompt("x", { attachments: attachment(source) })))
        assert.equal(error.fault.reason, "Rejected")
      }
      assert.equal(called(world, "session/prompt").length, 0)
    })
  )
})

describe("signing in", () => {
  it.live("is asked for with the agent's own words, and found out by the next look", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ needsSignIn: true })
      const error = yield* Effect.flip(session(world))
      assert.equal(error.fault.reason, "NotSignedIn")
      assert.include(error.fault.message, "Run `fixture login`")
      assert.deepInclude(yield* world.provider.probe, { status: "not_signed_in", version: "1.2.3" })
    })
  )

  it.live("is done by the way that the configuration names", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ needsSignIn: true }, { authMethod: "key" })
      const one = yield* session(world)
      assert.equal((yield* one.run(prompt("[[text:in]]"))).outcome, "completed")
      assert.equal((yield* world.provider.probe).status, "ready")
    })
  )
})

describe("a probe", () => {
  it.live.each([
    ["no command", { command: "" }, "not_installed"],
    ["a program that is not there", { command: "no-such-program-anywhere" }, "not_installed"],
    ["a program that ends at once", { command: "true", args: [] }, "failed"]
  ] as const)("of %s says %s", ([, changes, status]) =>
    Effect.gen(function* () {
      const { provider } = yield* makeWorld({}, changes)
      const health = yield* provider.probe
      assert.equal(health.status, status)
      assert.notEqual(health.advice, null)
    })
  )

  it.live("has a deadline, and leaves no process behind", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ hangs: ["initialize"] }, { timeouts: { probe: "300 millis" } })
      assert.include(["unknown", "failed"], (yield* world.provider.probe).status)
      yield* until("the end of the process", () => pids(world.options.ledgerDirectory).length === 0)
    })
  )

  it.live(
    "and a session are not started at once, as long as none has come up: both may make the same files",
    () =>
      Effect.gen(function* () {
        const starts = { now: 0, most: 0, all: 0 }
        const transport = Effect.gen(function* () {
          starts.all += 1
          starts.now += 1
          starts.most = Math.max(starts.most, starts.now)
          for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
          starts.now -= 1
          return yield* new StartFailed({ missing: false, text: "It does not start." })
        })
        const world = yield* makeWorld({}, { transport })
        const opened = Effect.exit(session(world))
        yield* Effect.all([world.provider.probe, opened, opened], { concurrency: "unbounded" })
        assert.deepEqual(starts, { now: 0, most: 1, all: 3 })
      })
  )

  it.live("of an agent of another version of the protocol says so", () =>
    Effect.gen(function* () {
      const { provider } = yield* makeWorld({ version: 7 })
      const health = yield* provider.probe
      assert.equal(health.status, "failed")
      assert.include(health.advice, "version 7")
    })
  )
})

describe("the process", () => {
  it.live("is one per session, and a stop ends it with all that it started, end of input or not", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ ignoresEnd: true })
      const one = yield* session(world)
      yield* session(world, { threadId: ThreadId.make("thread-2") })
      assert.equal(pids(world.options.ledgerDirectory).length, 2)
      yield* one.begin(prompt("[[shell:sleep 60]]"))
      yield* one.ear.first("item.started")
      yield* until("the command", () => survivors(world).some((line) => line.includes("sleep 60")))
      yield* one.stop("stop")
      assert.deepEqual(survivors(world), [])
      assert.equal(pids(world.options.ledgerDirectory).length, 1)
      assert.equal(called(world, "session/close").length, 1)
    })
  )

  it.live("may give its conversation the name that another process gave to its own", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ counts: true })
      const one = yield* session(world)
      const two = yield* session(world, { threadId: ThreadId.make("thread-2") })
      assert.equal(one.resume, two.resume)
      assert.equal((yield* one.run(prompt("[[text:one]]"))).outcome, "completed")
      assert.equal((yield* two.run(prompt("[[text:two]]"))).outcome, "completed")
      assert.equal((yield* world.provider.listLive).length, 2)
    })
  )

  it.live("that is killed takes its commands with it, though they run in groups of their own", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld()
      const one = yield* session(world)
      yield* one.begin(prompt("[[shell:sleep 60]]"))
      yield* until("the command", () => survivors(world).some((line) => line.includes("sleep 60")))
      for (const pid of pids(world.options.ledgerDirectory)) process.kill(pid, "SIGKILL")
      yield* one.ear.endedPromptly
      yield* until("the end of the command", () => survivors(world).length === 0)
    })
  )

  it.live("of a killed server is ended by the next one", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ ignoresEnd: true })
      yield* session(world)
      const [pid] = pids(world.options.ledgerDirectory)
      const child = { pid: pid!, startTime: startTimeOf(pid!)! }
      assert.isTrue(isAlive(child))
      yield* Acp.make(world.options)
      assert.isFalse(isAlive(child))
    })
  )

  it.live("that does not start in time is an error, and no process is left", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ hangs: ["session/new"] }, { timeouts: { open: "300 millis" } })
      yield* Effect.flip(session(world))
      yield* until("the end of the process", () => pids(world.options.ledgerDirectory).length === 0)
    })
  )
})
