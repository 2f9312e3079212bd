/**
 * What both protocols are to the RPC server: a path, and for each connection a session that turns frames
 * into calls and answers into frames.
 */
import { Api } from "@turnkeeper/contracts/Api"
import { Effect, Layer, Option, Queue } from "effect"
import { HttpRouter } from "effect/http"
import { RpcSchema, RpcSerialization, RpcServer } from "effect/rpc"
import type { RpcMessage } from "effect/rpc"
import { upgrade } from "./Connection.ts"
import type { Connection } from "./Connection.ts"

/** Hands one message to the RPC server. */
export type Write = (message: RpcMessage.FromClientEncoded) => Effect.Effect<void>

export interface Session {
  readonly frame: (text: string) => Effect.Effect<void>
  readonly deliver: (response: RpcMessage.FromServerEncoded) => Effect.Effect<void>
}

/** Serves the group on a path; needs its handlers. When a connection closes, what it began is interrupted. */
export const serve = (
  path: HttpRouter.PathInput,
  makeSession: (connection: Connection, write: Write) => Session
) =>
  RpcServer.layer(Api, { disableTracing: true, disableFatalDefects: true }).pipe(
    Layer.provide(Layer.effect(RpcServer.Protocol, protocol(path, makeSession)))
  )

const protocol = Effect.fnUntraced(function* (
  path: HttpRouter.PathInput,
  makeSession: (connection: Connection, write: Write) => Session
) {
  const router = yield* HttpRouter.HttpRouter
  const disconnects = yield* Queue.make<number>()
  const sessions = new Map<number, Session>()
  let lastId = 0

  return yield* RpcServer.Protocol.make((write) =>
    Effect.gen(function* () {
      const open = Effect.fnUntraced(function* (connection: Connection) {
        const id = (lastId += 1)
        const session = makeSession(connection, (message) => write(id, message))
        sessions.set(id, session)
        yield* Effect.addFinalizer(() => {
          sessions.delete(id)
          return Queue.offer(disconnects, id)
        })
        return session
      })
      yield* router.add("GET", path, upgrade(open))

      return {
        disconnects,
        send: (id, response) => sessions.get(id)?.deliver(response) ?? Effect.void,
        end: () => Effect.void,
        clientIds: Effect.sync(() => new Set(sessions.keys())),
        initialMessage: Effect.succeed(Option.none()),
        supportsAck: true,
        supportsTransferables: false,
        supportsSpanPropagation: false,
        supportsNotifications: false,
        codecFor: RpcSerialization.json.codecFor
      }
    })
  )
})

const streams: ReadonlySet<string> = new Set(
  [...Api.requests.values()]
    .filter((rpc) => RpcSchema.isStreamSchema(rpc.successSchema))
    .map((rpc) => rpc._tag)
)
export const isStreamMethod = (method: string): boolean => streams.has(method)
