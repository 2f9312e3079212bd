/**
 * Makes transcripts of real programs, for tests that replay them: what was sent and received on the wire, one
 * JSON object per line, whatever the transport.
 *
 *     {"send": {"id": 1, "method": "initialize"}}                    a line of a child process
 *     {"recv": {"id": 1, "result": {}}}
 *     {"send": {"call": "POST /session", "body": {}}}                a call over HTTP, and its answer
 *     {"recv": {"status": 200, "call": "/session", "body": {}}}
 *     {"recv": "not JSON"}                                           anything else, as it came
 *
 * Promise: no secret and no place of the machine stands in a transcript. What is known to be one is replaced
 * before it is kept, and `transcript` refuses to give out what still holds one.
 */
import { MessageId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { Decision } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect } from "effect"
import { homedir, hostname } from "node:os"
import type { Provider } from "../Provider.ts"
import { defaultPrompts, type Prompts } from "./conformance.ts"
import { endOf, listen } from "./Listener.ts"

/** What an adapter's `tap` is given. */
export type Tap = (direction: "sent" | "received", line: string) => void

export interface Neutral {
  /** Directories, and what stands in their place, e.g. `/home/user/project`. */
  readonly places?: ReadonlyArray<readonly [directory: string, standIn: string]>
  /** Keys and passwords that were given to the program. Those of the environment are known without. */
  readonly secrets?: ReadonlyArray<string>
}

export interface Recorder {
  readonly tap: Tap
  /** As the text of a file. */
  readonly transcript: () => string
}

/** A recording is for reading: one that is longer is of the wrong thing. */
const linesMax = 20_000

export const makeRecorder = (neutral: Neutral = {}): Recorder => {
  const replace = neutralizer(neutral)
  const lines: Array<string> = []
  return {
    tap: (direction, line) => {
      if (lines.length >= linesMax) return
      const said = messageOf(replace(line))
      lines.push(JSON.stringify(direction === "sent" ? { send: said } : { recv: said }))
    },
    transcript: () => {
      const leaking = lines.findIndex((line) => replace(line) !== line)
      if (leaking >= 0)
        throw new Error(`Line ${leaking + 1} still holds a secret or a place of this machine.`)
      if (lines.length >= linesMax) throw new Error(`More than ${linesMax} lines: record something shorter.`)
      return lines.map((line) => `${line}\n`).join("")
    }
  }
}

/** A call over HTTP as adapters tap it (`METHOD PATH BODY`, `STATUS PATH BODY`), an event of a stream, or a line. */
export const messageOf = (line: string): unknown => {
  const call = /^(GET|HEAD|POST|PUT|PATCH|DELETE) (\/\S*)(?: (.*))?$/s.exec(line)
  if (call !== null) return { call: `${call[1]} ${call[2]}`, ...bodyOf(call[3]) }
  const answer = /^([1-5]\d\d) (\/\S*)(?: (.*))?$/s.exec(line)
  if (answer !== null) return { status: Number(answer[1]), call: answer[2], ...bodyOf(answer[3]) }
  return json(line.replace(/^data: ?/, ""))
}

const bodyOf = (text: string | undefined) => (text === undefined || text === "" ? {} : { body: json(text) })

const json = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Takes out what is known to be private. Twice is once. */
export const neutralizer = ({ places = [], secrets = [] }: Neutral): ((text: string) => string) => {
  const known = [
    ...secrets.map((secret) => [secret, "(secret)"] as const),
    ...environmentSecrets().map((secret) => [secret, "(secret)"] as const),
    ...[...places, ...placesOfThisMachine()].flatMap(bothWays)
  ]
    // A place inside another one comes first, and nothing so short that it stands everywhere.
    .filter(([text, standIn]) => text.length >= 4 && text !== standIn && !standIn.includes(text))
    .toSorted(([a], [b]) => b.length - a.length)
  return (text) =>
    patterns.reduce(
      (said, [pattern, standIn]) => said.replaceAll(pattern, standIn),
      known.reduce((said, [private_, standIn]) => said.replaceAll(private_, standIn), text)
    )
}

/** Some programs write an absolute path without its first slash. */
const bothWays = (place: readonly [string, string]): ReadonlyArray<readonly [string, string]> => {
  const [directory, standIn] = place
  const isDeep = /^\/[^/]+\//.test(directory)
  return isDeep ? [place, [directory.slice(1), standIn.slice(1)]] : [place]
}

const patterns: ReadonlyArray<readonly [RegExp, string]> = [
  [/\b(?:sk|pk|ghp|gho|xox[bp])[-_][A-Za-z0-9_-]{16,}/g, "(secret)"],
  [/\b(Bearer|Basic) (?!\(secret\))[A-Za-z0-9+/=._-]{8,}/g, "$1 (secret)"],
  [/\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*/g, "(secret)"],
  [/[\w.+-]+@(?!example\.com)[\w-]+\.[\w.-]*\w/g, "user@example.com"],
  [/\b(127\.0\.0\.1|localhost):\d{2,5}\b/g, "$1:1"]
]

const environmentSecrets = (): ReadonlyArray<string> =>
  Object.entries(process.env).flatMap(([name, value = ""]) =>
    /key|token|secret|password/i.test(name) && value.length >= 8 ? [value] : []
  )

/** A short name of a machine is a word that may stand for anything. */
const placesOfThisMachine = (): ReadonlyArray<readonly [string, string]> => [
  [process.cwd(), "/home/user/turnkeeper"],
  [homedir(), "/home/user"],
  ...(hostname().length >= 8 ? [[hostname(), "machine"] as const] : [])
]

/** What is recorded: one prompt to a new session, what the user answers to it, and whether he stops it. */
export interface Scene {
  readonly prompt: string
  readonly decision?: Decision
  readonly interruptAfterWords?: number
}

/** The same scenes for every adapter; the prompts are directives that the fake model follows. */
export const scenes = (prompts: Prompts = defaultPrompts): Readonly<Record<string, Scene>> => {
  const ifAny = (name: string, prompt: string | null, more: Omit<Scene, "prompt"> = {}) =>
    prompt === null ? {} : { [name]: { prompt, ...more } }
  return {
    text: { prompt: prompts.text },
    interrupt: { prompt: prompts.slow, interruptAfterWords: 5 },
    ...ifAny("approval", prompts.approval, { decision: "accept" }),
    ...ifAny("decline", prompts.approval, { decision: "decline" }),
    ...ifAny("fail", prompts.fail),
    ...ifAny("retry", prompts.transient)
  }
}

/** Plays a scene on a real program, from the opening of its session to its end. The tap hears it. */
export const playScene = Effect.fnUntraced(function* (
  provider: Provider,
  cwd: string,
  { prompt, decision, interruptAfterWords }: Scene
) {
  const session = yield* provider.open({
    threadId: ThreadId.make("thread-recorded"),
    generation: 1,
    cwd,
    model: null,
    runtimeMode: "approval_required",
    interactionMode: "default",
    resume: null
  })
  const listener = yield* listen(session, { clock: "real", deadlineMs: 60_000 })
  const { providerTurnId } = yield* session.send({
    turnId: TurnId.make("turn-recorded"),
    messageId: MessageId.make("message-recorded"),
    text: prompt,
    attachments: [],
    model: null,
    runtimeMode: "approval_required",
    interactionMode: "default"
  })
  if (decision !== undefined) {
    const { requestKey } = yield* listener.first("request.opened")
    yield* session.answer(requestKey, { decision, answers: {} })
  }
  if (interruptAfterWords !== undefined) {
    const spoken = () => listener.of("text.delta").map((delta) => delta.text.split(" ").length)
    const words = () => spoken().reduce((sum, count) => sum + count, 0)
    yield* listener.until("some words", () => words() >= interruptAfterWords)
    yield* session.interrupt(providerTurnId)
  }
  yield* listener.until("the turn's end", () => endOf(listener, providerTurnId) !== undefined)
  yield* session.stop("stop")
  yield* listener.endedPromptly
}, Effect.scoped)
