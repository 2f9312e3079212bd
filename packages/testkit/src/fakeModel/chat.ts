/** The chat-completions API (`POST …/chat/completions`, server-sent events): what OpenCode and many others speak. */
import type { IncomingHttpHeaders } from "node:http"
import { isFromAgent, isRecord, records, string } from "./Api.ts"
import type { Answer, Api, ContextText, Conversation, Out, Tool } from "./Api.ts"
import { words } from "./script.ts"
import { toolCall } from "./tools.ts"
import type { ToolCall } from "./tools.ts"

export const chat: Api = {
  name: "chat",
  matches: (method, path) => method === "POST" && path.endsWith("/chat/completions"),
  read: (body, headers) => read(isRecord(body) ? body : {}, headers),
  errorBody: (status) => ({
    error: {
      message: `The fake model answers ${status}.`,
      type: errorTypes[status] ?? "server_error",
      param: null,
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
  const messages = records(body["messages"]).map(readMessage)
  const prompted = messages.findLastIndex((one) => one.role === "user" && !isFromAgent(one.text))
  const tools = records(body["tools"]).flatMap(readTool)
  // OpenCode names its session so.
  const threadId = header(headers, "x-session-id")
  return {
    context: messages.filter((one) => one.text !== ""),
    prompt: messages[prompted]?.text ?? null,
    toolHasRun: messages.slice(prompted + 1).some((one) => one.role === "tool"),
    tools,
    model: string(body["model"]),
    streamed: body["stream"] === true,
    threadId,
    turnId: turnOf(threadId, prompted, messages),
    // An agent asks for titles and summaries without any tool.
    main: tools.length > 0
  }
}

/**
 * This API names no turn. What an agent says before its newest prompt is the same in every request of one
 * turn and longer in the next: the conversation, the place of the prompt and its text tell a retry from
 * another turn. Where the conversation has no name, its first words are its name.
 */
const turnOf = (
  threadId: string | null,
  prompted: number,
  messages: ReadonlyArray<ContextText>
): string | null => {
  const thread = threadId ?? messages.find((one) => one.role === "user")?.text
  const prompt = messages[prompted]?.text
  return thread === undefined || prompt === undefined
    ? null
    : `${prompted} ${thread} ${prompt}`.slice(0, turnMax)
}

const turnMax = 2_000

const header = (headers: IncomingHttpHeaders, name: string): string | null => {
  const value = headers[name]
  return typeof value === "string" && value !== "" ? value : null
}

const readMessage = (message: Record<string, unknown>): ContextText => ({
  role: string(message["role"]),
  text: textOf(message["content"])
})

const textOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : records(content)
        .map((part) => string(part["text"]))
        .join("")

const readTool = (tool: Record<string, unknown>): ReadonlyArray<Tool> =>
  isRecord(tool["function"]) ? [{ name: string(tool["function"]["name"]), type: string(tool["type"]) }] : []

const usage = {
  prompt_tokens: 100,
  completion_tokens: 10,
  total_tokens: 110,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 }
}

const stream = async (answer: Answer, conversation: Conversation, out: Out) => {
  const { plan, serial } = answer
  const { model } = conversation
  const chunk = (choices: ReadonlyArray<unknown>, more: object = {}) =>
    out.write(
      `data: ${JSON.stringify({ id: `chatcmpl-${serial}`, object: "chat.completion.chunk", created: 0, model, choices, ...more })}\n\n`
    )
  const say = (delta: object) => chunk([{ index: 0, delta, finish_reason: null }])
  const complete = async (finish: "stop" | "tool_calls") => {
    await chunk([{ index: 0, delta: {}, finish_reason: finish }])
    await chunk([], { usage })
    await out.write("data: [DONE]\n\n")
    await out.end()
  }

  await say({ role: "assistant", content: "" })
  if (plan.kind === "failed") {
    const error = { message: "The fake model fails in its stream.", type: "server_error", code: 500 }
    await out.write(`data: ${JSON.stringify({ error })}\n\n`)
    return out.end()
  }

  const call = toolCall(plan, conversation.tools)
  if (call !== null) {
    await say({ tool_calls: [{ index: 0, ...callOf(call, serial) }] })
    return complete("tool_calls")
  }

  if (plan.kind === "text" && plan.thought !== null) {
    for (const word of words(plan.thought)) await say({ reasoning_content: word })
  }
  for await (const word of answer.words) await say({ content: word })
  if (plan.kind === "stall") return out.left
  if (plan.kind === "drop") return out.destroy()
  return complete("stop")
}

const callOf = (call: ToolCall, serial: string) => ({
  id: `call_${serial}`,
  type: "function",
  function: { name: call.name, arguments: JSON.stringify(call.arguments) }
})

const whole = async (answer: Answer, conversation: Conversation, out: Out) => {
  const { plan, serial } = answer
  if (plan.kind === "drop") return out.destroy()
  if (plan.kind === "failed") return out.json(500, chat.errorBody(500))
  const call = toolCall(plan, conversation.tools)
  let text = ""
  if (call === null) for await (const word of answer.words) text += word
  if (plan.kind === "stall") return out.left
  const message =
    call === null
      ? { role: "assistant", content: text }
      : { role: "assistant", content: null, tool_calls: [callOf(call, serial)] }
  return out.json(200, {
    id: `chatcmpl-${serial}`,
    object: "chat.completion",
    created: 0,
    model: conversation.model,
    choices: [{ index: 0, message, finish_reason: call === null ? "stop" : "tool_calls" }],
    usage
  })
}
