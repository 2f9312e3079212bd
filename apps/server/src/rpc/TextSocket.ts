/**
 * A client's socket that sends text only, whether it is given text or the bytes of text.
 *
 * Bytes that were made once go out as they are; a text handed to the socket below would be encoded there,
 * slowly, and again for every client. A long message goes out in two fragments, so that the bytes which many
 * clients get are neither copied nor framed for each of them.
 */
import { NodeWS } from "@effect/platform-node"

/** A message as text, as its bytes, or as bytes of this client's own before others that may be shared. */
export type Message = string | Uint8Array | { readonly own: Beginning; readonly shared: Uint8Array }

/** The beginning of a message: the rest is what is sent next, in the same step. */
export class Beginning extends Uint8Array {
  static ofText(text: string): Beginning {
    return new Beginning(Buffer.from(text))
  }
}

export class TextSocket extends NodeWS.WebSocket {
  override send(data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? Buffer.from(data) : data
    super.send(bytes, { binary: false, fin: !(data instanceof Beginning) })
  }
}
