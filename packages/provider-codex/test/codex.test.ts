/** The adapter above the wire: recordings of the real program, and a program moved by hand. */
import { assert, describe, it } from "@effect/vitest"
import { MessageId, ProviderInstanceId, ProviderTurnId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { OpenOptions, Prompt, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { Effect, Fiber, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Codex from "../src/Codex.ts"
import type { Frame, Wire } from "./player.ts"
import { play, wire } from "./player.ts"

const instanceId = ProviderInstanceId.make("codex")

const make = (ends: Pick<Wire, "transport">, options: Partial<Codex.CodexOptions> = {}) =>
  Effect.gen(function* () {
    const ledgerDirectory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "codex-ledger-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
    )
    return yield* Codex.make({
      instanceId,
      ledgerDirectory,
      transport: served(ends),
      ...options,
      // At a test's end nobody answers any more, and its clock stands still.
      timeouts: { close: 0, ...options.timeouts }
    })
  })

/** A transport belongs to its scope, as a process does. */
const served = ({ transport }: Pick<Wire, "transport">) =>
  Effect.acquireRelease(Effect.succeed(transport), ({ close }) => close)

const opening = (changes: Partial<OpenOptions> = {}): OpenOptions => ({
  threadId: ThreadId.make("thread-1"),
  generation: 1,
  cwd: "/home/user/project",
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  resume: null,
  ...changes
})

const prompt = (text: string, turnId = "turn-1"): Prompt => ({
  turnId: TurnId.make(turnId),
  messageId: MessageId.make(`message of ${turnId}`.replaceAll(" ", "-")),
  text,
  attachments: [],
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default"
})

/** Hears a session; `until` resolves with the first event of the type, heard already or to come. */
const listen = Effect.fnUntraced(function* (session: ProviderSession) {
  const heard: Array<ProviderEvent> = []
  const news = yield* Queue.unbounded<void>()
  yield* session.events.pipe(
    Stream.runForEach((event) =>
      Effect.andThen(
        Effect.sync(() => heard.push(event)),
        Queue.offer(news, undefined)
      )
    ),
    Effect.forkScoped
  )
  const until = <Type extends ProviderEvent["type"]>(
    type: Type,
    nth = 0
  ): Effect.Effect<Extract<ProviderEvent, { type: Type }>> =>
    Effect.suspend(() => {
      const found = heard.filter(
        (event): event is Extract<ProviderEvent, { type: Type }> => event.type === type
      )[nth]
      return found === undefined ? Effect.andThen(Queue.take(news), until(type, nth)) : Effect.succeed(found)
    })
  return { heard, until, types: () => heard.map(({ type }) => type) }
})

const reasonOf = <A>(call: Effect.Effect<A, ProviderError>) =>
  Effect.map(Effect.flip(call), ({ fault }) => fault.reason)

/** A program moved by hand: what `answers` knows is answered at once, the rest is for the test to take. */
const program = Effect.fnUntraced(function* (answers: Record<string, (params: Frame) => Frame> = {}) {
  const ends = yield* wire
  const left = yield* Queue.unbounded<Frame>()
  const asked: Array<string> = []
  const all: typeof answers = {
    initialize: () => ({
      userAgent: "codex",
      codexHome: "/home/user/.codex",
      platformFamily: "unix",
      platformOs: "linux"
    }),
    "thread/start": () => thread("T1"),
    "thread/backgroundTerminals/list": () => ({ data: [], nextCursor: null }),
    "thread/unsubscribe": () => ({ status: "unsubscribed" }),
    ...answers
  }
  yield* Effect.flatMap(ends.heard, (frame) => {
    asked.push(String(frame["method"] ?? "reply"))
    if (frame["method"] === "initialized") return Effect.void
    const answer = typeof frame["method"] === "string" ? all[frame["method"]] : undefined
    if (answer === undefined) return Effect.asVoid(Queue.offer(left, frame))
    const given = answer(frame["params"] as Frame)
    return ends.say("error" in given ? { id: frame["id"], ...given } : { id: frame["id"], result: given })
  }).pipe(Effect.forever, Effect.forkScoped)
  return {
    ...ends,
    asked: () => asked,
    /** The next thing that was written and that nobody has answered. */
    next: Queue.take(left),
    answer: (to: Frame, result: Frame) => ends.say({ id: to["id"], result })
  }
})

const refused = { error: { code: -32600, message: "no" } }

const thread = (id: string, status = "idle") => ({
  thread: { id, status: { type: status, activeFlags: [] }, preview: "", turns: [] },
  model: "model-1",
  reasoningEffort: null
})

const turn = (id: string, status = "inProgress") => ({ id, status, items: [], error: null })

const started = (id: string, threadId = "T1") => ({
  method: "turn/started",
  params: { threadId, turn: turn(id) }
})

const completed = (id: string, status = "completed", threadId = "T1") => ({
  method: "turn/completed",
  params: { threadId, turn: turn(id, status) }
})

const item = (method: "item/started" | "item/completed", turnId: string, fields: Frame, threadId = "T1") => ({
  method,
  params: { threadId, turnId, item: fields }
})

const userMessage = (turnId: string, clientId: string | null) =>
  item("item/completed", turnId, { type: "userMessage", id: `u-${turnId}`, clientId, content: [] })

const command = (id: string, status = "inProgress") => ({
  type: "commandExecution",
  id,
  command: "sleep 60",
  cwd: "/",
  commandActions: [],
  status,
  aggregatedOutput: null,
  exitCode: null,
  durationMs: null
})

const approval = (id: number, turnId: string, threadId = "T1") => ({
  method: "item/commandExecution/requestApproval",
  id,
  params: {
    kind: "command",
    threadId,
    turnId,
    itemId: "i",
    command: "touch x",
    availableDecisions: ["accept", "cancel"]
  }
})

const entry = (turnId: string, clientId: string) => ({
  turnId,
  item: { type: "userMessage", id: `u-${turnId}`, clientId, content: [] }
})

const plan = (status: string) => ({
  method: "turn/plan/updated",
  params: { threadId: "T1", turnId: "P1", explanation: null, plan: [{ step: "look", status }] }
})

/** A session on a program moved by hand, with a turn of ours that runs. */
const running = Effect.fnUntraced(function* (answers: Record<string, (params: Frame) => Frame> = {}) {
  const codex = yield* program(answers)
  const provider = yield* make(codex)
  const session = yield* provider.open(opening())
  const ear = yield* listen(session)
  const sending = yield* Effect.forkScoped(session.send(prompt("hello")))
  yield* codex.answer(yield* codex.next, { turn: turn("P1") })
  yield* codex.say(started("P1"), userMessage("P1", "turn-1"))
  const { providerTurnId } = yield* Fiber.join(sending)
  yield* ear.until("turn.started")
  return { codex, provider, session, ear, providerTurnId }
})

const onRecording = Effect.fnUntraced(function* (
  name: string,
  ...rest: ReadonlyArray<Parameters<typeof play>[1]>
) {
  const recorded = yield* play(name, rest[0])
  const provider = yield* make(recorded)
  const session = yield* provider.open(opening())
  return { recorded, provider, session, ear: yield* listen(session) }
})

describe("a recorded conversation", () => {
  it.effect("a turn begins with our id, streams, and ends once", () =>
    Effect.gen(function* () {
      const { session, ear } = yield* onRecording("text")
      const { providerTurnId } = yield* session.send(prompt("[[text:one two three four]]", "cli-msg-1"))
      yield* ear.until("turn.completed")
      const [first] = ear.heard.filter((event) => "providerTurnId" in event)
      assert.deepEqual(first, { type: "turn.started", providerTurnId, turnId: TurnId.make("cli-msg-1") })
      const text = ear.heard.flatMap((event) => (event.type === "text.delta" ? [event.text] : [])).join("")
      assert.equal(text, "one two three four")
      assert.deepEqual(breachesOf(ear.heard, false), [])
    })
  )

  it.effect("B11: the cursor says that nothing is recorded yet, until the first message is", () =>
    Effect.gen(function* () {
      const { session, ear } = yield* onRecording("text")
      yield* session.send(prompt("one", "cli-msg-1"))
      const { resume } = yield* ear.until("resume.changed")
      assert.equal(session.resume, `new:${resume}`)
      yield* ear.until("turn.completed")
      assert.equal(ear.types().filter((type) => type === "resume.changed").length, 1)
    })
  )

  it.effect("an approval can be accepted, declined and cancelled; its number may be 0", () =>
    Effect.gen(function* () {
      const { session, ear, recorded } = yield* onRecording("approval")
      for (const [nth, decision] of (["accept", "decline", "cancel"] as const).entries()) {
        yield* session.send(prompt(decision, `turn-${nth}`))
        const { requestKey, ask, kind } = yield* ear.until("request.opened", nth)
        assert.equal(requestKey, String(nth))
        assert.equal(kind, "command_approval")
        assert.deepEqual(ask.decisions, ["accept", "decline", "cancel"])
        yield* session.answer(requestKey, { decision, answers: {} })
        assert.equal(yield* reasonOf(session.answer(requestKey, { decision, answers: {} })), "RequestGone")
        yield* ear.until("turn.completed", nth)
      }
      const outcomes = ear.heard.flatMap((event) => (event.type === "turn.completed" ? [event.outcome] : []))
      assert.deepEqual(outcomes, ["completed", "completed", "interrupted"])
      assert.deepEqual(
        recorded.wrote().flatMap((frame) => ("result" in frame ? [[frame["id"], frame["result"]]] : [])),
        [0, 1, 2].map((id) => [id, { decision: ["accept", "decline", "cancel"][id] }])
      )
      assert.deepEqual(
        ear.heard.flatMap((event) => (event.type === "request.resolved" ? [event.requestKey] : [])),
        ["0", "1", "2"]
      )
      assert.deepEqual(breachesOf(ear.heard, false), [])
    })
  )

  it.effect("a file change is asked for, and done when it is accepted", () =>
    Effect.gen(function* () {
      const { session, ear } = yield* onRecording("file-change")
      yield* session.send(prompt("read-only", "turn-0"))
      yield* ear.until("turn.completed")
      yield* session.send(prompt("patch", "turn-1"))
      const { requestKey, kind } = yield* ear.until("request.opened")
      assert.equal(kind, "file_change_approval")
      yield* session.answer(requestKey, { decision: "accept", answers: {} })
      yield* ear.until("turn.completed", 1)
      const done = ear.heard.find((event) => event.type === "item.completed" && event.kind === "file_change")
      assert.isTrue(done?.type === "item.completed" && done.end === "completed")
    })
  )

  it.effect(
    "L4: what Codex says of a request after its turn's end is not said again, and an answer is too late",
    () =>
      Effect.gen(function* () {
        const { session, ear, recorded } = yield* onRecording("interrupt", (method) => [
          method === "thread/backgroundTerminals/list"
            ? { id: "$id", result: { data: [], nextCursor: null } }
            : { id: "$id", error: { code: -32601, message: "not in the recording" } }
        ])
        yield* session.send(prompt("slow", "turn-0"))
        yield* ear.until("text.delta")
        yield* session.interrupt(null)
        yield* ear.until("turn.completed")
        yield* session.send(prompt("ask", "turn-1"))
        const { requestKey } = yield* ear.until("request.opened")
        yield* session.interrupt(null)
        yield* ear.until("turn.completed", 1)
        assert.equal(
          yield* reasonOf(session.answer(requestKey, { decision: "accept", answers: {} })),
          "RequestGone"
        )
        yield* session.send(prompt("tool", "turn-2"))
        yield* ear.until("text.delta", 1)
        yield* session.interrupt(null)
        yield* ear.until("turn.completed", 2)
        yield* recorded.finished
        assert.notInclude(ear.types(), "request.resolved")
        assert.deepEqual(breachesOf(ear.heard, false), [])
      })
  )

  it.effect("L6: two broken streams are transient, and the turn completes", () =>
    Effect.gen(function* () {
      const { session, ear } = yield* onRecording("retry")
      yield* session.send(prompt("drop twice"))
      const end = yield* ear.until("turn.completed")
      assert.equal(end.outcome, "completed")
      assert.equal(ear.types().filter((type) => type === "error.transient").length, 2)
      assert.notInclude(ear.types(), "error.final")
      assert.notInclude(ear.types(), "session.exited")
    })
  )

  it.effect("a turn that fails leaves the session usable", () =>
    Effect.gen(function* () {
      const { session, ear } = yield* onRecording("fail")
      yield* session.send(prompt("bad request", "turn-0"))
      assert.equal((yield* ear.until("turn.completed")).outcome, "failed")
      yield* session.send(prompt("fine", "turn-1"))
      assert.equal((yield* ear.until("turn.completed", 1)).outcome, "completed")
    })
  )

  it.effect("a steered message goes into the turn that runs", () =>
    Effect.gen(function* () {
      const { session, ear, recorded } = yield* onRecording("steer")
      const { providerTurnId } = yield* session.send(prompt("slow", "turn-0"))
      yield* ear.until("text.delta")
      yield* session.steer(prompt("this too", "turn-1"), providerTurnId)
      yield* ear.until("turn.completed")
      assert.equal(ear.types().filter((type) => type === "turn.started").length, 1)
      const written = recorded.wrote().find((frame) => frame["method"] === "turn/steer")
      assert.deepInclude(written?.["params"], {
        expectedTurnId: providerTurnId,
        clientUserMessageId: "turn-1"
      })
    })
  )
})

describe("whose turn it is", () => {
  it.effect("a turn that starts before its send is answered waits, and then carries our id", () =>
    Effect.gen(function* () {
      const codex = yield* program()
      const session = yield* (yield* make(codex)).open(opening())
      const ear = yield* listen(session)
      const sending = yield* Effect.forkScoped(session.send(prompt("hello")))
      const asked = yield* codex.next
      yield* codex.say(started("P1"))
      yield* codex.answer(asked, { turn: turn("P1") })
      assert.equal((yield* Fiber.join(sending)).providerTurnId, "P1")
      const first = yield* ear.until("turn.started")
      assert.equal(first.turnId, "turn-1")
    })
  )

  it.effect("the turn's own copy of our message names it, even if the send is never answered", () =>
    Effect.gen(function* () {
      const codex = yield* program()
      const session = yield* (yield* make(codex)).open(opening())
      const ear = yield* listen(session)
      const sending = yield* Effect.forkScoped(reasonOf(session.send(prompt("hello"))))
      yield* codex.next
      yield* codex.say(started("P1"), userMessage("P1", "turn-1"))
      assert.equal((yield* ear.until("turn.started")).turnId, "turn-1")
      yield* TestClock.adjust("1 minute")
      assert.equal(yield* Fiber.join(sending), "Unknown")
    })
  )

  it.effect("a turn of Codex's own, begun while a send is unanswered, is not taken for ours", () =>
    Effect.gen(function* () {
      const codex = yield* program()
      const session = yield* (yield* make(codex)).open(opening())
      const ear = yield* listen(session)
      yield* Effect.forkScoped(session.send(prompt("hello")))
      yield* codex.next
      yield* codex.say(started("P0"), item("item/started", "P0", command("c")))
      assert.deepEqual(yield* ear.until("turn.started"), {
        type: "turn.started",
        providerTurnId: ProviderTurnId.make("P0"),
        turnId: null
      })
    })
  )

  it.effect("B8: a turn that Codex starts by itself is told, without an id of ours", () =>
    Effect.gen(function* () {
      const codex = yield* program()
      const session = yield* (yield* make(codex)).open(opening())
      const ear = yield* listen(session)
      yield* codex.say(started("P9"))
      assert.equal((yield* ear.until("turn.started")).turnId, null)
    })
  )

  it.effect("C8: nothing is sent while a turn runs, for Codex would steer without saying so", () =>
    Effect.gen(function* () {
      const { codex, session } = yield* running()
      const before = codex.asked().length
      assert.equal(yield* reasonOf(session.send(prompt("second", "turn-2"))), "Rejected")
      assert.equal(codex.asked().length, before)
    })
  )

  it.effect("L4: nothing of a turn is said after its end", () =>
    Effect.gen(function* () {
      const { codex, ear } = yield* running()
      yield* codex.say(
        completed("P1"),
        item("item/started", "P1", command("late")),
        completed("P1", "failed")
      )
      yield* codex.say(started("P2"))
      yield* ear.until("turn.started", 1)
      assert.deepEqual(ear.types(), ["turn.started", "resume.changed", "turn.completed", "turn.started"])
    })
  )

  it.effect("A5: auxiliary threads say nothing, but what they ask is asked in the turn they work for", () =>
    Effect.gen(function* () {
      const { codex, session, ear } = yield* running()
      const child = { id: "T1-child", parentThreadId: "T1", status: { type: "idle" } }
      yield* codex.say(
        { method: "thread/started", params: { thread: child } },
        started("C1", "T1-child"),
        item("item/started", "C1", command("inner"), "T1-child"),
        completed("C1", "completed", "T1-child"),
        started("X1", "somebody-else"),
        approval(7, "C2", "T1-child")
      )
      const request = yield* ear.until("request.opened")
      assert.equal(request.providerTurnId, "P1")
      assert.deepEqual(ear.types(), ["turn.started", "resume.changed", "request.opened"])
      yield* session.answer("7", { decision: "decline", answers: {} })
      assert.deepEqual(yield* codex.next, { id: 7, result: { decision: "decline" } })
    })
  )

  it.effect("a list of steps is one item of its turn, closed with it", () =>
    Effect.gen(function* () {
      const { codex, ear } = yield* running()
      yield* codex.say(plan("pending"), plan("completed"), completed("P1"))
      yield* ear.until("turn.completed")
      assert.deepEqual(ear.types().slice(2), [
        "item.started",
        "item.updated",
        "item.completed",
        "turn.completed"
      ])
      assert.deepEqual(breachesOf(ear.heard, false), [])
    })
  )

  it.effect("a steered message that Codex never took up is said to be so before the turn's end", () =>
    Effect.gen(function* () {
      const { codex, session, ear } = yield* running({ "turn/steer": () => ({ turnId: "P1" }) })
      yield* session.steer(prompt("also", "turn-2"), null)
      yield* codex.say(completed("P1", "interrupted"))
      yield* ear.until("turn.completed")
      assert.deepEqual(ear.types().slice(-2), ["notice", "turn.completed"])
    })
  )
})

describe("interrupting", () => {
  it.effect("a turn that has been accepted and has not started yet: Codex is told once it has", () =>
    Effect.gen(function* () {
      const codex = yield* program()
      const session = yield* (yield* make(codex)).open(opening())
      const sending = yield* Effect.forkScoped(session.send(prompt("hello")))
      yield* codex.answer(yield* codex.next, { turn: turn("P1") })
      const { providerTurnId } = yield* Fiber.join(sending)
      const interrupting = yield* Effect.forkScoped(session.interrupt(providerTurnId))
      yield* Effect.yieldNow
      assert.notInclude(codex.asked(), "turn/interrupt")
      yield* codex.say(started("P1"))
      const asked = yield* codex.next
      assert.equal(asked["method"], "turn/interrupt")
      yield* codex.answer(asked, {})
      yield* Fiber.join(interrupting)
    })
  )

  it.effect("B2: an interrupt that Codex refuses because the turn is over says TurnMismatch", () =>
    Effect.gen(function* () {
      const { session } = yield* running({
        "turn/interrupt": () => refused,
        "thread/turns/list": () => ({ data: [turn("P1", "completed")], nextCursor: null })
      })
      assert.equal(yield* reasonOf(session.interrupt(null)), "TurnMismatch")
    })
  )

  it.effect("an interrupt that Codex refuses while the turn runs is rejected", () =>
    Effect.gen(function* () {
      const { session } = yield* running({
        "turn/interrupt": () => refused,
        "thread/turns/list": () => ({ data: [turn("P1")], nextCursor: null })
      })
      assert.equal(yield* reasonOf(session.interrupt(null)), "Rejected")
    })
  )

  it.effect("B14: the commands that the turn leaves running are ended, and no others", () =>
    Effect.gen(function* () {
      const terminals = [
        { itemId: "mine", processId: "1" },
        { itemId: "of an earlier turn", processId: "2" }
      ]
      const { codex, ear } = yield* running({
        "thread/backgroundTerminals/list": () => ({ data: terminals, nextCursor: null })
      })
      yield* codex.say(item("item/started", "P1", command("mine")), completed("P1", "interrupted"))
      const asked = yield* codex.next
      assert.deepInclude(asked, {
        method: "thread/backgroundTerminals/terminate",
        params: { threadId: "T1", processId: "1" }
      })
      yield* codex.answer(asked, { terminated: true })
      // Its end comes after the turn's, and is not told.
      yield* codex.say(item("item/completed", "P1", command("mine", "failed")), started("P2"))
      yield* ear.until("turn.started", 1)
      assert.equal(codex.asked().filter((method) => method.endsWith("/terminate")).length, 1)
      assert.notInclude(ear.types(), "notice")
      assert.deepEqual(breachesOf(ear.heard, false), [])
    })
  )
})

describe("requests", () => {
  it.effect("a request that this client does not know is refused, and told as unknown", () =>
    Effect.gen(function* () {
      const { codex, ear } = yield* running()
      yield* codex.say({ method: "item/tool/call", id: 3, params: { threadId: "T1", turnId: "P1" } })
      const reply = yield* codex.next
      assert.equal(reply["id"], 3)
      assert.deepInclude(reply["error"], { code: -32601 })
      assert.deepEqual(yield* ear.until("unknown"), { type: "unknown", method: "item/tool/call" })
    })
  )

  it.effect("a request of a thread that is nobody's is refused", () =>
    Effect.gen(function* () {
      const { codex } = yield* running()
      yield* codex.say(approval(4, "P1", "somebody-else"))
      assert.deepInclude(yield* codex.next, { id: 4 })
    })
  )

  it.effect("no decision is never an agreement", () =>
    Effect.gen(function* () {
      const { codex, session, ear } = yield* running()
      yield* codex.say(approval(0, "P1"))
      yield* ear.until("request.opened")
      yield* session.answer("0", { decision: null, answers: {} })
      assert.deepEqual(yield* codex.next, { id: 0, result: { decision: "decline" } })
    })
  )

  it.effect("questions are asked with their options, and answered by their ids", () =>
    Effect.gen(function* () {
      const { codex, session, ear } = yield* running()
      const question = { id: "q1", header: "Colour", question: "Which?", isOther: false, isSecret: false }
      const options = [{ label: "red", description: "warm" }]
      yield* codex.say({
        method: "item/tool/requestUserInput",
        id: 1,
        params: {
          threadId: "T1",
          turnId: "P1",
          itemId: "i",
          questions: [{ ...question, options }],
          isBlocking: true
        }
      })
      const { ask, kind } = yield* ear.until("request.opened")
      assert.equal(kind, "question")
      assert.deepEqual(ask.questions, [{ id: "q1", question: "Which?", options }])
      yield* session.answer("1", { decision: null, answers: { q1: ["red"] } })
      assert.deepEqual(yield* codex.next, { id: 1, result: { answers: { q1: { answers: ["red"] } } } })
    })
  )

  it.effect("permissions are granted for the turn or the session as asked, or not at all", () =>
    Effect.gen(function* () {
      const { codex, session, ear } = yield* running()
      const permissions = { network: { enabled: true }, fileSystem: null }
      const expected = [
        ["accept", { permissions: { network: { enabled: true } }, scope: "turn" }],
        ["accept_for_session", { permissions: { network: { enabled: true } }, scope: "session" }],
        ["decline", { permissions: {}, scope: "turn" }]
      ] as const
      for (const [id, [decision, result]] of expected.entries()) {
        const params = { threadId: "T1", turnId: "P1", itemId: "i", cwd: "/", reason: null, permissions }
        yield* codex.say({ method: "item/permissions/requestApproval", id, params })
        yield* ear.until("request.opened", id)
        yield* session.answer(String(id), { decision, answers: {} })
        assert.deepEqual(yield* codex.next, { id, result })
      }
    })
  )

  it.effect("a tool server's form becomes questions, and its answers get the types it wants", () =>
    Effect.gen(function* () {
      const { codex, session, ear } = yield* running()
      const requestedSchema = {
        type: "object",
        properties: {
          name: { type: "string", title: "Name" },
          size: { type: "integer" },
          sure: { type: "boolean" }
        }
      }
      yield* codex.say({
        method: "mcpServer/elicitation/request",
        id: 2,
        params: {
          threadId: "T1",
          turnId: null,
          serverName: "s",
          mode: "form",
          _meta: null,
          message: "Say",
          requestedSchema
        }
      })
      const { ask, providerTurnId } = yield* ear.until("request.opened")
      assert.equal(providerTurnId, "P1")
      assert.deepEqual(
        ask.questions.map(({ id }) => id),
        ["name", "size", "sure"]
      )
      yield* session.answer("2", { decision: null, answers: { name: ["n"], size: ["3"], sure: ["true"] } })
      assert.deepEqual(yield* codex.next, {
        id: 2,
        result: { action: "accept", content: { name: "n", size: 3, sure: true }, _meta: null }
      })
    })
  )
})

describe("the process", () => {
  it.effect("its death ends every session on it at once, uncleanly, and the next open starts another", () =>
    Effect.gen(function* () {
      const codex = yield* program({ "thread/start": (params) => thread(String(params["cwd"])) })
      const second = yield* program({
        "thread/loaded/list": () => ({ data: ["T1", "somebody-else"], nextCursor: null }),
        "thread/read": () => thread("T1")
      })
      const programs = [codex, second]
      const provider = yield* make(codex, { transport: Effect.suspend(() => served(programs.shift()!)) })
      const one = yield* provider.open(opening({ cwd: "/one" }))
      const two = yield* provider.open(opening({ cwd: "/two", threadId: ThreadId.make("thread-2") }))
      const ears = [yield* listen(one), yield* listen(two)]
      const sending = yield* Effect.forkScoped(reasonOf(one.send(prompt("hello"))))
      yield* codex.next
      yield* codex.die()
      for (const ear of ears) {
        const exit = yield* ear.until("session.exited")
        assert.isFalse(exit.clean)
        assert.deepEqual(breachesOf(ear.heard, false), [])
      }
      // It was written, and nobody knows whether it was read.
      assert.equal(yield* Fiber.join(sending), "Unknown")
      assert.equal(yield* reasonOf(one.send(prompt("again"))), "SessionGone")
      assert.equal(yield* reasonOf(two.stop("stop")), "SessionGone")
      yield* provider.open(opening({ generation: 2 }))
      const live = yield* provider.listLive
      assert.deepEqual(
        live.map(({ threadId, generation }) => [threadId, generation]),
        [["thread-1", 2]]
      )
    })
  )

  it.effect("a kill ends all sessions, cleanly the one that asked", () =>
    Effect.gen(function* () {
      const codex = yield* program({ "thread/start": (params) => thread(String(params["cwd"])) })
      const provider = yield* make(codex)
      const one = yield* provider.open(opening({ cwd: "/one" }))
      const two = yield* provider.open(opening({ cwd: "/two", threadId: ThreadId.make("thread-2") }))
      const ears = [yield* listen(one), yield* listen(two)] as const
      yield* one.stop("kill")
      assert.isTrue((yield* ears[0].until("session.exited")).clean)
      assert.isFalse((yield* ears[1].until("session.exited")).clean)
      assert.equal(codex.closed(), "killed")
    })
  )

  it.effect("ends in order with the provider: the sessions on it end cleanly", () =>
    Effect.gen(function* () {
      const codex = yield* program()
      const session = yield* Effect.scoped(
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const provider = yield* make(codex)
          return yield* provider.open(opening()).pipe(Scope.provide(scope))
        })
      )
      const heard = yield* Stream.runCollect(session.events)
      assert.deepEqual(
        heard.map((event) => event.type === "session.exited" && event.clean),
        [true]
      )
      assert.equal(codex.closed(), "closed")
    })
  )

  it.effect("D9: is closed after a while when nobody is on it", () =>
    Effect.gen(function* () {
      const codex = yield* program()
      const provider = yield* make(codex, { timeouts: { close: "5 seconds" } })
      yield* Effect.scoped(provider.open(opening()))
      assert.isNull(codex.closed())
      yield* TestClock.adjust("30 seconds")
      assert.isNull(codex.closed())
      yield* TestClock.adjust("31 seconds")
      assert.equal((yield* codex.transport.gone).how, "closed")
    })
  )

  it.effect("a malformed line, an unknown answer and a message that is neither are skipped", () =>
    Effect.gen(function* () {
      const { codex, ear } = yield* running()
      yield* codex.say(
        "not json",
        "[]",
        "null",
        "{}",
        '{"id":"x","result":1}',
        '{"id":999,"result":1}',
        '{"id":{},"method":"m"}'
      )
      yield* codex.say(completed("P1"))
      assert.equal((yield* ear.until("turn.completed")).outcome, "completed")
    })
  )

  it.effect("closing the session's scope stops its turn and leaves the process to the others", () =>
    Effect.gen(function* () {
      const codex = yield* program({ "thread/start": (params) => thread(String(params["cwd"])) })
      const provider = yield* make(codex, { timeouts: { close: "5 seconds" } })
      const one = yield* provider.open(opening({ cwd: "/one" }))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const two = yield* provider.open(opening({ cwd: "/two", threadId: ThreadId.make("thread-2") }))
          const sending = yield* Effect.forkScoped(two.send(prompt("hello")))
          yield* codex.answer(yield* codex.next, { turn: turn("P1") })
          yield* Fiber.join(sending)
          yield* codex.say(started("P1", "/two"))
          yield* Effect.forkDetach(
            Effect.gen(function* () {
              const asked = yield* codex.next
              yield* codex.answer(asked, {})
              yield* codex.say(completed("P1", "interrupted", "/two"))
            })
          )
        })
      )
      assert.include(codex.asked(), "turn/interrupt")
      assert.include(codex.asked(), "thread/unsubscribe")
      assert.isNull(codex.closed())
      yield* one.stop("stop")
    })
  )
})

describe("stopping", () => {
  it.effect("L9: a turn that does not end is not called stopped; the session goes on", () =>
    Effect.gen(function* () {
      const { codex, session, ear } = yield* running({ "turn/interrupt": () => ({}) })
      const stopping = yield* Effect.forkScoped(reasonOf(session.stop("stop")))
      yield* TestClock.adjust("10 seconds")
      assert.equal(yield* Fiber.join(stopping), "Unknown")
      assert.notInclude(ear.types(), "session.exited")
      yield* codex.say(completed("P1"))
      yield* ear.until("turn.completed")
    })
  )

  it.effect(
    "a message that is still on its way holds up the stop: only an end of the process would be proof",
    () =>
      Effect.gen(function* () {
        const codex = yield* program()
        const session = yield* (yield* make(codex)).open(opening())
        yield* Effect.forkScoped(Effect.ignore(session.send(prompt("hello"))))
        yield* codex.next
        const stopping = yield* Effect.forkScoped(reasonOf(session.stop("stop")))
        yield* TestClock.adjust("10 seconds")
        assert.equal(yield* Fiber.join(stopping), "Unknown")
      })
  )

  it.effect("a thread that Codex has unloaded: the stop says SessionGone, and the stream ends", () =>
    Effect.gen(function* () {
      const codex = yield* program({
        "thread/backgroundTerminals/list": () => refused,
        "thread/loaded/list": () => ({ data: [], nextCursor: null })
      })
      const session = yield* (yield* make(codex)).open(opening())
      const ear = yield* listen(session)
      assert.equal(yield* reasonOf(session.stop("stop")), "SessionGone")
      yield* ear.until("session.exited")
    })
  )
})

describe("opening", () => {
  const resumable = "0199aaaa-0000-7000-8000-000000000001"

  it.effect("B12: a conversation that is gone is begun anew, and the user is told", () =>
    Effect.gen(function* () {
      const codex = yield* program({ "thread/resume": () => refused, "thread/turns/list": () => refused })
      const session = yield* (yield* make(codex)).open(opening({ resume: resumable }))
      assert.equal(session.resume, "new:T1")
      assert.isString(session.notice)
    })
  )

  it.effect("a conversation in which nothing was said has lost nothing", () =>
    Effect.gen(function* () {
      const codex = yield* program({ "thread/resume": () => refused, "thread/turns/list": () => refused })
      const session = yield* (yield* make(codex)).open(opening({ resume: `new:${resumable}` }))
      assert.isNull(session.notice)
    })
  )

  it.effect("a conversation that is there and cannot be resumed is an error, not a loss", () =>
    Effect.gen(function* () {
      const codex = yield* program({
        "thread/resume": () => refused,
        "thread/turns/list": () => ({ data: [], nextCursor: null })
      })
      const provider = yield* make(codex)
      assert.equal(yield* reasonOf(Effect.scoped(provider.open(opening({ resume: resumable })))), "Rejected")
      assert.notInclude(codex.asked(), "thread/start")
    })
  )

  it.effect(
    "a turn that runs in the resumed conversation is adopted, with our id where it carries our message",
    () =>
      Effect.gen(function* () {
        const items = [{ type: "userMessage", id: "u", clientId: "turn-7", content: [] }]
        const codex = yield* program({
          "thread/resume": () => thread(resumable, "active"),
          "thread/turns/list": () => ({ data: [{ ...turn("P7"), items }], nextCursor: null })
        })
        const session = yield* (yield* make(codex)).open(opening({ resume: resumable }))
        const ear = yield* listen(session)
        const first = yield* ear.until("turn.started")
        assert.deepEqual([first.providerTurnId, first.turnId], ["P7", "turn-7"])
        assert.equal(yield* reasonOf(session.send(prompt("second"))), "Rejected")
      })
  )

  it.effect("the user's choice of freedom is said in Codex's terms, and only when it changes", () =>
    Effect.gen(function* () {
      const { codex, session } = yield* running()
      yield* codex.say(completed("P1"))
      const next = yield* Effect.forkScoped(
        session.send({ ...prompt("two", "turn-2"), runtimeMode: "full_access", model: "model-2" })
      )
      const asked = yield* codex.next
      assert.deepInclude(asked["params"], {
        approvalPolicy: "never",
        sandboxPolicy: { type: "dangerFullAccess" },
        model: "model-2",
        clientUserMessageId: "turn-2"
      })
      yield* codex.answer(asked, { turn: turn("P2") })
      yield* Fiber.join(next)
      yield* codex.say(started("P2"), completed("P2"))
      yield* Effect.forkScoped(
        Effect.retry(
          session.send({ ...prompt("three", "turn-3"), runtimeMode: "full_access", model: "model-2" }),
          {
            while: () => Effect.as(Effect.yieldNow, true)
          }
        )
      )
      const third = (yield* codex.next)["params"] as Frame
      assert.notProperty(third, "approvalPolicy")
      assert.notProperty(third, "model")
    })
  )

  it.effect(
    "images go as files or addresses; bytes that Codex cannot reach are refused before anything is sent",
    () =>
      Effect.gen(function* () {
        const codex = yield* program()
        const session = yield* (yield* make(codex)).open(opening())
        const image = { name: "a.png", mediaType: "image/png", source: "/tmp/a.png" }
        const lost = { ...image, source: "sha256:abc" }
        assert.equal(yield* reasonOf(session.send({ ...prompt("see"), attachments: [lost] })), "Rejected")
        yield* Effect.forkScoped(session.send({ ...prompt("see"), attachments: [image] }))
        const { params } = (yield* codex.next) as { params: Frame }
        assert.deepEqual(params["input"], [
          { type: "text", text: "see", text_elements: [] },
          { type: "localImage", path: "/tmp/a.png" }
        ])
      })
  )
})

describe("evidence", () => {
  const query = { turnId: TurnId.make("turn-1"), messageId: MessageId.make("message-1") }
  const ask = (resume: string | null, answers: Record<string, (params: Frame) => Frame>) =>
    Effect.gen(function* () {
      const codex = yield* program(answers)
      const provider = yield* make(codex)
      return { evidence: yield* provider.evidence({ resume, ...query }), codex }
    })

  it.effect("without a cursor nothing was ever sent, and nobody is asked", () =>
    Effect.gen(function* () {
      const { evidence, codex } = yield* ask(null, {})
      assert.deepEqual(evidence, { type: "absent" })
      assert.deepEqual(codex.asked(), [])
    })
  )

  it.effect("L12: a record that was read to its end and does not know the message: absent", () =>
    Effect.gen(function* () {
      const pages = [
        { data: [entry("P3", "turn-3")], nextCursor: "more" },
        { data: [entry("P2", "turn-2")], nextCursor: null }
      ]
      const { evidence, codex } = yield* ask("T1", { "thread/items/list": () => pages.shift()! })
      assert.deepEqual(evidence, { type: "absent" })
      assert.equal(codex.asked().filter((method) => method === "thread/items/list").length, 2)
    })
  )

  it.effect("a message on a later page is found, with its end and its texts", () =>
    Effect.gen(function* () {
      const answer = { turnId: "P1", item: { type: "agentMessage", id: "m", text: "done" } }
      const { evidence } = yield* ask("T1", {
        "thread/items/list": (params) => {
          if (params["turnId"] === "P1") return { data: [entry("P1", "turn-1"), answer], nextCursor: null }
          return params["cursor"] === null
            ? { data: [entry("P2", "turn-2")], nextCursor: "more" }
            : { data: [answer, entry("P1", "turn-1")], nextCursor: null }
        },
        "thread/turns/list": () => ({ data: [turn("P2"), turn("P1", "completed")], nextCursor: null })
      })
      assert.deepEqual(evidence, {
        type: "found",
        providerTurnId: ProviderTurnId.make("P1"),
        running: false,
        outcome: "completed",
        message: null,
        texts: [{ kind: "assistant_message", providerItemId: "m", text: "done" }]
      })
    })
  )

  it.effect("L12: a record that is gone proves nothing", () =>
    Effect.gen(function* () {
      const { evidence } = yield* ask("T1", {
        "thread/items/list": () => refused,
        "thread/read": () => refused
      })
      assert.equal(evidence.type, "none")
    })
  )

  it.effect("a conversation whose record was never begun has never heard the message", () =>
    Effect.gen(function* () {
      const { evidence } = yield* ask("new:T1", {
        "thread/items/list": () => refused,
        "thread/read": () => refused
      })
      assert.deepEqual(evidence, { type: "absent" })
    })
  )

  it.effect("a record that cannot be read in time is an error, never a no", () =>
    Effect.gen(function* () {
      const codex = yield* program()
      const provider = yield* make(codex)
      const asking = yield* Effect.forkScoped(reasonOf(provider.evidence({ resume: "T1", ...query })))
      yield* codex.next
      yield* TestClock.adjust("1 minute")
      assert.equal(yield* Fiber.join(asking), "Unknown")
    })
  )
})

describe("a session that went on without us", () => {
  const message = { turnId: "P1", item: { type: "userMessage", id: "u", clientId: "turn-1", content: [] } }
  const said = (id: string, text = `the text of ${id}`) => ({
    turnId: "P1",
    item: { type: "agentMessage", id, text }
  })
  const asking = (id: number) => ({
    method: "item/fileChange/requestApproval",
    id,
    params: { threadId: "T1", turnId: "P1", itemId: "call", startedAtMs: 0, reason: null, grantRoot: null }
  })
  const heardItem = (providerItemId: string, text: string | null) => ({
    providerItemId,
    kind: "assistant_message" as const,
    title: "",
    detail: {},
    text
  })
  const heard = (
    items: ReadonlyArray<ReturnType<typeof heardItem>>,
    requests: ReadonlyArray<string> = []
  ) => ({
    turnId: TurnId.make("turn-1"),
    providerTurnId: ProviderTurnId.make("P1"),
    items,
    requests
  })

  /** Opens it again; the record has these items, and the turn is in this state. */
  const rejoin = Effect.fnUntraced(function* (
    items: ReadonlyArray<Frame>,
    status: "inProgress" | "completed",
    rejoining: NonNullable<OpenOptions["rejoin"]>,
    reasked: ReadonlyArray<Frame> = []
  ) {
    const codex = yield* program({
      "thread/turns/list": () => ({ data: [turn("P1", status)], nextCursor: null }),
      "thread/items/list": () => ({ data: [message, ...items], nextCursor: null })
    })
    const provider = yield* make(codex)
    const opened = yield* Effect.forkScoped(provider.open(opening({ resume: "T1", rejoin: rejoining })))
    const resumed = yield* codex.next
    const state = status === "completed" ? "idle" : "active"
    yield* codex.say({ id: resumed["id"], result: thread("T1", state) }, ...reasked)
    const session = yield* Fiber.join(opened)
    return { codex, session, missed: session.missed! }
  })

  const types = (events: ReadonlyArray<ProviderEvent>) =>
    events.map((event) => ("providerItemId" in event ? `${event.type} ${event.providerItemId}` : event.type))

  it.effect("L7: whose turn ended meanwhile tells what was missed of it, once, and its true end", () =>
    Effect.gen(function* () {
      const { missed } = yield* rejoin([said("a"), said("b"), said("c")], "completed", {
        heard: heard([heardItem("a", null), heardItem("b", "the te")])
      })
      assert.deepEqual(types(missed.events), [
        "turn.started",
        "item.completed b",
        "item.completed c",
        "turn.completed"
      ])
      assert.isNull(missed.running)
    })
  )

  it.effect("whose turn runs on is joined: the rest of a text that was begun comes whole", () =>
    Effect.gen(function* () {
      const { codex, missed, session } = yield* rejoin([said("a")], "inProgress", {
        heard: heard([heardItem("a", null), heardItem("b", "the te")])
      })
      assert.deepEqual(types(missed.events), ["turn.started"])
      assert.deepEqual(missed.running, {
        providerTurnId: ProviderTurnId.make("P1"),
        turnId: TurnId.make("turn-1")
      })
      const ear = yield* listen(session)
      yield* codex.say(
        {
          method: "item/agentMessage/delta",
          params: { threadId: "T1", turnId: "P1", itemId: "b", delta: "of b" }
        },
        { method: "item/completed", params: { threadId: "T1", ...said("b") } },
        completed("P1")
      )
      yield* ear.until("turn.completed")
      assert.deepEqual(types(ear.heard), ["item.completed b", "turn.completed"])
    })
  )

  it.effect("L6: a text that was begun anew meanwhile is known to be cut", () =>
    Effect.gen(function* () {
      const { missed } = yield* rejoin([said("b")], "completed", {
        heard: heard([heardItem("a", "half of")])
      })
      assert.deepEqual(types(missed.events), [
        "turn.started",
        "error.transient",
        "item.completed b",
        "turn.completed"
      ])
    })
  )

  it.effect("what it still asks can be answered; what it does not ask again was dealt with", () =>
    Effect.gen(function* () {
      const { codex, missed, session } = yield* rejoin([], "inProgress", { heard: heard([], ["3", "4"]) }, [
        asking(4)
      ])
      assert.deepEqual(
        missed.events.flatMap((event) =>
          event.type === "request.resolved" || event.type === "request.opened"
            ? [[event.type, event.requestKey]]
            : []
        ),
        [
          ["request.opened", "4"],
          ["request.resolved", "3"]
        ]
      )
      yield* session.answer("4", { decision: "accept", answers: {} })
      assert.deepInclude(yield* codex.next, { id: 4, result: { decision: "accept" } })
    })
  )

  it.effect("whose message was on its way when nobody could listen any more: its turn is ours", () =>
    Effect.gen(function* () {
      const { missed } = yield* rejoin([said("a")], "completed", {
        heard: { ...heard([]), providerTurnId: null }
      })
      assert.deepInclude(missed.events[0], { type: "turn.started", turnId: TurnId.make("turn-1") })
      assert.deepEqual(types(missed.events), ["turn.started", "item.completed a", "turn.completed"])
    })
  )

  it.effect("what is said while its record is read comes behind it, and nothing twice", () =>
    Effect.gen(function* () {
      const { missed } = yield* rejoin([said("a")], "inProgress", { heard: heard([]) }, [
        { method: "item/completed", params: { threadId: "T1", ...said("a") } },
        { method: "item/started", params: { threadId: "T1", ...said("b", "") } },
        { method: "item/completed", params: { threadId: "T1", ...said("b") } },
        completed("P1")
      ])
      assert.deepEqual(types(missed.events), [
        "turn.started",
        "item.completed a",
        "item.started b",
        "item.completed b",
        "turn.completed"
      ])
      assert.isNull(missed.running)
    })
  )
})

describe("a listener that stands still", () => {
  it.effect(
    "holds up the others for a while only, and hears the rest from the record when it reads again",
    () =>
      Effect.gen(function* () {
        const names = ["T1", "T2"]
        const item = (id: string) => ({ type: "agentMessage", id, text: "said" })
        const codex = yield* program({
          "thread/start": () => thread(names.shift()!),
          "thread/read": () => thread("T1"),
          "thread/turns/list": () => ({ data: [turn("P1", "completed")], nextCursor: null }),
          "thread/items/list": () => ({
            data: [{ turnId: "P1", item: item("last") }],
            nextCursor: null
          })
        })
        const provider = yield* make(codex)
        const still = yield* provider.open(opening())
        const other = yield* provider.open(opening({ threadId: ThreadId.make("thread-2") }))
        const ear = yield* listen(other)
        yield* codex.say(
          started("P1"),
          ...Array.from({ length: 1_100 }, (_, index) => ({
            method: "item/started",
            params: { threadId: "T1", turnId: "P1", item: item(`item ${index}`) }
          })),
          { method: "item/completed", params: { threadId: "T1", turnId: "P1", item: item("last") } },
          completed("P1"),
          started("P2", "T2")
        )
        const waiting = yield* Effect.forkScoped(ear.until("turn.started"))
        // The clock goes on for as long as it takes, for nobody knows when the reader comes to a stop.
        yield* Effect.raceFirst(
          Fiber.join(waiting),
          Effect.forever(Effect.andThen(TestClock.adjust("10 seconds"), Effect.yieldNow))
        )

        const late = yield* listen(still)
        yield* late.until("turn.completed")
        const told = late.heard.flatMap((event) =>
          event.type === "item.started" ? [event.providerItemId] : []
        )
        // In their order, each once; what did not find room was passed over, and what has ended is in the record.
        assert.isAtLeast(told.length, 1_000)
        assert.deepEqual(told, [...new Set(told)])
        assert.deepEqual(late.types().slice(-2), ["item.completed", "turn.completed"])
        assert.equal(late.types().filter((type) => type === "turn.completed").length, 1)
      })
  )
})
