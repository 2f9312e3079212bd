/**
 * What the fake model does is said by the prompt itself: the last [[directive]] of the newest user text.
 *
 *     [[text:hi there]]            streams that text; without a directive a short fixed one
 *     [[think:why]]                streams that as reasoning first, then a short text
 *     [[shell:CMD]]                one call of the shell tool; after its result a final text
 *     [[ask:CMD]]                  as shell, but the call asks for escalation: the agent asks its user
 *     [[write:PATH|TEXT]]          one file write, where the agent offers a tool for it
 *     [[tool:NAME|JSON]]           one call of the tool of that name with that input
 *     [[http:500]] [[http:500:2]]  an HTTP error; with a count only the first 2 attempts
 *     [[drop]] [[drop:2]]          half an answer, then the socket is destroyed
 *     [[failed]] [[failed:1]]      an error event of the API inside a stream that began well
 *     [[refuse]] [[refuse:1]]      the socket is destroyed before the first byte of an answer
 *     [[slow]] [[slow:50]]         slowly paced words w0 w1 w2 …, until the client leaves, or 50 of them
 *     [[stall]]                    one word, then silence on an open socket
 *     [[id:XYZ]]                   does nothing: marks the prompt, so that it can be counted
 *
 * Attempts are counted per turn and prompt, so a provider's own retries meet the next attempt.
 */

export type Plan =
  | { readonly kind: "text"; readonly text: string; readonly thought: string | null }
  /** `words`: Infinity when only the client can end it. */
  | { readonly kind: "slow"; readonly words: number }
  | { readonly kind: "stall" }
  | { readonly kind: "shell"; readonly command: string; readonly ask: boolean }
  | { readonly kind: "write"; readonly path: string; readonly text: string }
  | { readonly kind: "tool"; readonly name: string; readonly input: Readonly<Record<string, unknown>> }
  | { readonly kind: "http"; readonly status: number; readonly attempt: number }
  | { readonly kind: "drop" | "failed" | "refuse"; readonly attempt: number }

export interface Directive {
  readonly name: string
  readonly argument: string
}

const directives = /\[\[([a-z]+)(?::((?:[^\]]|\](?!\]))*))?\]\]/g

export const directiveOf = (prompt: string): Directive | null => {
  const all = [...prompt.matchAll(directives)].filter(([, name]) => name !== "id")
  const last = all.at(-1)
  return last === undefined ? null : { name: last[1] ?? "", argument: last[2] ?? "" }
}

/** Every `[[id:…]]` of a text. */
export const markersOf = (prompt: string): ReadonlyArray<string> =>
  [...prompt.matchAll(directives)].filter(([, name]) => name === "id").map(([, , argument]) => argument ?? "")

/** What is streamed when the stream is going to be cut, and the answers a test may wait for. */
export const answers = {
  plain: "Hello from the fake model, streamed in a few words.",
  half: "Half of an answer that",
  thought: "That is what I think.",
  afterTool: "The tool has run; this is the final answer.",
  side: "Fake title",
  recovered: (failed: number) => `Recovered after ${failed} failed attempts.`
} as const

export interface Situation {
  readonly prompt: string | null
  /** The agent offers tools: false for its side requests, such as one for a title. */
  readonly hasTools: boolean
  readonly toolHasRun: boolean
  /** Which attempt this is, counted from 1; asked for only where the directive depends on it. */
  readonly attempt: () => number
}

export const plan = (situation: Situation): Plan => {
  if (!situation.hasTools) return say(answers.side)
  const directive = directiveOf(situation.prompt ?? "")
  if (directive === null) return say(answers.plain)
  const { argument, name } = directive
  switch (name) {
    case "text":
      return say(argument === "" ? answers.plain : argument)
    case "think":
      return {
        kind: "text",
        text: answers.thought,
        thought: argument === "" ? "Thinking about it" : argument
      }
    case "slow":
      return { kind: "slow", words: argument === "" ? Number.POSITIVE_INFINITY : count(argument) }
    case "stall":
      return { kind: "stall" }
    case "shell":
    case "ask":
      return situation.toolHasRun
        ? say(answers.afterTool)
        : { kind: "shell", command: argument, ask: name === "ask" }
    case "write":
      return situation.toolHasRun ? say(answers.afterTool) : write(argument)
    case "tool":
      return situation.toolHasRun ? say(answers.afterTool) : tool(argument)
    case "http": {
      const [status = "500", limit] = argument.split(":")
      return failing(situation, limit, (attempt) => ({
        kind: "http",
        status: status === "" ? 500 : count(status),
        attempt
      }))
    }
    case "drop":
    case "failed":
    case "refuse":
      return failing(situation, argument, (attempt) => ({ kind: name, attempt }))
    default:
      // A misspelt directive must not pass as an ordinary answer: its test would then prove nothing.
      return say(`There is no directive "${name}".`)
  }
}

const say = (text: string): Plan => ({ kind: "text", text, thought: null })

const write = (argument: string): Plan => {
  const bar = argument.indexOf("|")
  return bar < 0
    ? { kind: "write", path: argument, text: "hello" }
    : { kind: "write", path: argument.slice(0, bar), text: argument.slice(bar + 1) }
}

const tool = (argument: string): Plan => {
  const [name = "", ...rest] = argument.split("|")
  try {
    return { kind: "tool", name, input: JSON.parse(rest.join("|")) as Record<string, unknown> }
  } catch {
    return say(`The input of the tool "${name}" is not JSON.`)
  }
}

const failing = (situation: Situation, limit: string | undefined, fail: (attempt: number) => Plan): Plan => {
  const attempt = situation.attempt()
  const last = limit === undefined || limit === "" ? Number.POSITIVE_INFINITY : count(limit)
  return attempt > last ? say(answers.recovered(attempt - 1)) : fail(attempt)
}

const count = (text: string): number => {
  const value = Number(text)
  return Number.isInteger(value) && value >= 0 ? value : 0
}

/** The text in pieces of one word each; joined they are the text again. */
export const words = (text: string): ReadonlyArray<string> => text.split(/(?<= )/)

/** The whole text that `[[slow:count]]` streams. */
export const slowText = (size: number): string =>
  Array.from({ length: size }, (_, index) => slowWord(index)).join("")

export const slowWord = (index: number): string => `w${index} `
