/** What the real program said, as recorded, and what is told of it. */
import { assert, describe, it } from "@effect/vitest"
import { TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import * as fc from "fast-check"
import { understand } from "../src/requests.ts"
import { conversation, play, recording } from "./recording.ts"

type EventOf<Type extends ProviderEvent["type"]> = Extract<ProviderEvent, { readonly type: Type }>

const of = <Type extends ProviderEvent["type"]>(events: ReadonlyArray<ProviderEvent>, type: Type) =>
  events.filter((event): event is EventOf<Type> => event.type === type)

const uuidsIn = (name: string) =>
  recording(name).flatMap((line) => ("send" in line && line.send === "prompt" ? [line.uuid] : [])) as [
    string,
    string
  ]

const ends = (events: ReadonlyArray<ProviderEvent>) =>
  of(events, "turn.completed").map(({ providerTurnId, outcome }) => [String(providerTurnId), outcome])

const textOf = (events: ReadonlyArray<ProviderEvent>, item: string) =>
  of(events, "text.delta")
    .filter(({ providerItemId }) => providerItemId === item)
    .map(({ text }) => text)
    .join("")

const messages = (events: ReadonlyArray<ProviderEvent>) =>
  of(events, "item.completed").filter(({ kind }) => kind === "assistant_message")

describe("a turn", () => {
  it("goes by the name of its message from its start to its end, and its text is what was streamed", () => {
    const events = play(recording("text"))
    const [one, two] = uuidsIn("text")
    assert.deepEqual(
      of(events, "turn.started").map(({ providerTurnId, turnId }) => [
        String(providerTurnId),
        String(turnId)
      ]),
      [
        [one, `turn-of-${one}`],
        [two, `turn-of-${two}`]
      ]
    )
    assert.deepEqual(ends(events), [
      [one, "completed"],
      [two, "completed"]
    ])
    const [first] = messages(events)
    assert.equal(first?.text, "one two three")
    assert.equal(textOf(events, first!.providerItemId), "one two three")
    const [thought] = of(events, "item.completed").filter(({ kind }) => kind === "reasoning")
    assert.equal(thought?.text, "because")
    assert.deepEqual(breachesOf(events, false), [])
    assert.deepEqual(of(events, "unknown"), [])
  })

  it("tells its own cost, though Claude tells a running total", () => {
    const costs = of(play(recording("text")), "usage").map(({ usage }) => usage.costUsd ?? -1)
    assert.equal(costs.length, 2)
    assert.approximately(costs[0]!, costs[1]!, 1e-9)
  })

  it("L6: a cut message is announced as a retry, and said again as another item", () => {
    const events = play(recording("retry"))
    assert.deepEqual(
      of(events, "error.transient").map(({ attempt, limit }) => [attempt, limit]),
      [
        [1, 2],
        [2, 2]
      ]
    )
    const half = of(events, "item.started").filter(({ kind }) => kind === "assistant_message")
    const whole = messages(events)
    assert.equal(half.length, 4)
    assert.deepEqual(
      whole.map(({ text }) => text),
      ["Recovered after 2 failed attempts.", "Recovered after 1 failed attempts."]
    )
    for (const { providerItemId, text } of whole) assert.equal(textOf(events, providerItemId), text)
    assert.deepEqual(breachesOf(events, false), [])
  })

  it("L6: a message that is cut and begun anew in silence is announced as well", () => {
    const lines = recording("retry").filter((line) => !("recv" in line && line.recv.subtype === "api_retry"))
    assert.equal(of(play(lines), "error.transient").length, 2)
  })

  it("that fails says success to Claude and failure to us, with the reason and without an answer", () => {
    const events = play(recording("error"))
    assert.deepEqual(
      of(events, "turn.completed").map(({ outcome }) => outcome),
      ["failed", "failed"]
    )
    assert.include(of(events, "turn.completed")[0]?.message ?? "", "400")
    assert.deepEqual(messages(events), [])
  })

  it("that is interrupted ends as interrupted, and keeps the text that came", () => {
    const events = play(recording("interrupt"))
    const [one, two] = uuidsIn("interrupt")
    assert.deepEqual(ends(events), [
      [one, "interrupted"],
      [two, "completed"]
    ])
    assert.include(messages(events)[0]?.text ?? "", "w0 w1")
  })

  it("L4: the result of one message does not end the turn of the one that waits behind it", () => {
    const [one, two] = uuidsIn("queued")
    const heard = conversation()
    // The second one is not ours to send while the first one runs: here another window sends it.
    const events = play(
      recording("queued").filter((line) => !("send" in line && line.send === "prompt" && line.uuid === two)),
      heard
    )
    assert.deepEqual(ends(events)[0], [one, "interrupted"])
    assert.equal(ends(events).length, of(events, "turn.started").length)
    assert.isNull(heard.active())
  })

  it("L4: a result that names another turn settles nothing", () => {
    const [one] = uuidsIn("text")
    const heard = conversation()
    const upToResult = recording("text").filter(
      (line, index, all) => index < all.findIndex((each) => "recv" in each && each.recv.type === "result")
    )
    play(upToResult, heard)
    const stray = { type: "result", subtype: "success", is_error: false, user_message_uuids: ["another"] }
    assert.deepEqual(heard.hear(stray), [])
    assert.equal(heard.active()?.id, one)
    // Without any name it may be anybody's: the turn ends with its own lifecycle.
    assert.deepEqual(heard.hear({ type: "result", subtype: "success", is_error: false }), [])
    const last = heard.hear({ type: "command_lifecycle", command_uuid: one, state: "completed" })
    assert.deepEqual(ends(last), [[one, "completed"]])
  })

  it("L14: that Claude forgets ends when Claude rests", () => {
    const heard = conversation()
    play(recording("killed"), heard)
    const resting = heard.hear({ type: "system", subtype: "session_state_changed", state: "idle" })
    assert.deepEqual(
      of(resting, "turn.completed").map(({ outcome }) => outcome),
      ["interrupted"]
    )
  })

  it("L12: a message that Claude drops was not taken", () => {
    const heard = conversation()
    const sending = heard.sendBegan("m", TurnId.make("t"))
    assert.deepEqual(heard.hear({ type: "command_lifecycle", command_uuid: "m", state: "cancelled" }), [])
    assert.isNull(heard.sending())
    assert.isNull(heard.active())
    assert.equal(sending.id, "m")
  })

  it("of Claude's own has no turn of ours, and what a helper says is left out", () => {
    for (const name of ["background", "agent"]) {
      const events = play(recording(name))
      const [ours, own] = of(events, "turn.started")
      assert.equal(String(ours?.providerTurnId), uuidsIn(name)[0])
      assert.isNull(own?.turnId)
      assert.deepEqual(
        of(events, "turn.completed").map((end) => end.providerTurnId),
        [ours!.providerTurnId, own!.providerTurnId]
      )
      assert.notInclude(JSON.stringify(messages(events)), "Hello from the fake model")
      assert.deepEqual(of(events, "unknown"), [])
      assert.deepEqual(breachesOf(events, false), [])
    }
  })
})

const noNewline = "\\ No newline at end of file"

describe("tools", () => {
  it("are shown when they are called, and end as the user decided", () => {
    const events = play(recording("approval"))
    assert.deepEqual(
      of(events, "item.completed")
        .filter(({ kind }) => kind === "command")
        .map(({ title, end }) => [title, end]),
      [
        ["touch accept", "completed"],
        ["touch decline", "declined"],
        ["touch cancel", "declined"]
      ]
    )
    assert.deepEqual(
      of(events, "turn.completed").map(({ outcome }) => outcome),
      ["completed", "completed", "interrupted"]
    )
    const [asked] = of(events, "request.opened")
    assert.equal(asked?.kind, "command_approval")
    assert.deepEqual(asked?.ask.decisions, ["accept", "accept_for_session", "decline", "cancel"])
    assert.equal(asked?.ask.detail["command"], "touch accept")
  })

  it("that change files show how, once they have", () => {
    const events = play(recording("tools"))
    const changes = of(events, "item.completed").filter(({ kind }) => kind === "file_change")
    assert.deepEqual(
      changes.map(({ detail }) => [detail["tool"], String(detail["diff"]).split("\n").slice(2)]),
      [
        ["Write", ["@@ -0,0 +1,1 @@", "+hello", noNewline]],
        ["Edit", ["@@ -1,1 +1,1 @@", "-hello", noNewline, "+bye", noNewline]]
      ]
    )
    const begun = of(events, "item.started").filter(({ kind }) => kind === "file_change")
    assert.isTrue(begun.every(({ detail }) => detail["diff"] === undefined))
  })
})

describe("grants", () => {
  const suggestions = [
    { type: "addRules", rules: [{ toolName: "Bash" }], behavior: "allow", destination: "localSettings" },
    { type: "setMode", mode: "acceptEdits", destination: "session" }
  ]
  const context = { toolUseID: "t", requestId: "r", suggestions }
  const forSession = { decision: "accept_for_session", answers: {} } as const

  it("stay in the session, and leave for a command is no leave for changes of files", () => {
    const reply = understand("Bash", { command: "ls" }, context)?.reply(forSession)
    assert.deepEqual(reply?.behavior === "allow" && reply.updatedPermissions, [
      { ...suggestions[0]!, destination: "session" }
    ])
  })

  it("are not offered where Claude proposes none, or forbids to", () => {
    for (const without of [
      { ...context, suggestions: [] },
      { ...context, suppressAlwaysAllowRule: true }
    ])
      assert.deepEqual(understand("Bash", {}, without)?.ask.decisions, ["accept", "decline", "cancel"])
  })
})

describe("whatever arrives", () => {
  it("what nobody knows is kept as unknown, and harms nothing", () => {
    const heard = conversation()
    const before = play(recording("text").slice(0, 8), heard)
    assert.deepEqual(heard.hear({ type: "telepathy" }), [{ type: "unknown", method: "telepathy" }])
    assert.deepEqual(heard.hear({ type: "assistant", message: null }), [
      { type: "unknown", method: "assistant" }
    ])
    assert.isAbove(of(before, "turn.started").length, 0)
    assert.isNotNull(heard.active())
  })

  it("nothing throws, and a stream with lines missing, doubled or out of order keeps the rules of a turn's end", () => {
    const all = ["text", "approval", "retry", "interrupt", "background", "agent"].map(recording)
    fc.assert(
      fc.property(
        fc.constantFrom(...all),
        fc.array(fc.record({ at: fc.nat(100), how: fc.constantFrom("drop", "double", "swap") }), {
          maxLength: 12
        }),
        (lines, damages) => {
          const damaged = [...lines]
          for (const { at, how } of damages) {
            const index = at % damaged.length
            if (how === "drop") damaged.splice(index, 1)
            else if (how === "double") damaged.splice(index, 0, damaged[index]!)
            else damaged.splice(index, 2, ...damaged.slice(index, index + 2).toReversed())
          }
          const events = play(damaged)
          const ended = new Set<string>()
          for (const event of events) {
            if (!("providerTurnId" in event) || event.providerTurnId === null) continue
            assert.isFalse(ended.has(event.providerTurnId) && event.type !== "turn.started", event.type)
            if (event.type === "turn.completed") ended.add(event.providerTurnId)
          }
        }
      ),
      { numRuns: 300 }
    )
  })
})
