/**
 * What three real agents really sent, as it was recorded against the fake model: every recording is read by the
 * conversation and judged by the rules of any stream. Versions: `README.md`.
 */
import { assert, describe, it } from "@effect/vitest"
import { TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { Exit } from "effect"
import { Refused } from "@turnkeeper/provider-kit/JsonRpc"
import { controlsOf, planOf } from "../src/controls.ts"
import * as Conversation from "../src/Conversation.ts"
import { understand } from "../src/requests.ts"
import { recording } from "./transcripts.ts"
import type { Frame, Line } from "./transcripts.ts"

/** One process of a recording: what its conversation says, from its start to its exit. */
interface Heard {
  readonly events: ReadonlyArray<ProviderEvent>
  /** How each prompt was answered, in order. */
  readonly ends: ReadonlyArray<string>
  readonly asked: ReadonlyArray<string>
}

/**
 * Reads the recording as a session would. Where its client spoke to an agent that was still at work on another
 * prompt, which ours never does, the reading ends.
 */
const hear = (lines: ReadonlyArray<Line>): ReadonlyArray<Heard> => {
  const heard: Array<Heard> = []
  let events: Array<ProviderEvent> = []
  let conversation = Conversation.make({ fresh: true, onFirstMessage: () => [] })
  let prompt = -1
  let loading = -1
  let turns = 0

  const leave = () => {
    conversation.end()
    events.push({ type: "session.exited", clean: false, message: null })
    const completed = events.filter((event) => event.type === "turn.completed")
    const asked = events.filter((event) => event.type === "request.opened")
    heard.push({
      events,
      ends: completed.map(({ outcome }) => outcome),
      asked: asked.map(({ ask }) => ask.decisions.join(" "))
    })
    events = []
    conversation = Conversation.make({ fresh: false, onFirstMessage: () => [] })
  }

  /** False: the reading ends here. */
  const sent = (frame: Frame): boolean => {
    switch (frame["method"]) {
      case "session/prompt":
        if (conversation.active() !== null) return false
        prompt = frame["id"] as number
        conversation.begin(prompt, TurnId.make(`turn-${++turns}`))
        return true
      case "session/load":
        loading = frame["id"] as number
        return true
      case "session/cancel": {
        const turn = conversation.active()
        if (turn !== null) {
          turn.interruptAsked = true
          conversation.releaseAll()
        }
        return true
      }
      case undefined: {
        const { outcome, optionId } = (frame["result"] as Frame)["outcome"] as Frame
        const isNo = outcome === "cancelled" || /reject|cancel/.test(String(optionId))
        conversation.release(Conversation.keyOf(frame["id"] as number), isNo)
        return true
      }
      default:
        return true
    }
  }

  const received = (frame: Frame) => {
    if (frame["method"] === "session/update") {
      // A replay is history.
      if (loading < 0) events.push(...conversation.hear((frame["params"] as Frame)["update"]))
    } else if (frame["method"] === "session/request_permission") {
      const { id, method, params } = frame as { id: number; method: string; params: unknown }
      const held = understand({ id, method, params }, conversation.tool)
      assert.isNotNull(held)
      events.push(...(conversation.ask(held!) ?? []))
    } else if (frame["method"] === "$/cancel_request") {
      events.push(...conversation.forget((frame["params"] as Frame)["requestId"] as number))
    } else if (frame["id"] === loading) loading = -1
    else if (frame["id"] === prompt && frame["method"] === undefined) {
      const error = frame["error"] as Frame | undefined
      const answer =
        error === undefined
          ? Exit.succeed(frame["result"] as never)
          : Exit.fail(
              new Refused({
                method: "session/prompt",
                code: error["code"] as number,
                text: error["message"] as string
              })
            )
      events.push(...conversation.answered(answer))
    }
  }

  for (const line of lines) {
    if ("exit" in line) leave()
    else if ("recv" in line) received(line.recv)
    else if (!sent(line.send)) {
      leave()
      break
    }
  }
  return heard
}

const itemsOf = (events: ReadonlyArray<ProviderEvent>, kind: string) =>
  events.flatMap((event) => (event.type === "item.completed" && event.kind === kind ? [event] : []))

const agents = ["opencode", "codex", "claude"] as const

const done = "completed"
const cut = "interrupted"

/** How the prompts of each recording ended, by its scene. */
const ends: Record<(typeof agents)[number], { readonly [scene: string]: ReadonlyArray<string> }> = {
  opencode: {
    text: [done, done],
    permission: [done, done, done],
    cancel: [cut, cut, cut],
    // The last but one was retried for ever and cancelled: OpenCode calls that a good end.
    error: ["failed", done, done, cut, done]
  },
  codex: {
    text: [done, done],
    permission: [done, cut, cut],
    cancel: [cut, cut, cut],
    error: [done, done, done, done, done]
  },
  claude: {
    text: [done, done],
    permission: [done, done, done],
    cancel: [cut, cut, cut],
    error: ["failed", done, done, "failed", done]
  }
}

describe.each(agents)("%s", (agent) => {
  it.each(["text", "permission", "cancel", "error"])(
    "%s: breaks no rule, and each turn ends once",
    (scene) => {
      const [one, ...others] = hear(recording(`${agent}-${scene}`))
      assert.deepEqual(others, [])
      assert.deepEqual(breachesOf(one!.events, true), [])
      assert.deepEqual(one!.ends, ends[agent][scene])
      // The scene of cancels ends in the middle of a turn, where its client sent a second prompt.
      const open = scene === "cancel" ? 1 : 0
      assert.equal(
        one!.events.filter((event) => event.type === "turn.started").length,
        one!.ends.length + open
      )
    }
  )

  it("text: the answer is one item with the words of the model; what was thought is another", () => {
    const [{ events }] = hear(recording(`${agent}-text`)) as [Heard]
    const said = (id: string, turn: string) =>
      events
        .map((event) =>
          event.type === "text.delta" && event.providerItemId === id && event.providerTurnId === turn
            ? event.text
            : ""
        )
        .join("")
    const words = (kind: string) =>
      itemsOf(events, kind).map((item) => said(item.providerItemId, item.providerTurnId!))
    assert.include(words("assistant_message"), "one two three")
    assert.include(words("assistant_message"), "because")
    assert.include(words("reasoning").join("").replaceAll("*", ""), "Thinking about it")
  })

  it("permission: is asked for by what the command is; one that was declined did not run", () => {
    const [{ events, asked }] = hear(recording(`${agent}-permission`)) as [Heard]
    assert.equal(asked.length, 3)
    for (const decisions of asked) {
      assert.include(decisions, "accept")
      assert.include(decisions, "decline cancel")
    }
    const [first] = events.filter((event) => event.type === "request.opened")
    assert.deepInclude(first, { kind: "command_approval" })
    assert.include(first?.ask.title, "touch p-allow_once")
    const commands = itemsOf(events, "command")
    assert.deepInclude(commands[0], { end: "completed", title: "touch p-allow_once; echo made" })
    assert.equal(commands[0]?.text?.trim(), "made")
    assert.equal(commands[1]?.end, "declined")
  })
})

it("opencode, killed: the turn that was cut has no end, and what is replayed afterwards is no news", () => {
  const [before, after] = hear(recording("opencode-kill9")) as [Heard, Heard]
  assert.deepEqual(before.ends, [done])
  assert.equal(before.events.filter((event) => event.type === "turn.started").length, 2)
  assert.deepEqual(breachesOf(before.events, true), [])
  assert.deepEqual(breachesOf(after.events, true), [])
  const started = after.events.filter((event) => event.type === "item.started")
  assert.isFalse(started.some((event) => event.providerTurnId === null))
})

/** What each agent is told for what the user allows, from what it offered. */
const told: Record<(typeof agents)[number], ReadonlyArray<ReadonlyArray<string>>> = {
  opencode: [["plan"], [], [], ["plan"]],
  codex: [["read-only"], ["read-only"], ["agent-full-access"], ["read-only", "plan"]],
  claude: [["plan"], [], [], ["plan"]]
}

it.each(agents)("%s: is told what the user allows by the modes that it offers", (agent) => {
  const opened = recording(`${agent}-text`).flatMap((line) =>
    "recv" in line && line.recv["id"] === 2 ? [line.recv["result"]] : []
  )[0]
  const controls = controlsOf(opened)
  const first = controls.mode?.current ?? null
  const wanted = [
    ["read_only", "default"],
    ["approval_required", "default"],
    ["full_access", "default"],
    ["approval_required", "plan"]
  ] as const
  assert.deepEqual(
    wanted.map(([runtimeMode, interactionMode]) =>
      planOf(controls, { runtimeMode, interactionMode, model: null }, {}, first).steps.map(
        ({ value }) => value
      )
    ),
    told[agent]
  )
})
