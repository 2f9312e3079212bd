/**
 * The wire to a program that speaks JSON-RPC, one object per line: requests with answers in both directions,
 * notifications. It knows no sessions and no turns.
 *
 * Promises: what arrives is handled one line after the other, in the order of the wire, and a slow handler
 * slows the sender. Every call ends: with its answer, with a refusal, at its deadline, or when the other side
 * is gone. A line that cannot be understood is counted and skipped. After `closed` nothing is handled any
 * more.
 */
import { Cause, Data, Deferred, Effect, Exit, Fiber, Stream } from "effect"
import type { Duration, Scope } from "effect"
import { makeFramer } from "./lines.ts"
import type { Line } from "./lines.ts"
import { TransportBroke } from "./Transport.ts"
import type { Gone, Transport } from "./Transport.ts"

/** What each call sends and gets. */
export type CallsOf<Calls> = { readonly [Method in keyof Calls]: readonly [sent: unknown, got: unknown] }
export type MethodOf<Calls> = keyof Calls & string

export type RequestId = number | string

/** The other side understood and said no, or failed while it was at it: the code says which. */
export class Refused extends Data.TaggedError("Refused")<{
  readonly method: string
  readonly code: number
  readonly text: string
}> {
  override get message() {
    return this.text
  }
}

/** No answer within the deadline. The answer may still come; `onAnswer` is told then. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{
  /** What people call the other side. */
  readonly who: string
  readonly method: string
}> {
  override get message() {
    return `${this.who} did not answer ${this.method} in time.`
  }
}

export type CallFailed = Refused | TransportBroke | NoAnswer

/** The answer of a call, or why there is none, before anything that came behind it on the wire. */
export type Answered<Got> = Exit.Exit<Got, Refused | TransportBroke>

export interface CallOptions<Got> {
  readonly deadline: Duration.Input
  /**
   * Runs in the reader, before the next line is looked at, exactly once: also when nobody waits for the
   * answer any more, and not at all when the request was never written.
   */
  readonly onAnswer?: (answer: Answered<Got>) => Effect.Effect<void>
}

export interface BeginOptions<Got> {
  /** Of the writing only. */
  readonly deadline: Duration.Input
  /** Told the request's id before it is written: its answer cannot come too early. */
  readonly onId: (id: number) => void
  /** As in a call. */
  readonly onAnswer: (answer: Answered<Got>) => Effect.Effect<void>
}

export interface Notification {
  readonly method: string
  readonly params: unknown
}

/** What the other side asks. */
export interface PeerRequest {
  readonly id: RequestId
  readonly method: string
  readonly params: unknown
}

export interface Handlers {
  readonly notification: (notification: Notification) => Effect.Effect<void>
  readonly request: (request: PeerRequest) => Effect.Effect<void>
}

export interface Connection<Calls extends CallsOf<Calls>> {
  readonly call: <Method extends MethodOf<Calls>>(
    method: Method,
    params: Calls[Method][0],
    options: CallOptions<Calls[Method][1]>
  ) => Effect.Effect<Calls[Method][1], CallFailed>
  /** A request whose answer may take as long as it likes. Resolves when it is written. */
  readonly begin: <Method extends MethodOf<Calls>>(
    method: Method,
    params: Calls[Method][0],
    options: BeginOptions<Calls[Method][1]>
  ) => Effect.Effect<void, TransportBroke | NoAnswer>
  readonly notify: (method: string, params?: object) => Effect.Effect<void, TransportBroke>
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
  readonly tap?: ((direction: "sent" | "received", line: string) => void) | undefined
}

/** The one that is spoken to. */
export interface Peer {
  /** What people call it, to begin a sentence with. */
  readonly name: string
  /** What every message begins with: some want the version named, some leave it out. */
  readonly envelope: { readonly jsonrpc?: "2.0" }
}

/** The codes of JSON-RPC itself. */
export const codes = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603
} as const

export const make = <Calls extends CallsOf<Calls>>(
  peer: Peer,
  transport: Transport,
  handlers: Handlers,
  options: ConnectionOptions = {}
): Effect.Effect<Connection<Calls>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { callsMax = 256, lastWords = "500 millis", lineBytesMax = 16 * 1024 * 1024, tap } = options
    const closed = Deferred.makeUnsafe<Gone>()
    const writer = makeWriter(peer, transport, tap)
    const waiting = makeWaiting(callsMax)
    const ear = makeEar(peer, waiting, handlers, tap)
    const reader = yield* Effect.forkScoped(reading(transport, makeFramer(lineBytesMax), ear.hear))

    // The end, in order: the last words are handled, then every caller is told, then `closed` resolves.
    yield* Effect.gen(function* () {
      const end = yield* transport.gone
      // A handler that nobody relieves must not keep the callers waiting.
      yield* Fiber.await(reader).pipe(
        Effect.timeoutOption(lastWords),
        Effect.andThen(Fiber.interrupt(reader))
      )
      writer.end(end)
      yield* waiting.endAll(new TransportBroke({ delivered: "unknown", text: end.message }))
      yield* Deferred.succeed(closed, end)
    }).pipe(Effect.forkScoped)

    const untilClosed = (effect: Effect.Effect<unknown>) =>
      effect.pipe(Effect.andThen(Deferred.await(closed)), Effect.asVoid)
    return {
      ...callsOver<Calls>(peer, waiting, writer.write),
      notify: (method, params) => writer.write({ method, ...(params !== undefined && { params }) }),
      reply: (id, result) => writer.write({ id, result }),
      refuse: (id, code, message) => writer.write({ id, error: { code, message } }),
      closed: Deferred.await(closed),
      isClosed: writer.hasEnded,
      close: untilClosed(transport.close),
      kill: untilClosed(transport.kill),
      malformed: ear.skipped
    }
  })

// Writing

const makeWriter = ({ envelope }: Peer, transport: Transport, tap: ConnectionOptions["tap"]) => {
  let gone: Gone | null = null
  return {
    hasEnded: () => gone !== null,
    end: (by: Gone) => void (gone = by),
    write: (message: object): Effect.Effect<void, TransportBroke> =>
      Effect.suspend(() => {
        if (gone !== null) return new TransportBroke({ delivered: "no", text: gone.message })
        const line = JSON.stringify({ ...envelope, ...message })
        tap?.("sent", line)
        return transport.write(line)
      })
  }
}

type Write = ReturnType<typeof makeWriter>["write"]

const callsOver = <Calls extends CallsOf<Calls>>(
  { name }: Peer,
  waiting: Waiting,
  write: Write
): Pick<Connection<Calls>, "call" | "begin"> => {
  const inTime = <A, E>(effect: Effect.Effect<A, E>, method: string, deadline: Duration.Input) =>
    Effect.timeoutOrElse(effect, {
      duration: deadline,
      orElse: () => Effect.fail(new NoAnswer({ who: name, method }))
    })
  const started = (method: string, params: unknown, onId: (id: number) => void, onAnswer: OnAnswer) =>
    Effect.suspend(() => {
      const waited = waiting.add(method, onAnswer)
      if (waited === null)
        return new TransportBroke({ delivered: "no", text: `${name} has too many calls to answer.` })
      const { answered, id } = waited
      onId(id)
      return write({ id, method, params }).pipe(
        // Never written: no answer will come, and nobody is to be told of one.
        Effect.tapError(({ delivered }) => Effect.sync(() => delivered === "no" && waiting.forget(id))),
        Effect.as(answered)
      )
    })
  return {
    call: (method, params, { deadline, onAnswer }) =>
      inTime(
        Effect.flatMap(
          started(method, params, () => {}, onAnswer as OnAnswer),
          Deferred.await
        ),
        method,
        deadline
      ) as Effect.Effect<never, CallFailed>,
    begin: (method, params, { deadline, onAnswer, onId }) =>
      Effect.asVoid(inTime(started(method, params, onId, onAnswer as OnAnswer), method, deadline))
  }
}

// Who waits for an answer

type OnAnswer = ((answer: Answered<unknown>) => Effect.Effect<void>) | undefined

type Waiting = ReturnType<typeof makeWaiting>

const makeWaiting = (callsMax: number) => {
  const calls = new Map<
    number,
    {
      readonly method: string
      readonly answered: Deferred.Deferred<unknown, Refused | TransportBroke>
      readonly onAnswer: OnAnswer
    }
  >()
  let lastId = 0

  /** False: nobody waits for it. */
  const settle = (id: number, answerTo: (method: string) => Answered<unknown>): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      const call = calls.get(id)
      if (call === undefined) return Effect.succeed(false)
      calls.delete(id)
      const answer = answerTo(call.method)
      return (call.onAnswer?.(answer) ?? Effect.void).pipe(
        Effect.andThen(Effect.sync(() => Deferred.doneUnsafe(call.answered, answer))),
        Effect.as(true)
      )
    })

  return {
    /** Waited for before it is written: the answer cannot come too early. Null: too many wait. */
    add: (method: string, onAnswer: OnAnswer) => {
      if (calls.size >= callsMax) return null
      const answered = Deferred.makeUnsafe<unknown, Refused | TransportBroke>()
      lastId += 1
      calls.set(lastId, { method, answered, onAnswer })
      return { id: lastId, answered }
    },
    forget: (id: number) => calls.delete(id),
    settle,
    endAll: (error: TransportBroke) =>
      Effect.suspend(() =>
        Effect.forEach([...calls.keys()], (id) => settle(id, () => Exit.fail(error)), { discard: true })
      )
  }
}

// Reading

const reading = (
  transport: Transport,
  framer: (chunk: Uint8Array) => ReadonlyArray<Line>,
  hear: (line: Line) => Effect.Effect<void>
) =>
  transport.input.pipe(
    Stream.runForEach((chunk) => Effect.forEach(framer(chunk), hear, { discard: true })),
    // A handler that breaks must not leave a program that nobody listens to.
    Effect.onError((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.andThen(Effect.logError("a provider's message could not be handled", cause), transport.kill)
    )
  )

const makeEar = (peer: Peer, waiting: Waiting, handlers: Handlers, tap: ConnectionOptions["tap"]) => {
  let skipped = 0
  const skip = () => void (skipped += 1)
  const settled = (id: number, answerTo: (method: string) => Answered<unknown>) =>
    Effect.map(waiting.settle(id, answerTo), (isAwaited) => void (isAwaited || skip()))

  const hear = ({ text, whole }: Line): Effect.Effect<void> => {
    if (!whole) {
      skip()
      // An answer that is too long to be read is still an answer: whoever waits for it must not wait for ever.
      const id = answerIdIn(text)
      return id === null ? Effect.void : Effect.asVoid(waiting.settle(id, tooLong(peer)))
    }
    tap?.("received", text)
    const message = parse(text)
    switch (message.type) {
      case "answer":
        return settled(message.id, message.answerTo)
      case "notification":
        return handlers.notification(message)
      case "request":
        return handlers.request(message)
      case "malformed":
        return Effect.sync(skip)
    }
  }
  return { hear, skipped: () => skipped }
}

/** Of the head of a line. */
const answerIdIn = (head: string): number | null => {
  const [, id] = /^\s*\{(?:"jsonrpc":"2\.0",)?"id":(\d+),"(?:result|error)"/.exec(head) ?? []
  return id === undefined ? null : Number(id)
}

const tooLong =
  ({ name }: Peer) =>
  (method: string): Answered<never> =>
    Exit.fail(
      new Refused({ method, code: codes.internalError, text: `${name}'s answer is too long to be read.` })
    )

type Message =
  | ({ readonly type: "notification" } & Notification)
  | ({ readonly type: "request" } & PeerRequest)
  | {
      readonly type: "answer"
      readonly id: number
      readonly answerTo: (method: string) => Answered<unknown>
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
  if ("result" in message) return { type: "answer", id, answerTo: () => Exit.succeed(message["result"]) }
  const { error } = message
  if (typeof error !== "object" || error === null) return malformed
  return { type: "answer", id, answerTo: (method) => Exit.fail(refusedBy(error, method)) }
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

const refusedBy = (error: object, method: string): Refused => {
  const { code, data, message } = error as { code?: unknown; message?: unknown; data?: unknown }
  return new Refused({
    method,
    code: typeof code === "number" ? code : codes.internalError,
    text: errorText(typeof message === "string" ? message : "", data)
  })
}

/** UTF-16 units. */
const errorTextMax = 2_000

/** For people: the sentence, and what stands in its data where the sentence does not say it. */
const errorText = (text: string, data: unknown): string => {
  const { details, message } = Object(data) as { details?: unknown; message?: unknown }
  const more = [data, details, message].find((one) => typeof one === "string" && one !== "")
  const whole = typeof more === "string" && !text.includes(more) ? `${text}: ${more}` : text
  return (whole === "" ? "The program reported an error without a word." : whole).slice(0, errorTextMax)
}
