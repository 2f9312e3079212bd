/**
 * The open door: the socket that clients connect to, with everything that stands behind it.
 *
 *     /healthz   the process runs; needs no token
 *     /readyz    it answers calls
 *     /rpc       Effect RPC      /jsonrpc   JSON-RPC 2.0
 */
import { NodeHttpServer } from "@effect/platform-node"
import { paths } from "@turnkeeper/contracts/Discovery"
import { limits } from "@turnkeeper/contracts/Limits"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerError, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { Projects } from "../projection/Projects.ts"
import * as EffectRpc from "./EffectRpc.ts"
import * as Guard from "./Guard.ts"
import * as Handlers from "./Handlers.ts"
import * as JsonRpc from "./JsonRpc.ts"
import { ServerInfo } from "./ServerInfo.ts"

export interface ListenOptions extends Guard.GuardOptions {
  /** 0: any that is free. */
  readonly port: number
}

/** Listens from when it is built until its scope closes. Provides the address it got. */
export const layer = (options: ListenOptions) =>
  HttpRouter.serve(Layer.mergeAll(EffectRpc.layer, JsonRpc.layer, probes, Guard.layer(options)), {
    disableLogger: true,
    disableListenLog: true
  }).pipe(
    Layer.provide(Handlers.layer),
    Layer.provide(ServerInfo.layer),
    Layer.provideMerge(
      NodeHttpServer.layer(createServer, {
        port: options.port,
        host: options.host,
        // Clients resume by themselves: an open socket is no reason to wait.
        gracefulShutdownTimeout: "300 millis",
        websocket: { maxPayload: limits.frameBytes, perMessageDeflate: false }
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

/** `http://127.0.0.1:4317`, as a client on this machine reaches it. */
export const url = Effect.map(HttpServer.HttpServer, ({ address }) =>
  HttpServer.formatAddress(address).replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
)

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
