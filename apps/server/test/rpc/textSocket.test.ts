/** A message in two parts is one frame like any other, in its place among the others. Real sockets. */
import { NodeWS } from "@effect/platform-node"
import { expect, it } from "@effect/vitest"
import { Effect, Queue } from "effect"
import type { Scope } from "effect"
import * as fc from "fast-check"
import type { IncomingMessage } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { Parts, TextSocket } from "../../src/rpc/TextSocket.ts"

interface Ends {
  readonly server: TextSocket
  readonly below: Socket
  readonly client: NodeWS.WebSocket
  /** Whatever comes to the client, in order. */
  readonly next: Effect.Effect<string>
}

/** A server's socket and an independent client's, connected. */
const connected: Effect.Effect<Ends, never, Scope.Scope> = Effect.gen(function* () {
  const listening = yield* Effect.acquireRelease(
    Effect.callback<NodeWS.WebSocketServer>((resume) => {
      const made = new NodeWS.WebSocketServer({ host: "127.0.0.1", port: 0, WebSocket: TextSocket })
      made.once("listening", () => resume(Effect.succeed(made)))
    }),
    (made) => Effect.sync(() => made.close())
  )
  const came = yield* Queue.unbounded<string>()
  const { port } = listening.address() as AddressInfo
  return yield* Effect.acquireRelease(
    Effect.callback<Ends>((resume) => {
      const client = new NodeWS.WebSocket(`ws://127.0.0.1:${port}`)
      const tell = (what: string) => () => Queue.offerUnsafe(came, what)
      client.on("message", (bytes: Buffer, isBinary) =>
        Queue.offerUnsafe(came, isBinary ? "binary" : bytes.toString())
      )
      client.on("ping", tell("ping")).on("close", (code) => Queue.offerUnsafe(came, `closed ${code}`))
      listening.once("connection", (server: TextSocket, { socket: below }: IncomingMessage) =>
        resume(Effect.succeed({ server, below, client, next: Queue.take(came) }))
      )
    }),
    ({ client }) => Effect.sync(() => client.terminate())
  )
})

it.effect("comes as the one text that both parts are, whatever they are and however long", () =>
  Effect.gen(function* () {
    const { below, next, server } = yield* connected
    const lengths = [0, 1, 120, 125, 126, 4_096, 65_500, 65_535, 65_536, 1_000_000]
    const own = fc.string({ unit: "binary", maxLength: 64 })
    const shared = fc
      .tuple(fc.string({ unit: "binary" }), fc.constantFrom(...lengths))
      .map(([text, length]) => text + "x".repeat(length))
    yield* Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(own, shared, async (mine, ours) => {
          const [before, after] = [mine.toWellFormed(), ours.toWellFormed()]
          server.send(new Parts(below, before, Buffer.from(after)))
          expect(await Effect.runPromise(next)).toBe(before + after)
        })
      )
    )
  })
)

it.effect("keeps its place among texts, bytes, pings and the end", () =>
  Effect.gen(function* () {
    const { below, next, server } = yield* connected
    const shared = Buffer.from("s".repeat(100_000))
    server.send("text")
    server.send(new Parts(below, "first ", shared))
    server.ping()
    server.send(Buffer.from("bytes"))
    server.send(new Parts(below, "second ", shared))
    server.close(1008)
    expect(yield* next).toBe("text")
    expect(yield* next).toBe(`first ${shared.toString()}`)
    expect(yield* next).toBe("ping")
    expect(yield* next).toBe("bytes")
    expect(yield* next).toBe(`second ${shared.toString()}`)
    expect(yield* next).toBe("closed 1008")
  })
)

it.effect("is not sent after the end, where nothing may follow", () =>
  Effect.gen(function* () {
    const { below, next, server } = yield* connected
    server.close(1008)
    const written = below.bytesWritten
    server.send(new Parts(below, "late", Buffer.from("s".repeat(5_000))))
    expect(below.bytesWritten).toBe(written)
    expect(yield* next).toBe("closed 1008")
  })
)
