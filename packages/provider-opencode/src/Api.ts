/**
 * The wire: one OpenCode server's HTTP API. Knows no turns.
 *
 * Every call has a deadline and ends in its answer, in `Refused` (the server said no), in `NoAnswer` (the
 * deadline passed) or in `Unreachable`, which says whether the server can have read it. The events are read
 * only as fast as they are taken.
 */
import { Effect, Schema, Stream } from "effect"
import type { Duration } from "effect"
import type { Native } from "./protocol.ts"

/** The server answered with an error. `name` is its own word for it, where it has one. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  status: Schema.Int,
  name: Schema.NullOr(Schema.String),
  text: Schema.String
}) {
  override get message() {
    return this.text
  }
}

export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { path: Schema.String }) {
  override get message() {
    return `OpenCode did not answer ${this.path} in time.`
  }
}

/** `delivered: "no"`: the server cannot have read it. */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {
  delivered: Schema.Literals(["no", "unknown"]),
  text: Schema.String
}) {
  override get message() {
    return this.text
  }
}

export type CallFailed = Refused | NoAnswer | Unreachable

/** The server has no stream of events there: it says so, or answers with something else. */
export class NotOffered extends Schema.TaggedError<NotOffered>()("NotOffered", { path: Schema.String }) {
  override get message() {
    return `OpenCode tells no events at ${this.path}.`
  }
}

export interface Call {
  readonly body?: unknown
  readonly directory?: string
  readonly deadline: Duration.Input
}

export interface Answer<A> {
  readonly body: A
  readonly nextCursor: string | null
}

export interface Api {
  readonly get: <A>(path: string, call: Call) => Effect.Effect<A, CallFailed>
  readonly post: <A>(path: string, call: Call) => Effect.Effect<A, CallFailed>
  readonly patch: <A>(path: string, call: Call) => Effect.Effect<A, CallFailed>
  /** As `get`, with the cursor of the next page. */
  readonly page: <A>(path: string, call: Call) => Effect.Effect<Answer<A>, CallFailed>
  /** Everything that happens, from the moment at which the server says `server.connected`. */
  readonly events: Stream.Stream<Native, Unreachable | NotOffered>
  /** As `events`, of this directory alone and without the sequence. */
  readonly eventsIn: (directory: string) => Stream.Stream<Native, Unreachable | NotOffered>
}

export interface ApiOptions {
  readonly url: string
  readonly password: string | null
  readonly username?: string
  /** Sees every call and every event, for the native log. */
  readonly tap?: (direction: "sent" | "received", line: string) => void
}

export const make = (options: ApiOptions): Api => {
  const { tap } = options
  const base = options.url.replace(/\/+$/, "")
  const authorization: Record<string, string> =
    options.password === null
      ? {}
      : { authorization: `Basic ${btoa(`${options.username ?? "opencode"}:${options.password}`)}` }

  const request = (method: string, path: string, call: Call, signal: AbortSignal) =>
    fetch(`${base}${path}`, {
      method,
      signal,
      headers: {
        ...authorization,
        ...(call.directory === undefined
          ? {}
          : { "x-opencode-directory": encodeURIComponent(call.directory) }),
        ...(call.body === undefined ? {} : { "content-type": "application/json" })
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) })
    })

  const ask = <A>(method: string, path: string, call: Call): Effect.Effect<Answer<A>, CallFailed> =>
    Effect.tryPromise({
      try: async (signal) => {
        tap?.("sent", `${method} ${path}${call.body === undefined ? "" : ` ${JSON.stringify(call.body)}`}`)
        const response = await request(method, path, call, signal)
        const text = await response.text()
        tap?.("received", `${response.status} ${path} ${text}`)
        return { status: response.status, text, nextCursor: response.headers.get("x-next-cursor") }
      },
      catch: unreachable
    }).pipe(
      Effect.timeoutOrElse({ duration: call.deadline, orElse: () => Effect.fail(new NoAnswer({ path })) }),
      Effect.flatMap(({ status, text, nextCursor }) =>
        status >= 200 && status < 300
          ? Effect.succeed({ body: parsed(text) as A, nextCursor })
          : Effect.fail(refused(status, text))
      )
    )

  const bodyOf =
    (method: string) =>
    <A>(path: string, call: Call) =>
      Effect.map(ask<A>(method, path, call), ({ body }) => body)

  const connect = (path: string, call: Call) =>
    Effect.tryPromise({
      try: async (signal) => {
        // The signal of this call ends with it; the stream is ended by cancelling its reader.
        const response = await request("GET", path, call, signal)
        const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true
        if (response.ok && isStream && response.body !== null) return response.body
        await response.body?.cancel()
        // An older server has its web page, or nothing, at a path that it does not know.
        if (response.ok || response.status === 404) throw new NotOffered({ path })
        throw new Error(`OpenCode answered ${response.status}.`)
      },
      catch: (error) => (error instanceof NotOffered ? error : unreachable(error))
    })

  const eventsAt = (path: string, call: Call, eventIn: (line: unknown) => unknown) =>
    Stream.unwrap(
      Effect.map(connect(path, call), (body) =>
        Stream.fromReadableStream({ evaluate: () => body, onError: unreachable }).pipe(
          Stream.decodeText,
          Stream.splitLines,
          Stream.filter((line) => line.startsWith("data:")),
          Stream.map((line) => {
            tap?.("received", line)
            return nativeOf(eventIn(parsed(line.slice(5))))
          }),
          Stream.filter((event) => event !== null)
        )
      )
    )

  return {
    get: bodyOf("GET"),
    post: bodyOf("POST"),
    patch: bodyOf("PATCH"),
    page: (path, call) => ask("GET", path, call),
    events: eventsAt("/global/event", { deadline: 0 }, (line) => Reflect.get(Object(line), "payload")),
    eventsIn: (directory) => eventsAt("/event", { directory, deadline: 0 }, (line) => line)
  }
}

/** Codes that say: there was no connection to send anything on. */
const neverSent = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT"
])

const unreachable = (error: unknown): Unreachable => {
  const { cause } = Object(error) as { cause?: unknown }
  const { code } = Object(cause) as { code?: unknown }
  return new Unreachable({
    delivered: typeof code === "string" && neverSent.has(code) ? "no" : "unknown",
    text: `OpenCode cannot be reached${typeof code === "string" ? ` (${code})` : ""}.`
  })
}

const parsed = (text: string): unknown => {
  if (text.trim() === "") return null
  try {
    return JSON.parse(text) as unknown
  } catch {
    // A line that is not of the protocol harms nobody but itself.
    return null
  }
}

/** OpenCode has several shapes of an error; what a person reads stands in one of these places. */
const refused = (status: number, text: string): Refused => {
  const { name, _tag, message, data } = Object(parsed(text)) as Record<string, unknown>
  const said = (Object(data) as { message?: unknown }).message ?? message
  const named = typeof _tag === "string" ? _tag : name
  return new Refused({
    status,
    name: typeof named === "string" ? named : null,
    text: typeof said === "string" && said !== "" ? said.slice(0, 2_000) : `OpenCode answered ${status}.`
  })
}

const nativeOf = (event: unknown): Native | null => {
  const { type, properties, syncEvent } = Object(event) as Record<string, unknown>
  if (typeof type !== "string") return null
  return { type, properties: type === "sync" ? syncEvent : properties }
}
