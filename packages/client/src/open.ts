/**
 * One try to connect: credential, WebSocket, hello. Either there is a session, or a reason why not.
 */
import { ticketParameter } from "@turnkeeper/contracts/Access"
import { Api } from "@turnkeeper/contracts/Api"
import type { Hello } from "@turnkeeper/contracts/Api"
import { paths } from "@turnkeeper/contracts/Discovery"
import { supported } from "@turnkeeper/contracts/Version"
import { Data, Deferred, Effect } from "effect"
import type { Scope } from "effect"
import * as RpcClient from "effect/rpc/RpcClient"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Socket from "effect/socket/Socket"
import { inSession } from "./call.ts"
import type { ConnectOptions } from "./Client.ts"
import type { BlockedReason, ServerFacts } from "./Connection.ts"
import { Blocked } from "./Errors.ts"
import { dialled } from "./socket.ts"

export type Calls = RpcClient.RpcClient.Flat<RpcGroup.Rpcs<typeof Api>, RpcClientError>

/** A connection that has said hello. */
export interface Session {
  readonly server: ServerFacts
  readonly calls: Calls
  /** Resolves once the connection has ended, however it ended. */
  readonly lost: Effect.Effect<void>
}

/** Nobody answers, or not in time: worth another try. */
export class Unreachable extends Data.TaggedError("Unreachable") {}

const bounds = {
  /** For the whole try, the credential included. */
  tryMillis: 20_000,
  openMillis: 10_000,
  heartbeatMillis: 5_000,
  knockMillis: 5_000
} as const

/** The session lives as long as the scope. */
export const open = (options: ConnectOptions): Effect.Effect<Session, Unreachable | Blocked, Scope.Scope> =>
  attempt(options).pipe(
    // Whatever breaks on the way in is a reason to try again, never to give up for good.
    Effect.catchDefect(() => Effect.fail(new Unreachable())),
    Effect.timeoutOrElse({
      duration: bounds.tryMillis,
      orElse: () => Effect.fail(new Unreachable())
    })
  )

const attempt = Effect.fnUntraced(function* (options: ConnectOptions) {
  const entry = yield* entryOf(options)
  const lost = yield* Deferred.make<void>()
  const calls = yield* callsOver(entry, lost, options)
  const session = { calls, lost: Deferred.await(lost) }
  const hello = calls("server.hello", {
    protocol: supported,
    ...(options.client !== undefined && { client: options.client })
  })
  const server = yield* inSession(session, hello).pipe(
    Effect.catchTag("UnsupportedProtocol", ({ client, server }) =>
      Effect.fail(blocked({ type: "wrong_version", client, server }))
    ),
    // Nobody answers, or not in our words: a plain request tells more than a socket.
    Effect.catch((error) => (error._tag === "Blocked" ? Effect.fail(error) : knock(options, entry)))
  )
  return { ...session, server: factsOf(server) } satisfies Session
})

const factsOf = ({ capabilities, limits, protocol, server }: Hello): ServerFacts => ({
  ...server,
  protocol,
  capabilities,
  limits
})

const blocked = (reason: BlockedReason) => new Blocked({ reason })

interface Entry {
  readonly url: string
  readonly headers: Readonly<Record<string, string>> | null
}

/** Where to go and what to show at the door. */
const entryOf = Effect.fnUntraced(function* ({ credential, url }: ConnectOptions) {
  const path = `${url.replace(/^http/, "ws").replace(/\/+$/, "")}${paths.rpc}`
  if (credential.type === "none") return { url: path, headers: null } satisfies Entry
  const given = yield* Effect.tryPromise({
    try: async () => (credential.type === "ticket" ? credential.ticket() : tokenOf(credential.token)),
    catch: (error) => refusalOf(error) ?? new Unreachable()
  })
  const entry: Entry =
    credential.type === "ticket"
      ? { url: `${path}?${ticketParameter}=${encodeURIComponent(given)}`, headers: null }
      : { url: path, headers: { authorization: `Bearer ${given}` } }
  return entry
})

const tokenOf = (token: string | (() => string | Promise<string>)) =>
  typeof token === "string" ? token : token()

/** What a credential function rejects with, where that means that there is nothing to try again. */
const refusalOf = (error: unknown): Blocked | null => {
  if (typeof error !== "object" || error === null || !("_tag" in error)) return null
  if (error._tag === "Unauthorized") return blocked({ type: "signed_out" })
  return error._tag === "Forbidden" ? blocked({ type: "forbidden", header: headerOf(error) }) : null
}

const headerOf = (refusal: object) => {
  const header = "header" in refusal ? refusal.header : null
  return header === "origin" || header === "host" ? header : "unknown"
}

const callsOver = Effect.fnUntraced(function* (
  entry: Entry,
  lost: Deferred.Deferred<void>,
  options: ConnectOptions
) {
  const socket = yield* dialled(() => dial(entry, options), bounds.openMillis)
  const { heartbeatMillis = bounds.heartbeatMillis } = options
  const protocol = yield* RpcClient.makeProtocolSocket({
    retryTransientErrors: false,
    pingInterval: heartbeatMillis,
    pingTimeout: 2 * heartbeatMillis
  }).pipe(
    Effect.provideService(Socket.Socket, socket),
    Effect.provideService(RpcSerialization.RpcSerialization, RpcSerialization.json),
    Effect.provideService(RpcClient.ConnectionHooks, {
      onConnect: Effect.void,
      onDisconnect: Effect.asVoid(Deferred.succeed(lost, undefined))
    })
  )
  return yield* RpcClient.make(Api, { flatten: true, disableTracing: true }).pipe(
    Effect.provideService(RpcClient.Protocol, protocol)
  )
})

const dial = ({ headers, url }: Entry, options: ConnectOptions): Socket.WebSocketLike => {
  const Constructor = options.webSocket ?? (globalThis.WebSocket as ConnectOptions["webSocket"])
  if (Constructor === undefined) throw new TypeError("There is no WebSocket here: give one as an option.")
  // Browsers take no headers and would read the second argument as a protocol.
  return headers === null ? new Constructor(url) : new Constructor(url, { headers })
}

/** A refused upgrade does not say why; the answer to a plain request does. */
const knock = (options: ConnectOptions, { headers }: Entry): Effect.Effect<never, Unreachable | Blocked> =>
  Effect.gen(function* () {
    const url = `${options.url.replace(/^ws/, "http").replace(/\/+$/, "")}${paths.ready}`
    const response = yield* Effect.tryPromise({
      try: (signal) => fetch(url, { signal, credentials: "include", ...(headers !== null && { headers }) }),
      catch: () => new Unreachable()
    })
    const body = yield* Effect.promise(() => response.json().catch(() => null))
    const reason = reasonOf(response.status, body, options)
    return yield* reason === null ? new Unreachable() : blocked(reason)
  }).pipe(
    Effect.timeoutOrElse({ duration: bounds.knockMillis, orElse: () => Effect.fail(new Unreachable()) })
  )

const reasonOf = (status: number, body: unknown, options: ConnectOptions): BlockedReason | null => {
  const fields = typeof body === "object" && body !== null ? body : {}
  // Who has just been given a ticket is signed in, whatever else the door thinks of this request.
  if (status === 401 && options.credential.type !== "ticket") return { type: "signed_out" }
  if (status === 403) return { type: "forbidden", header: headerOf(fields) }
  if (status === 404) return { type: "another_server" }
  return null
}
