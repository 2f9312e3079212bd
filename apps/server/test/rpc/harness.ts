/**
 * A listening server over a real database, and clients that speak to it over real sockets.
 *
 * Nothing here drives providers: tests play that part by committing what a provider would have caused.
 */
import { NodeServices, NodeSocket } from "@effect/platform-node"
import { Api } from "@turnkeeper/contracts/Api"
import type { Command } from "@turnkeeper/contracts/Command"
import { paths } from "@turnkeeper/contracts/Discovery"
import type { ThreadItem } from "@turnkeeper/contracts/Streams"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { Deferred, Effect, Exit, Layer, Queue, Redacted, Stream } from "effect"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Engine } from "../../src/engine/Engine.ts"
import { Mailboxes } from "../../src/engine/Mailboxes.ts"
import { Registry } from "../../src/provider/Registry.ts"
import { HeavyReads } from "../../src/reads/HeavyReads.ts"
import * as Listen from "../../src/rpc/Listen.ts"
import { Token } from "../../src/rpc/Token.ts"
import { storeAt, temporaryDirectory } from "../store/fixtures.ts"

export const token = "a-token-of-the-tests-0123456789"

const engine = Engine.layer.pipe(Layer.provideMerge(Mailboxes.layer))

/** Listed, and never driven: no test here lets a turn go out. */
const provider: Provider = {
  instanceId: ProviderInstanceId.make("scripted"),
  kind: "scripted",
  displayName: "Scripted",
  capabilities: {
    steer: true,
    resume: false,
    history: false,
    outlivesServer: false,
    reasksRequests: false,
    modelSwitch: "in_session",
    approvals: true,
    questions: true,
    attachments: false,
    planMode: false,
    usage: false,
    rollback: false,
    fork: false
  },
  probe: Effect.succeed({ status: "ready", version: "1", models: [], advice: null }),
  open: () => Effect.never,
  listLive: Effect.succeed([]),
  evidence: () => Effect.succeed({ type: "none", message: "no record" })
}

/** The store with its heavy reads, on a file that goes with the test. */
export const store = Layer.unwrap(
  Effect.map(temporaryDirectory, (directory) =>
    Layer.merge(storeAt(`${directory}/test.db`), HeavyReads.layer(`${directory}/test.db`))
  )
)

export const server = (options: Partial<Listen.ListenOptions> = {}) =>
  Listen.layer({ host: "127.0.0.1", port: 0, ...options }).pipe(
    Layer.provideMerge(engine),
    Layer.provideMerge(
      Layer.mergeAll(
        store,
        Registry.layer([provider]),
        Token.layerFrom(Redacted.make(token)),
        NodeServices.layer
      )
    )
  )

export interface Answer {
  readonly status: number
  readonly body: string
}

/** A plain request, with whatever headers. */
export const get = Effect.fnUntraced(function* (path: string, headers: Record<string, string> = {}) {
  const url = new URL(yield* Listen.url)
  const { request } = yield* Effect.promise(() => import("node:http"))
  return yield* Effect.callback<Answer>((resume) => {
    const sent = request({ agent: false, host: url.hostname, port: url.port, path, headers }, (response) => {
      let body = ""
      response.on("data", (chunk: Buffer) => (body += chunk.toString()))
      response.on("end", () => resume(Effect.succeed({ status: response.statusCode ?? 0, body })))
    })
    // An upgrade that succeeds is answered with 101 and no body.
    sent.on("upgrade", (response, socket) => {
      socket.destroy()
      resume(Effect.succeed({ status: response.statusCode ?? 0, body: "" }))
    })
    sent.on("error", (error) => resume(Effect.die(error)))
    sent.end()
  })
})

export const bearer = { authorization: `Bearer ${token}` }
export const upgradeHeaders = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="
}

/** A WebSocket as it is: what comes in goes to a queue, `closed` is the close code. */
export const openSocket = Effect.fnUntraced(function* (path: string) {
  const url = (yield* Listen.url).replace(/^http/, "ws")
  const frames = yield* Queue.unbounded<string>()
  const closed = yield* Deferred.make<number>()
  const socket = yield* Effect.acquireRelease(
    Effect.callback<WebSocket>((resume) => {
      const socket = new WebSocket(`${url}${path}`, { headers: bearer } as never)
      socket.addEventListener("message", ({ data }) => Queue.offerUnsafe(frames, String(data)))
      socket.addEventListener("close", ({ code }) => Deferred.doneUnsafe(closed, Exit.succeed(code)))
      socket.addEventListener("open", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.close())
  )
  return {
    send: (frame: string | Uint8Array) => Effect.sync(() => socket.send(frame as string)),
    next: Queue.take(frames),
    closed: Deferred.await(closed)
  }
})

/** JSON that a test reaches into. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Body = any

export interface Reply {
  readonly id?: string | number | null
  readonly result?: Body
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Body }
  readonly method?: string
  readonly params?: Body
}

/** A client that knows JSON and nothing else. */
export const jsonRpc = Effect.gen(function* () {
  const socket = yield* openSocket(paths.jsonRpc)
  const next = Effect.map(socket.next, (frame): Reply => JSON.parse(frame))
  const send = (message: unknown) =>
    socket.send(typeof message === "string" ? message : JSON.stringify(message))
  let id = 0
  return {
    ...socket,
    next,
    send,
    /** Sends anything and takes what comes next. */
    exchange: (message: unknown) => Effect.andThen(send(message), next),
    call: (method: string, params?: unknown) =>
      Effect.andThen(send({ jsonrpc: "2.0", id: (id += 1), method, params }), next)
  }
})

/** The typed client over `/rpc`. */
export const client = Effect.gen(function* () {
  const url = (yield* Listen.url).replace(/^http/, "ws")
  const protocol = RpcClient.layerProtocolSocket({ retryTransientErrors: false }).pipe(
    Layer.provide([
      NodeSocket.layerWebSocket(`${url}${paths.rpc}`, { headers: bearer }),
      RpcSerialization.layerJson
    ])
  )
  return yield* Effect.provideContext(RpcClient.make(Api), yield* Layer.build(protocol))
})

export const commandOf = (command: Record<string, unknown>) => command as never as Command

/** The items of a subscription up to and including the first that fits. */
export const until =
  <A extends ThreadItem>(fits: (item: ThreadItem) => boolean) =>
  <E>(stream: Stream.Stream<A, E>) =>
    Effect.map(Stream.runCollect(Stream.takeUntil(stream, fits)), (items) => [...items])
