/**
 * Finds the server of a data directory and connects to it, as any program on the machine may: by the
 * address in its lock file and the token in its token file.
 */
import { NodeSocket } from "@effect/platform-node"
import { Api } from "@turnkeeper/contracts/Api"
import { files, Lock, paths } from "@turnkeeper/contracts/Discovery"
import { supported } from "@turnkeeper/contracts/Version"
import { Effect, FileSystem, Layer, Path, Schema } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import type { RpcClientError } from "effect/rpc"
import { version } from "../rpc/ServerInfo.ts"
import { cannotConnect, fromCall, notAllowed } from "./Outcome.ts"
import type { CommandFailed } from "./Outcome.ts"

export type Client = RpcClient.FromGroup<typeof Api, RpcClientError.RpcClientError>

export interface Endpoint {
  readonly url: string
  readonly token: string
  readonly pid: number
}

/** Where the server is, and what opens its door. */
export const discover = Effect.fn("cli.discover")(function* (data: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const notRunning = () =>
    cannotConnect(`No server runs on ${data}. Start one with: turnkeeper serve --data ${data}`)
  const lock = yield* fs
    .readFileString(path.join(data, files.lock))
    .pipe(Effect.flatMap(decodeLock), Effect.mapError(notRunning))
  if (lock.address === null) return yield* cannotConnect(`The server on ${data} is starting. Try again.`)
  const token = yield* fs
    .readFileString(path.join(data, files.token))
    .pipe(Effect.mapError(() => notAllowed(`The token of ${data} cannot be read. Only its owner may.`)))
  return { url: lock.address, token: token.trim(), pid: lock.pid } satisfies Endpoint
})

const decodeLock = Schema.decodeUnknownEffect(Schema.fromJsonString(Lock))

/** A client that has said hello, for as long as the scope is open. */
export const connect = Effect.fn("cli.connect")(function* (endpoint: Endpoint) {
  yield* knock(endpoint)
  const socket = NodeSocket.layerWebSocket(`${endpoint.url.replace(/^http/, "ws")}${paths.rpc}`, {
    headers: authorization(endpoint)
  })
  const protocol = RpcClient.layerProtocolSocket({ retryTransientErrors: false }).pipe(
    Layer.provide([socket, RpcSerialization.layerJson])
  )
  const client = yield* Effect.provideContext(RpcClient.make(Api), yield* Layer.build(protocol))
  const hello = yield* client["server.hello"]({
    protocol: supported,
    client: { name: "turnkeeper-cli", version }
  }).pipe(Effect.mapError(fromCall))
  return { client, hello }
})

export const authorization = ({ token }: Endpoint) => ({ authorization: `Bearer ${token}` })

/** A plain request first: it can tell "nobody there" from "not allowed", which a refused upgrade does not. */
const knock = (endpoint: Endpoint): Effect.Effect<void, CommandFailed> =>
  Effect.tryPromise({
    try: (signal) => fetch(`${endpoint.url}${paths.ready}`, { headers: authorization(endpoint), signal }),
    catch: () => cannotConnect(`The server at ${endpoint.url} does not answer.`)
  }).pipe(
    Effect.timeoutOrElse({
      duration: knockTimeout,
      orElse: () => Effect.fail(cannotConnect(`The server at ${endpoint.url} does not answer.`))
    }),
    Effect.flatMap(({ status }) => {
      if (status === 401 || status === 403 || status === 429) {
        return Effect.fail(notAllowed(`The server at ${endpoint.url} does not accept this token.`))
      }
      return status === 200
        ? Effect.void
        : Effect.fail(cannotConnect(`The server at ${endpoint.url} is not ready.`))
    })
  )

const knockTimeout = "5 seconds"
