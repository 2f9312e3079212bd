/**
 * A client's socket that sends text only, whether it is given text or the bytes of text.
 *
 * Bytes that were made once go out as they are; a text handed to the socket below would be encoded there,
 * slowly, and again for every client. The bytes at the end of a long message, which many clients get, are
 * neither copied nor framed for each of them: what is a client's own goes before them with the frame's head.
 */
import { NodeWS } from "@effect/platform-node"

/** A message as text, as its bytes, or as text of this client's own before bytes that may be shared. */
export type Message = string | Uint8Array | { readonly own: string; readonly shared: Uint8Array }

/** The TCP socket below a WebSocket. */
export interface Below {
  cork(): void
  uncork(): void
  write(bytes: Uint8Array): unknown
}

/** A message in two parts, with the socket that it leaves by. */
export class Parts {
  private readonly below: Below
  private readonly head: Uint8Array
  private readonly shared: Uint8Array

  constructor(below: Below, own: string, shared: Uint8Array) {
    this.below = below
    this.head = headOf(own, shared.length)
    this.shared = shared
  }

  /** In one call to the system. */
  write(): void {
    this.below.cork()
    this.below.write(this.head)
    this.below.write(this.shared)
    this.below.uncork()
  }
}

export class TextSocket extends NodeWS.WebSocket {
  override send(data: Sent | Parts): void {
    if (!(data instanceof Parts)) {
      return super.send(typeof data === "string" ? Buffer.from(data) : data, { binary: false })
    }
    // It keeps its place among the others, which are written at once too, because nothing here compresses.
    // After the frame that closes there must not be another.
    if (this.readyState === NodeWS.WebSocket.OPEN) data.write()
  }
}

type Sent = Parameters<NodeWS.WebSocket["send"]>[0]

/** The head of a text frame as a server sends it, whole and unmasked (RFC 6455, 5.2), and the text behind it. */
const headOf = (own: string, shared: number): Uint8Array => {
  const length = Buffer.byteLength(own) + shared
  const lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const text = 2 + lengthBytes
  const head = Buffer.alloc(text + length - shared)
  head[0] = 0x81
  head[1] = lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127
  if (lengthBytes === 2) head.writeUInt16BE(length, 2)
  if (lengthBytes === 8) head.writeUIntBE(length, 4, 6)
  head.write(own, text)
  return head
}
