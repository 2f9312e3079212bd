/** The Responses API (`POST …/responses`, server-sent events): what Codex speaks. */
import type { IncomingHttpHeaders } from "node:http"
import { isFromAgent, isRecord, records, string } from "./Api.ts"
import type { Answer, Api, ContextText, Conversation, Out, Tool } from "./Api.ts"
import { words } from "./script.ts"
import { toolCall } from "./tools.ts"
import type { ToolCall } from "./tools.ts"

export const responses: Api = {
  name: "responses",
  matches: (method, path) => method === "POST" && path.endsWith("/responses"),
  read: (body, headers) => read(isRecord(body) ? body : {}, headers),
  errorBody: (status) => ({
    error: {
      message: `The fake model answers ${status}.`,
      type: errorTypes[status] ?? "server_error",
      code: null
    }
  }),
  answer: (answer, conversation, out) =>
    conversation.streamed ? stream(answer, conversation, out) : whole(answer, conversation, out)
}

const errorTypes: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  429: "rate_limit_error"
}

const read = (body: Record<string, unknown>, headers: IncomingHttpHeaders): Conversation => {
  const input =
    typeof body["input"] === "string"
      ? [{ type: "message", role: "user", content: body["input"] }]
      : records(body["input"])
  const items = input.map(readItem)
  const prompted = items.findLastIndex((item) => item.role === "user" && !isFromAgent(item.text))
  const turn = turnOf(headers)
  const tools = records(body["tools"]).flatMap(readTool)
  return {
    context: items.filter((item) => item.text !== ""),
    prompt: items[prompted]?.text ?? null,
    toolHasRun: items.slice(prompted + 1).some((item) => item.role === "tool"),
    tools,
    model: string(body["model"]),
    streamed: body["stream"] === true,
    threadId: turn.threadId,
    turnId: turn.turnId,
    main: tools.length > 0 && turn.main
  }
}

const readItem = (item: Record<string, unknown>): ContextText =>
  string(item["type"]).endsWith("_output")
    ? { role: "tool", text: textOf(item["output"]) }
    : { role: string(item["role"]), text: textOf(item["content"]) }

const textOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : records(content)
        .map((part) => string(part["text"]))
        .join("")

/** A tool may be hidden in a namespace. */
const readTool = (tool: Record<string, unknown>): ReadonlyArray<Tool> =>
  Array.isArray(tool["tools"])
    ? records(tool["tools"]).flatMap(readTool)
    : [{ name: string(tool["name"]), type: string(tool["type"]) }]

/** Codex names its turn in a header: that tells a retry of a request from another turn. */
const turnOf = (headers: IncomingHttpHeaders) => {
  const nothing = { threadId: null, turnId: null, main: true }
  const header = headers["x-codex-turn-metadata"]
  if (typeof header !== "string") return nothing
  try {
    const metadata: unknown = JSON.parse(header)
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

const stream = async (answer: Answer, conversation: Conversation, out: Out) => {
  const { plan, serial } = answer
  const id = `resp_${serial}`
  const send = (type: string, data: object) =>
    out.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`)
  const complete = async () => {
    await send("response.completed", { response: { id, status: "completed", output: [], usage } })
    await out.end()
  }

  await send("response.created", { response: { id, status: "in_progress", output: [] } })
  if (plan.kind === "failed") {
    const error = { code: "server_error", message: "The fake model fails in its stream." }
    await send("response.failed", { response: { id, status: "failed", error } })
    return out.end()
  }

  const call = toolCall(plan, conversation.tools)
  if (call !== null) {
    const item = callItem(call, serial)
    await send("response.output_item.added", { output_index: 0, item })
    await send("response.output_item.done", { output_index: 0, item })
    return complete()
  }

  let outputIndex = 0
  if (plan.kind === "text" && plan.thought !== null) {
    await think(plan.thought, serial, send)
    outputIndex = 1
  }

  const item = { type: "message", id: `msg_${serial}`, role: "assistant" }
  const at = { output_index: outputIndex }
  await send("response.output_item.added", { ...at, item: { ...item, status: "in_progress", content: [] } })
  let text = ""
  for await (const word of answer.words) {
    text += word
    await send("response.output_text.delta", { item_id: item.id, ...at, content_index: 0, delta: word })
  }
  if (plan.kind === "stall") return out.left
  if (plan.kind === "drop") return out.destroy()
  await send("response.output_item.done", {
    ...at,
    item: { ...item, status: "completed", content: [{ type: "output_text", text, annotations: [] }] }
  })
  return complete()
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

const whole = async (answer: Answer, conversation: Conversation, out: Out) => {
  const { plan, serial } = answer
  const id = `resp_${serial}`
  if (plan.kind === "drop") return out.destroy()
  if (plan.kind === "failed") return out.json(500, responses.errorBody(500))
  const call = toolCall(plan, conversation.tools)
  let text = ""
  if (call === null) for await (const word of answer.words) text += word
  if (plan.kind === "stall") return out.left
  const message = {
    type: "message",
    id: `msg_${serial}`,
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text", text, annotations: [] }]
  }
  const output = [call === null ? message : callItem(call, serial)]
  return out.json(200, { id, object: "response", status: "completed", output, usage })
}
