import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { assert, it as effectIt } from "@effect/vitest"
import { Effect } from "effect"
import { afterEach, describe, expect, it } from "vitest"
import { FakeModel } from "../src/fakeModel/FakeModel.ts"
import { answers, directiveOf, markersOf, slowText, words } from "../src/fakeModel/script.ts"
import { start } from "../src/fakeModel/server.ts"
import type { FakeModelOptions, RunningFakeModel } from "../src/fakeModel/server.ts"

const running: Array<RunningFakeModel> = []
const fake = async (options: FakeModelOptions = {}) => {
  const model = await start({ delayMs: 0, slowDelayMs: 0, ...options })
  running.push(model)
  return model
}
afterEach(async () => {
  await Promise.all(running.splice(0).map((model) => model.close()))
})

const execCommand = { type: "function", name: "exec_command" }

interface Ask {
  readonly prompt: string
  readonly turn?: string
  readonly kind?: string
  readonly tools?: ReadonlyArray<object>
  readonly before?: ReadonlyArray<object>
  readonly after?: ReadonlyArray<object>
  readonly signal?: AbortSignal
}

const user = (text: string) => ({ type: "message", role: "user", content: [{ type: "input_text", text }] })

const ask = (
  model: RunningFakeModel,
  { after = [], before = [], prompt, tools = [execCommand], ...rest }: Ask
) =>
  fetch(`${model.url}/v1/responses`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(rest.turn !== undefined && {
        "x-codex-turn-metadata": JSON.stringify({
          turn_id: rest.turn,
          thread_id: "thread",
          request_kind: rest.kind ?? "turn"
        })
      })
    },
    body: JSON.stringify({
      model: "fake-model",
      stream: true,
      tools,
      input: [...before, user(prompt), ...after]
    }),
    ...(rest.signal !== undefined && { signal: rest.signal })
  })

interface Streamed {
  readonly type: string
  readonly delta?: string
  readonly item?: {
    readonly id: string
    readonly name?: string
    readonly arguments?: string
    readonly input?: string
  }
  readonly response?: { readonly id: string }
}

const eventsOf = (body: string): ReadonlyArray<Streamed> =>
  body
    .split("\n\n")
    .filter((block) => block !== "")
    .map((block) => JSON.parse(block.slice(block.indexOf("data: ") + 6)) as Streamed)

const streamed = async (response: Response) => {
  const events = eventsOf(await response.text())
  const text = events
    .filter((event) => event.type === "response.output_text.delta")
    .map((event) => event.delta)
    .join("")
  const call = events.find(
    (event) => event.type === "response.output_item.done" && event.item?.name !== undefined
  )
  return { events, text, call: call?.item, types: events.map((event) => event.type) }
}

describe("directives", () => {
  it("the last one counts, and a marker is none", () => {
    expect(directiveOf("[[drop]] then [[text:a [b] c]] and [[id:x]]")).toEqual({
      name: "text",
      argument: "a [b] c"
    })
    expect(directiveOf("no directive [[id:x]]")).toBeNull()
    expect(markersOf("[[id:x]] [[slow]] [[id:y-1]]")).toEqual(["x", "y-1"])
  })

  it("a text is the sum of its words", () => {
    expect(words("one  two three").join("")).toBe("one  two three")
    expect(slowText(3)).toBe("w0 w1 w2 ")
  })
})

describe("the Responses API", () => {
  it("streams a text word by word and completes", async () => {
    const model = await fake()
    const { events, text, types } = await streamed(await ask(model, { prompt: "[[text:one two three]]" }))
    expect(text).toBe("one two three")
    expect(events.filter((event) => event.delta !== undefined)).toHaveLength(3)
    expect(types[0]).toBe("response.created")
    expect(types.at(-1)).toBe("response.completed")
  })

  it("sends the reasoning before the text", async () => {
    const model = await fake()
    const { text, types } = await streamed(await ask(model, { prompt: "[[think:why so]]" }))
    expect(types.indexOf("response.reasoning_summary_text.delta")).toBeGreaterThan(0)
    expect(types.indexOf("response.reasoning_summary_text.delta")).toBeLessThan(
      types.indexOf("response.output_text.delta")
    )
    expect(text).toBe(answers.thought)
  })

  it("calls the shell tool once, and answers in words when its result is there", async () => {
    const model = await fake()
    const first = await streamed(await ask(model, { prompt: "[[shell:echo hi]]" }))
    expect(first.call?.name).toBe("exec_command")
    expect(JSON.parse(first.call?.arguments ?? "")).toEqual({ cmd: "echo hi" })
    const after = [{ type: "function_call_output", call_id: "call_1", output: "hi" }]
    const second = await streamed(await ask(model, { prompt: "[[shell:echo hi]]", after }))
    expect(second.call).toBeUndefined()
    expect(second.text).toBe(answers.afterTool)
  })

  it("asks for escalation only where the prompt says ask", async () => {
    const model = await fake()
    const { call } = await streamed(await ask(model, { prompt: "[[ask:rm x]]" }))
    expect(JSON.parse(call?.arguments ?? "")).toMatchObject({
      cmd: "rm x",
      sandbox_permissions: "require_escalated"
    })
  })

  it("finds a tool inside a namespace, and takes plain text where the tool does", async () => {
    const model = await fake()
    const tools = [{ type: "namespace", name: "files", tools: [{ type: "custom", name: "apply_patch" }] }]
    const { call } = await streamed(await ask(model, { prompt: "[[write:a.txt|one\ntwo]]", tools }))
    expect(call?.name).toBe("apply_patch")
    expect(call?.input).toBe("*** Begin Patch\n*** Add File: a.txt\n+one\n+two\n*** End Patch\n")
  })

  it("writes a file by a patch in a shell command where there is no tool for files", async () => {
    const model = await fake()
    const { call } = await streamed(await ask(model, { prompt: "[[write:a.txt|one]]" }))
    expect(JSON.parse(call?.arguments ?? "")).toEqual({
      cmd: "apply_patch <<'PATCH'\n*** Begin Patch\n*** Add File: a.txt\n+one\n*** End Patch\nPATCH\n"
    })
  })

  it("fails with a status for the first attempts of a turn only, and for each turn anew", async () => {
    const model = await fake()
    const prompt = "[[http:503:2]]"
    const statuses = async (turn: string) => {
      const seen: Array<number> = []
      for (let attempt = 0; attempt < 3; attempt++) {
        const response = await ask(model, { prompt, turn })
        seen.push(response.status)
        if (response.ok) expect((await streamed(response)).text).toBe(answers.recovered(2))
        else await response.text()
      }
      return seen
    }
    expect(await statuses("one")).toEqual([503, 503, 200])
    expect(await statuses("two")).toEqual([503, 503, 200])
  })

  it("cuts the connection in the middle of a dropped answer, after its words", async () => {
    const model = await fake()
    const dropped = await ask(model, { prompt: "[[drop:1]]", turn: "t" })
    const reader = dropped.body!.pipeThrough(new TextDecoderStream()).getReader()
    let heard = ""
    const read = async () => {
      for (let part = await reader.read(); !part.done; part = await reader.read()) heard += part.value
    }
    await expect(read()).rejects.toThrow()
    expect(
      eventsOf(heard)
        .map((event) => event.delta ?? "")
        .join("")
    ).toBe(answers.half)
    const { text } = await streamed(await ask(model, { prompt: "[[drop:1]]", turn: "t" }))
    expect(text).toBe(answers.recovered(1))
    expect(model.requests().map((request) => request.ended)).toEqual(["cut", "answered"])
  })

  it("reports an error inside the stream", async () => {
    const model = await fake()
    const { types } = await streamed(await ask(model, { prompt: "[[failed]]" }))
    expect(types).toEqual(["response.created", "response.failed"])
  })

  it("refuses without a byte", async () => {
    const model = await fake()
    await expect(ask(model, { prompt: "[[refuse]]" })).rejects.toThrow("fetch failed")
  })

  it("streams slow words one by one as they are paced", async () => {
    const gates = new Map<number, () => void>()
    const arrived: Array<PromiseWithResolvers<void>> = [Promise.withResolvers(), Promise.withResolvers()]
    const model = await fake({
      pace: ({ sent, slow }) =>
        new Promise((resolve) => {
          expect(slow).toBe(true)
          gates.set(sent, resolve)
          arrived[sent - 1]?.resolve()
        })
    })
    const answered = ask(model, { prompt: "[[slow:3]]" }).then(streamed)
    await arrived[0]!.promise
    expect(model.requests()[0]).toMatchObject({ words: 1, ended: "open" })
    gates.get(1)!()
    await arrived[1]!.promise
    expect(model.requests()[0]).toMatchObject({ words: 2, ended: "open" })
    gates.get(2)!()
    expect((await answered).text).toBe(slowText(3))
  })

  it("an endless answer ends when the client leaves", async () => {
    const model = await fake()
    const leave = new AbortController()
    const answer = await ask(model, { prompt: "[[slow]]", signal: leave.signal })
    await model.waitFor((request) => request.words > 20)
    leave.abort()
    const request = await model.waitFor((one) => one.ended !== "open")
    expect(request.ended).toBe("client left")
    await expect(answer.text()).rejects.toThrow()
  })

  it("a stalled answer says one word and stays open until the client leaves", async () => {
    const model = await fake()
    const leave = new AbortController()
    const answer = await ask(model, { prompt: "[[stall]]", signal: leave.signal })
    const request = await model.waitFor((one) => one.words === 1)
    expect(request.ended).toBe("open")
    leave.abort()
    await model.waitFor((one) => one.ended === "client left")
    await expect(answer.text()).rejects.toThrow()
  })

  it("answers a request without tools as the side request that it is", async () => {
    const model = await fake()
    const { text } = await streamed(
      await ask(model, { prompt: "[[text:title?]] [[id:x]]", tools: [], turn: "t" })
    )
    expect(text).toBe(answers.side)
    expect(model.promptsSeen("x")).toBe(0)
  })

  it("takes what an agent says in the user's name for no prompt", async () => {
    const model = await fake()
    const after = [user("<turn_aborted>\nThe user interrupted. [[id:no]]\n</turn_aborted>")]
    const { text } = await streamed(await ask(model, { prompt: "[[text:mine]] [[id:x]]", after, turn: "t" }))
    expect(text).toBe("mine")
    expect(model.promptsSeen("x")).toBe(1)
    expect(model.promptsSeen("no")).toBe(0)
  })

  it("never gives an id twice, not even after a restart", async () => {
    const ids = new Set<string>()
    for (let round = 0; round < 3; round++) {
      const model = await fake()
      for (let n = 0; n < 3; n++) {
        const { events } = await streamed(await ask(model, { prompt: "[[text:x]]" }))
        ids.add(events[0]!.response!.id)
        ids.add(events.find((event) => event.item !== undefined)!.item!.id)
      }
    }
    expect(ids.size).toBe(18)
  })

  it("lists a model, and says so where it has nothing", async () => {
    const model = await fake()
    const list = await fetch(`${model.url}/v1/models`)
    expect(await list.json()).toMatchObject({ data: [{ id: "fake-model" }] })
    expect((await fetch(`${model.url}/v1/nothing`)).status).toBe(404)
    expect((await fetch(`${model.url}/v1/responses`, { method: "POST", body: "{" })).status).toBe(400)
  })
})

describe("what it remembers", () => {
  it("counts a marker once per turn, however often the turn is tried again", async () => {
    const model = await fake()
    for (const turn of ["one", "one", "two"]) await (await ask(model, { prompt: "[[id:m]]", turn })).text()
    expect(model.promptsSeen("m")).toBe(2)
    expect(model.promptsSeen("other")).toBe(0)
  })

  it("counts a marker only while it is in the newest user text", async () => {
    const model = await fake()
    await (await ask(model, { prompt: "[[id:old]]", turn: "one" })).text()
    await (await ask(model, { before: [user("[[id:old]]")], prompt: "next [[id:new]]", turn: "two" })).text()
    expect(model.markers()).toEqual(
      new Map([
        ["old", 1],
        ["new", 1]
      ])
    )
  })

  it("counts requests without a tool's result where the agent does not name its turns", async () => {
    const model = await fake()
    const after = [{ type: "function_call_output", output: "done" }]
    await (await ask(model, { prompt: "[[shell:x]] [[id:m]]" })).text()
    await (await ask(model, { prompt: "[[shell:x]] [[id:m]]", after })).text()
    expect(model.promptsSeen("m")).toBe(1)
  })

  it("keeps the context of the newest request, and of the newest one with a marker", async () => {
    const model = await fake()
    const before = [user("earlier"), { type: "message", role: "assistant", content: [{ text: "said" }] }]
    await (await ask(model, { before, prompt: "[[id:a]]", turn: "one" })).text()
    await (await ask(model, { prompt: "[[id:b]]", turn: "two" })).text()
    expect(model.contextTexts()).toEqual(["[[id:b]]"])
    expect(model.contextTexts("a")).toEqual(["earlier", "said", "[[id:a]]"])
  })

  it("keeps the newest thousand requests", async () => {
    const model = await fake()
    for (let n = 0; n < 1_010; n++) await (await fetch(`${model.url}/v1/models`)).text()
    expect(model.requests()).toHaveLength(1_000)
    expect(model.requests()[0]!.number).toBe(11)
  })

  it("says at the deadline what was asked instead", async () => {
    const model = await fake()
    await (await ask(model, { prompt: "[[text:a]]" })).text()
    await expect(model.waitFor((request) => request.prompt === "b", 1)).rejects.toThrow("[[text:a]]")
  })

  it("lets nobody wait for a model that is closed", async () => {
    const model = await fake()
    const waits = expect(model.waitFor(() => false)).rejects.toThrow("closed")
    await model.close()
    await waits
    await expect(model.waitFor(() => false)).rejects.toThrow("closed")
  })
})

describe("how it runs", () => {
  effectIt.effect("as a service, for as long as its scope", () =>
    Effect.gen(function* () {
      const url = yield* Effect.gen(function* () {
        const model = yield* FakeModel
        const answer = yield* Effect.promise(() => fetch(`${model.url}/v1/models`).then((one) => one.status))
        assert.strictEqual(answer, 200)
        return model.url
      }).pipe(Effect.provide(FakeModel.layer()))
      const gone = yield* Effect.tryPromise(() => fetch(`${url}/v1/models`)).pipe(Effect.flip)
      assert.isDefined(gone)
    })
  )

  it("as a process that says where it is and ends when told to", async () => {
    const main = join(import.meta.dirname, "../src/fakeModel/main.ts")
    const child = spawn(process.execPath, [main, "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] })
    const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string]
    const ready = JSON.parse(line) as { event: string; url: string }
    expect(ready.event).toBe("ready")
    expect((await fetch(`${ready.url}/v1/models`)).status).toBe(200)
    child.kill("SIGTERM")
    expect(await once(child, "exit")).toEqual([0, null])
  })
})
