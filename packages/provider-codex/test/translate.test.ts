import { assert, describe, it } from "@effect/vitest"
import { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { TurnId } from "@turnkeeper/domain/ids"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { Schema } from "effect"
import * as FastCheck from "fast-check"
import { notificationMethods } from "../src/_generated/protocol.ts"
import * as Conversation from "../src/Conversation.ts"
import { understand } from "../src/requests.ts"
import { translate } from "../src/translate.ts"
import type { Frame } from "./player.ts"
import { said } from "./player.ts"

const isEvent = Schema.is(ProviderEvent)

const notifications = (name: string) =>
  said(name).filter((frame): frame is Frame & { method: string } => "method" in frame && !("id" in frame))

const events = (name: string) =>
  notifications(name).flatMap(({ method, params }) => translate({ method, params: params as unknown }))

/** The parts that tell a turn's story, without ids. */
const story = (name: string) =>
  events(name)
    .filter(({ type }) => type !== "usage" && type !== "notice")
    .map((event) => {
      switch (event.type) {
        case "turn.completed":
          return `${event.type} ${event.outcome}`
        case "item.started":
          return `${event.type} ${event.kind}`
        case "item.completed":
          return `${event.type} ${event.kind} ${event.end}`
        case "text.delta":
          return JSON.stringify(event.text)
        case "error.transient":
          return `${event.type} ${event.attempt}/${event.limit}`
        default:
          return event.type
      }
    })

const nth = (name: string, type: ProviderEvent["type"], index = 0) =>
  events(name).filter((event) => event.type === type)[index]

describe("a recorded turn", () => {
  it("streams a text and completes on turn/completed, not on the idle status before it", () => {
    assert.deepEqual(story("text").slice(0, 8), [
      "turn.started",
      "item.started assistant_message",
      '"one "',
      '"two "',
      '"three "',
      '"four"',
      "item.completed assistant_message completed",
      "turn.completed completed"
    ])
  })

  it("says the whole text once more at the item's end, and what the last request used", () => {
    const completed = nth("text", "item.completed")
    assert.isTrue(completed?.type === "item.completed" && completed.text === "one two three four")
    const usage = nth("text", "usage", 1)
    // The second turn: its own tokens, not those of the thread so far.
    assert.isTrue(
      usage?.type === "usage" && usage.usage.inputTokens === 100 && usage.usage.outputTokens === 10
    )
  })

  it("keeps reasoning apart from the answer", () => {
    const kinds = events("text").flatMap((event) => (event.type === "item.completed" ? [event.kind] : []))
    assert.deepEqual(kinds, ["assistant_message", "reasoning", "assistant_message"])
  })

  it("never shows the user's own message as an item of the answer", () => {
    for (const name of ["text", "approval", "steer"]) {
      const contents = JSON.stringify(events(name))
      assert.notInclude(contents, "userMessage")
    }
  })

  it("names a command by what is run in its shell, and says how it ended", () => {
    const commands = events("approval").flatMap((event) =>
      event.type === "item.completed" && event.kind === "command" ? [event] : []
    )
    assert.deepEqual(
      commands.map(({ end }) => end),
      ["completed", "declined", "declined"]
    )
    assert.equal(commands[0]?.title, "echo hi-accept > out-accept.txt && cat out-accept.txt")
    assert.include(String(commands[0]?.detail["command"]), "/bin/bash -lc")
    assert.equal(commands[0]?.text, "hi-accept\n")
    assert.equal(commands[0]?.detail["exitCode"], 0)
  })

  it("carries the diff of a file change at its end only", () => {
    const started = nth("file-change", "item.started", 2)
    const completed = events("file-change").find(
      (event) => event.type === "item.completed" && event.kind === "file_change"
    )
    assert.isTrue(started?.type === "item.started" && started.kind === "file_change")
    assert.notInclude(JSON.stringify(started), '"diff"')
    assert.include(JSON.stringify(completed), '"diff"')
  })

  it("ends interrupted without closing what Codex left open", () => {
    const told = story("interrupt")
    const first = told.indexOf("turn.completed interrupted")
    assert.isAbove(first, 0)
    assert.notInclude(told.slice(0, first), "item.completed assistant_message completed")
  })

  it("L6: a retry is a transient error with the numbers to show, and its text starts in a new item", () => {
    const told = story("retry")
    assert.deepEqual(told.filter((line) => line.startsWith("error.transient")).slice(0, 2), [
      "error.transient 1/5",
      "error.transient 2/5"
    ])
    const end = told.indexOf("turn.completed completed")
    const started = events("retry").flatMap((event) =>
      event.type === "item.started" ? [event.providerItemId] : []
    )
    assert.equal(new Set(started).size, started.length)
    assert.notInclude(told.slice(0, end), "error.final")
  })

  it("gives up with a final error and then fails, with the reason in both", () => {
    const told = story("retry")
    assert.deepEqual(told.slice(-2), ["error.final", "turn.completed failed"])
    const failed = events("retry").at(-1)
    assert.isTrue(failed?.type === "turn.completed" && (failed.message ?? "").includes("stream disconnected"))
  })

  it("fails at once where Codex does not retry", () => {
    assert.deepEqual(story("fail").slice(0, 3), ["turn.started", "error.final", "turn.completed failed"])
  })
})

describe("what is not in the pinned protocol", () => {
  it("keeps an unknown notification as unknown", () => {
    assert.deepEqual(translate({ method: "thread/newThing", params: { threadId: "t" } }), [
      { type: "unknown", method: "thread/newThing" }
    ])
  })

  it("says nothing of the notifications that no thread needs", () => {
    const quiet = [
      "thread/status/changed",
      "thread/readState/changed",
      "account/rateLimits/updated",
      "turn/diff/updated"
    ]
    for (const method of quiet) assert.deepEqual(translate({ method, params: {} }), [])
  })

  it("keeps a transient error without numbers as one", () => {
    const error = {
      message: "Trying again",
      codexErrorInfo: null,
      additionalDetails: null,
      misalignment: null
    }
    const [event] = translate({
      method: "error",
      params: { error, willRetry: true, threadId: "t", turnId: "u" }
    })
    assert.isTrue(event?.type === "error.transient" && event.attempt === null && event.limit === null)
  })

  it("does not take a turn that is still in progress for one that has ended", () => {
    const turn = { id: "u", status: "inProgress", error: null }
    assert.deepEqual(translate({ method: "turn/completed", params: { threadId: "t", turn } }), [
      { type: "unknown", method: "turn/completed" }
    ])
  })

  it("keeps an item of a kind it does not know", () => {
    const item = { type: "hologram", id: "i" }
    const [event] = translate({ method: "item/started", params: { threadId: "t", turnId: "u", item } })
    assert.isTrue(event?.type === "item.started" && event.kind === "unknown" && event.title === "hologram")
  })

  it("bounds what an item shows beside its text", () => {
    const item = {
      type: "mcpToolCall",
      id: "i",
      server: "s",
      tool: "t",
      status: "completed",
      arguments: { text: "x".repeat(100_000), list: Array.from({ length: 1_000 }, () => 1) },
      result: null,
      error: null
    }
    const [event] = translate({ method: "item/completed", params: { threadId: "t", turnId: "u", item } })
    assert.isBelow(JSON.stringify(event).length, 40_000)
  })
})

describe("whatever arrives", () => {
  const handled = [...notificationMethods, "something/else"]

  it("becomes valid events, for any parameters of any notification", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.constantFrom(...handled), FastCheck.jsonValue(), (method, params) => {
        for (const event of translate({ method, params })) assert.isTrue(isEvent(event))
      }),
      { numRuns: 2_000 }
    )
  })

  it("becomes valid events, for recorded notifications with one value replaced", () => {
    const frames = ["text", "approval", "file-change", "interrupt", "retry"].flatMap(notifications)
    FastCheck.assert(
      FastCheck.property(FastCheck.nat(), FastCheck.nat(), FastCheck.jsonValue(), (which, where, value) => {
        const frame = frames[which % frames.length]!
        const params = replaced(frame["params"], { at: where % 40, value })
        for (const event of translate({ method: frame.method, params })) assert.isTrue(isEvent(event))
      }),
      { numRuns: 3_000 }
    )
  })

  it("never breaks a conversation, and nothing is said of a turn after its end", () => {
    const frames = ["text", "approval", "interrupt", "retry", "steer"].flatMap(said)
    const change = FastCheck.tuple(FastCheck.nat(), FastCheck.nat(), FastCheck.jsonValue())
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(change, { maxLength: 20 }),
        FastCheck.boolean(),
        (changes, sends) => {
          const conversation = Conversation.make({ onFirstMessage: () => [], onLeftRunning: () => {} })
          if (sends) conversation.sendBegan(TurnId.make("turn-1"))
          const heard = changes.flatMap(([which, where, value]) => {
            const frame = frames[which % frames.length]!
            const params = replaced(frame["params"], { at: where % 60, value })
            const method = String(frame["method"])
            const held = understand({ id: which, method, params })
            const asked = held === null ? null : conversation.ask(held)
            return [...conversation.hear({ method, params }), ...(asked ?? [])]
          })
          heard.push(...conversation.sendAnswered("P1"))
          conversation.end()
          for (const event of heard) assert.isTrue(isEvent(event))
          assert.deepEqual(
            breachesOf(heard, false).filter((breach) => breach.includes("after its end")),
            []
          )
        }
      ),
      { numRuns: 2_000 }
    )
  })
})

/** The value with its n-th inner value replaced, counted depth first. */
const replaced = (root: unknown, change: { at: number; readonly value: unknown }): unknown => {
  if (change.at-- === 0) return change.value
  if (Array.isArray(root)) return root.map((each) => replaced(each, change))
  if (typeof root !== "object" || root === null) return root
  return Object.fromEntries(Object.entries(root).map(([key, each]) => [key, replaced(each, change)]))
}
