/** The Messages API (`POST …/messages`, server-sent events): what Claude speaks. */
import type { IncomingHttpHeaders } from "node:http"
import { isRecord, records, string } from "./Api.ts"
import type { Api, ContextText, Conversation, Named, Out, Said, Voice } from "./Api.ts"
import { conversationOf, errorOf, header, textOf } from "./read.ts"
import { words } from "./script.ts"
import type { ToolCall } from "./tools.ts"

export const messages: Api = {
  name: "messages",
  matches: (method, path) => method === "POST" && path.endsWith("/messages"),
  read: (body, headers) => read(isRecord(body) ? body : {}, headers),
  errorBody: (status) => ({
    type: "error",
    error: errorOf(status, status === 529 ? "overloaded_error" : "api_error")
  }),
  voice: (named, write) => voice(named, write),
  whole: (said, named) => ({
    ...messageOf(named),
    content: [blockOf(said, named.serial)],
    stop_reason: "text" in said ? "end_turn" : "tool_use"
  })
}

const read = (body: Record<string, unknown>, headers: IncomingHttpHeaders): Conversation =>
  conversationOf({
    body,
    texts: records(body["messages"]).flatMap(readMessage),
    tools: records(body["tools"]).map((tool) => ({
      name: string(tool["name"]),
      type: string(tool["type"]) || "custom"
    })),
    threadId: header(headers, "x-claude-code-session-id")
  })

/** One message of the user may hold what he said, what the agent adds in his name, and the results of tools. */
const readMessage = ({ role, content }: Record<string, unknown>): ReadonlyArray<ContextText> =>
  typeof content === "string"
    ? [{ role: string(role), text: content }]
    : records(content).map((part) =>
        part["type"] === "tool_result"
          ? { role: "tool", text: textOf(part["content"]) }
          : { role: string(role), text: string(part["text"]) }
      )

const usage = {
  input_tokens: 100,
  output_tokens: 10,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0
}

const messageOf = ({ serial, model }: Named) => ({
  id: `msg_${serial}`,
  type: "message",
  role: "assistant",
  model,
  content: [],
  stop_reason: null,
  stop_sequence: null,
  usage
})

const blockOf = (said: Said, serial: string) =>
  "text" in said
    ? { type: "text", text: said.text }
    : { ...callOf(said.call, serial), input: said.call.arguments }

const callOf = (call: ToolCall, serial: string) => ({
  type: "tool_use",
  id: `toolu_${serial}`,
  name: call.name,
  input: {}
})

const voice = (named: Named, write: Out["write"]): Voice => {
  let index = 0
  const send = (type: string, data: object = {}) =>
    write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`)
  const open = (content_block: object) => send("content_block_start", { index, content_block })
  const more = (delta: object) => send("content_block_delta", { index, delta })
  const close = async () => {
    await send("content_block_stop", { index })
    index += 1
  }
  return {
    begin: () => send("message_start", { message: messageOf(named) }),
    fail: () =>
      send("error", { error: { type: "overloaded_error", message: "The fake model fails in its stream." } }),
    call: async (call) => {
      await open(callOf(call, named.serial))
      await more({ type: "input_json_delta", partial_json: JSON.stringify(call.arguments) })
      await close()
    },
    think: async (thought) => {
      await open({ type: "thinking", thinking: "", signature: "" })
      for (const word of words(thought)) await more({ type: "thinking_delta", thinking: word })
      await more({ type: "signature_delta", signature: "ZmFrZQ==" })
      await close()
    },
    openText: () => open({ type: "text", text: "" }),
    word: (text) => more({ type: "text_delta", text }),
    closeText: close,
    end: async (after) => {
      const stop_reason = after === "call" ? "tool_use" : "end_turn"
      await send("message_delta", { delta: { stop_reason, stop_sequence: null }, usage })
      await send("message_stop")
    }
  }
}
