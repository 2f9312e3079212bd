/** What the real program said, as recorded, and what is told of it. */
import { assert, describe, it } from "@effect/vitest"
import { ProviderTurnId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { HeardTurn } from "@turnkeeper/provider-kit/Provider"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import * as fc from "fast-check"
import * as Conversation from "../src/Conversation.ts"
import type { Message, Native, Part, Recorded } from "../src/protocol.ts"
import { outcomeOf, turnIn } from "../src/record.ts"
import type { Line } from "./recording.ts"
import { chapter, isHead, isNative, prompted, recording } from "./recording.ts"

type EventOf<Type extends ProviderEvent["type"]> = Extract<ProviderEvent, { readonly type: Type }>

const of = <Type extends ProviderEvent["type"]>(events: ReadonlyArray<ProviderEvent>, type: Type) =>
  events.filter((event): event is EventOf<Type> => event.type === type)

interface Heard {
  readonly events: ReadonlyArray<ProviderEvent>
  readonly conversation: Conversation.Conversation
}

/** Plays a recording; what was asked of the program is told to the conversation as the session tells it. */
const play = (lines: ReadonlyArray<Line>, conversation = Conversation.make()): Heard => {
  const events = lines.flatMap((line) => {
    if (isNative(line)) return conversation.hear(line)
    if (!("send" in line)) return []
    const turn = conversation.active()
    if (line.send === "abort" && turn !== null) turn.interruptAsked = true
    if (line.send === "reply") conversation.release(line.id, line.reply === "reject")
    if (line.send === "prompt" && line.messageID !== null) conversation.sendBegan(line.messageID, ours)
    return []
  })
  return { events, conversation }
}

const ours = TurnId.make("turn-ours")

const turnOf = (name: string, text: string) => chapter(recording(name), isHead, prompted(text))

/** What the tables have of a turn of which this was told. */
const heardOf = (id: string, events: ReadonlyArray<ProviderEvent>): HeardTurn => {
  const ended = new Set(of(events, "item.completed").map(({ providerItemId }) => providerItemId))
  const textOf = (item: string) =>
    of(events, "text.delta")
      .filter(({ providerItemId }) => providerItemId === item)
      .map(({ text }) => text)
      .join("")
  return {
    turnId: ours,
    providerTurnId: ProviderTurnId.make(id),
    requests: [],
    items: of(events, "item.started").map(({ detail, kind, providerItemId, title }) => ({
      detail,
      kind,
      providerItemId,
      title,
      text: ended.has(providerItemId) ? null : textOf(providerItemId)
    }))
  }
}

const ends = ({ events }: Heard) => of(events, "turn.completed").map(({ outcome }) => outcome)

/** The program's record after a recording: the last state of every message and every part. */
const recordOf = (lines: ReadonlyArray<Line>): ReadonlyArray<Recorded> => {
  const messages = new Map<string, { info: Message; parts: Map<string, Part> }>()
  for (const line of lines.filter(isNative)) {
    const { info, part } = line.properties as { info?: Message; part?: Part }
    if (line.type === "message.updated" && info !== undefined)
      messages.set(info.id, { info, parts: messages.get(info.id)?.parts ?? new Map() })
    if (line.type === "message.part.updated" && part !== undefined)
      messages.get(part.messageID)?.parts.set(part.id, part)
  }
  return [...messages.values()].map(({ info, parts }) => ({ info, parts: [...parts.values()] }))
}

describe("a turn", () => {
  it("carries our turn id when its message is ours, and completes once, on both words", () => {
    const heard = play(turnOf("text", "[[text:one two three]]"))
    const [begun] = of(heard.events, "turn.started")
    assert.deepEqual([begun?.turnId, begun?.providerTurnId], [ours, "msg_zzclient0000000000000001"])
    assert.deepEqual(ends(heard), ["completed"])
    assert.equal(heard.events.at(-1)?.type, "turn.completed")
    const [message] = of(heard.events, "item.completed")
    assert.equal(message?.text, "one two three")
    assert.equal(
      of(heard.events, "text.delta")
        .map(({ text }) => text)
        .join(""),
      "one two three"
    )
    assert.deepEqual(of(heard.events, "usage")[0]?.usage.inputTokens, 100)
    assert.deepEqual(breachesOf(heard.events, false), [])
  })

  it("of somebody else's is told as one without our turn id", () => {
    const heard = play(turnOf("text", "[[think:because]]"))
    assert.deepEqual(
      of(heard.events, "turn.started").map(({ turnId }) => turnId),
      [null]
    )
    assert.deepEqual(ends(heard), ["completed"])
    assert.deepEqual(
      of(heard.events, "item.completed").map(({ kind }) => kind),
      ["reasoning", "assistant_message"]
    )
  })

  it("with a tool is one turn of several answers", () => {
    const heard = play(turnOf("permission", "[[shell:echo hi-once]]"))
    assert.deepEqual(ends(heard), ["completed"])
    const [asked] = of(heard.events, "request.opened")
    assert.deepEqual([asked?.kind, asked?.ask.title], ["command_approval", "echo hi-once"])
    const command = of(heard.events, "item.completed").find(({ kind }) => kind === "command")
    assert.deepEqual(
      [command?.title, command?.end, command?.text],
      ["echo hi-once", "completed", "hi-once\n"]
    )
    assert.deepEqual(breachesOf(heard.events, false), [])
  })

  it("whose command was refused shows it as declined", () => {
    const heard = play(turnOf("permission", "[[shell:echo hi-reject]]"))
    const command = of(heard.events, "item.completed").find(({ kind }) => kind === "command")
    assert.equal(command?.end, "declined")
    assert.deepEqual(ends(heard), ["completed"])
  })

  it("L4: idle before the last message, and a second idle, end it once and as what it was", () => {
    const heard = play(turnOf("abort", "[[slow]]"))
    assert.deepEqual(ends(heard), ["interrupted"])
    assert.deepEqual(breachesOf(heard.events, false), [])
  })

  it("L4: the second idle of an aborted turn does not end the next one", () => {
    const lines = turnOf("abort", "[[slow]]")
    const conversation = Conversation.make()
    const before = play(lines.slice(0, -2), conversation)
    assert.deepEqual(ends(before), ["interrupted"])
    conversation.sendBegan("msg_next", ours)
    const user = { id: "msg_next", role: "user", sessionID: "ses_1" }
    const events = [
      ...conversation.hear({ type: "message.updated", properties: { info: user } }),
      ...lines.slice(-2).filter(isNative).flatMap(conversation.hear)
    ]
    assert.deepEqual(
      events.map(({ type }) => type),
      ["turn.started"]
    )
    assert.equal(conversation.active()?.id, "msg_next")
  })

  it("that fails says why, once, though idle comes first", () => {
    const heard = play(turnOf("error", "[[http:400]]"))
    assert.deepEqual(of(heard.events, "turn.completed"), [
      {
        type: "turn.completed",
        providerTurnId: heard.events.find((event) => event.type === "turn.started")!.providerTurnId,
        outcome: "failed",
        message: "fake 400"
      }
    ])
  })

  it("L6: a retry is transient, and begins its message anew in another item", () => {
    const heard = play(turnOf("error", "[[drop:1]]"))
    assert.isAbove(of(heard.events, "error.transient").length, 0)
    assert.deepEqual(ends(heard), ["completed"])
    const items = of(heard.events, "item.started").map(({ providerItemId }) => providerItemId)
    assert.equal(items.length, 2)
    const [message] = of(heard.events, "item.completed")
    assert.equal(message?.providerItemId, items[1])
    assert.notInclude(message?.text ?? "", "Half")
  })

  it("L7: an abort between two tries, which OpenCode records as an end without a word, is an interruption", () => {
    assert.deepEqual(ends(play(turnOf("error", "[[http:500]]"))), ["interrupted"])
  })

  it("aborted at an open request leaves no request behind", () => {
    const heard = play(turnOf("permission", "[[shell:touch nope]]"))
    assert.deepEqual(ends(heard), ["interrupted"])
    const [asked] = of(heard.events, "request.opened")
    assert.isNull(heard.conversation.held(asked!.requestKey))
    assert.deepEqual(of(heard.events, "request.resolved"), [])
  })

  it("A10: that nobody works on any more and that has no end is interrupted, not completed", () => {
    const lines = turnOf("abort", "[[slow]]").filter(
      (line) =>
        !(
          isNative(line) &&
          (line.type === "message.updated" || line.type === "session.error") &&
          "error" in Object((line.properties as { info?: object }).info ?? line.properties)
        )
    )
    const heard = play(lines)
    assert.deepEqual(ends(heard), [])
    assert.isTrue(heard.conversation.inDoubt())
    assert.deepEqual(
      heard.conversation.giveUp().map((event) => event.type === "turn.completed" && event.outcome),
      ["interrupted"]
    )
    assert.isFalse(heard.conversation.inDoubt())
  })
})

describe("events that were missed", () => {
  const turns = [
    ["text", "[[text:one two three]]"],
    ["permission", "[[shell:echo hi-once]]"],
    ["abort", "[[slow]]"],
    ["error", "[[http:400]]"],
    ["error", "[[drop:1]]"]
  ] as const

  it("are read from the record: from any moment on, the same turn ends the same way, once", () => {
    fc.assert(
      fc.property(fc.constantFrom(...turns), fc.nat(200), ([name, text], at) => {
        const lines = turnOf(name, text)
        const whole = play(lines)
        const cut = Math.min(at, lines.length)
        const begun = lines
          .slice(0, cut)
          .some(
            (line) =>
              isNative(line) &&
              line.type === "message.updated" &&
              Object(line.properties).info?.role === "assistant"
          )
        fc.pre(begun)
        const { conversation, events } = play(lines.slice(0, cut))
        conversation.missed()
        const all = [...events, ...conversation.read(recordOf(lines), { type: "idle" })]
        assert.deepEqual(of(all, "turn.completed"), of(whole.events, "turn.completed"))
        assert.deepEqual(breachesOf(all, false), [])
        const texts = (heard: ReadonlyArray<ProviderEvent>) =>
          of(heard, "item.completed").map(({ kind, text, end }) => [kind, text, end])
        // A command's end has its whole text; what an abort cut short is all that differs.
        if (of(whole.events, "turn.completed")[0]?.outcome === "completed")
          assert.deepEqual(texts(all), texts(whole.events))
      })
    )
  })

  it("while nobody was there are told to who comes later, who knows what had been told: each thing once", () => {
    fc.assert(
      fc.property(fc.constantFrom(...turns), fc.nat(200), ([name, text], at) => {
        const lines = turnOf(name, text)
        const whole = play(lines)
        const { conversation, events } = play(lines.slice(0, Math.min(at, lines.length)))
        const turn = conversation.active()
        fc.pre(turn !== null)
        const later = Conversation.make(heardOf(turn!.id, events))
        const all = [
          ...events,
          ...later.adopt(turn!.id, null).slice(1),
          ...later.read(recordOf(lines), { type: "idle" })
        ]
        assert.deepEqual(of(all, "turn.completed"), of(whole.events, "turn.completed"))
        assert.deepEqual(breachesOf(all, false), [])
        if (of(whole.events, "turn.completed")[0]?.outcome !== "completed") return
        const ended = (heard: ReadonlyArray<ProviderEvent>) =>
          of(heard, "item.completed").map(({ end, kind, providerItemId }) => [kind, end, providerItemId])
        assert.deepEqual(ended(all), ended(whole.events))
      })
    )
  })

  it("read twice are told once", () => {
    const lines = turnOf("text", "[[text:one two three]]")
    const { conversation } = play(lines)
    assert.deepEqual(conversation.read(recordOf(lines), { type: "idle" }), [])
  })
})

const user = (id: string, parts: ReadonlyArray<object>) =>
  ({
    info: { role: "user", id, sessionID: "ses_1" },
    parts: parts.map((part, at) => ({ id: `${id}-${at}`, messageID: id, ...part }))
  }) as unknown as Recorded
const answer = (id: string, parentID: string, finish: string) =>
  ({
    info: {
      role: "assistant",
      id,
      parentID,
      sessionID: "ses_1",
      finish,
      time: { created: 1, completed: 2 }
    },
    parts: []
  }) as unknown as Recorded

describe("the record", () => {
  it("knows how a turn ended", () => {
    for (const [name, text] of [
      ["text", "[[think:because]]"],
      ["abort", "[[slow]]"],
      ["error", "[[http:400]]"]
    ] as const) {
      const lines = turnOf(name, text)
      const [end] = of(play(lines).events, "turn.completed")
      const turn = turnIn(recordOf(lines), end!.providerTurnId!)
      assert.equal(outcomeOf(turn!.answers).outcome, end!.outcome)
    }
  })

  it("A10: of a turn cut by the end of the process says interrupted, for it says running for ever", () => {
    const cut = turnOf("permission", "[[shell:echo hi-once]]").filter(isNative).slice(0, 12)
    const record = recordOf(cut)
    const user = record.find(({ info }) => info.role === "user")
    const turn = turnIn(record, user!.info.id)
    assert.isAbove(turn!.answers.length, 0)
    assert.equal(outcomeOf(turn!.answers).outcome, "interrupted")
  })

  it("counts what OpenCode wrote itself in the user's name to the turn that it goes on with", () => {
    const record = [
      user("msg_1", [{ type: "text", text: "hello" }]),
      answer("msg_2", "msg_1", "tool-calls"),
      user("msg_3", [{ type: "compaction" }]),
      answer("msg_4", "msg_3", "stop"),
      user("msg_5", [{ type: "text", text: "Go on", synthetic: true }]),
      answer("msg_6", "msg_5", "stop"),
      user("msg_7", [{ type: "text", text: "another" }]),
      answer("msg_8", "msg_7", "stop")
    ]
    assert.equal(turnIn(record, "msg_1")?.answers.length, 3)
    assert.equal(turnIn(record, "msg_7")?.answers.length, 1)
    const conversation = Conversation.make()
    conversation.sendBegan("msg_1", ours)
    const events = conversation.read(record.slice(0, 6), { type: "idle" })
    assert.deepEqual(
      of(events, "turn.started").map(({ turnId }) => turnId),
      [ours]
    )
    assert.equal(of(events, "turn.completed").length, 1)
  })
})

describe("whatever arrives", () => {
  it("of an unknown kind is told as unknown; of the second API, and of no interest, not at all", () => {
    const { hear } = Conversation.make()
    assert.deepEqual(hear({ type: "session.dreamt", properties: { sessionID: "ses_1" } }), [
      { type: "unknown", method: "session.dreamt" }
    ])
    assert.deepEqual(hear({ type: "session.next.text.delta", properties: {} }), [])
    assert.deepEqual(hear({ type: "todo.updated", properties: {} }), [])
  })

  it("in whatever shape, never throws", () => {
    const types = [
      "message.updated",
      "message.part.updated",
      "message.part.delta",
      "session.status",
      "session.error",
      "permission.asked",
      "permission.replied",
      "question.asked"
    ]
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.anything(), fc.anything(), (type, inside, properties) => {
        const { hear } = Conversation.make()
        hear({ type, properties } satisfies Native)
        hear({ type, properties: { info: inside, part: inside, status: inside, error: inside } })
      })
    )
  })
})
