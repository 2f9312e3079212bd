/** A WebSocket that gives back what it gets: the least that a round trip between two processes costs. */
import { WebSocketServer } from "ws"

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false })
server.on("connection", (socket) =>
  socket.on("message", (data: Buffer) => socket.send(data.toString("utf8")))
)
server.on("listening", () => console.log((server.address() as { readonly port: number }).port))
// Ends with whoever started it.
process.stdin.on("close", () => process.exit(0)).resume()
