/** Connections that end without a word, and many that come and go: what they held is given back. */
import { NodeWS } from "@effect/platform-node"
import { expect, layer } from "@effect/vitest"
import { limits } from "@turnkeeper/contracts/Limits"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync } from "node:fs"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Listen from "../../src/rpc/Listen.ts"
import { bearer, server } from "./harness.ts"

interface Client {
  readonly call: (method: string, params?: object) => Effect.Effect<unknown>
  readonly pinged: Effect.Effect<void>
  readonly socket: NodeWS.WebSocket
}

/** Over a port of its own choice; resolves when it is connected. */
const connected = Effect.fnUntraced(function* (port: number) {
  const socket = yield* Effect.acquireRelease(
    Effect.callback<NodeWS.WebSocket>((resume) => {
      // The guard wants to be named by its own address, whatever lies between.
      const opened = new NodeWS.WebSocket(`ws://127.0.0.1:${port}/jsonrpc`, {
        headers: { ...bearer, host: serverHost }
      })
      opened.on("open", () => resume(Effect.succeed(opened)))
      opened.on("error", () => {})
    }),
    (opened) => Effect.sync(() => opened.terminate())
  )
  let id = 0
  const client: Client = {
    socket,
    call: (method, params = {}) =>
      Effect.callback((resume) => {
        const mine = (id += 1)
        const answered = (data: unknown) => {
          const message = JSON.parse(String(data)) as { readonly id?: number; readonly result?: unknown }
          if (message.id !== mine) return
          socket.off("message", answered)
          resume(Effect.succeed(message.result))
        }
        socket.on("message", answered)
        socket.send(JSON.stringify({ jsonrpc: "2.0", id: mine, method, params }))
      }),
    pinged: Effect.callback((resume) => void socket.once("ping", () => resume(Effect.void)))
  }
  return client
})

let serverHost = ""

const address = Effect.map(Listen.url, (text) => {
  const url = new URL(text)
  serverHost = url.host
  return Number(url.port)
})

const hello = { protocol: { min: 1, max: 1 } }

/** A line between client and server that can fall silent: both ends stay open, and nothing passes. */
const silenceable = Effect.fnUntraced(function* (port: number) {
  const serverGaveUp = yield* Deferred.make<void>()
  const sockets = new Set<Socket>()
  const proxy = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const listening = createServer((near) => {
        const far = connect(port, "127.0.0.1")
        for (const socket of [near, far]) sockets.add(socket.on("error", () => {}))
        near.pipe(far, { end: false })
        far.pipe(near, { end: false })
        // What it was sent in the meantime is still read, as a network would: it is only not passed on.
        far.on("close", () => Deferred.doneUnsafe(serverGaveUp, Exit.void))
      })
      listening.listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
    }),
    (listening) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        listening.close()
      })
  )
  return {
    port: (proxy.address() as AddressInfo).port,
    serverGaveUp: Deferred.await(serverGaveUp),
    silence: Effect.sync(() => {
      for (const socket of sockets) socket.unpipe().resume()
    })
  }
})

layer(server())("a half-open connection", (it) => {
  it.effect("is given up after some unanswered pings; who answers them stays", () =>
    Effect.gen(function* () {
      const port = yield* address
      const line = yield* silenceable(port)
      const away = yield* connected(line.port)
      yield* away.call("orchestration.subscribeShell")
      const here = yield* connected(port)
      yield* line.silence
      for (let n = 0; n < 4; n++) {
        yield* TestClock.adjust(limits.heartbeatMillis)
        // Its answer is behind its pong.
        yield* here.call("server.hello", hello)
      }
      yield* line.serverGaveUp
      expect(yield* here.call("server.hello", hello)).toMatchObject({ protocol: 1 })
      // It was never told, which is the point.
      expect(away.socket.readyState).toBe(NodeWS.WebSocket.OPEN)
    })
  )

  it.effect("is not what a quiet client has that answers pings", () =>
    Effect.gen(function* () {
      const here = yield* connected(yield* address)
      for (let n = 0; n < 8; n++) {
        const pinged = yield* Effect.forkChild(here.pinged, { startImmediately: true })
        yield* TestClock.adjust(limits.heartbeatMillis)
        yield* Fiber.join(pinged)
      }
      expect(yield* here.call("server.hello", hello)).toMatchObject({ protocol: 1 })
    })
  )
})

/** What the process holds, with all garbage gone. */
const held = Effect.sync(() => {
  setFlagsFromString("--expose-gc")
  ;(runInNewContext("gc") as () => void)()
  return { descriptors: readdirSync("/proc/self/fd").length, heap: process.memoryUsage().heapUsed }
})

layer(server(), { excludeTestServices: true })("connections that come and go", (it) => {
  it.effect.skipIf(process.platform !== "linux")(
    "100 reconnects leave neither descriptors nor memory behind",
    () =>
      Effect.gen(function* () {
        const port = yield* address
        // Each leaves without a word.
        const visit = Effect.scoped(
          Effect.gen(function* () {
            const client = yield* connected(port)
            yield* client.call("orchestration.subscribeShell")
            yield* client.call("server.hello", hello)
          })
        )
        yield* Effect.repeat(visit, { times: 19 })
        const before = yield* held
        yield* Effect.repeat(visit, { times: 99 })
        yield* until(held, ({ descriptors }) => descriptors <= before.descriptors)
        const after = yield* held
        expect(after.descriptors).toBeLessThanOrEqual(before.descriptors)
        // A connection that stayed would hold far more than this share.
        expect(after.heap - before.heap).toBeLessThan(100 * 20_000)
      }),
    60_000
  )
})

const until = <A>(look: Effect.Effect<A>, fits: (seen: A) => boolean) =>
  Effect.gen(function* () {
    for (let n = 0; n < 500; n++) {
      if (fits(yield* look)) return
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
  })
