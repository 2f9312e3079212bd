/** What the APIs' requests have in common: how the texts in one become a conversation. */
import type { IncomingHttpHeaders } from "node:http"
import { isFromAgent, records, string } from "./Api.ts"
import type { ContextText, Conversation, Tool } from "./Api.ts"

export interface Request {
  readonly body: Record<string, unknown>
  /** Everything the model is shown, oldest first, as this API has it. */
  readonly texts: ReadonlyArray<ContextText>
  readonly tools: ReadonlyArray<Tool>
  readonly threadId: string | null
  /** Absent where the API names no turn: then it is told by what was said before. */
  readonly turnId?: string | null
  /** Absent: an agent asks for titles and summaries without any tool. */
  readonly main?: boolean
}

export const conversationOf = ({ body, texts, tools, threadId, ...named }: Request): Conversation => {
  const prompted = texts.findLastIndex(isPrompt)
  return {
    context: texts.filter(({ text }) => text !== ""),
    prompt: texts[prompted]?.text ?? null,
    toolHasRun: texts.slice(prompted + 1).some(({ role }) => role === "tool"),
    tools,
    model: string(body["model"]),
    streamed: body["stream"] === true,
    threadId,
    turnId: named.turnId === undefined ? turnOf(threadId, texts.filter(isPrompt)) : named.turnId,
    main: tools.length > 0 && (named.main ?? true)
  }
}

const isPrompt = ({ role, text }: ContextText): boolean =>
  role === "user" && text !== "" && !isFromAgent(text)

/**
 * For an API that names no turn. What the user said before his newest prompt is the same in every request of
 * one turn and more in the next: the conversation, the place of the prompt and its text tell a retry from
 * another turn. Where the conversation has no name, its first words are its name.
 */
const turnOf = (threadId: string | null, prompts: ReadonlyArray<ContextText>): string | null => {
  const thread = threadId ?? prompts[0]?.text
  const prompt = prompts.at(-1)?.text
  return thread === undefined || prompt === undefined
    ? null
    : `${prompts.length} ${thread} ${prompt}`.slice(0, turnMax)
}

const turnMax = 2_000

export const header = (headers: IncomingHttpHeaders, name: string): string | null => {
  const value = headers[name]
  return typeof value === "string" && value !== "" ? value : null
}

/** A content is a text, or a list of parts of which some have one. */
export const textOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : records(content)
        .map((part) => string(part["text"]))
        .join("")

const errorTypes: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  429: "rate_limit_error"
}

export const errorOf = (status: number, otherwise = "server_error") => ({
  message: `The fake model answers ${status}.`,
  type: errorTypes[status] ?? otherwise
})
