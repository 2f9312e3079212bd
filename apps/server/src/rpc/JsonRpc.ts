/**
 * JSON-RPC 2.0 over the WebSocket at `/jsonrpc`, for clients in any language; the same handlers as `/rpc`.
 *
 *     → {"jsonrpc":"2.0","id":1,"method":"orchestration.dispatch","params":{…}}
 *     ← {"jsonrpc":"2.0","id":1,"result":{…}}  or  {"jsonrpc":"2.0","id":1,"error":{"code":…,"message":…,"data":{…}}}
 *
 * A streaming method is answered with the name of its subscription, or with an error when there is
 * nothing to subscribe to. Its items follow, in batches, until it ends or is given up:
 *
 *     ← {"jsonrpc":"2.0","id":2,"result":{"subscription":"s7"}}
 *     ← {"jsonrpc":"2.0","method":"subscription","params":{"subscription":"s7","items":[…]}}
 *     ← {"jsonrpc":"2.0","method":"subscription.end","params":{"subscription":"s7","error":{…}}}
 *     → {"jsonrpc":"2.0","id":3,"method":"unsubscribe","params":{"subscription":"s7"}}
 *
 * A message without an id asks for nothing that could be answered, so it is not run either. Batches are
 * refused: one frame is one message.
 */
import { Api } from "@turnkeeper/contracts/Api"
import { paths } from "@turnkeeper/contracts/Discovery"
import { PayloadTooLarge } from "@turnkeeper/contracts/Errors"
import { limits } from "@turnkeeper/contracts/Limits"
import type { Scope } from "@turnkeeper/contracts/Scope"
import { spaced } from "@turnkeeper/contracts/Words"
import { Effect } from "effect"
import type { RpcMessage } from "effect/rpc"
import { isRecord, parse } from "./Connection.ts"
import type { Connection } from "./Connection.ts"
import { messageOf } from "./encoded.ts"
import { makeInFlight } from "./InFlight.ts"
import type { InFlight } from "./InFlight.ts"
import { isStreamMethod, refusalOf, serve } from "./SocketProtocol.ts"
import type { Session, Write } from "./SocketProtocol.ts"

type Id = string | number

/** `answered`: the subscription's name was given out. `givenUp`: the client does not want it any more. */
interface Call {
  readonly id: Id
  readonly isStream: boolean
  answered: boolean
  givenUp: boolean
}

const session = (connection: Connection, write: Write, scope: Scope): Session => {
  const inFlight = makeInFlight<Call>()
  return {
    frame: receive(connection, inFlight, write, scope),
    deliver: (response) => deliver(connection, inFlight, write, response)
  }
}

/** One frame of the client. */
const receive = (connection: Connection, inFlight: InFlight<Call>, write: Write, scope: Scope) => {
  let lastCall = 0
  return (text: string): Effect.Effect<void> => {
    const parsed = parse(text)
    if (parsed.type === "not JSON")
      return reply(connection, null, { error: { code: -32700, message: "Parse error" } })
    if (parsed.type === "too deep") {
      return reply(connection, null, failure(-32600, new PayloadTooLarge({ limit: limits.nesting })))
    }

    const request = toRequest(parsed.value)
    if (request === null) {
      return reply(connection, null, { error: { code: -32600, message: "Invalid request" } })
    }
    const { id, method, params } = request
    if (id === null) return Effect.void
    if (method === "unsubscribe") return unsubscribe(connection, inFlight, write, id, params)
    if (!Api.requests.has(method)) {
      return reply(connection, id, { error: { code: -32601, message: "Method not found", data: { method } } })
    }

    const refusal = refusalOf(method, scope, inFlight)
    if (refusal !== null) return reply(connection, id, failure(-32000, refusal))
    const isStream = isStreamMethod(method)
    const call = isStream ? `s${(lastCall += 1)}` : `c${(lastCall += 1)}`
    inFlight.add(call, { id, isStream, answered: false, givenUp: false })
    return write({ _tag: "Request", id: call, tag: method, payload: params, headers: [] })
  }
}

const unsubscribe = (
  connection: Connection,
  inFlight: InFlight<Call>,
  write: Write,
  id: Id,
  params: unknown
) => {
  const name = isRecord(params) ? params["subscription"] : undefined
  const call = typeof name === "string" ? inFlight.get(name) : undefined
  if (typeof name !== "string" || call === undefined || !call.isStream) {
    return reply(connection, id, { result: { unsubscribed: false } })
  }
  call.givenUp = true
  return Effect.andThen(
    write({ _tag: "Interrupt", requestId: name }),
    reply(connection, id, { result: { unsubscribed: true } })
  )
}

/** One answer of the server, in the words of JSON-RPC. */
const deliver = (
  connection: Connection,
  inFlight: InFlight<Call>,
  write: Write,
  response: RpcMessage.FromServerEncoded
): Effect.Effect<void> => {
  if (response._tag !== "Chunk" && response._tag !== "Exit") return Effect.void
  const name = String(response.requestId)
  const call = inFlight.get(name)
  if (call === undefined) return Effect.void

  if (response._tag === "Chunk") {
    const items = call.givenUp ? Effect.void : connection.send(itemsMessage(name, response.values))
    // The items count as taken when they have left for a socket that drains.
    return Effect.andThen(
      Effect.andThen(answer(connection, name, call), items),
      write({ _tag: "Ack", requestId: name })
    )
  }

  inFlight.remove(name)
  const { exit } = response
  if (exit._tag === "Success") {
    return call.isStream
      ? Effect.andThen(
          answer(connection, name, call),
          notify(connection, "subscription.end", { subscription: name })
        )
      : reply(connection, call.id, { result: exit.value ?? null })
  }
  const failed = failureOf(exit.cause)
  if (!call.isStream || !call.answered) return reply(connection, call.id, failed)
  return notify(connection, "subscription.end", { subscription: name, ...(!call.givenUp && failed) })
}

/** Gives out the name of a subscription, once. */
const answer = (connection: Connection, name: string, call: Call) =>
  Effect.suspend(() => {
    if (call.answered) return Effect.void
    call.answered = true
    return reply(connection, call.id, { result: { subscription: name } })
  })

type Cause = Extract<RpcMessage.ResponseExitEncoded["exit"], { readonly _tag: "Failure" }>["cause"]

const failureOf = (cause: Cause) => {
  for (const reason of cause) {
    if (reason._tag === "Fail" && isTagged(reason.error)) {
      return failure(reason.error._tag === "InvalidRequest" ? -32602 : -32000, reason.error)
    }
  }
  // What broke is in the server's log; a client could do nothing with it.
  return { error: { code: -32603, message: "Internal error" } }
}

const failure = (code: number, error: { readonly _tag: string }) => ({
  error: { code, message: spaced(error._tag), data: { ...error, _tag: error._tag } }
})

const isTagged = (error: unknown): error is { readonly _tag: string } =>
  isRecord(error) && typeof error["_tag"] === "string"

const toRequest = (
  value: unknown
): { readonly id: Id | null; readonly method: string; readonly params: unknown } | null => {
  if (!isRecord(value) || value["jsonrpc"] !== "2.0" || typeof value["method"] !== "string") return null
  const { id, method, params = {} } = value
  if (id === undefined) return { id: null, method, params }
  return (typeof id === "string" && id.length <= 128) || (typeof id === "number" && Number.isFinite(id))
    ? { id, method, params }
    : null
}

const reply = (connection: Connection, id: Id | null, body: object) =>
  connection.send(JSON.stringify({ jsonrpc: "2.0", id, ...body }))

const notify = (connection: Connection, method: string, params: object) =>
  connection.send(JSON.stringify({ jsonrpc: "2.0", method, params }))

const itemsMessage = (name: string, items: ReadonlyArray<unknown>) =>
  messageOf(
    `{"jsonrpc":"2.0","method":"subscription","params":{"subscription":${JSON.stringify(name)},"items":`,
    items,
    "}}"
  )

/** Serves the group; needs its handlers. */
export const layer = serve(paths.jsonRpc, session)
