/**
 * A model on 127.0.0.1 that does what the prompt tells it (`script.ts`) and remembers what it was asked.
 * Real agents run against it without a key and without a network, so a test can see both ends: what the
 * user was shown, and what really reached the model, how often and with which context.
 *
 * What it keeps is bounded: the newest requests, and of those only so much of their context.
 */
import { randomUUID } from "node:crypto"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { ClientLeft } from "./Api.ts"
import { write } from "./answer.ts"
import type { Api, ContextText, Conversation, Out } from "./Api.ts"
import { chat } from "./chat.ts"
import { messages } from "./messages.ts"
import { responses } from "./responses.ts"
import { answers, directiveOf, markersOf, plan, slowWord, words } from "./script.ts"
import type { Directive, Plan } from "./script.ts"

const apis: ReadonlyArray<Api> = [responses, chat, messages]

export interface Word {
  readonly request: RecordedRequest
  /** The words of this answer that are out already: 1 before the second word. */
  readonly sent: number
  readonly slow: boolean
}

export interface FakeModelOptions {
  /** 0 or absent: any free one. */
  readonly port?: number
  /** Between the words of an ordinary answer. */
  readonly delayMs?: number
  /** Between the words of a slow answer. */
  readonly slowDelayMs?: number
  /** Replaces both delays: the next word waits for this. A test holds a stream in its middle with it. */
  readonly pace?: (word: Word) => Promise<void>
}

export interface RecordedRequest {
  /** Counts 1, 2, 3 … */
  readonly number: number
  readonly at: number
  readonly method: string
  readonly path: string
  /** Null for a path that no API has. */
  readonly api: string | null
  readonly threadId: string | null
  readonly turnId: string | null
  /** The name of the model that was asked for. */
  readonly model: string
  /** Every text in the user's name, oldest first, those of the agent included. */
  readonly userTexts: ReadonlyArray<string>
  readonly prompt: string | null
  readonly markers: ReadonlyArray<string>
  readonly directive: Directive | null
  readonly plan: Plan | null
  /** Everything the model was shown; emptied when newer requests need the room. */
  readonly context: ReadonlyArray<ContextText>
  readonly toolHasRun: boolean
  /** A request of a turn, not one beside it. */
  readonly main: boolean
  readonly words: number
  readonly ended: "open" | "answered" | "cut" | "client left"
}

export interface RunningFakeModel {
  /** `http://127.0.0.1:PORT`; the API is under `/v1`. */
  readonly url: string
  readonly port: number
  /** The newest requests, oldest first. */
  readonly requests: () => ReadonlyArray<RecordedRequest>
  /**
   * How many distinct turns had this marker in their newest user text. A provider's retry of a request
   * is the same turn. For an agent that does not name its turns: the requests without a tool's result.
   */
  readonly promptsSeen: (marker: string) => number
  /** Every marker that was seen, with its number of distinct turns. */
  readonly markers: () => ReadonlyMap<string, number>
  /** The texts of the newest request's context, or of the newest one whose prompt has the marker. */
  readonly contextTexts: (marker?: string) => ReadonlyArray<string>
  /**
   * Resolves with the first request that the predicate accepts, now or as soon as one changes so that it
   * does; rejects at the deadline and when the model closes.
   */
  readonly waitFor: (
    predicate: (request: RecordedRequest) => boolean,
    deadlineMs?: number
  ) => Promise<RecordedRequest>
  /** Ends every open answer and stops listening. Harmless when done before. */
  readonly close: () => Promise<void>
}

const limits = {
  requests: 1_000,
  contextCharacters: 16_000_000,
  bodyBytes: 64 * 1024 * 1024,
  /** Attempts and markers that are kept apart; more is a test gone wrong, which is said. */
  turns: 500_000
} as const

export const start = async (options: FakeModelOptions = {}): Promise<RunningFakeModel> => {
  const memory = new Memory()
  const server = createServer((request, response) => {
    serve(request, response, memory, options).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(options.port ?? 0, "127.0.0.1", resolve)
  })
  const { port } = server.address() as AddressInfo
  let closed: Promise<void> | null = null
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests: () => [...memory.requests],
    promptsSeen: (marker) => memory.turnsOf(marker),
    markers: () => memory.markers(),
    contextTexts: (marker) => memory.contextTexts(marker),
    waitFor: (predicate, deadlineMs = 30_000) => memory.waitFor(predicate, deadlineMs),
    close: () => {
      closed ??= new Promise((resolve) => {
        memory.close()
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closed
    }
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

interface Waiter {
  readonly predicate: (request: RecordedRequest) => boolean
  readonly resolve: (request: RecordedRequest) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

/** What the model was asked. */
class Memory {
  readonly requests: Array<Mutable<RecordedRequest>> = []
  private readonly waiters = new Set<Waiter>()
  private readonly turns = new Map<string, Set<string>>()
  private readonly attempts = new Map<string, number>()
  private count = 0
  private kept = 0
  private turnCount = 0
  private closed = false

  add(entry: Omit<RecordedRequest, "number" | "at" | "words" | "ended">): Mutable<RecordedRequest> {
    this.count += 1
    const request: Mutable<RecordedRequest> = {
      ...entry,
      number: this.count,
      at: Date.now(),
      words: 0,
      ended: "open"
    }
    this.requests.push(request)
    this.kept += sizeOf(request)
    this.countMarkers(request)
    this.makeRoom(request)
    this.changed(request)
    return request
  }

  changed(request: RecordedRequest) {
    for (const waiter of this.waiters) {
      if (waiter.predicate(request)) this.settle(waiter, () => waiter.resolve(request))
    }
  }

  attempt(conversation: Conversation): number {
    const key = `${conversation.turnId ?? ""}\n${conversation.prompt ?? ""}`
    const attempt = (this.attempts.get(key) ?? 0) + 1
    if (attempt === 1 && this.attempts.size >= limits.turns)
      throw new Error("Too many turns for one fake model.")
    this.attempts.set(key, attempt)
    return attempt
  }

  turnsOf(marker: string): number {
    return this.turns.get(marker)?.size ?? 0
  }

  markers(): ReadonlyMap<string, number> {
    return new Map([...this.turns].map(([marker, turns]) => [marker, turns.size]))
  }

  contextTexts(marker?: string): ReadonlyArray<string> {
    const request = this.requests.findLast(
      (one) => one.api !== null && one.main && (marker === undefined || one.markers.includes(marker))
    )
    return request?.context.map((one) => one.text) ?? []
  }

  waitFor(predicate: Waiter["predicate"], deadlineMs: number): Promise<RecordedRequest> {
    const present = this.requests.find(predicate)
    if (present !== undefined) return Promise.resolve(present)
    if (this.closed) return Promise.reject(new Error("The fake model is closed."))
    return new Promise((resolve, reject) => {
      const late = () => {
        const asked = this.requests
          .slice(-10)
          .map((one) => `${one.number} ${one.prompt ?? one.path}: ${one.ended}`)
        const error = new Error(
          `No such request within ${deadlineMs} ms. The newest were:\n${asked.join("\n")}`
        )
        this.settle(waiter, () => reject(error))
      }
      const waiter: Waiter = { predicate, resolve, reject, timer: setTimeout(late, deadlineMs) }
      this.waiters.add(waiter)
    })
  }

  close() {
    this.closed = true
    const error = new Error("The fake model was closed.")
    for (const waiter of this.waiters) this.settle(waiter, () => waiter.reject(error))
  }

  private settle(waiter: Waiter, act: () => void) {
    clearTimeout(waiter.timer)
    this.waiters.delete(waiter)
    act()
  }

  private countMarkers(request: RecordedRequest) {
    if (!request.main) return
    // Without a turn's name every request that does not bring a tool's result counts as its own turn.
    if (request.turnId === null && request.toolHasRun) return
    const turn = request.turnId ?? `request ${request.number}`
    for (const marker of request.markers) {
      const turns = this.turns.get(marker) ?? new Set()
      this.turns.set(marker, turns)
      if (turns.has(turn)) continue
      this.turnCount += 1
      if (this.turnCount > limits.turns) throw new Error("Too many marked turns for one fake model.")
      turns.add(turn)
    }
  }

  private makeRoom(newest: RecordedRequest) {
    if (this.requests.length > limits.requests) {
      const oldest = this.requests.shift()
      if (oldest !== undefined) this.kept -= sizeOf(oldest)
    }
    for (const request of this.requests) {
      if (this.kept <= limits.contextCharacters || request === newest) return
      this.kept -= sizeOf(request)
      request.context = []
      request.userTexts = []
    }
  }
}

const sizeOf = (request: RecordedRequest) =>
  request.context.reduce((sum, one) => sum + one.text.length, 0) +
  request.userTexts.reduce((sum, text) => sum + text.length, 0)

const serve = async (
  request: IncomingMessage,
  response: ServerResponse,
  memory: Memory,
  options: FakeModelOptions
) => {
  const method = request.method ?? ""
  const path = (request.url ?? "").split("?")[0] ?? ""
  const out = outOf(response)
  const api = apis.find((one) => one.matches(method, path))
  if (api === undefined) {
    memory.add({ ...nobody, method, path })
    if (method === "GET" && path.endsWith("/models")) return out.json(200, models)
    return out.json(404, { error: { message: `The fake model has no ${method} ${path}.` } })
  }
  const body = await readBody(request)
  if (body === null) return out.json(413, api.errorBody(413))
  const parsed = parse(body)
  if (parsed === undefined) return out.json(400, api.errorBody(400))
  const conversation = api.read(parsed, request.headers)
  const decided = plan({
    prompt: conversation.prompt,
    hasTools: conversation.main,
    toolHasRun: conversation.toolHasRun,
    attempt: () => memory.attempt(conversation)
  })
  const record = memory.add({
    method,
    path,
    api: api.name,
    threadId: conversation.threadId,
    turnId: conversation.turnId,
    model: conversation.model,
    userTexts: conversation.context.filter((one) => one.role === "user").map((one) => one.text),
    prompt: conversation.prompt,
    markers: markersOf(conversation.prompt ?? ""),
    directive: directiveOf(conversation.prompt ?? ""),
    plan: decided,
    context: conversation.context,
    toolHasRun: conversation.toolHasRun,
    main: conversation.main
  })
  const end = (ended: RecordedRequest["ended"]) => {
    record.ended = ended
    memory.changed(record)
  }
  try {
    if (decided.kind === "refuse") out.destroy()
    else if (decided.kind === "http") await out.json(decided.status, api.errorBody(decided.status))
    else {
      const serial = randomUUID().replaceAll("-", "")
      const paced = pacedWords(decided, record, memory, out, options)
      await write(api, { plan: decided, words: paced, serial }, conversation, out)
    }
    end(decided.kind === "stall" ? "client left" : cuts.has(decided.kind) ? "cut" : "answered")
  } catch (error) {
    response.destroy()
    end("client left")
    if (!(error instanceof ClientLeft)) throw error
  }
}

const cuts: ReadonlySet<Plan["kind"]> = new Set(["drop", "refuse"])

const models = { object: "list", data: [{ id: "fake-model", object: "model", owned_by: "testkit" }] }

const nobody = {
  api: null,
  threadId: null,
  turnId: null,
  model: "",
  userTexts: [],
  prompt: null,
  markers: [],
  directive: null,
  plan: null,
  context: [],
  toolHasRun: false,
  main: false
} as const

/** The words of an answer. Between two of them it waits, and ends at once when the client leaves. */
async function* pacedWords(
  decided: Plan,
  record: Mutable<RecordedRequest>,
  memory: Memory,
  out: Out,
  options: FakeModelOptions
): AsyncGenerator<string> {
  const slow = decided.kind === "slow"
  const pace = options.pace ?? pauses(options)
  for (const word of wordsOf(decided)) {
    if (record.words > 0) {
      const left = await Promise.race([
        pace({ request: record, sent: record.words, slow }).then(() => false),
        out.left.then(() => true)
      ])
      if (left) throw new ClientLeft()
    }
    // The consumer has written the word when it asks for the next one.
    yield word
    record.words += 1
    memory.changed(record)
  }
}

function* wordsOf(decided: Plan): Generator<string> {
  if (decided.kind === "slow") for (let index = 0; index < decided.words; index++) yield slowWord(index)
  else if (decided.kind === "text") yield* words(decided.text)
  else if (decided.kind === "drop") yield* words(answers.half)
  else if (decided.kind === "stall") yield "Then "
  // A call for which the agent offers no tool.
  else yield "There is no tool for this."
}

const pauses =
  ({ delayMs = 5, slowDelayMs = 200 }: FakeModelOptions) =>
  ({ slow }: Word) =>
    new Promise<void>((resolve) => {
      setTimeout(resolve, slow ? slowDelayMs : delayMs)
    })

const outOf = (response: ServerResponse): Out => {
  const left = new Promise<void>((resolve) => {
    response.once("close", () => resolve())
  })
  // Writing to a socket that is gone is told by `close`; without a listener it would end the process.
  response.on("error", () => {})
  const flushed = (write: (done: () => void) => void) =>
    new Promise<void>((resolve, reject) => {
      if (response.destroyed) return reject(new ClientLeft())
      const gone = () => reject(new ClientLeft())
      response.once("close", gone)
      write(() => {
        response.off("close", gone)
        resolve()
      })
    })
  return {
    json: (status, body) => {
      const text = JSON.stringify(body)
      response.writeHead(status, {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text)
      })
      return flushed((done) => response.end(text, done))
    },
    write: (text) => {
      if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" })
      return flushed((done) => response.write(text, done))
    },
    end: () => flushed((done) => response.end(done)),
    destroy: () => {
      response.destroy()
    },
    left
  }
}

const readBody = async (request: IncomingMessage): Promise<string | null> => {
  const chunks: Array<Buffer> = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > limits.bodyBytes) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString("utf8")
}

const parse = (body: string): unknown => {
  try {
    return JSON.parse(body) as unknown
  } catch {
    return undefined
  }
}
