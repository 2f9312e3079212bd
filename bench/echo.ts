/** A WebSocket that gives back what it gets: the least that a round trip between two processes costs. */
import { createRequire } from "node:module"
import { join } from "node:path"

interface Socket {
  on: (event: "message", listen: (data: Buffer) => void) => void
  send: (data: string) => void
}
interface Listening {
  on: ((event: "listening", listen: () => void) => void) &
    ((event: "connection", listen: (socket: Socket) => void) => void)
  address: () => { readonly port: number }
}
interface Ws {
  WebSocketServer: new (options: {
    readonly port: number
    readonly host: string
    readonly perMessageDeflate: boolean
  }) => Listening
}

const { WebSocketServer } = createRequire(join(import.meta.dirname, "../packages/testkit/package.json"))(
  "ws"
) as Ws
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false })
server.on("connection", (socket) => socket.on("message", (data) => socket.send(data.toString("utf8"))))
server.on("listening", () => console.log(server.address().port))
// Ends with whoever started it.
process.stdin.on("close", () => process.exit(0)).resume()
