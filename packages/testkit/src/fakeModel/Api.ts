/**
 * One model API, as the fake model needs it: how a request is read and how an answer is written.
 * Another API is one more file with one of these in it, and one more entry in the server's list.
 */
import type { IncomingHttpHeaders } from "node:http"
import type { Plan } from "./script.ts"
import type { ToolCall } from "./tools.ts"

export interface Tool {
  readonly name: string
  readonly type: string
}

export interface ContextText {
  readonly role: string
  readonly text: string
}

/** What a request says, whatever API it came by. */
export interface Conversation {
  /** Every text the model is shown, oldest first; the results of tools have the role `tool`. */
  readonly context: ReadonlyArray<ContextText>
  /** The newest text of the user, without what the agent itself put in the user's name. */
  readonly prompt: string | null
  readonly toolHasRun: boolean
  readonly tools: ReadonlyArray<Tool>
  readonly model: string
  readonly streamed: boolean
  readonly threadId: string | null
  readonly turnId: string | null
  /** False for what an agent asks beside its turns: titles, summaries. */
  readonly main: boolean
}

/** Where an answer is written. Everything after the client has left throws `ClientLeft`. */
export interface Out {
  /** Answers with JSON and ends. */
  readonly json: (status: number, body: unknown) => Promise<void>
  /** Resolves when the bytes are handed to the system. */
  readonly write: (text: string) => Promise<void>
  readonly end: () => Promise<void>
  /** Cuts the connection, as a crashed proxy would. */
  readonly destroy: () => void
  /** Resolves when the client has left, and not before. */
  readonly left: Promise<void>
}

export interface Answer {
  readonly plan: Plan
  /** The words of the answer, paced: of a text, a slow text, or the half of one that is going to be cut. */
  readonly words: AsyncIterable<string>
  /** Never the same twice, not even across restarts of the fake model: agents store such ids. */
  readonly serial: string
}

/** How an API streams one answer: each thing it can say, in its own words. */
export interface Voice {
  readonly begin: () => Promise<void>
  /** An error inside a stream that began well. */
  readonly fail: () => Promise<void>
  readonly call: (call: ToolCall) => Promise<void>
  readonly think: (thought: string) => Promise<void>
  readonly openText: () => Promise<void>
  readonly word: (word: string) => Promise<void>
  readonly closeText: () => Promise<void>
  readonly end: (after: "text" | "call") => Promise<void>
}

/** What an answer in one piece says. */
export type Said = { readonly text: string } | { readonly call: ToolCall }

export interface Named {
  readonly serial: string
  readonly model: string
}

export interface Api {
  readonly name: string
  readonly matches: (method: string, path: string) => boolean
  readonly read: (body: unknown, headers: IncomingHttpHeaders) => Conversation
  readonly errorBody: (status: number) => unknown
  readonly voice: (named: Named, write: Out["write"]) => Voice
  /** The body of an answer in one piece. */
  readonly whole: (said: Said, named: Named) => unknown
}

/** The client went away in the middle of an answer. */
export class ClientLeft extends Error {
  constructor() {
    super("The client has left.")
  }
}

/** `false` for what is no object; for reading foreign JSON. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const records = (value: unknown): ReadonlyArray<Record<string, unknown>> =>
  Array.isArray(value) ? value.filter(isRecord) : []

export const string = (value: unknown): string => (typeof value === "string" ? value : "")

/**
 * Agents tell the model about its surroundings in the user's name, each time wrapped in one tag:
 * `<environment_context>…</environment_context>`. No user wrote that.
 */
export const isFromAgent = (text: string): boolean => {
  const opened = /^\s*<([A-Za-z_][\w-]*)>/.exec(text)
  return opened !== null && text.trimEnd().endsWith(`</${opened[1]}>`)
}
