/** A WebSocket between the client and the server that may change, hold or drop single frames. */
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { WebSocket, WebSocketServer } from "ws"

/** The frame that goes on, now or later; null: none. */
export type Surgeon = (frame: string, direction: "up" | "down") => string | null | Promise<string>

export interface FrameProxy {
  readonly url: string
  readonly close: () => Promise<void>
}

export const startFrameProxy = async (target: string, surgeon: Surgeon): Promise<FrameProxy> => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 })
  await once(server, "listening")
  server.on("connection", (client, request) => {
    const { authorization = "" } = request.headers
    const upstream = new WebSocket(`${target.replace(/^http/, "ws")}${request.url}`, {
      headers: { authorization }
    })
    const early: Array<string> = []
    const send = (to: WebSocket, frame: ReturnType<Surgeon>): void => {
      if (frame === null) return
      if (typeof frame !== "string") return void frame.then((later) => send(to, later))
      if (to.readyState === WebSocket.CONNECTING) early.push(frame)
      else to.send(frame)
    }
    client.on("message", (data) => send(upstream, surgeon(String(data), "up")))
    upstream.on("message", (data) => send(client, surgeon(String(data), "down")))
    upstream.on("open", () => early.splice(0).forEach((frame) => upstream.send(frame)))
    for (const [one, other] of [
      [client, upstream],
      [upstream, client]
    ] as const) {
      one.on("error", () => {})
      one.on("close", () => other.terminate())
    }
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      for (const client of server.clients) client.terminate()
      server.close()
      await once(server, "close")
    }
  }
}
