/**
 * Half-open connections: the other end has gone without a word, and nothing that is sent will ever say so.
 *
 * The client is pinged, which every WebSocket answers by itself. Whoever is not heard for three times in a
 * row, pings unanswered, is taken for gone: its connection ends with all that it holds. A client that was
 * only away, asleep perhaps, or that did not read for so long, connects again and goes on from its cursor.
 */
import { limits } from "@turnkeeper/contracts/Limits"
import { Effect } from "effect"

/** The TCP socket below the WebSocket. */
export interface Wire {
  readonly bytesRead: number
  readonly destroyed: boolean
  readonly writable: boolean
  write(bytes: Uint8Array): unknown
  destroy(): unknown
}

/**
 * A whole WebSocket frame, unmasked and empty, as a server sends it. It goes between the frames of others:
 * those are written in one step, because nothing here compresses or fragments.
 */
const ping = Uint8Array.of(0x89, 0x00)

const silencesMax = 3

/** Resolves when the client is taken for gone; its socket is destroyed by then. */
export const untilSilent = (wire: Wire): Effect.Effect<void> =>
  Effect.gen(function* () {
    let heard = wire.bytesRead
    for (let silences = 0; silences < silencesMax && !wire.destroyed;) {
      if (wire.writable) wire.write(ping)
      yield* Effect.sleep(limits.heartbeatMillis)
      silences = wire.bytesRead === heard ? silences + 1 : 0
      heard = wire.bytesRead
    }
    wire.destroy()
  })
