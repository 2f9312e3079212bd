/**
 * A wire that can be cut, or go dead without a word: what is between a client and its server in the field.
 */
import { once } from "node:events"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"

export interface TcpProxy {
  readonly url: string
  /** Where new connections go. */
  to: string
  /** Ends every connection at once. */
  readonly cut: () => void
  /** From now on nothing gets through in this direction, and nobody is told. */
  readonly freeze: (direction: "up" | "down" | "both") => void
  readonly thaw: () => void
  /** Connections that were taken so far. */
  readonly accepted: () => number
  readonly close: () => Promise<void>
}

/** `asItself`: the server is asked for by the name of this proxy, which it does not know. */
export const startTcpProxy = async (target: string, { asItself = false } = {}): Promise<TcpProxy> => {
  const pairs = new Set<readonly [Socket, Socket]>()
  let accepted = 0
  let frozen: "up" | "down" | "both" | null = null
  const isFrozen = (direction: "up" | "down") => frozen === "both" || frozen === direction

  const server = createServer((client) => {
    accepted += 1
    const { hostname, port } = new URL(proxy.to)
    const upstream = connect(Number(port), hostname)
    const pair = [client, upstream] as const
    pairs.add(pair)
    // The server knows itself by its own port only, so the request that comes first is addressed anew.
    const addressed = (data: Buffer) => {
      isFirst = false
      const { host: mine } = new URL(proxy.url)
      return data.toString("latin1").replace(`ost: ${mine}`, `ost: ${hostname}:${port}`)
    }
    let isFirst = !asItself
    client.on("data", (data) => {
      if (isFrozen("up")) return
      if (isFirst) upstream.write(addressed(data), "latin1")
      else upstream.write(data)
    })
    upstream.on("data", (data) => void (isFrozen("down") || client.write(data)))
    for (const socket of pair) {
      socket.on("error", () => {})
      socket.on("close", () => {
        // A dead wire does not tell the other side either.
        if (frozen !== null) return
        pairs.delete(pair)
        for (const one of pair) one.destroy()
      })
    }
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")

  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
    pairs.clear()
  }
  const proxy: TcpProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    to: target,
    cut,
    freeze: (direction) => {
      frozen = direction
    },
    thaw: () => {
      frozen = null
    },
    accepted: () => accepted,
    close: async () => {
      cut()
      server.close()
      await once(server, "close")
    }
  }
  return proxy
}
