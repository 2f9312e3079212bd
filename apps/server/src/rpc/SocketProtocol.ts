/**
 * What both protocols are to the RPC server: a path, and for each connection a session that turns frames
 * into calls and answers into frames.
 */
import { scopeOfCall } from "@turnkeeper/contracts/Access"
import { Api } from "@turnkeeper/contracts/Api"
import { NotAllowed } from "@turnkeeper/contracts/Errors"
import type { Overloaded, TooManySubscriptions } from "@turnkeeper/contracts/Errors"
import { allows } from "@turnkeeper/contracts/Scope"
import type { Scope } from "@turnkeeper/contracts/Scope"
import { Effect, Layer, Option, Queue } from "effect"
import { HttpRouter } from "effect/http"
import { RpcSchema, RpcServer } from "effect/rpc"
import type { RpcMessage } from "effect/rpc"
import { Access, CurrentCaller } from "../http/Access.ts"
import { countConnection } from "../http/gauges.ts"
import { upgrade } from "./Connection.ts"
import type { Connection } from "./Connection.ts"
import { codecFor } from "./encoded.ts"
import type { InFlight } from "./InFlight.ts"

/** Hands one message to the RPC server. */
export type Write = (message: RpcMessage.FromClientEncoded) => Effect.Effect<void>

export interface Session {
  readonly frame: (text: string) => Effect.Effect<void>
  readonly deliver: (response: RpcMessage.FromServerEncoded) => Effect.Effect<void>
}

/** `scope`: what the one at the other end may do. */
export type MakeSession = (connection: Connection, write: Write, scope: Scope) => Session

/** Serves the group on a path; needs its handlers. When a connection closes, what it began is interrupted. */
export const serve = (path: HttpRouter.PathInput, makeSession: MakeSession) =>
  RpcServer.layer(Api, { disableTracing: true, disableFatalDefects: true }).pipe(
    Layer.provide(Layer.effect(RpcServer.Protocol, protocol(path, makeSession)))
  )

const protocol = Effect.fnUntraced(function* (path: HttpRouter.PathInput, makeSession: MakeSession) {
  const router = yield* HttpRouter.HttpRouter
  const access = yield* Access
  const disconnects = yield* Queue.make<number>()
  const sessions = new Map<number, Session>()
  let lastId = 0

  return yield* RpcServer.Protocol.make((write) =>
    Effect.gen(function* () {
      const open = Effect.fnUntraced(function* (connection: Connection) {
        const caller = yield* CurrentCaller
        // The guard lets nobody in without: who comes in otherwise is nobody's, and may do nothing.
        if (caller === null) return { frame: () => Effect.void, ended: Effect.void }
        yield* countConnection
        const id = (lastId += 1)
        const session = makeSession(connection, (message) => write(id, message), caller.scope)
        sessions.set(id, session)
        yield* Effect.addFinalizer(() => {
          sessions.delete(id)
          return Queue.offer(disconnects, id)
        })
        return { frame: session.frame, ended: yield* access.ended(caller) }
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
        codecFor
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

/** Why this call is not taken now, or null: its scope first, then the bounds. */
export const refusalOf = (
  method: string,
  scope: Scope,
  inFlight: Pick<InFlight<never>, "refuse">
): NotAllowed | Overloaded | TooManySubscriptions | null => {
  const needs = scopeOfCall(method)
  return allows(scope, needs) ? inFlight.refuse(isStreamMethod(method)) : new NotAllowed({ needs })
}
