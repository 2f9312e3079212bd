/**
 * One WebSocket of a client, as both protocols use it: text frames in, text frames out, all bounded.
 *
 * Frames are taken one after another, and none is taken while more than the backlog waits to be read by
 * the client: a client that does not read is not served, and costs nobody else anything.
 */
import { limits } from "@turnkeeper/contracts/Limits"
import { Effect } from "effect"
import type { Scope } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { CloseEvent } from "effect/socket/Socket"
import { NodeHttpServerRequest } from "@effect/platform-node"
import { Parts } from "./TextSocket.ts"
import type { Message } from "./TextSocket.ts"
import { untilSilent } from "./untilSilent.ts"

export interface Connection {
  /** Resolves when the message is handed over and the backlog is below its bound. */
  readonly send: (message: Message) => Effect.Effect<void>
  readonly close: (code: CloseCode, reason: string) => Effect.Effect<void>
}

/**
 * 1002 protocol error, 1003 binary frame, 1007 not JSON, 1008 the credential has ended. Too large a frame
 * (1009) is closed below us.
 */
export type CloseCode = 1002 | 1003 | 1007 | 1008

/** What a protocol does with a connection. `frame` may run long: the next one waits for it. */
export interface Receiver {
  readonly frame: (text: string) => Effect.Effect<void>
  /** Resolves when the client may not be served any longer. */
  readonly ended: Effect.Effect<void>
}

/**
 * Answers an upgrade request and serves the socket until it closes, for whatever reason. The scope that
 * `open` runs in ends with the connection.
 */
export const upgrade = <R>(
  open: (connection: Connection) => Effect.Effect<Receiver, never, R | Scope.Scope>
) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const socket = yield* request.upgrade
    const writer = yield* socket.writer
    const { socket: wire } = NodeHttpServerRequest.toIncomingMessage(request)
    const drained = whenDrained(wire)

    const write = (message: Message) =>
      writer.write(
        typeof message === "string" || message instanceof Uint8Array
          ? message
          : // The writer hands it on as it is: to the `TextSocket`.
            (new Parts(wire, message.own, message.shared) as never)
      )
    // A message for a socket that has just closed goes nowhere; the reader below ends for the same reason.
    const send = (message: Message) => Effect.andThen(Effect.ignore(write(message)), drained)
    const close = (code: CloseCode, reason: string) =>
      Effect.ignore(writer.write(new CloseEvent(code, reason)))
    const receiver = yield* open({ send, close })

    const { pull } = yield* socket.reader
    const serve = Effect.gen(function* () {
      while (true) {
        for (const frame of yield* pull) {
          if (typeof frame !== "string") return yield* close(1003, "text frames only")
          yield* drained
          yield* receiver.frame(frame)
        }
      }
    })
    yield* Effect.raceAllFirst([
      serve,
      Effect.andThen(receiver.ended, close(1008, "the credential has ended")),
      untilSilent(wire)
    ])
  }).pipe(
    // The client is gone or broke the framing: that ends its connection and nothing else.
    Effect.catchTag("SocketError", () => Effect.void),
    Effect.catchTag("HttpServerError", () => Effect.succeed(upgradeRequired)),
    Effect.map((response) => response ?? HttpServerResponse.empty())
  )

const upgradeRequired = HttpServerResponse.jsonUnsafe(
  { _tag: "UpgradeRequired" },
  { status: 426, headers: { upgrade: "websocket" } }
)

interface Writable {
  readonly writableLength: number
  readonly destroyed: boolean
  once(event: "drain" | "close", listener: () => void): unknown
  off(event: "drain" | "close", listener: () => void): unknown
}

/** The bytes that wait below the WebSocket are the client's backlog: what it was sent and has not read. */
const whenDrained = (socket: Writable) => {
  const isFull = () => !socket.destroyed && socket.writableLength > limits.socketBacklogBytes
  const wait = Effect.callback<void>((resume) => {
    if (!isFull()) return resume(Effect.void)
    const done = () => {
      socket.off("drain", done)
      socket.off("close", done)
      resume(Effect.void)
    }
    socket.once("drain", done)
    socket.once("close", done)
    return Effect.sync(() => {
      socket.off("drain", done)
      socket.off("close", done)
    })
  })
  return Effect.suspend(() => (isFull() ? wait : Effect.void))
}

/** What a frame is, once it was looked at. */
export type Parsed =
  | { readonly type: "message"; readonly value: unknown }
  | { readonly type: "not JSON" }
  | { readonly type: "too deep" }

/** Looks at the nesting before the parser does, so that a deep frame costs no stack. */
export const parse = (text: string): Parsed => {
  if (isTooDeep(text)) return { type: "too deep" }
  try {
    return { type: "message", value: JSON.parse(text) }
  } catch {
    return { type: "not JSON" }
  }
}

const quote = 0x22
const backslash = 0x5c

const isTooDeep = (text: string): boolean => {
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (inString) {
      if (code === backslash) i += 1
      else if (code === quote) inString = false
    } else if (code === quote) inString = true
    // `[` and `{`, `]` and `}` differ in one bit.
    else if ((code | 0x20) === 0x7b) {
      depth += 1
      if (depth > limits.nesting) return true
    } else if ((code | 0x20) === 0x7d) depth -= 1
  }
  return false
}

/** A plain object: what every message of both protocols is. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
