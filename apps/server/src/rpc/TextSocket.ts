/**
 * A client's socket that sends text frames only, whether it is given text or the bytes of text.
 *
 * Bytes that were made once go out as they are; a text handed to the socket below would be encoded there,
 * slowly, and again for every client.
 */
import { NodeWS } from "@effect/platform-node"

export class TextSocket extends NodeWS.WebSocket {
  override send(data: string | Uint8Array): void {
    super.send(typeof data === "string" ? Buffer.from(data) : data, { binary: false })
  }
}
