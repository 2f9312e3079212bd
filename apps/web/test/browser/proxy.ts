/** The network between the browser and the server, which can be cut: an HTTP proxy on loopback. */
import { createServer, request } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { connect } from "node:net"

export interface Network {
  readonly url: string
  /** Every connection ends at once, and new ones are refused, until `mend`. */
  readonly cut: () => void
  readonly mend: () => void
  readonly close: () => Promise<void>
}

export const openNetwork = async (): Promise<Network> => {
  const sockets = new Set<Socket>()
  let whole = true
  const server = createServer((incoming, outgoing) => {
    const onward = request(incoming.url!, { method: incoming.method, headers: incoming.headers })
    onward.on("response", (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(outgoing)
    })
    onward.on("error", () => outgoing.destroy())
    incoming.pipe(onward)
  })
  // A WebSocket asks for a tunnel.
  server.on("connect", (incoming, client, head) => {
    const [host, port] = (incoming.url ?? "").split(":")
    const onward = connect(Number(port), host)
    sockets.add(onward)
    const end = () => {
      client.destroy()
      onward.destroy()
      sockets.delete(onward)
    }
    onward.on("connect", () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n")
      onward.write(head)
      onward.pipe(client)
      client.pipe(onward)
    })
    for (const side of [client, onward]) side.on("error", end).on("close", end)
  })
  server.on("connection", (socket) => {
    if (!whole) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve)
  })
  const { port } = server.address() as AddressInfo
  const cut = () => {
    whole = false
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${port}`,
    cut,
    mend: () => {
      whole = true
    },
    close: () =>
      new Promise((resolve) => {
        cut()
        server.close(() => resolve())
      })
  }
}
