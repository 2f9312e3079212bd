/** The Responses API (`POST …/responses`, server-sent events): what Codex speaks. */
import type { IncomingHttpHeaders } from "node:http"
import { isRecord, records, string } from "./Api.ts"
import type { Api, ContextText, Conversation, Named, Out, Said, Tool, Voice } from "./Api.ts"
import { conversationOf, errorOf, header, textOf } from "./read.ts"
import { words } from "./script.ts"
import type { ToolCall } from "./tools.ts"

export const responses: Api = {
  name: "responses",
  matches: (method, path) => method === "POST" && path.endsWith("/responses"),
  read: (body, headers) => read(isRecord(body) ? body : {}, headers),
  errorBody: (status) => ({ error: { ...errorOf(status), code: null } }),
  voice: (named, write) => voice(named, write),
  whole: (said, named) => whole(said, named)
}

const read = (body: Record<string, unknown>, headers: IncomingHttpHeaders): Conversation => {
  const input =
    typeof body["input"] === "string"
      ? [{ type: "message", role: "user", content: body["input"] }]
      : records(body["input"])
  return conversationOf({
    body,
    texts: input.map(readItem),
    tools: records(body["tools"]).flatMap(readTool),
    ...turnOf(headers)
  })
}

const readItem = (item: Record<string, unknown>): ContextText =>
  string(item["type"]).endsWith("_output")
    ? { role: "tool", text: textOf(item["output"]) }
    : { role: string(item["role"]), text: textOf(item["content"]) }

/** A tool may be hidden in a namespace. */
const readTool = (tool: Record<string, unknown>): ReadonlyArray<Tool> =>
  Array.isArray(tool["tools"])
    ? records(tool["tools"]).flatMap(readTool)
    : [{ name: string(tool["name"]), type: string(tool["type"]) }]

/** Codex names its turn in a header: that tells a retry of a request from another turn. */
const turnOf = (headers: IncomingHttpHeaders) => {
  const nothing = { threadId: null, turnId: null, main: true }
  try {
    const metadata: unknown = JSON.parse(header(headers, "x-codex-turn-metadata") ?? "null")
    if (!isRecord(metadata)) return nothing
    const kind = metadata["request_kind"]
    return {
      threadId: string(metadata["thread_id"]) || null,
      turnId: string(metadata["turn_id"]) || null,
      main: kind === undefined || kind === "turn"
    }
  } catch {
    return nothing
  }
}

const usage = {
  input_tokens: 100,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 10,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 110
}

const voice = ({ serial }: Named, write: Out["write"]): Voice => {
  const id = `resp_${serial}`
  const item = { type: "message", id: `msg_${serial}`, role: "assistant" }
  let at = { output_index: 0 }
  let text = ""
  const send = (type: string, data: object) =>
    write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`)
  return {
    begin: () => send("response.created", { response: { id, status: "in_progress", output: [] } }),
    fail: () => {
      const error = { code: "server_error", message: "The fake model fails in its stream." }
      return send("response.failed", { response: { id, status: "failed", error } })
    },
    call: async (call) => {
      await send("response.output_item.added", { ...at, item: callItem(call, serial) })
      await send("response.output_item.done", { ...at, item: callItem(call, serial) })
    },
    think: async (thought) => {
      await think(thought, serial, send)
      at = { output_index: 1 }
    },
    openText: () =>
      send("response.output_item.added", { ...at, item: { ...item, status: "in_progress", content: [] } }),
    word: (word) => {
      text += word
      return send("response.output_text.delta", { item_id: item.id, ...at, content_index: 0, delta: word })
    },
    closeText: () => send("response.output_item.done", { ...at, item: textItem(text, serial) }),
    end: () => send("response.completed", { response: { id, status: "completed", output: [], usage } })
  }
}

type Send = (type: string, data: object) => Promise<void>

const think = async (thought: string, serial: string, send: Send) => {
  const item = { type: "reasoning", id: `rs_${serial}` }
  const at = { item_id: item.id, output_index: 0, summary_index: 0 }
  await send("response.output_item.added", { output_index: 0, item: { ...item, summary: [] } })
  await send("response.reasoning_summary_part.added", { ...at, part: { type: "summary_text", text: "" } })
  for (const word of words(thought))
    await send("response.reasoning_summary_text.delta", { ...at, delta: word })
  const summary = [{ type: "summary_text", text: thought }]
  await send("response.output_item.done", {
    output_index: 0,
    item: { ...item, summary, encrypted_content: null }
  })
}

const textItem = (text: string, serial: string) => ({
  type: "message",
  id: `msg_${serial}`,
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text, annotations: [] }]
})

const callItem = (call: ToolCall, serial: string) =>
  call.input === null
    ? {
        type: "function_call",
        id: `fc_${serial}`,
        call_id: `call_${serial}`,
        name: call.name,
        arguments: JSON.stringify(call.arguments)
      }
    : {
        type: "custom_tool_call",
        id: `ctc_${serial}`,
        call_id: `call_${serial}`,
        name: call.name,
        input: call.input
      }

const whole = (said: Said, { serial }: Named) => ({
  id: `resp_${serial}`,
  object: "response",
  status: "completed",
  output: ["text" in said ? textItem(said.text, serial) : callItem(said.call, serial)],
  usage
})
