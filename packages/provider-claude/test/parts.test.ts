/** The parts that need no Claude: its record, our notes, the gate, the input, and how the SDK is found. */
import { assert, describe, it } from "@effect/vitest"
import { MessageId } from "@turnkeeper/domain/ids"
import { Effect, Fiber } from "effect"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeGate } from "../src/gate.ts"
import * as Handed from "../src/Handed.ts"
import { healthOf } from "../src/health.ts"
import * as Inbox from "../src/Inbox.ts"
import type { Line } from "../src/record.ts"
import * as Record from "../src/record.ts"
import * as Sdk from "../src/sdk.ts"
import type { UserMessage } from "../src/sdk.ts"
import { policyOf, uuidOf } from "../src/settings.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "claude-parts-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
)

const prompt = (uuid: string): Line => ({ type: "user", uuid, promptId: uuid, message: { content: "do it" } })
const said = (promptId: string, content: string): Line => ({ type: "user", promptId, message: { content } })
const answer = (text: string, stop_reason: string | null, id = "m"): Line => ({
  type: "assistant",
  message: { id, stop_reason, content: [{ type: "text", text }] }
})
const result: Line = { type: "user", promptId: "p", message: { content: [{ type: "tool_result" }] } }

const turnIn = (lines: ReadonlyArray<Line>) => {
  const reader = Record.turnReader("p")
  for (const line of lines) reader.read(line)
  return reader.turn()
}

describe("the record", () => {
  it("L7: a turn is completed only when the model itself ended it", () => {
    const outcomeOf = (...lines: ReadonlyArray<Line>) => turnIn([prompt("p"), ...lines])?.outcome
    assert.equal(outcomeOf(answer("done", "end_turn")), "completed")
    assert.equal(outcomeOf(answer("look", "tool_use"), result, answer("done", "end_turn")), "completed")
    assert.equal(outcomeOf(), "interrupted")
    assert.equal(outcomeOf(answer("look", "tool_use")), "interrupted")
    assert.equal(outcomeOf(answer("look", "tool_use"), result), "interrupted")
    assert.equal(outcomeOf(answer("half", null), said("p", "[stopped]")), "interrupted")
    const failed = { ...answer("API Error: 400", "stop_sequence"), isApiErrorMessage: true }
    assert.deepInclude(turnIn([prompt("p"), failed]), { outcome: "failed", message: "API Error: 400" })
  })

  it("L7: what Claude writes to mend a cut turn does not complete it", () => {
    const mended: Line = {
      type: "assistant",
      message: { id: "x", model: "<synthetic>", stop_reason: "stop_sequence", content: "No response." }
    }
    const turn = turnIn([prompt("p"), mended, prompt("q"), answer("done", "end_turn")])
    assert.deepInclude(turn, { outcome: "interrupted", texts: [] })
  })

  it("L4: only what follows under the same prompt belongs to the turn", () => {
    const turn = turnIn([
      prompt("o"),
      answer("before", "end_turn"),
      prompt("p"),
      { ...answer("of a helper", "end_turn"), isSidechain: true },
      answer("ours", "end_turn", "m1"),
      prompt("q"),
      answer("after", "end_turn")
    ])
    assert.deepEqual(turn?.texts, [{ kind: "assistant_message", providerItemId: "m1/0", text: "ours" }])
    assert.isNull(turnIn([prompt("o"), answer("before", "end_turn")]))
  })

  it.effect("is read although its last line is torn, and knows no message that is not in it", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const id = "0b7f7f1c-0000-4000-8000-000000000001"
      mkdirSync(join(path, "projects", "-home"), { recursive: true })
      const file = join(path, "projects", "-home", `${id}.jsonl`)
      const env = { CLAUDE_CONFIG_DIR: path }
      assert.isNull(Record.fileOf(env, id))
      assert.isNull(Record.fileOf(env, "../../etc/passwd"))
      writeFileSync(file, '{"type":"queue-operation"}\n')
      assert.equal(Record.fileOf(env, id), file)
      assert.isFalse(yield* Record.hasMessages(file))
      const lines = [prompt("p"), answer("done", "end_turn")].map((line) => JSON.stringify(line))
      writeFileSync(file, `${lines.join("\n")}\n{"type":"cost-state","totalCostUSD":1.5}\n{"type":"user","uu`)
      assert.isTrue(yield* Record.hasMessages(file))
      assert.equal((yield* Record.readTurn(file, "p"))?.outcome, "completed")
      assert.isNull(yield* Record.readTurn(file, "q"))
      assert.equal(Record.costIn(file), 1.5)
    })
  )
})

describe("the notes of what was handed over", () => {
  it.effect("L12: tell handed over from taken, and nothing of a conversation that is not ours", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const notes = Handed.make(directory)
      assert.isNull(notes.read("s"))
      notes.begin("s")
      assert.equal(notes.read("s")?.size, 0)
      notes.note("s", "one", "handed")
      notes.note("s", "one", "taken")
      notes.note("s", "two", "handed")
      // As a later server finds them.
      assert.deepEqual(
        [...(Handed.make(directory).read("s") ?? [])],
        [
          ["one", "taken"],
          ["two", "handed"]
        ]
      )
      notes.begin("s")
      assert.equal(notes.read("s")?.size, 2)
      for (let index = 0; index < 150; index++) notes.note("s", `m${index}`, "taken")
      assert.equal(notes.read("s")?.size, 100)
      writeFileSync(join(directory, "s.json"), '[["one","tak')
      assert.isNull(notes.read("s"))
    })
  )
})

describe("the gate", () => {
  it.effect("passes nothing while it is closed, but for so much as a call's answer may need", () =>
    Effect.gen(function* () {
      const gate = makeGate(10)
      const passed: Array<string> = []
      gate.stream.on("data", (chunk: Buffer) => passed.push(chunk.toString()))
      const settled = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      gate.stream.write("one")
      yield* settled
      gate.close()
      gate.stream.write("two")
      yield* settled
      assert.deepEqual(passed, ["one"])
      const call = yield* Effect.forkChild(gate.readAhead(Effect.never))
      yield* settled
      gate.stream.write("three three")
      gate.stream.write("four")
      yield* settled
      assert.deepEqual(passed, ["one", "two", "three three"])
      yield* Fiber.interrupt(call)
      gate.open()
      yield* settled
      assert.deepEqual(passed, ["one", "two", "three three", "four"])
    })
  )
})

describe("the input", () => {
  it.effect("gives each message once, in order, waits for the next one, and ends when it is told to", () =>
    Effect.gen(function* () {
      const inbox = Inbox.make()
      const message = (uuid: string): UserMessage => ({
        type: "user",
        message: { role: "user", content: [] },
        parent_tool_use_id: null,
        uuid
      })
      const reader = inbox[Symbol.asyncIterator]()
      inbox.push(message("one"))
      inbox.push(message("two"))
      const next = Effect.promise(() => reader.next())
      assert.equal((yield* next).value?.uuid, "one")
      assert.equal((yield* next).value?.uuid, "two")
      const waiting = yield* Effect.forkChild(next, { startImmediately: true })
      inbox.push(message("three"))
      assert.equal((yield* Fiber.join(waiting)).value?.uuid, "three")
      inbox.end()
      assert.isTrue((yield* next).done)
    })
  )
})

describe("settings", () => {
  it("L12: a message has the same name at Claude every time, and another one another", () => {
    const name = uuidOf(MessageId.make("m1"))
    assert.match(name, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.equal(name, uuidOf(MessageId.make("m1")))
    assert.notEqual(name, uuidOf(MessageId.make("m2")))
  })

  it("a question and the end of a plan are always the user's, whatever else is free", () => {
    const free = { runtimeMode: "full_access", interactionMode: "default" } as const
    assert.equal(policyOf(free, "Bash"), "allow")
    assert.equal(policyOf(free, "AskUserQuestion"), "ask")
    assert.equal(policyOf({ ...free, interactionMode: "plan" }, "ExitPlanMode"), "ask")
    assert.equal(policyOf({ ...free, interactionMode: "plan" }, "Write"), "deny")
    assert.equal(policyOf({ ...free, runtimeMode: "read_only" }, "Edit"), "deny")
    assert.equal(policyOf({ ...free, runtimeMode: "read_only" }, "Bash"), "ask")
  })
})

describe("the SDK", () => {
  it.effect("is found by its folder or its module, and nothing is found where it is not", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const home = join(path, "node_modules", Sdk.packageName)
      assert.isNull(Sdk.find(home, {}))
      mkdirSync(home, { recursive: true })
      writeFileSync(join(home, "package.json"), '{"main":"main.mjs","version":"1.2.3"}')
      assert.isNull(Sdk.find(home, {}))
      writeFileSync(join(home, "main.mjs"), "export const query = () => null")
      const found = { entry: join(home, "main.mjs"), version: "1.2.3" }
      assert.deepEqual(Sdk.find(home, {}), found)
      assert.deepEqual(Sdk.find(found.entry, {}), found)
      assert.deepEqual(Sdk.find(undefined, { TURNKEEPER_CLAUDE_SDK: home }), found)
      assert.deepEqual(Sdk.find(undefined, {}, join(path, "deep", "er")), found)
      assert.equal(typeof (yield* Sdk.load(found)).query, "function")
      writeFileSync(join(home, "other.mjs"), "export const nothing = 1")
      const other = yield* Effect.flip(Sdk.load({ entry: join(home, "other.mjs"), version: null }))
      assert.equal(other._tag, "SdkMissing")
    })
  )

  it("nobody is signed in without a key or a token, unless another service does it", () => {
    const statusOf = (account: object) => healthOf({ account }, null).status
    assert.equal(statusOf({ tokenSource: "none", apiKeySource: "none" }), "not_signed_in")
    assert.equal(statusOf({ tokenSource: "none", apiKeySource: "ANTHROPIC_API_KEY" }), "ready")
    assert.equal(statusOf({ tokenSource: "claude.ai" }), "ready")
    assert.equal(statusOf({ apiProvider: "bedrock" }), "ready")
  })
})
