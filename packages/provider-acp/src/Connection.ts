/**
 * The wire to an agent: JSON-RPC 2.0, one object per line, requests in both directions, notifications. It
 * knows no sessions and no turns.
 *
 * Promises: what arrives is handled one line after the other, in the order of the wire, and a slow handler
 * slows the sender. Every call ends: with its answer, with a refusal, at its deadline, or when the other side
 * is gone. A line that cannot be understood is counted and skipped. After `closed` nothing is handled any
 * more.
 *
 * The protocol's own library is used for its types only: its connection reads ahead without a bound, answers
 * a malformed line on the wire, and checks what an agent sends against one version's exact shapes, which an
 * agent of tomorrow does not have.
 */
import { Cause, Deferred, Effect, Exit, Fiber, Schema, Stream } from "effect"
import type { Duration, Scope } from "effect"
import type { Calls, Method, RequestId } from "./protocol.ts"
import { codes } from "./protocol.ts"

/** Bytes in, lines out, and the two ways to end it. Tests replace this and nothing else. */
export interface Transport {
  /** Chunks as they arrive, pulled: what is not read stays with the sender. Ends when the other side is gone. */
  readonly input: Stream.Stream<Uint8Array>
  /** `delivered: "no"` only when not a byte of the line can have arrived. */
  readonly write: (line: string) => Effect.Effect<void, TransportBroke>
  /** Resolves once the other side is gone, however that came about. */
  readonly gone: Effect.Effect<Gone>
  /** Asks it to end, then insists. Resolves when it is gone. */
  readonly close: Effect.Effect<void>
  /** Ends it without asking. Resolves when it is gone. */
  readonly kill: Effect.Effect<void>
}

export interface Gone {
  readonly how: "closed" | "killed" | "by itself"
  readonly message: string
}

/** The other side understood and said no, or failed while it was at it: the code says which. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  method: Schema.String,
  code: Schema.Number,
  text: Schema.String
}) {
  override get message() {
    return this.text
  }
}

/** The other side is gone, or could not be written to. */
export class TransportBroke extends Schema.TaggedError<TransportBroke>()("TransportBroke", {
  delivered: Schema.Literals(["no", "unknown"]),
  text: Schema.String
}) {
  override get message() {
    return this.text
  }
}

/** No answer within the deadline. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { method: Schema.String }) {
  override get message() {
    return `The agent did not answer ${this.method} in time.`
  }
}

export type CallFailed = Refused | TransportBroke | NoAnswer

/** The answer of a call, or why there is none, before anything that came behind it on the wire. */
export type Answered<M extends Method> = Exit.Exit<Calls[M][1], Refused | TransportBroke>

export interface CallOptions<M extends Method> {
  readonly deadline: Duration.Input
  /**
   * Runs in the reader, before the next line is looked at, exactly once: also when nobody waits for the
   * answer any more, and not at all when the request was never written.
   */
  readonly onAnswer?: (answer: Answered<M>) => Effect.Effect<void>
}

export interface BeginOptions<M extends Method> {
  /** Of the writing only. */
  readonly deadline: Duration.Input
  /** Told the request's id before it is written: its answer cannot come too early. */
  readonly onId: (id: number) => void
  /** As in a call. */
  readonly onAnswer: (answer: Answered<M>) => Effect.Effect<void>
}

export interface Notification {
  readonly method: string
  readonly params: unknown
}

export interface AgentRequest {
  readonly id: RequestId
  readonly method: string
  readonly params: unknown
}

export interface Handlers {
  readonly notification: (notification: Notification) => Effect.Effect<void>
  readonly request: (request: AgentRequest) => Effect.Effect<void>
}

export interface Connection {
  readonly call: <M extends Method>(
    method: M,
    params: Calls[M][0],
    options: CallOptions<M>
  ) => Effect.Effect<Calls[M][1], CallFailed>
  /** A request whose answer may take as long as it likes. Resolves when it is written. */
  readonly begin: <M extends Method>(
    method: M,
    params: Calls[M][0],
    options: BeginOptions<M>
  ) => Effect.Effect<void, TransportBroke | NoAnswer>
  readonly notify: (method: string, params: object) => Effect.Effect<void, TransportBroke>
  /** Answers a request of the other side. */
  readonly reply: (id: RequestId, result: unknown) => Effect.Effect<void, TransportBroke>
  /** Tells the other side that its request will not be dealt with, so that it does not wait for ever. */
  readonly refuse: (id: RequestId, code: number, reason: string) => Effect.Effect<void, TransportBroke>
  /** Resolves when the other side is gone and everything it said before has been handled. */
  readonly closed: Effect.Effect<Gone>
  readonly isClosed: () => boolean
  readonly close: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  /** Lines that were not understood, since the start. */
  readonly malformed: () => number
}

export interface ConnectionOptions {
  /** Longest line that is read. A longer one is skipped and counted. */
  readonly lineBytesMax?: number
  /** Calls waited for at one time, those given up included. */
  readonly callsMax?: number
  /** How long, after the other side is gone, its last words may take to be handled. */
  readonly lastWords?: Duration.Input
  /** Sees every line, for the native log. */
  readonly tap?: (direction: "sent" | "received", line: string) => void
}

interface Waiting {
  readonly method: Method
  readonly answered: Deferred.Deferred<unknown, Refused | TransportBroke>
  readonly onAnswer: ((answer: Answered<never>) => Effect.Effect<void>) | undefined
}

export const make = Effect.fn("Connection.make")(function* (
  transport: Transport,
  handlers: Handlers,
  options: ConnectionOptions = {}
): Effect.fn.Return<Connection, never, Scope.Scope> {
  const { lineBytesMax = 16 * 1024 * 1024, callsMax = 256, lastWords = "500 millis", tap } = options
  const waiting = new Map<number, Waiting>()
  const closed = yield* Deferred.make<Gone>()
  const framer = makeFramer(lineBytesMax)
  let nextId = 1
  let skipped = 0
  let gone: Gone | null = null

  const write = (message: object) => {
    const line = JSON.stringify({ jsonrpc: "2.0", ...message })
    return Effect.suspend(() => {
      if (gone !== null) return Effect.fail(new TransportBroke({ delivered: "no", text: gone.message }))
      tap?.("sent", line)
      return transport.write(line)
    })
  }

  const settle = (id: number, outcomeOf: (method: string) => Exit.Exit<unknown, Refused | TransportBroke>) =>
    Effect.suspend(() => {
      const call = waiting.get(id)
      if (call === undefined) {
        skipped++
        return Effect.void
      }
      waiting.delete(id)
      const outcome = outcomeOf(call.method)
      return (call.onAnswer?.(outcome as Answered<never>) ?? Effect.void).pipe(
        Effect.andThen(Effect.sync(() => Deferred.doneUnsafe(call.answered, outcome)))
      )
    }).pipe(Effect.asVoid)

  /** Waited for before it is written; when it was never written no answer will come, and nobody is told of one. */
  const started = <M extends Method>(
    method: M,
    params: Calls[M][0],
    onId: (id: number) => void,
    onAnswer: CallOptions<M>["onAnswer"]
  ) =>
    Effect.suspend(() => {
      if (waiting.size >= callsMax) {
        return Effect.fail(
          new TransportBroke({ delivered: "no", text: "Too many calls are waiting for the agent." })
        )
      }
      const id = nextId++
      const answered = Deferred.makeUnsafe<unknown, Refused | TransportBroke>()
      waiting.set(id, { method, answered, onAnswer: onAnswer as Waiting["onAnswer"] })
      onId(id)
      return write({ id, method, params }).pipe(
        Effect.tapError((error) => Effect.sync(() => error.delivered === "no" && waiting.delete(id))),
        Effect.as(answered)
      )
    })

  const call: Connection["call"] = (method, params, { deadline, onAnswer }) =>
    started(method, params, () => {}, onAnswer).pipe(
      Effect.flatMap(Deferred.await),
      Effect.timeoutOrElse({ duration: deadline, orElse: () => Effect.fail(new NoAnswer({ method })) }),
      Effect.map((answer) => answer as never)
    )

  const begin: Connection["begin"] = (method, params, { deadline, onId, onAnswer }) =>
    started(method, params, onId, onAnswer).pipe(
      Effect.timeoutOrElse({ duration: deadline, orElse: () => Effect.fail(new NoAnswer({ method })) }),
      Effect.asVoid
    )

  const handleLine = (line: string): Effect.Effect<void> => {
    tap?.("received", line)
    const message = parse(line)
    switch (message.type) {
      case "answer":
        return settle(message.id, message.outcome)
      case "notification":
        return handlers.notification(message)
      case "request":
        return handlers.request(message)
      case "malformed":
        return Effect.sync(() => void skipped++)
    }
  }

  /** An answer that is too long to be read is still an answer: whoever waits for it must not wait for ever. */
  const handleOverlong = (head: string): Effect.Effect<void> => {
    skipped++
    const [, id] = /^\s*\{(?:"jsonrpc":"2\.0",)?"id":(\d+),"(?:result|error)"/.exec(head) ?? []
    if (id === undefined) return Effect.void
    const text = "The agent's answer is too long to be read."
    return settle(Number(id), (method) => Exit.fail(new Refused({ method, code: codes.internalError, text })))
  }

  const reader = yield* transport.input.pipe(
    Stream.runForEach((chunk) =>
      Effect.forEach(
        framer(chunk),
        (line) => (line.whole ? handleLine(line.text) : handleOverlong(line.text)),
        {
          discard: true
        }
      )
    ),
    // A handler that breaks must not leave a program that nobody listens to.
    Effect.onError((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.andThen(Effect.logError("a message of an agent could not be handled", cause), transport.kill)
    ),
    Effect.forkScoped
  )

  // The end, in order: the last words are handled, then every caller is told, then `closed` resolves.
  yield* Effect.gen(function* () {
    const end = yield* transport.gone
    // A handler that nobody relieves must not keep the callers waiting.
    yield* Fiber.await(reader).pipe(Effect.timeoutOption(lastWords), Effect.andThen(Fiber.interrupt(reader)))
    gone = end
    const broke = new TransportBroke({ delivered: "unknown", text: end.message })
    for (const id of waiting.keys()) yield* settle(id, () => Exit.fail(broke))
    yield* Deferred.succeed(closed, end)
  }).pipe(Effect.forkScoped)

  return {
    call,
    begin,
    notify: (method, params) => write({ method, params }),
    reply: (id, result) => write({ id, result }),
    refuse: (id, code, message) => write({ id, error: { code, message } }),
    closed: Deferred.await(closed),
    isClosed: () => gone !== null,
    close: transport.close.pipe(Effect.andThen(Deferred.await(closed)), Effect.asVoid),
    kill: transport.kill.pipe(Effect.andThen(Deferred.await(closed)), Effect.asVoid),
    malformed: () => skipped
  }
})

type Message =
  | ({ readonly type: "notification" } & Notification)
  | ({ readonly type: "request" } & AgentRequest)
  | {
      readonly type: "answer"
      readonly id: number
      readonly outcome: (method: string) => Exit.Exit<unknown, Refused>
    }
  | { readonly type: "malformed" }

const malformed: Message = { type: "malformed" }

const parse = (line: string): Message => {
  const message = parseObject(line)
  if (message === null) return malformed
  const { id, method, params } = message
  if (typeof method === "string") {
    // Ids of the other side start at 0, so presence is asked for, not truth.
    if (id === undefined) return { type: "notification", method, params }
    return typeof id === "number" || typeof id === "string"
      ? { type: "request", id, method, params }
      : malformed
  }
  if (typeof id !== "number") return malformed
  if ("result" in message) return { type: "answer", id, outcome: () => Exit.succeed(message["result"]) }
  const error = message["error"]
  if (typeof error !== "object" || error === null) return malformed
  const { code, message: text, data } = error as { code?: unknown; message?: unknown; data?: unknown }
  return {
    type: "answer",
    id,
    outcome: (method) =>
      Exit.fail(
        new Refused({
          method,
          code: typeof code === "number" ? code : codes.internalError,
          text: errorText(typeof text === "string" ? text : "", data)
        })
      )
  }
}

const errorTextMax = 2_000

/** For people: the sentence, and what stands in its data where the sentence does not say it. */
const errorText = (text: string, data: unknown): string => {
  const { details, message } = Object(data) as { details?: unknown; message?: unknown }
  const more = [data, details, message].find((one) => typeof one === "string" && one !== "")
  const whole = typeof more === "string" && !text.includes(more) ? `${text}: ${more}` : text
  return (whole === "" ? "The agent reported an error without a word." : whole).slice(0, errorTextMax)
}

const parseObject = (line: string): Record<string, unknown> | null => {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}

const newline = 0x0a
const headBytes = 256

interface Line {
  /** False: the line was longer than is read; the text is its head. */
  readonly whole: boolean
  readonly text: string
}

/** Cuts chunks into lines. Cutting bytes, not text, keeps characters whole that two chunks share. */
const makeFramer = (bytesMax: number) => {
  let parts: Array<Uint8Array> = []
  let bytes = 0
  /** The head of a line that is being skipped. */
  let head: string | null = null

  const headOf = (rest: Uint8Array) =>
    Buffer.concat([...parts, rest])
      .subarray(0, headBytes)
      .toString("latin1")

  const end = (last: Uint8Array): ReadonlyArray<Line> => {
    const skipped = head ?? (bytes + last.length > bytesMax ? headOf(last) : null)
    const line: Line =
      skipped === null
        ? { whole: true, text: Buffer.concat([...parts, last]).toString("utf8") }
        : { whole: false, text: skipped }
    parts = []
    bytes = 0
    head = null
    return line.text.trim() === "" ? [] : [line]
  }

  return (chunk: Uint8Array): ReadonlyArray<Line> => {
    const lines: Array<Line> = []
    let from = 0
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      lines.push(...end(chunk.subarray(from, at)))
      from = at + 1
    }
    const rest = chunk.subarray(from)
    if (head === null && bytes + rest.length > bytesMax) {
      head = headOf(rest)
      parts = []
      bytes = 0
    } else if (head === null && rest.length > 0) {
      parts.push(rest)
      bytes += rest.length
    }
    return lines
  }
}
