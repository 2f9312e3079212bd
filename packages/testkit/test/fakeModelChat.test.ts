/** The chat-completions API of the fake model, over real sockets. */
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

const bash = { type: "function", function: { name: "bash", parameters: {} } }
const user = (content: unknown) => ({ role: "user", content })

const ask = (model: RunningFakeModel, messages: ReadonlyArray<object>, changes: object = {}) =>
  fetch(`${model.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "fake-model", stream: true, tools: [bash], messages, ...changes })
  })

interface Chunk {
  /** Absent where the API tells of an error. */
  readonly choices?: ReadonlyArray<{
    readonly delta: {
      readonly content?: string
      readonly reasoning_content?: string
      readonly tool_calls?: ReadonlyArray<{
        readonly id: string
        readonly function: { readonly name: string; readonly arguments: string }
      }>
    }
    readonly finish_reason: string | null
  }>
  readonly usage?: { readonly total_tokens: number }
  readonly error?: { readonly message: string }
}

const chunksOf = (text: string): ReadonlyArray<Chunk> =>
  text
    .split("\n\n")
    .filter((line) => line.startsWith("data: ") && line !== "data: [DONE]")
    .map((line) => JSON.parse(line.slice("data: ".length)) as Chunk)

const read = async (response: Response) => {
  const text = await response.text()
  const chunks = chunksOf(text)
  const deltas = chunks.flatMap(({ choices }) => choices ?? [])
  return {
    chunks,
    done: text.endsWith("data: [DONE]\n\n"),
    text: deltas.map(({ delta }) => delta.content ?? "").join(""),
    thought: deltas.map(({ delta }) => delta.reasoning_content ?? "").join(""),
    calls: deltas.flatMap(({ delta }) => delta.tool_calls ?? []),
    finish: deltas.map(({ finish_reason }) => finish_reason).filter((reason) => reason !== null)
  }
}

describe("the chat-completions API", () => {
  it("streams a text in pieces, then its end and the usage", async () => {
    const answer = await read(await ask(await fake(), [user("[[text:hi there]]")]))
    expect(answer).toMatchObject({ text: "hi there", finish: ["stop"], done: true })
    expect(answer.chunks.at(-1)?.usage?.total_tokens).toBe(110)
    expect(answer.chunks.filter(({ choices }) => choices?.[0]?.delta.content)).toHaveLength(2)
  })

  it("streams a thought before its text", async () => {
    const answer = await read(await ask(await fake(), [user("[[think:because]]")]))
    expect(answer.thought).toBe("because")
    expect(answer.text).toBe(answers.thought)
  })

  it("calls the tool that is offered, and goes on after its result", async () => {
    const model = await fake()
    const asked = [user([{ type: "text", text: "[[shell:echo hi]]" }])]
    const first = await read(await ask(model, asked))
    expect(first.finish).toEqual(["tool_calls"])
    expect(first.calls[0]?.function.name).toBe("bash")
    expect(JSON.parse(first.calls[0]?.function.arguments ?? "")).toMatchObject({ command: "echo hi" })
    const after = [
      ...asked,
      { role: "assistant", content: null, tool_calls: [] },
      { role: "tool", tool_call_id: first.calls[0]?.id, content: "hi" }
    ]
    const second = await read(await ask(model, after))
    expect(second).toMatchObject({ text: answers.afterTool, finish: ["stop"], calls: [] })
  })

  it("counts a turn once over its tool calls, and the same words said again as another", async () => {
    const model = await fake()
    const asked = [user("[[shell:echo hi]] [[id:one]]")]
    await read(await ask(model, asked))
    await read(await ask(model, [...asked, { role: "tool", content: "hi" }]))
    expect(model.promptsSeen("one")).toBe(1)
    await read(await ask(model, [...asked, { role: "assistant", content: "yes" }, ...asked]))
    expect(model.promptsSeen("one")).toBe(2)
  })

  it("fails the first attempts of a turn and recovers", async () => {
    const model = await fake()
    const asked = [user("[[http:500:1]]")]
    const refused = await ask(model, asked)
    expect(refused.status).toBe(500)
    expect(await refused.json()).toMatchObject({ error: { type: "server_error" } })
    expect((await read(await ask(model, asked))).text).toBe(answers.recovered(1))
  })

  it("breaks a stream off in the middle", async () => {
    const response = await ask(await fake(), [user("[[drop]]")])
    await expect(response.text()).rejects.toThrow("terminated")
  })

  it("tells of an error inside a stream that began well", async () => {
    const answer = await read(await ask(await fake(), [user("[[failed]]")]))
    expect(answer.chunks.at(-1)?.error?.message).toContain("fails")
    expect(answer.done).toBe(false)
  })

  it("answers what an agent asks beside its turns, and does not count it", async () => {
    const model = await fake()
    const answer = await read(await ask(model, [user("[[shell:echo]] [[id:side]]")], { tools: [] }))
    expect(answer.text).toBe(answers.side)
    expect(model.promptsSeen("side")).toBe(0)
  })

  it("answers in one piece when no stream is asked for", async () => {
    const response = await ask(await fake(), [user("[[slow:3]]")], { stream: false })
    expect(await response.json()).toMatchObject({
      choices: [{ message: { content: slowText(3) }, finish_reason: "stop" }]
    })
  })
})
