/**
 * A reader of one thread that counts what comes over its socket and looks into it as little as it can: in
 * fan-outs the readers must not be what is measured.
 */
import { WebSocket } from "ws"
import type { Address } from "./engine.ts"

export interface Reader {
  /** Bytes of all frames so far. */
  readonly bytes: () => number
  /** All of them, where they are kept. */
  readonly frames: () => ReadonlyArray<Buffer>
  /** Resolves when this version was told. */
  readonly until: (version: number) => Promise<void>
  readonly close: () => void
}

interface Options {
  readonly after?: { readonly epoch: string; readonly version: number }
  /** The frames are not forgotten. */
  readonly keep?: boolean
  readonly onFrame?: (frame: Buffer) => void
}

/** Resolves when everything up to now was told. */
export const follow = async (
  { token, url }: Address,
  threadId: string,
  options: Options = {}
): Promise<Reader> => {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/jsonrpc`, {
    perMessageDeflate: false,
    maxPayload: 64 * 1024 * 1024,
    headers: { authorization: `Bearer ${token}` }
  })
  const kept: Array<Buffer> = []
  const waiting = new Set<() => void>()
  let bytes = 0
  let version = 0
  let live = false
  socket.on("message", (frame: Buffer) => {
    bytes += frame.length
    if (options.keep === true) kept.push(frame)
    options.onFrame?.(frame)
    live ||= frame.includes('"type":"synchronized"')
    version = Math.max(version, newestVersion(frame))
    for (const check of waiting) check()
  })
  const until = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (!holds()) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
    })
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))
  const params = { threadId, ...(options.after !== undefined && { after: options.after }) }
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "orchestration.subscribeThread", params }))
  await until(() => live)
  return {
    bytes: () => bytes,
    frames: () => kept,
    until: (wanted) => until(() => version >= wanted),
    close: () => socket.terminate()
  }
}

/** Of the last event in the frame, or of what it says that was told. */
const newestVersion = (frame: Buffer): number => {
  const at = frame.lastIndexOf('"version":')
  return at === -1 ? 0 : Number.parseInt(frame.toString("latin1", at + 10, at + 22), 10)
}
