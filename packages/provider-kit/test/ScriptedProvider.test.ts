/** What the server's tests rely on beside the promises of every adapter: directives, control, the record. */
import { assert, describe, it } from "@effect/vitest"
import { MessageId, ProviderInstanceId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { OpenOptions, Prompt } from "../src/Provider.ts"
import type { ProviderError } from "../src/ProviderError.ts"
import { deliverAndHang, hang, hold, holdAnswer, lose, pretend, refuse } from "../src/testing/control.ts"
import { listen, type Patience } from "../src/testing/Listener.ts"
import { readReceived } from "../src/testing/record.ts"
import { stepsOf, wordsOf } from "../src/testing/script.ts"
import { makeScripted, type Scripted, type ScriptedOptions } from "../src/testing/ScriptedProvider.ts"

const instanceId = ProviderInstanceId.make("scripted")
const threadId = ThreadId.make("thread")
const patience: Patience = { clock: "virtual", pass: TestClock.adjust(40), stepMs: 40, deadlineMs: 20_000 }

const prompt = (text: string, name = "turn"): Prompt => ({
  turnId: TurnId.make(name),
  messageId: MessageId.make(`${name}-message`),
  text,
  attachments: [],
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default"
})

const opening = (options: Partial<OpenOptions> = {}): OpenOptions => ({
  threadId,
  generation: 1,
  cwd: "/",
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  resume: null,
  ...options
})

/** Opens a session in a scope of its own and listens to it. */
const open = ({ provider }: Scripted, options?: Partial<OpenOptions>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const session = yield* Scope.provide(provider.open(opening(options)), scope)
    const listener = yield* listen(session, patience)
    return { session, listener, close: Scope.close(scope, Exit.void) }
  })

const make = (options: Partial<ScriptedOptions> = {}) => makeScripted({ instanceId, ...options })

/** A provider at work on one prompt. */
const begun = (text: string, options: Partial<ScriptedOptions> = {}) =>
  Effect.gen(function* () {
    const scripted = make(options)
    const opened = yield* open(scripted)
    const { providerTurnId } = yield* opened.session.send(prompt(text))
    yield* opened.listener.first("turn.started")
    return { ...scripted, ...opened, providerTurnId }
  })

const reasonOf = <A>(call: Effect.Effect<A, ProviderError>) =>
  Effect.map(Effect.flip(call), (error) => error.fault.reason)

const turnId = TurnId.make("turn")
const types = (events: ReadonlyArray<ProviderEvent>) => events.map((event) => event.type)

describe("the directives of a prompt", () => {
  it("are taken in their order, and the words around them change nothing", () => {
    assert.deepEqual(stepsOf("Please [[think:why]] and then [[text:a b]]!"), [
      { type: "think", text: "why" },
      { type: "text", text: "a b" }
    ])
  })

  it("may hold single brackets", () => {
    assert.deepEqual(stepsOf("[[text:a[0] = 1]]"), [{ type: "text", text: "a[0] = 1" }])
  })

  it("end in words where they bring none", () => {
    assert.deepEqual(
      stepsOf("[[shell:ls]]").map((step) => step.type),
      ["shell", "text"]
    )
    assert.deepEqual(
      stepsOf("[[shell:ls]][[fail:no]]").map((step) => step.type),
      ["shell", "fail"]
    )
  })

  it("are answered with a sentence when nobody knows them, inherited names included", () => {
    for (const name of ["dance", "constructor", "to-string"]) {
      assert.deepEqual(stepsOf(`[[${name}]]`), [
        { type: "text", text: `I do not know the directive [[${name}]].` }
      ])
    }
  })

  it("leave out a mark that only counts", () => {
    assert.deepEqual(stepsOf("[[id:X1]][[text:a]]"), [{ type: "text", text: "a" }])
  })

  it("are not needed: plain words get an answer that says what there is", () => {
    const [step] = stepsOf("Hello,   you")
    assert.ok(step?.type === "text" && step.text.includes("Hello, you") && step.text.includes("[[ask:"))
  })

  it("stream texts that are whole when joined", () => {
    for (const text of ["one", " two  words \n", "", "a\nb c"])
      assert.strictEqual(wordsOf(text).join(""), text)
  })
})

describe("the scripted provider", () => {
  it.effect("streams one word per tick of the clock", () =>
    Effect.gen(function* () {
      const { listener } = yield* begun("[[text:one two three]]", { tickMs: 100 })
      const words = () => listener.of("text.delta").map((delta) => delta.text)
      assert.deepEqual(words(), [])
      yield* TestClock.adjust(200)
      assert.deepEqual(words(), ["one ", "two "])
      yield* TestClock.adjust(100)
      yield* listener.first("turn.completed")
      assert.deepEqual(words(), ["one ", "two ", "three"])
    })
  )

  it.effect("needs no time at all with a tick of 0", () =>
    Effect.gen(function* () {
      const scripted = make({ tickMs: 0 })
      const { session } = yield* open(scripted)
      yield* session.send(prompt("[[think:a]][[shell:b]][[drop:2]]"))
      assert.strictEqual(yield* scripted.control.ended(turnId), "completed")
    })
  )

  it.effect("tells an ordinary turn in few events beside its words", () =>
    Effect.gen(function* () {
      const { listener } = yield* begun("[[shell:ls]]")
      yield* listener.first("turn.completed")
      assert.deepEqual(types(listener.heard().filter((event) => event.type !== "text.delta")), [
        "turn.started",
        "item.started",
        "item.completed",
        "item.started",
        "item.completed",
        "usage",
        "turn.completed"
      ])
    })
  )

  it.effect("counts its transient errors up to where the directive says, then answers anew", () =>
    Effect.gen(function* () {
      const { listener } = yield* begun("[[drop:2]]")
      yield* listener.first("turn.completed")
      assert.deepEqual(
        listener.of("error.transient").map((event) => [event.attempt, event.limit]),
        [
          [1, 5],
          [2, 5]
        ]
      )
      // The cut half stays open: closing it is the kernel's.
      assert.strictEqual(listener.of("item.started").length, 2)
      assert.strictEqual(listener.of("item.completed").length, 1)
    })
  )

  it.effect("gives up after the fifth transient error", () =>
    Effect.gen(function* () {
      const { listener, control } = yield* begun("[[drop]]")
      yield* listener.first("turn.completed", (event) => event.outcome === "failed")
      assert.strictEqual(listener.of("error.transient").length, 5)
      assert.strictEqual(yield* control.ended(turnId), "failed")
    })
  )

  it.effect("dies in the middle of a message", () =>
    Effect.gen(function* () {
      const { listener } = yield* begun("[[die]]")
      yield* listener.endedPromptly
      assert.strictEqual(listener.of("session.exited")[0]?.clean, false)
      assert.strictEqual(listener.of("item.completed").length, 0)
      assert.ok(listener.of("text.delta").length > 0)
    })
  )

  it.effect("refuses a send without taking the prompt", () =>
    Effect.gen(function* () {
      const { provider, control } = make()
      const session = yield* provider.open(opening())
      assert.strictEqual(yield* reasonOf(session.send(prompt("[[reject]]"))), "Rejected")
      assert.deepEqual(control.received(), [])
      const evidence = yield* provider.evidence({ resume: session.resume, ...prompt("") })
      assert.strictEqual(evidence.type, "absent")
    })
  )

  it.effect("begins a turn of its own after the one that says so", () =>
    Effect.gen(function* () {
      const { listener, providerTurnId } = yield* begun("[[own]]")
      const own = yield* listener.first("turn.started", (event) => event.turnId === null)
      assert.notStrictEqual(own.providerTurnId, providerTurnId)
      yield* listener.first("turn.completed", (event) => event.providerTurnId === own.providerTurnId)
      assert.deepEqual(listener.breaches(), [])
    })
  )

  it.effect("lets a message join a turn of its own, where it is made so", () =>
    Effect.gen(function* () {
      const { listener, session, control } = yield* begun("[[own]]", { joinsOwnTurns: true })
      const own = yield* listener.first("turn.started", (event) => event.turnId === null)
      const joined = yield* session.send(prompt("[[text:joined]]", "second"))
      assert.strictEqual(joined.providerTurnId, own.providerTurnId)
      yield* listener.first("item.completed", (event) => event.text === "joined")
      assert.strictEqual(yield* control.ended(TurnId.make("second")), "completed")
    })
  )

  it.effect("L4: lets an auxiliary turn come and go inside a turn that goes on", () =>
    Effect.gen(function* () {
      const { listener, session, providerTurnId } = yield* begun("[[aux]][[text:one two]]")
      const other = yield* listener.first(
        "turn.completed",
        (event) => event.providerTurnId !== providerTurnId
      )
      assert.strictEqual(other.outcome, "completed")
      assert.deepEqual(yield* session.probe(providerTurnId), { type: "running" })
      yield* listener.first("turn.completed", (event) => event.providerTurnId === providerTurnId)
      assert.deepEqual(
        listener.of("text.delta").map((delta) => delta.text),
        ["one ", "two"]
      )
    })
  )

  it.effect("refuses to be interrupted and to stop, until it is killed", () =>
    Effect.gen(function* () {
      const { listener, session } = yield* begun("[[refuse-interrupt]][[refuse-stop]][[slow]]")
      assert.strictEqual(yield* reasonOf(session.interrupt(null)), "Rejected")
      assert.strictEqual(yield* reasonOf(session.stop("stop")), "Rejected")
      yield* listener.first("text.delta")
      yield* session.stop("kill")
      yield* listener.endedPromptly
    })
  )

  it.effect("does what was steered in before it ends the turn, in the same turn", () =>
    Effect.gen(function* () {
      const { listener, session, providerTurnId, control } = yield* begun("[[slow:3]]")
      yield* listener.first("text.delta")
      yield* session.steer(prompt("[[text:steered]]", "second"), providerTurnId)
      yield* listener.first("turn.completed")
      assert.deepEqual(
        listener.of("item.completed").map((event) => event.text),
        ["w0 w1 w2 ", "steered"]
      )
      assert.strictEqual(listener.of("turn.completed").length, 1)
      assert.deepEqual(
        control.received().map(({ how, turnId }) => [how, turnId]),
        [
          ["send", "turn"],
          ["steer", "second"]
        ]
      )
    })
  )

  it.effect("asks no second time for what was accepted for the session", () =>
    Effect.gen(function* () {
      const { listener, session } = yield* begun("[[ask:make]][[ask:make]]")
      const { requestKey } = yield* listener.first("request.opened")
      yield* session.answer(requestKey, { decision: "accept_for_session", answers: {} })
      yield* listener.first("turn.completed")
      assert.strictEqual(listener.of("request.opened").length, 1)
      assert.strictEqual(listener.of("item.completed").filter((item) => item.kind === "command").length, 2)
    })
  )

  it.effect("ends the stream with the exit even when the buffer is full", () =>
    Effect.gen(function* () {
      const { provider, control } = make({ bufferSize: 1, tickMs: 0 })
      const session = yield* provider.open(opening())
      yield* session.send(prompt("[[flood:100]]"))
      yield* control.until(() => control.activeTurn(threadId) !== null)
      yield* session.stop("stop")
      const listener = yield* listen(session, patience)
      yield* listener.endedPromptly
      assert.deepEqual(listener.breaches(), [])
      assert.ok(listener.heard().length <= 3)
    })
  )

  it.effect("follows a script given in code", () =>
    Effect.gen(function* () {
      const { listener } = yield* begun("anything", {
        script: ({ text }) => [{ type: "text", text: `re: ${text}` }]
      })
      yield* listener.first("item.completed", (event) => event.text === "re: anything")
    })
  )
})

describe("the control handle", () => {
  it.effect("tells what was really received, whatever the caller heard", () =>
    Effect.gen(function* () {
      const scripted = make({ script: () => [{ type: "manual" }] })
      const { provider, control } = scripted
      const session = (name: string) => provider.open(opening({ threadId: ThreadId.make(name) }))
      const [one, two, three, four] = [
        yield* session("1"),
        yield* session("2"),
        yield* session("3"),
        yield* session("4")
      ]
      control.next("send", refuse("Unavailable"))
      control.next("send", lose())
      control.next("send", hang)
      control.next("send", deliverAndHang)
      assert.strictEqual(yield* reasonOf(one.send(prompt("", "refused"))), "Unavailable")
      assert.strictEqual(yield* reasonOf(two.send(prompt("", "lost"))), "Unknown")
      const hanging = yield* Effect.forkChild(three.send(prompt("", "hanging")))
      const delivered = yield* Effect.forkChild(four.send(prompt("", "delivered")))
      yield* control.until(() => control.received().length === 2)
      assert.deepEqual(
        control.received().map((one) => one.turnId),
        ["lost", "delivered"]
      )
      assert.deepEqual(
        control
          .calls()
          .filter((call) => call.operation === "send")
          .map((call) => call.threadId),
        ["1", "2", "3", "4"].map((id) => ThreadId.make(id))
      )
      yield* Fiber.interrupt(hanging)
      yield* Fiber.interrupt(delivered)
    })
  )

  it.effect("holds a call, or only its answer, until a test lets go", () =>
    Effect.gen(function* () {
      const { control, provider } = make({ script: () => [{ type: "manual" }] })
      const session = yield* provider.open(opening())
      const gate = yield* Deferred.make<void, ProviderError>()
      control.next("send", hold(gate))
      const sending = yield* Effect.forkChild(session.send(prompt("")))
      yield* control.called("send")
      assert.deepEqual(control.received(), [])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(sending)
      assert.strictEqual(control.received().length, 1)

      const other = yield* Deferred.make<void, ProviderError>()
      control.next("stop", holdAnswer(other))
      const stopping = yield* Effect.forkChild(session.stop("stop"))
      yield* control.until(() => control.live().length === 0)
      assert.strictEqual(stopping.pollUnsafe(), undefined)
      yield* Deferred.succeed(other, undefined)
      yield* Fiber.join(stopping)
    })
  )

  it.effect("plans the next call of one thread, of any, or of all", () =>
    Effect.gen(function* () {
      const { control, provider } = make()
      const other = ThreadId.make("other")
      const one = yield* provider.open(opening())
      const two = yield* provider.open(opening({ threadId: other }))
      control.always("stop", refuse("Unavailable"))
      control.next("stop", refuse("Unsupported"), other)
      assert.strictEqual(yield* reasonOf(one.stop("stop")), "Unavailable")
      assert.strictEqual(yield* reasonOf(two.stop("stop")), "Unsupported")
      assert.strictEqual(yield* reasonOf(two.stop("stop")), "Unavailable")
      control.always("stop", null)
      yield* one.stop("stop")
      control.always("list", refuse("Unavailable"))
      assert.strictEqual(yield* reasonOf(provider.listLive), "Unavailable")
      control.next("list", pretend([]))
      assert.deepEqual(yield* provider.listLive, [])
      control.always("list", null)
      assert.deepEqual(
        (yield* provider.listLive).map((live) => live.threadId),
        [other]
      )
    })
  )

  it.effect("refuses an opening, which then is none", () =>
    Effect.gen(function* () {
      const { control, provider } = make()
      control.next("open", refuse("NotSignedIn"))
      assert.strictEqual(yield* reasonOf(Effect.scoped(provider.open(opening()))), "NotSignedIn")
      assert.deepEqual(control.live(), [])
    })
  )

  it.effect("plays a turn by hand: what it says is the provider's truth", () =>
    Effect.gen(function* () {
      const { control, listener, provider, session, providerTurnId } = yield* Effect.gen(function* () {
        const scripted = make({ script: () => [{ type: "manual" }] })
        const opened = yield* open(scripted)
        const sent = yield* opened.session.send(prompt(""))
        return { ...scripted, ...opened, ...sent }
      })
      const item = { providerTurnId, providerItemId: "a" }
      yield* control.emit(threadId, { type: "turn.started", providerTurnId, turnId })
      yield* control.emit(threadId, {
        type: "item.started",
        ...item,
        kind: "assistant_message",
        title: "",
        detail: {}
      })
      yield* control.emit(threadId, { type: "text.delta", ...item, text: "by hand" })
      yield* control.emit(threadId, {
        type: "item.completed",
        ...item,
        kind: "assistant_message",
        title: "",
        detail: {},
        end: "completed",
        text: null
      })
      assert.deepEqual(control.live()[0]?.activeTurnId, turnId)
      yield* control.emit(threadId, {
        type: "turn.completed",
        providerTurnId,
        outcome: "completed",
        message: null
      })
      yield* listener.first("turn.completed")
      const evidence = yield* provider.evidence({ resume: session.resume, ...prompt("") })
      assert.deepEqual(evidence, {
        type: "found",
        providerTurnId,
        running: false,
        outcome: "completed",
        message: null,
        texts: [{ kind: "assistant_message", providerItemId: "a", text: "by hand" }]
      })
      // A copy changes nothing in the provider, but is heard: that is what the kernel is tested with.
      yield* control.emit(threadId, {
        type: "turn.completed",
        providerTurnId,
        outcome: "failed",
        message: null
      })
      yield* listener.until("the copy", () => listener.of("turn.completed").length === 2)
      assert.strictEqual(yield* control.ended(turnId), "completed")
    })
  )

  it.effect("interrupts a turn that is played by hand", () =>
    Effect.gen(function* () {
      const scripted = make({ script: () => [{ type: "manual" }] })
      const { session, listener } = yield* open(scripted)
      yield* session.send(prompt(""))
      yield* session.interrupt(null)
      yield* listener.first("turn.completed", (event) => event.outcome === "interrupted")
      assert.strictEqual(yield* scripted.control.ended(turnId), "interrupted")
    })
  )

  it.effect("asks by hand: the request can be answered once", () =>
    Effect.gen(function* () {
      const { control, listener, session, providerTurnId } = yield* begun("[[slow]]")
      const ask = { title: "?", detail: {}, decisions: ["accept" as const], questions: [] }
      yield* control.emit(threadId, {
        type: "request.opened",
        providerTurnId,
        requestKey: "mine",
        kind: "permission",
        ask
      })
      yield* session.answer("mine", { decision: "accept", answers: {} })
      assert.strictEqual(
        yield* reasonOf(session.answer("mine", { decision: "accept", answers: {} })),
        "RequestGone"
      )
      yield* listener.first("request.resolved", (event) => event.requestKey === "mine")
    })
  )

  it.effect("crashes one thread, or the process that serves them all", () =>
    Effect.gen(function* () {
      const scripted = make()
      const { control } = scripted
      const [one, two, three] = [
        yield* open(scripted, { threadId: ThreadId.make("1") }),
        yield* open(scripted, { threadId: ThreadId.make("2") }),
        yield* open(scripted, { threadId: ThreadId.make("3") })
      ]
      yield* control.crash(ThreadId.make("1"))
      yield* one.listener.endedPromptly
      assert.strictEqual(control.live().length, 2)
      yield* control.crash()
      yield* two.listener.endedPromptly
      yield* three.listener.endedPromptly
      assert.deepEqual(control.live(), [])
    })
  )
})

describe("a provider that outlives the server", () => {
  it.effect("works on unheard, is listed, and is taken up again where it stands", () =>
    Effect.gen(function* () {
      const { provider, control, session, listener, close, providerTurnId } = yield* begun("[[slow:10]]")
      control.outlive(true)
      yield* listener.first("text.delta")
      yield* close
      assert.deepEqual(yield* provider.listLive, [
        { threadId, generation: 1, activeProviderTurnId: providerTurnId, activeTurnId: turnId }
      ])
      yield* TestClock.adjust(120)
      const again = yield* open({ provider, control }, { generation: 2, resume: session.resume })
      const heard = yield* again.listener.first("text.delta")
      assert.deepEqual([heard.offset, heard.text], [0, "w0 w1 w2 w3 "])
      yield* again.listener.first("turn.completed")
      assert.strictEqual(again.listener.of("item.completed")[0]?.text, "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 ")
      assert.deepEqual(again.listener.breaches(), [])
      assert.strictEqual((yield* provider.listLive)[0]?.generation, 2)
    })
  )

  it.effect("ends a turn that nobody hears, and tells how when asked", () =>
    Effect.gen(function* () {
      const { provider, control, session, close } = yield* begun("[[slow:100]]", { bufferSize: 1 })
      control.outlive(true)
      yield* close
      yield* TestClock.adjust(10_000)
      assert.strictEqual(yield* control.ended(turnId), "completed")
      const evidence = yield* provider.evidence({ resume: session.resume, ...prompt("") })
      assert.ok(evidence.type === "found" && !evidence.running && evidence.outcome === "completed")
    })
  )

  it.effect("asks an open request again under the same key, where it can", () =>
    Effect.gen(function* () {
      for (const reasksRequests of [true, false]) {
        const asking = yield* begun("[[ask:make]]", {
          capabilities: { reasksRequests, outlivesServer: true }
        })
        asking.control.outlive(true)
        const { requestKey } = yield* asking.listener.first("request.opened")
        yield* asking.close
        const again = yield* open(asking, { generation: 2, resume: asking.session.resume })
        yield* again.listener.first("item.started")
        assert.strictEqual(again.listener.of("request.opened").length, reasksRequests ? 1 : 0)
        yield* again.session.answer(requestKey, { decision: "accept", answers: {} })
        yield* again.listener.first("turn.completed")
      }
    })
  )

  it.effect("ends the older session when another takes its conversation over", () =>
    Effect.gen(function* () {
      const { provider, control, session, listener } = yield* begun("[[slow]]")
      const again = yield* open({ provider, control }, { generation: 2, resume: session.resume })
      yield* listener.endedPromptly
      assert.deepEqual(
        control.live().map((live) => live.generation),
        [2]
      )
      yield* again.session.send(prompt("[[text:ok]]", "second"))
      assert.strictEqual((yield* again.listener.first("turn.completed")).outcome, "completed")
    })
  )
})

describe("the record in files", () => {
  const inDirectory = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "turnkeeper-record-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  )

  it.effect("is there again after the process was killed: what arrived, what ended, what was cut", () =>
    Effect.gen(function* () {
      const recordDirectory = yield* inDirectory
      const before = yield* begun("[[text:whole]]", { recordDirectory })
      yield* before.listener.first("turn.completed")
      yield* before.session.send(prompt("[[slow]]", "cut"))
      // Nothing is told to this object: as when the process is killed, it just is not asked again.
      const { provider, control } = make({ recordDirectory })
      const { resume } = before.session
      const whole = yield* provider.evidence({ resume, ...prompt("") })
      assert.ok(whole.type === "found" && !whole.running && whole.outcome === "completed")
      assert.deepEqual(
        whole.texts.map((one) => one.text),
        ["whole"]
      )
      const cut = yield* provider.evidence({ resume, ...prompt("", "cut") })
      assert.ok(cut.type === "found" && !cut.running && cut.outcome === "interrupted")
      assert.strictEqual((yield* provider.evidence({ resume, ...prompt("", "never") })).type, "absent")

      const after = yield* open({ provider, control }, { generation: 2, resume })
      const sent = yield* after.session.send(prompt("[[text:ok]]", "third"))
      assert.notStrictEqual(sent.providerTurnId, before.providerTurnId)
      yield* after.listener.first("turn.completed")
      assert.deepEqual(
        readReceived(recordDirectory).map((one) => one.turnId),
        ["turn", "cut", "third"]
      )
    })
  )

  it.effect("survives a line that the kill has torn", () =>
    Effect.gen(function* () {
      const recordDirectory = yield* inDirectory
      const before = yield* begun("[[text:whole]]", { recordDirectory })
      yield* before.listener.first("turn.completed")
      const [file] = readdirSync(recordDirectory)
      appendFileSync(join(recordDirectory, file!), '\n{"type":"prompt","providerTu')
      const { provider, control } = make({ recordDirectory })
      const after = yield* open({ provider, control }, { generation: 2, resume: before.session.resume })
      yield* after.session.send(prompt("[[text:ok]]", "second"))
      assert.deepEqual(
        readReceived(recordDirectory).map((one) => one.turnId),
        ["turn", "second"]
      )
    })
  )

  it.effect("has a conversation of its own for every opening without a cursor", () =>
    Effect.gen(function* () {
      const recordDirectory = yield* inDirectory
      const cursors = yield* Effect.forEach([1, 2, 3], (generation) =>
        Effect.scoped(
          Effect.map(
            make({ recordDirectory }).provider.open(opening({ generation })),
            (session) => session.resume
          )
        )
      )
      assert.strictEqual(new Set(cursors).size, 3)
    })
  )

  it.effect("B12: a cursor whose file is gone, or that points elsewhere, says SessionGone", () =>
    Effect.gen(function* () {
      const recordDirectory = yield* inDirectory
      const { provider } = make({ recordDirectory })
      for (const resume of ["conv-000000000000000000000000-1", "../../etc/passwd", ""]) {
        assert.strictEqual(yield* reasonOf(Effect.scoped(provider.open(opening({ resume })))), "SessionGone")
        assert.strictEqual((yield* provider.evidence({ resume, ...prompt("") })).type, "none")
      }
    })
  )
})
