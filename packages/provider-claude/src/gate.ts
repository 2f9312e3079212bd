/** Between Claude's output and its reader. */
import { Effect } from "effect"
import { Transform } from "node:stream"

/** Closed, nothing passes, and Claude is held up by its own pipe. */
export interface Gate {
  readonly stream: Transform
  readonly close: () => void
  readonly open: () => void
  /**
   * Lets Claude's answer to a call of ours through a closed gate, and with it what was printed before, at
   * most so much; beyond that the call fails by its own deadline.
   */
  readonly readAhead: <A, E>(call: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

const aheadBytesMax = 16 * 1024 * 1024

export const makeGate = (bytesMax = aheadBytesMax): Gate => {
  let closed = false
  let calls = 0
  let ahead = 0
  let waiting: (() => void) | null = null

  const isShut = () => closed && (calls === 0 || ahead >= bytesMax)
  const relieve = () => {
    if (isShut()) return
    waiting?.()
    waiting = null
  }
  const stream = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      const pass = () => {
        if (closed) ahead += chunk.length
        done(null, chunk)
      }
      if (isShut()) waiting = pass
      else pass()
    }
  })
  return {
    stream,
    close: () => {
      closed = true
    },
    open: () => {
      closed = false
      ahead = 0
      relieve()
    },
    readAhead: (call) =>
      Effect.suspend(() => {
        calls += 1
        relieve()
        return Effect.ensuring(
          call,
          Effect.sync(() => void (calls -= 1))
        )
      })
  }
}
