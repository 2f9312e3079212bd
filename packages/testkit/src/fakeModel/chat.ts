/** The chat-completions API (`POST …/chat/completions`, server-sent events): what OpenCode and many others speak. */
import type { IncomingHttpHeaders } from "node:http"
import { isRecord, records, string } from "./Api.ts"
import type { Api, Conversation, Named, Out, Said, Tool, Voice } from "./Api.ts"
import { conversationOf, errorOf, header, textOf } from "./read.ts"
import { words } from "./script.ts"
import type { ToolCall } from "./tools.ts"

export const chat: Api = {
  name: "chat",
  matches: (method, path) => method === "POST" && path.endsWith("/chat/completions"),
  read: (body, headers) => read(isRecord(body) ? body : {}, headers),
  errorBody: (status) => ({ error: { ...errorOf(status), param: null, code: null } }),
  voice: (named, write) => voice(named, write),
  whole: (said, named) => whole(said, named)
}

const read = (body: Record<string, unknown>, headers: IncomingHttpHeaders): Conversation =>
  conversationOf({
    body,
    texts: records(body["messages"]).map((message) => ({
      role: string(message["role"]),
      text: textOf(message["content"])
    })),
    tools: records(body["tools"]).flatMap(readTool),
    // OpenCode names its session so.
    threadId: header(headers, "x-session-id")
  })

const readTool = (tool: Record<string, unknown>): ReadonlyArray<Tool> =>
  isRecord(tool["function"]) ? [{ name: string(tool["function"]["name"]), type: string(tool["type"]) }] : []

const usage = {
  prompt_tokens: 100,
  completion_tokens: 10,
  total_tokens: 110,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 }
}

const voice = ({ serial, model }: Named, write: Out["write"]): Voice => {
  const data = (value: unknown) => write(`data: ${JSON.stringify(value)}\n\n`)
  const chunk = (choices: ReadonlyArray<unknown>, more: object = {}) =>
    data({
      id: `chatcmpl-${serial}`,
      object: "chat.completion.chunk",
      created: 0,
      model,
      choices,
      ...more
    })
  const say = (delta: object) => chunk([{ index: 0, delta, finish_reason: null }])
  return {
    begin: () => say({ role: "assistant", content: "" }),
    fail: () =>
      data({ error: { message: "The fake model fails in its stream.", type: "server_error", code: 500 } }),
    call: (call) => say({ tool_calls: [{ index: 0, ...callOf(call, serial) }] }),
    think: async (thought) => {
      for (const word of words(thought)) await say({ reasoning_content: word })
    },
    openText: async () => {},
    word: (word) => say({ content: word }),
    closeText: async () => {},
    end: async (after) => {
      await chunk([{ index: 0, delta: {}, finish_reason: finishOf(after) }])
      await chunk([], { usage })
      await write("data: [DONE]\n\n")
    }
  }
}

const finishOf = (after: "text" | "call") => (after === "call" ? "tool_calls" : "stop")

const callOf = (call: ToolCall, serial: string) => ({
  id: `call_${serial}`,
  type: "function",
  function: { name: call.name, arguments: JSON.stringify(call.arguments) }
})

const whole = (said: Said, { serial, model }: Named) => {
  const message =
    "text" in said
      ? { role: "assistant", content: said.text }
      : { role: "assistant", content: null, tool_calls: [callOf(said.call, serial)] }
  return {
    id: `chatcmpl-${serial}`,
    object: "chat.completion",
    created: 0,
    model,
    choices: [{ index: 0, message, finish_reason: finishOf("text" in said ? "text" : "call") }],
    usage
  }
}
