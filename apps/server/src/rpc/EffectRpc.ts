/**
 * Effect RPC over the WebSocket at `/rpc`, JSON.
 *
 * The wire format is Effect's own. What is added here are the bounds: a message that is none closes its
 * connection, calls and subscriptions are counted, and a chunk is handed over only to a socket that drains.
 */
import { paths } from "@turnkeeper/contracts/Discovery"
import type { Scope } from "@turnkeeper/contracts/Scope"
import { Effect } from "effect"
import type { RpcMessage } from "effect/rpc"
import { isRecord, parse } from "./Connection.ts"
import type { Connection } from "./Connection.ts"
import { messageOf } from "./encoded.ts"
import { makeInFlight } from "./InFlight.ts"
import type { InFlight } from "./InFlight.ts"
import { isStreamMethod, refusalOf, serve } from "./SocketProtocol.ts"
import type { Session, Write } from "./SocketProtocol.ts"

const session = (connection: Connection, write: Write, scope: Scope): Session => {
  const inFlight = makeInFlight()
  return {
    /** One frame, which may hold several messages. */
    frame: (text) => {
      const parsed = parse(text)
      if (parsed.type !== "message") return connection.close(1007, parsed.type)
      const messages: ReadonlyArray<unknown> = Array.isArray(parsed.value) ? parsed.value : [parsed.value]
      return Effect.forEach(messages, (message) => receive(connection, inFlight, write, scope, message), {
        discard: true
      })
    },
    deliver: (response) => {
      if (response._tag === "Exit") inFlight.remove(response.requestId)
      return connection.send(response._tag === "Chunk" ? chunk(response) : JSON.stringify(response))
    }
  }
}

const chunk = ({ requestId, values }: RpcMessage.ResponseChunkEncoded) =>
  messageOf(`{"_tag":"Chunk","requestId":${JSON.stringify(requestId)},"values":`, values, "}")

const receive = (
  connection: Connection,
  inFlight: InFlight<{ readonly isStream: boolean }>,
  write: Write,
  scope: Scope,
  value: unknown
) => {
  // A client that has said all it wants is told by its socket, which closes.
  if (isRecord(value) && value["_tag"] === "Eof") return Effect.void
  const message = toMessage(value)
  if (message === null) return connection.close(1002, "not a message")
  if (message._tag !== "Request") return write(message)
  // The server would give up the connection's reader over an id that is still in use.
  if (inFlight.has(message.id)) return connection.close(1002, "request id in use")
  const refusal = refusalOf(message.tag, scope, inFlight)
  if (refusal !== null) return connection.send(JSON.stringify(refused(message.id, refusal)))
  inFlight.add(message.id, { isStream: isStreamMethod(message.tag) })
  return write(message)
}

/**
 * The message with only the fields that count. Headers and trace ids of the message are left out: who the
 * client is was settled when it connected.
 */
const toMessage = (value: unknown): RpcMessage.FromClientEncoded | null => {
  if (!isRecord(value)) return null
  switch (value["_tag"]) {
    case "Request":
      return isId(value["id"]) && typeof value["tag"] === "string"
        ? {
            _tag: "Request",
            id: value["id"],
            tag: value["tag"],
            payload: value["payload"] ?? null,
            headers: []
          }
        : null
    case "Ack":
      return isId(value["requestId"]) ? { _tag: "Ack", requestId: value["requestId"] } : null
    case "Interrupt":
      return isId(value["requestId"]) ? { _tag: "Interrupt", requestId: value["requestId"] } : null
    case "Ping":
      return { _tag: "Ping" }
    default:
      return null
  }
}

const isId = (value: unknown): value is string | number =>
  (typeof value === "string" && value.length <= 128) ||
  (typeof value === "number" && Number.isSafeInteger(value))

const refused = (requestId: string | number, refusal: { readonly _tag: string }) => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Failure", cause: [{ _tag: "Fail", error: { ...refusal } }] }
})

/** Serves the group; needs its handlers. */
export const layer = serve(paths.rpc, session)
