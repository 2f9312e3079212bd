/**
 * The wire to `codex app-server`: one JSON object per line, requests with answers in both directions,
 * notifications. It knows no threads and no turns.
 *
 * Promises: what arrives is handled one line after the other, in the order of the wire, and a slow
 * handler slows the sender. Every call ends: with its answer, with a refusal, at its deadline, or when the
 * other side is gone. A line that cannot be understood is counted and skipped. After `closed` nothing is
 * handled any more.
 */
import { Cause, Deferred, Effect, Exit, Fiber, Schema, Stream } from "effect"
import type { Duration, Scope } from "effect"
import type * as Protocol from "./_generated/protocol.ts"

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

/** The other side understood and said no. */
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

/** No answer within the deadline. The answer may still come; `onAnswer` is told then. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { method: Schema.String }) {
  override get message() {
    return `Codex did not answer ${this.method} in time.`
  }
}

export type CallFailed = Refused | TransportBroke | NoAnswer

/** What each call sends and gets. */
export interface Calls {
  readonly initialize: [Protocol.InitializeParams, Protocol.InitializeResponse]
  readonly "thread/start": [Protocol.ThreadStartParams, Protocol.ThreadStartResponse]
  readonly "thread/resume": [Protocol.ThreadResumeParams, Protocol.ThreadResumeResponse]
  readonly "thread/read": [Protocol.ThreadReadParams, Protocol.ThreadReadResponse]
  readonly "thread/unsubscribe": [Protocol.ThreadUnsubscribeParams, Protocol.ThreadUnsubscribeResponse]
  readonly "thread/loaded/list": [Protocol.ThreadLoadedListParams, Protocol.ThreadLoadedListResponse]
  readonly "thread/turns/list": [Protocol.ThreadTurnsListParams, Protocol.ThreadTurnsListResponse]
  readonly "thread/items/list": [Protocol.ThreadItemsListParams, Protocol.ThreadItemsListResponse]
  readonly "thread/backgroundTerminals/list": [
    Protocol.ThreadBackgroundTerminalsListParams,
    Protocol.ThreadBackgroundTerminalsListResponse
  ]
  readonly "thread/backgroundTerminals/terminate": [
    Protocol.ThreadBackgroundTerminalsTerminateParams,
    Protocol.ThreadBackgroundTerminalsTerminateResponse
  ]
  readonly "turn/start": [Protocol.TurnStartParams, Protocol.TurnStartResponse]
  readonly "turn/steer": [Protocol.TurnSteerParams, Protocol.TurnSteerResponse]
  readonly "turn/interrupt": [Protocol.TurnInterruptParams, Protocol.TurnInterruptResponse]
  readonly "model/list": [Protocol.ModelListParams, Protocol.ModelListResponse]
  readonly "account/read": [Protocol.GetAccountParams, Protocol.GetAccountResponse]
}
export type Method = keyof Calls

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

export interface Notification {
  readonly method: string
  readonly params: unknown
}

export interface ServerRequest {
  readonly id: Protocol.RequestId
  readonly method: string
  readonly params: unknown
}

export interface Handlers {
  readonly notification: (notification: Notification) => Effect.Effect<void>
  readonly request: (request: ServerRequest) => Effect.Effect<void>
}

export interface Connection {
  readonly call: <M extends Method>(
    method: M,
    params: Calls[M][0],
    options: CallOptions<M>
  ) => Effect.Effect<Calls[M][1], CallFailed>
  readonly notify: (method: string) => Effect.Effect<void, TransportBroke>
  /** Answers a request of the other side. */
  readonly reply: (id: Protocol.RequestId, result: unknown) => Effect.Effect<void, TransportBroke>
  /** Tells the other side that its request will not be dealt with, so that it does not wait for ever. */
  readonly refuse: (id: Protocol.RequestId, reason: string) => Effect.Effect<void, TransportBroke>
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
    const line = JSON.stringify(message)
    return Effect.suspend(() => {
      if (gone !== null) return new TransportBroke({ delivered: "no", text: gone.message })
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

  const call = Effect.fn("Connection.call")(function* <M extends Method>(
    method: M,
    params: Calls[M][0],
    { deadline, onAnswer }: CallOptions<M>
  ) {
    if (waiting.size >= callsMax) {
      return yield* new TransportBroke({ delivered: "no", text: "Too many calls are waiting for Codex." })
    }
    const id = nextId++
    const answered = Deferred.makeUnsafe<unknown, Refused | TransportBroke>()
    // Waited for before it is written: the answer cannot come too early.
    waiting.set(id, { method, answered, onAnswer: onAnswer as Waiting["onAnswer"] })
    const answer = yield* write({ id, method, params }).pipe(
      // Never written: no answer will come, and nobody is to be told of one.
      Effect.tapError((error) => Effect.sync(() => error.delivered === "no" && waiting.delete(id))),
      Effect.andThen(Deferred.await(answered)),
      Effect.timeoutOrElse({ duration: deadline, orElse: () => new NoAnswer({ method }) })
    )
    return answer as Calls[M][1]
  })

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

  const reader = yield* transport.input.pipe(
    Stream.runForEach((chunk) =>
      Effect.suspend(() => {
        const { lines, overlong } = framer(chunk)
        skipped += overlong
        return Effect.forEach(lines, handleLine, { discard: true })
      })
    ),
    // A handler that breaks must not leave a program that nobody listens to.
    Effect.onError((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.andThen(Effect.logError("a message of Codex could not be handled", cause), transport.kill)
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
    notify: (method) => write({ method }),
    reply: (id, result) => write({ id, result }),
    refuse: (id, reason) => write({ id, error: { code: methodNotFound, message: reason } }),
    closed: Deferred.await(closed),
    isClosed: () => gone !== null,
    close: transport.close.pipe(Effect.andThen(Deferred.await(closed)), Effect.asVoid),
    kill: transport.kill.pipe(Effect.andThen(Deferred.await(closed)), Effect.asVoid),
    malformed: () => skipped
  }
})

const methodNotFound = -32601

type Message =
  | ({ readonly type: "notification" } & Notification)
  | ({ readonly type: "request" } & ServerRequest)
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
  const { code, message: text } = error as { code?: unknown; message?: unknown }
  return {
    type: "answer",
    id,
    outcome: (method) =>
      Exit.fail(
        new Refused({
          method,
          code: typeof code === "number" ? code : 0,
          text: typeof text === "string" ? text : ""
        })
      )
  }
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

/** Cuts chunks into lines. Cutting bytes, not text, keeps characters whole that two chunks share. */
const makeFramer = (bytesMax: number) => {
  let parts: Array<Uint8Array> = []
  let bytes = 0
  let skipping = false
  return (chunk: Uint8Array): { readonly lines: ReadonlyArray<string>; readonly overlong: number } => {
    const lines: Array<string> = []
    let overlong = 0
    let from = 0
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      if (skipping || bytes + at - from > bytesMax) overlong++
      else if (bytes + at > from)
        lines.push(Buffer.concat([...parts, chunk.subarray(from, at)]).toString("utf8"))
      parts = []
      bytes = 0
      skipping = false
      from = at + 1
    }
    const rest = chunk.subarray(from)
    if (skipping || bytes + rest.length > bytesMax) {
      parts = []
      bytes = 0
      skipping = true
    } else if (rest.length > 0) {
      parts.push(rest)
      bytes += rest.length
    }
    return { lines, overlong }
  }
}
