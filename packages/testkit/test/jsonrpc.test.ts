import { once } from "node:events"
import type { IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import type { WebSocket } from "ws"
import {
  connect,
  ConnectionClosed,
  ConnectionRefused,
  JsonRpcError,
  ReaderTooSlow
} from "../src/jsonrpc/Client.ts"
import type { Client, ConnectOptions } from "../src/jsonrpc/Client.ts"

interface Call {
  readonly id: number
  readonly method: string
  readonly params: Record<string, unknown>
}

type Answer = (call: Call, socket: WebSocket) => void

const open: Array<() => Promise<void>> = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()))
})

/** A server that answers every call as the test says, and remembers them. */
const peer = async (answer: Answer, allow: (request: IncomingMessage) => boolean = () => true) => {
  const calls: Array<Call> = []
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    path: "/jsonrpc",
    verifyClient: ({ req }, accept) => accept(allow(req), 401)
  })
  server.on("connection", (socket) => {
    socket.on("message", (raw) => {
      const call = JSON.parse((raw as Buffer).toString("utf8")) as Call
      calls.push(call)
      answer(call, socket)
    })
  })
  await once(server, "listening")
  const close = async () => {
    for (const socket of server.clients) socket.terminate()
    await new Promise((resolve) => server.close(resolve))
  }
  open.push(close)
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls, server }
}

const client = async (url: string, options?: ConnectOptions): Promise<Client> => {
  const one = await connect(url, "secret", options)
  open.push(async () => one.cut())
  return one
}

const send = (socket: WebSocket, message: object) =>
  socket.send(JSON.stringify({ jsonrpc: "2.0", ...message }))
const notify = (socket: WebSocket, method: string, params: object) => send(socket, { method, params })

describe("calls", () => {
  it("are answered by their id, in whatever order", async () => {
    const waiting: Array<Call> = []
    const { url } = await peer((call, socket) => {
      waiting.push(call)
      if (waiting.length === 2)
        for (const one of waiting.toReversed()) send(socket, { id: one.id, result: one.method })
    })
    const one = await client(url)
    expect(await Promise.all([one.call("a"), one.call("b")])).toEqual(["a", "b"])
  })

  it("carry the token, and JSON-RPC 2.0", async () => {
    const { calls, url } = await peer(
      (call, socket) => send(socket, { id: call.id, result: null }),
      (request) => request.headers.authorization === "Bearer secret"
    )
    const one = await client(url)
    expect(await one.call("x", { a: 1 })).toBeNull()
    expect(calls).toEqual([{ jsonrpc: "2.0", id: 1, method: "x", params: { a: 1 } }])
    const refused = await connect(url, "wrong").catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(ConnectionRefused)
    expect(refused).toMatchObject({ status: 401 })
  })

  it("end with the typed error that the server answers", async () => {
    const data = { _tag: "TurnNotFound", turnId: "t" }
    const { url } = await peer((call, socket) =>
      send(socket, { id: call.id, error: { code: -32_000, message: "no such turn", data } })
    )
    const failed = await (await client(url)).call("x").catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(JsonRpcError)
    expect(failed).toMatchObject({ code: -32_000, data, tag: "TurnNotFound" })
  })

  it("end with the connection", async () => {
    const { server, url } = await peer(() => {
      for (const socket of server.clients) socket.terminate()
    })
    const one = await client(url)
    await expect(one.call("x")).rejects.toBeInstanceOf(ConnectionClosed)
    await expect(one.call("y")).rejects.toBeInstanceOf(ConnectionClosed)
    expect(await one.closed).toBeInstanceOf(ConnectionClosed)
  })

  it("can not be made where nobody listens", async () => {
    const { server, url } = await peer(() => {})
    await new Promise((resolve) => server.close(resolve))
    await expect(connect(url, null)).rejects.toBeInstanceOf(ConnectionRefused)
  })

  it("a peer that does not speak JSON is left", async () => {
    const { url } = await peer((_, socket) => socket.send("what?"))
    await expect((await client(url)).call("x")).rejects.toMatchObject({ code: 1002 })
  })
})

const answerWith =
  (after: (socket: WebSocket, id: string) => void): Answer =>
  (call, socket) => {
    if (call.method === "unsubscribe") return send(socket, { id: call.id, result: {} })
    send(socket, { id: call.id, result: { subscription: `s${call.id}` } })
    after(socket, `s${call.id}`)
  }

const collect = async <Item>(items: AsyncIterable<Item>) => {
  const all: Array<Item> = []
  for await (const item of items) all.push(item)
  return all
}

describe("subscriptions", () => {
  it("give the items of every batch in order, those behind the answer at once included, and end", async () => {
    const { calls, url } = await peer(
      answerWith((socket, subscription) => {
        notify(socket, "subscription", { subscription, items: [1, 2] })
        notify(socket, "subscription", { subscription, items: [3] })
        notify(socket, "subscription.end", { subscription })
      })
    )
    const one = await client(url)
    expect(await collect(await one.subscribe("stream"))).toEqual([1, 2, 3])
    expect(calls.map((call) => call.method)).toEqual(["stream"])
  })

  it("end with the error that the server ends them with, after what came before", async () => {
    const { url } = await peer(
      answerWith((socket, subscription) => {
        notify(socket, "subscription", { subscription, items: [1] })
        const error = { code: -32_000, message: "gone", data: { _tag: "ThreadNotFound" } }
        notify(socket, "subscription.end", { subscription, error })
      })
    )
    const stream = await (await client(url)).subscribe<number>("stream")
    const items: Array<number> = []
    const read = async () => {
      for await (const item of stream) items.push(item)
    }
    await expect(read()).rejects.toMatchObject({ tag: "ThreadNotFound" })
    expect(items).toEqual([1])
  })

  it("are cancelled at the server when their reader stops", async () => {
    const { calls, url } = await peer(
      answerWith((socket, subscription) => notify(socket, "subscription", { subscription, items: [1, 2, 3] }))
    )
    for await (const item of await (await client(url)).subscribe("stream")) if (item === 2) break
    expect(calls.at(-1)).toMatchObject({ method: "unsubscribe", params: { subscription: "s1" } })
  })

  it("a cancel ends a reader that waits", async () => {
    const { url } = await peer(answerWith(() => {}))
    const stream = await (await client(url)).subscribe("stream")
    const all = collect(stream)
    await stream.cancel()
    expect(await all).toEqual([])
  })

  it("end with the connection", async () => {
    const { url } = await peer(answerWith((socket) => socket.terminate()))
    const stream = await (await client(url)).subscribe("stream")
    await expect(collect(stream)).rejects.toBeInstanceOf(ConnectionClosed)
  })

  it("end when more waits for their reader than they hold", async () => {
    const { calls, url } = await peer((call, socket) => {
      if (call.method === "stream") {
        send(socket, { id: call.id, result: { subscription: "s" } })
        notify(socket, "subscription", { subscription: "s", items: [1, 2] })
        notify(socket, "subscription", { subscription: "s", items: [3, 4] })
      } else send(socket, { id: call.id, result: {} })
    })
    const one = await client(url, { buffer: 3 })
    const stream = await one.subscribe("stream")
    await one.call("ping")
    await expect(collect(stream)).rejects.toBeInstanceOf(ReaderTooSlow)
    await expect.poll(() => calls.map((call) => call.method)).toContain("unsubscribe")
  })
})
