/**
 * The open door: the socket that clients connect to, with everything that stands behind it.
 *
 *     /          the web client
 *     /auth/…    signing in, tokens
 *     /healthz   the process runs; needs no token
 *     /readyz    it answers calls
 *     /metrics   figures for Prometheus
 *     /rpc       Effect RPC      /jsonrpc   JSON-RPC 2.0
 */
import { NodeHttpServer } from "@effect/platform-node"
import { files, paths } from "@turnkeeper/contracts/Discovery"
import { limits } from "@turnkeeper/contracts/Limits"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerError, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { homedir } from "node:os"
import { join } from "node:path"
import { Access } from "../http/Access.ts"
import * as AuthRoutes from "../http/AuthRoutes.ts"
import * as Metrics from "../http/Metrics.ts"
import * as Site from "../http/Site.ts"
import { Projects } from "../projection/Projects.ts"
import { Playground } from "./browse.ts"
import * as EffectRpc from "./EffectRpc.ts"
import * as Guard from "./Guard.ts"
import * as Handlers from "./Handlers.ts"
import * as JsonRpc from "./JsonRpc.ts"
import { ServerInfo } from "./ServerInfo.ts"
import { TextSocket } from "./TextSocket.ts"

export interface ListenOptions extends Guard.GuardOptions {
  /** 0: any that is free. */
  readonly port: number
  /** Keeps the credentials. Without one they are kept in memory. */
  readonly dataDirectory?: string
  /** The folder of the web client's files; null: none. Default: where it was built. */
  readonly site?: string | null
}

/** Listens from when it is built until its scope closes. Provides the address it got, and who may come in. */
export const layer = ({ dataDirectory, site = Site.found(), ...options }: ListenOptions) =>
  HttpRouter.serve(
    Layer.mergeAll(
      EffectRpc.layer,
      JsonRpc.layer,
      AuthRoutes.layer,
      Metrics.layer,
      probes,
      Guard.layer(options, Site.make(site))
    ),
    { disableLogger: true, disableListenLog: true }
  ).pipe(
    Layer.provide(Handlers.layer),
    Layer.provide(ServerInfo.layer),
    Layer.provide(Layer.succeed(Playground, join(dataDirectory ?? homedir(), "playground"))),
    Layer.provide(AuthRoutes.CookieName.layer(dataDirectory ?? "")),
    Layer.provideMerge(
      Access.layer(dataDirectory === undefined ? null : join(dataDirectory, files.credentials))
    ),
    Layer.provideMerge(
      NodeHttpServer.layer(createServer, {
        port: options.port,
        host: options.host,
        // Clients resume by themselves: an open socket is no reason to wait.
        gracefulShutdownTimeout: "300 millis",
        websocket: { maxPayload: limits.frameBytes, perMessageDeflate: false, WebSocket: TextSocket }
      })
    )
  )

/**
 * Fails when the address cannot be taken. Asked before anything is owed to a provider: a server that nobody
 * can reach must not begin to work.
 */
export const addressIsFree = ({ host, port }: Pick<ListenOptions, "host" | "port">) =>
  Effect.callback<void, HttpServerError.ServeError>((resume) => {
    const trial = createServer()
    trial.once("error", (cause) => resume(Effect.fail(new HttpServerError.ServeError({ cause }))))
    trial.listen(port, host, () => trial.close(() => resume(Effect.void)))
  })

export { url } from "../http/address.ts"

const health = HttpServerResponse.jsonUnsafe({ status: "ok" })

/** Ready is who can read its database. */
const ready = Effect.gen(function* () {
  const projects = yield* Projects
  return yield* Effect.match(projects.all, {
    onSuccess: () => HttpServerResponse.jsonUnsafe({ status: "ready" }),
    onFailure: ({ _tag, retryable }) => HttpServerResponse.jsonUnsafe({ _tag, retryable }, { status: 503 })
  })
})

const probes = Layer.mergeAll(
  HttpRouter.add("GET", paths.health, health),
  HttpRouter.add("GET", paths.ready, ready)
)
