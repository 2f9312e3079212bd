/** The Messages API of the fake model, over real sockets. */
import { afterEach, describe, expect, it } from "vitest"
import { answers, slowText } from "../src/fakeModel/script.ts"
import { start } from "../src/fakeModel/server.ts"
import type { RunningFakeModel } from "../src/fakeModel/server.ts"

const running: Array<RunningFakeModel> = []
const fake = async () => {
  const model = await start({ delayMs: 0, slowDelayMs: 0 })
  running.push(model)
  return model
}
afterEach(async () => {
  await Promise.all(running.splice(0).map((model) => model.close()))
})

const bash = { name: "Bash", input_schema: {} }
const reminder = { type: "text", text: "<system-reminder>\nUse [[http:400]].\n</system-reminder>\n" }
const text = (said: string) => ({ type: "text", text: said })
const user = (...content: ReadonlyArray<object>) => ({ role: "user", content })

const ask = (model: RunningFakeModel, messages: ReadonlyArray<object>, changes: object = {}) =>
  fetch(`${model.url}/v1/messages?beta=true`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-claude-code-session-id": "session-1" },
    body: JSON.stringify({ model: "fake-model", stream: true, tools: [bash], messages, ...changes })
  })

interface Event {
  readonly type: string
  readonly index?: number
  readonly content_block?: { readonly type: string; readonly id?: string; readonly name?: string }
  readonly delta?: {
    readonly text?: string
    readonly thinking?: string
    readonly partial_json?: string
    readonly stop_reason?: string
  }
  readonly usage?: { readonly output_tokens: number }
  readonly error?: { readonly type: string }
}

const read = async (response: Response) => {
  const events = (await response.text())
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice("data: ".length)) as Event)
  const deltas = events.flatMap(({ delta }) => delta ?? [])
  return {
    events,
    types: events.map(({ type }) => type),
    text: deltas.map((delta) => delta.text ?? "").join(""),
    thought: deltas.map((delta) => delta.thinking ?? "").join(""),
    input: deltas.map((delta) => delta.partial_json ?? "").join(""),
    stop: deltas.flatMap(({ stop_reason }) => stop_reason ?? [])
  }
}

describe("the Messages API", () => {
  it("streams a text in pieces inside a block, then its end and the usage", async () => {
    const answer = await read(await ask(await fake(), [user(text("[[text:hi there]]"))]))
    expect(answer).toMatchObject({ text: "hi there", stop: ["end_turn"] })
    expect(answer.types).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop"
    ])
    expect(answer.events.at(-2)?.usage?.output_tokens).toBe(10)
  })

  it("streams a thought in a block of its own before its text", async () => {
    const answer = await read(await ask(await fake(), [user(text("[[think:because]]"))]))
    expect(answer).toMatchObject({ thought: "because", text: answers.thought })
    const blocks = answer.events.filter(({ type }) => type === "content_block_start")
    expect(blocks.map(({ index, content_block }) => [index, content_block?.type])).toEqual([
      [0, "thinking"],
      [1, "text"]
    ])
  })

  it("takes what the agent adds in the user's name for no prompt", async () => {
    const model = await fake()
    const answer = await read(await ask(model, [user(reminder, text("[[text:mine]]"), reminder)]))
    expect(answer.text).toBe("mine")
    expect(model.requests()[0]).toMatchObject({ prompt: "[[text:mine]]", threadId: "session-1" })
  })

  it("calls the tool that is offered, and goes on after its result", async () => {
    const model = await fake()
    const asked = [user(text("[[shell:echo hi]]"))]
    const first = await read(await ask(model, asked))
    expect(first.stop).toEqual(["tool_use"])
    expect(JSON.parse(first.input)).toMatchObject({ command: "echo hi" })
    const [call] = first.events.flatMap(({ content_block }) => content_block ?? [])
    expect(call).toMatchObject({ type: "tool_use", name: "Bash" })
    const result = user({ type: "tool_result", tool_use_id: call?.id, content: [text("hi")] })
    const second = await read(await ask(model, [...asked, { role: "assistant", content: [call] }, result]))
    expect(second).toMatchObject({ text: answers.afterTool, stop: ["end_turn"] })
  })

  it("calls any tool by its name with the input that is written down, and says when it is not offered", async () => {
    const model = await fake()
    const asked = [user(text('[[tool:Look|{"at":[{"x":1}]}]]'))]
    const offered = await read(await ask(model, asked, { tools: [{ name: "Look" }] }))
    expect(JSON.parse(offered.input)).toEqual({ at: [{ x: 1 }] })
    expect((await read(await ask(model, asked))).text).toBe("There is no tool for this.")
  })

  it("counts a turn once over its tool calls, and the same words said again as another", async () => {
    const model = await fake()
    const asked = [user(text("[[shell:echo hi]] [[id:one]]"))]
    await read(await ask(model, asked))
    await read(await ask(model, [...asked, user({ type: "tool_result", content: "hi" })]))
    expect(model.promptsSeen("one")).toBe(1)
    await read(await ask(model, [...asked, { role: "assistant", content: "yes" }, ...asked]))
    expect(model.promptsSeen("one")).toBe(2)
  })

  it("fails the first attempts of a turn and recovers", async () => {
    const model = await fake()
    const asked = [user(text("[[http:529:1]]"))]
    const refused = await ask(model, asked)
    expect(refused.status).toBe(529)
    expect(await refused.json()).toMatchObject({ type: "error", error: { type: "overloaded_error" } })
    expect((await read(await ask(model, asked))).text).toBe(answers.recovered(1))
  })

  it("breaks a stream off in the middle", async () => {
    const response = await ask(await fake(), [user(text("[[drop]]"))])
    await expect(response.text()).rejects.toThrow("terminated")
  })

  it("tells of an error inside a stream that began well", async () => {
    const answer = await read(await ask(await fake(), [user(text("[[failed]]"))]))
    expect(answer.types).toEqual(["message_start", "error"])
    expect(answer.events.at(-1)?.error?.type).toBe("overloaded_error")
  })

  it("answers in one piece when no stream is asked for", async () => {
    const response = await ask(await fake(), [user(text("[[slow:3]]"))], { stream: false })
    expect(await response.json()).toMatchObject({
      content: [{ type: "text", text: slowText(3) }],
      stop_reason: "end_turn"
    })
  })
})
