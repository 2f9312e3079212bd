/** What both sides rely on: old clients read new servers, and a wrong payload is told, not thrown. */
import { describe, expect, it } from "@effect/vitest"
import { Decision } from "@turnkeeper/domain/runtime/ProviderEvent"
import { ThreadNotFound } from "@turnkeeper/domain/thread/Command"
import { Exit, Schema } from "effect"
import { Api } from "../src/Api.ts"
import { checked, Malformed } from "../src/Checked.ts"
import { Command, isProjectCommand } from "../src/Command.ts"
import { defaultDataDirectory } from "../src/Discovery.ts"
import { DispatchFailure, isRejection, Overloaded, UnknownFailure } from "../src/Errors.ts"
import type { ThreadRow } from "../src/Rows.ts"
import { Entry } from "../src/Rows.ts"
import { ShellItem, ThreadItem } from "../src/Streams.ts"
import { tolerant } from "../src/Tolerant.ts"
import { agree } from "../src/Version.ts"
import {
  decisionWords,
  durationWords,
  placeWords,
  refusalWords,
  spaced,
  threadStatus,
  threadWords,
  turnEndWords,
  usageWords
} from "../src/Words.ts"
import { nothingUsed } from "../src/TurnUsage.ts"
import type { TurnUsage } from "../src/TurnUsage.ts"

const throughJson = <T, E>(schema: Schema.Codec<T, E>) => {
  const codec = Schema.toCodecJson(schema)
  const decode = Schema.decodeUnknownSync(codec)
  const encode = Schema.encodeSync(codec)
  return {
    decode: (value: unknown): T => decode(JSON.parse(JSON.stringify(value))),
    roundtrip: (value: T): T => decode(JSON.parse(JSON.stringify(encode(value))))
  }
}

const entry = {
  type: "message",
  id: "m1",
  threadId: "t",
  turnId: null,
  role: "user",
  status: "completed",
  text: "Hi",
  attachments: [],
  position: 1,
  createdAt: 1,
  completedAt: 2
}

describe("a newer server", () => {
  it("may add fields, which are ignored", () => {
    expect(throughJson(Entry).decode({ ...entry, mood: "good" })).toEqual(entry)
  })

  it("may add members of an enumeration, which read as unknown", () => {
    expect(throughJson(Entry).decode({ ...entry, status: "pondering", role: "oracle" })).toMatchObject({
      status: "unknown",
      role: "unknown"
    })
  })

  it("says null where there is nothing, which stays null", () => {
    const { decode } = throughJson(Schema.NullOr(tolerant(Schema.Literals(["yes", "no"]))))
    expect([null, "yes", "perhaps"].map(decode)).toEqual([null, "yes", "unknown"])
    expect(() => decode(7)).toThrow()
  })

  it("may add kinds of items and of events, which read as unknown", () => {
    const { decode } = throughJson(ThreadItem)
    expect(decode({ type: "hologram", x: 1 })).toEqual({ type: "unknown" })
    const event = { type: "turn.teleported", turnId: "t1" }
    expect(decode({ type: "event", version: 3, sequence: 9, at: 1, event })).toEqual({
      type: "event",
      version: 3,
      sequence: 9,
      at: 1,
      event: { type: "unknown" }
    })
    expect(throughJson(ShellItem).decode({ type: "weather" })).toEqual({ type: "unknown" })
  })

  it("may refuse in a way that is not known here, which is a failure with a type", () => {
    const failure = throughJson(DispatchFailure).decode({ _tag: "MoonInTheWay", phase: "new" })
    expect(failure).toBeInstanceOf(UnknownFailure)
    expect(failure).toMatchObject({ tag: "MoonInTheWay" })
  })
})

describe("errors", () => {
  it("cross the socket with their type and fields", () => {
    const { roundtrip } = throughJson(DispatchFailure)
    const refused = roundtrip(new ThreadNotFound({ threadId: "t" as never }))
    expect(refused).toBeInstanceOf(ThreadNotFound)
    expect(refused).toMatchObject({ threadId: "t" })
    expect(isRejection(refused)).toBe(true)
    const overloaded = roundtrip(new Overloaded({ what: "calls", limit: 3 }))
    expect(overloaded).toBeInstanceOf(Overloaded)
    expect(isRejection(overloaded)).toBe(false)
  })

  it("have words for every way in which a command can be refused", () => {
    for (const member of DispatchFailure.members[0].members) {
      const tag = member.fields._tag.schema.literal
      expect(refusalWords({ _tag: tag })).not.toBe(`${spaced(tag)}.`)
    }
  })
})

describe("a payload", () => {
  const { decode } = throughJson(checked(Schema.Struct({ a: Schema.Int, b: Schema.Array(Schema.String) })))

  it("that fits is handed on", () => {
    expect(decode({ a: 1, b: ["x"] })).toEqual({ a: 1, b: ["x"] })
  })

  it("that does not fit says every place and why, and never repeats the value", () => {
    const wrong = decode({ a: "hunter2", b: ["x", 7] })
    expect(wrong).toBeInstanceOf(Malformed)
    const { issues } = wrong as Malformed
    expect(issues.map(({ path }) => path)).toEqual(["a", "b.1"])
    expect(JSON.stringify(issues)).not.toContain("hunter2")
  })

  it("with very many mistakes is answered with a bounded list", () => {
    const wrong = decode({ a: 1, b: Array.from({ length: 10_000 }, () => 7) })
    expect((wrong as Malformed).issues.length).toBe(20)
  })

  it("of every call decodes whatever comes", () => {
    for (const rpc of Api.requests.values()) {
      const decodeAny = Schema.decodeUnknownExit(
        Schema.toCodecJson(rpc.payloadSchema as Schema.Codec<unknown>)
      )
      for (const odd of [null, 7, "x", [], { command: null }, { threadId: {} }]) {
        expect(Exit.isSuccess(decodeAny(odd))).toBe(true)
      }
    }
  })
})

describe("commands", () => {
  it("of projects and of threads are told apart by their type", () => {
    const decode = Schema.decodeUnknownSync(Command)
    const ofProject = decode({ type: "project.delete", commandId: "c", projectId: "p" })
    const ofThread = decode({
      type: "thread.create",
      commandId: "c",
      threadId: "t",
      projectId: "p",
      title: "",
      provider: "codex"
    })
    expect([isProjectCommand(ofProject), isProjectCommand(ofThread)]).toEqual([true, false])
  })
})

describe("versions", () => {
  it("are agreed on at the highest that both speak", () => {
    expect(agree({ min: 1, max: 5 }, { min: 3, max: 4 })).toBe(4)
    expect(agree({ min: 4, max: 4 }, { min: 3, max: 9 })).toBe(4)
    expect(agree({ min: 1, max: 2 }, { min: 3, max: 4 })).toBe(null)
    expect(agree({ min: 5, max: 6 }, { min: 3, max: 4 })).toBe(null)
  })
})

describe("the data directory", () => {
  it("is the one of the environment, else in the home", () => {
    expect(defaultDataDirectory({ TURNKEEPER_HOME: "/data" }, "/home/me")).toBe("/data")
    expect(defaultDataDirectory({}, "/home/me/")).toBe("/home/me/.turnkeeper")
  })
})

const latest = (
  state: "completed" | "error" | "interrupted" | "cancelled" | "running",
  delivered: "delivered" | "not_delivered" | "unknown"
) => ({
  latestTurn: { turnId: "t1" as never, state, delivered }
})

const active = (more: Partial<NonNullable<ThreadRow["activeTurn"]>>) => ({
  turnId: "t1" as never,
  startedAt: 0,
  interruptAskedAt: null,
  quiet: null,
  ...more
})

describe("words", () => {
  const row: ThreadRow = {
    threadId: "t" as never,
    projectId: "p" as never,
    title: "T",
    provider: "codex" as never,
    model: null,
    runtimeMode: "full_access",
    interactionMode: "default",
    cwd: null,
    archivedAt: null,
    deletedAt: null,
    sessionStatus: "ready",
    lastError: null,
    recovering: null,
    stopping: null,
    latestTurn: null,
    activeTurn: null,
    openRequests: 0,
    queuedTurns: 0,
    lastActivityAt: 0,
    createdAt: 0,
    version: 1
  }
  it.each([
    ["Ready", {}],
    ["Ready", latest("completed", "delivered")],
    ["Failed", latest("error", "delivered")],
    ["Interrupted", latest("interrupted", "delivered")],
    ["Maybe not sent", latest("interrupted", "unknown")],
    ["Queued", { queuedTurns: 1 }],
    ["Working", { sessionStatus: "running" as const }],
    ["Working · 2 m", { sessionStatus: "running" as const, activeTurn: active({}) }],
    ["Quiet", { sessionStatus: "running" as const, activeTurn: active({ quiet: "alive" }) }],
    [
      "Quiet for 1 m",
      { sessionStatus: "running" as const, activeTurn: active({ quiet: "alive", quietSince: 60_000 }) }
    ],
    ["Stopping…", { sessionStatus: "running" as const, activeTurn: active({ interruptAskedAt: 1 }) }],
    ["Failed", { sessionStatus: "error" as const }],
    ["Ready", latest("cancelled", "not_delivered")],
    ["Interrupted", { ...latest("cancelled", "not_delivered"), lastError: "The server restarted" }],
    [
      "Reconnecting 2/5",
      { sessionStatus: "running" as const, recovering: { message: "", attempt: 2, limit: 5 } }
    ],
    ["Stopping…", { sessionStatus: "running" as const, stopping: "user" as const }],
    ["Waiting for you", { sessionStatus: "running" as const, openRequests: 1 }]
  ] as const)("a thread is %s", (words, more) => {
    expect(threadWords({ ...row, ...more }, 120_000)).toBe(words)
  })

  it("of an end name the reason, and never claim a delivery that is not proven", () => {
    expect(turnEndWords({ state: "error", delivered: "delivered", reason: "rate limit" })).toBe(
      "Failed: rate limit"
    )
    expect(turnEndWords({ state: "interrupted", delivered: "unknown", reason: null })).toContain(
      "may or may not"
    )
    expect(turnEndWords({ state: "running", delivered: null, reason: null })).toBe(null)
    const cancelled = { state: "cancelled", delivered: "not_delivered" } as const
    expect(turnEndWords({ ...cancelled, reason: null })).toBe("Not sent")
    expect(turnEndWords({ ...cancelled, reason: "Not sent: the turn before it failed" })).toBe(
      "Not sent: the turn before it failed"
    )
  })

  it("of what was used are short, and name a price only where there is one", () => {
    const used = (inputTokens: number, outputTokens: number, more: Partial<TurnUsage> = {}) =>
      usageWords({ ...nothingUsed, inputTokens, outputTokens, ...more })
    expect(usageWords(null)).toBe(null)
    expect(used(0, 0)).toBe(null)
    expect(used(999, 5)).toBe("999 tokens in, 5 out")
    expect(used(12_345, 1_000, { cachedInputTokens: 8_100 })).toBe("12.3k tokens in, 8.1k cached, 1.0k out")
    expect(used(999_960, 1, { costMicroUsd: 1_234_000 })).toBe("1.0M tokens in, 1 out · $1.23")
    expect(used(0, 0, { costMicroUsd: 400 })).toBe("under $0.01")
  })

  it("a thread's sign and words say the same", () => {
    const running = { ...row, sessionStatus: "running" as const }
    expect(threadStatus(running)).toEqual({ sign: "working", words: "Working" })
    expect(threadStatus({ ...running, openRequests: 1 }).sign).toBe("waiting")
    expect(threadStatus(row)).toEqual({ sign: "ready", words: threadWords(row) })
  })

  it("every decision that may be offered has its own words", () => {
    expect(new Set(Decision.literals.map((decision) => decisionWords[decision])).size).toBe(
      Decision.literals.length
    )
  })

  it("a place in the queue reads as it is spoken", () => {
    expect([1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(placeWords)).toEqual(
      "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd 111th".split(" ")
    )
  })

  it("of a time are short", () => {
    expect([4_000, 125_000, 7_200_000, 200_000_000].map(durationWords)).toEqual(["4 s", "2 m", "2 h", "2 d"])
  })
})
