/**
 * Bytes in, lines out, and the two ways to end it: what a connection is made on. Tests replace this and
 * nothing else.
 */
import { Data, Effect, Stream } from "effect"
import type { Child, Gone } from "./Child.ts"

export type { Gone } from "./Child.ts"

export interface Transport {
  /** Chunks as they arrive, pulled: what is not read stays with the sender. Ends when the other side is gone. */
  readonly input: Stream.Stream<Uint8Array>
  /** Resolves when the line has left us. `delivered: "no"` only when not a byte of it can have arrived. */
  readonly write: (line: string) => Effect.Effect<void, TransportBroke>
  /** Resolves once the other side is gone, however that came about. */
  readonly gone: Effect.Effect<Gone>
  /** Asks it to end, then insists. Resolves when it is gone. */
  readonly close: Effect.Effect<unknown>
  /** Ends it without asking. Resolves when it is gone. */
  readonly kill: Effect.Effect<unknown>
}

/** The other side is gone, or could not be written to. */
export class TransportBroke extends Data.TaggedError("TransportBroke")<{
  readonly delivered: "no" | "unknown"
  readonly text: string
}> {
  override get message() {
    return this.text
  }
}

/** Over the standard input and output of a child that reads. `name`: what people call it. */
export const overChild = (child: Child, name: string): Transport => ({
  input: Stream.fromAsyncIterable(child.stdout as AsyncIterable<Uint8Array>, () => null).pipe(
    Stream.catch(() => Stream.empty)
  ),
  write: (line) =>
    Effect.callback<void, TransportBroke>((resume) => {
      const { stdin } = child
      if (stdin === null || child.isGone() || !stdin.writable)
        return resume(new TransportBroke({ delivered: "no", text: `${name} is not running.` }))
      stdin.write(`${line}\n`, (error) =>
        resume(
          error ? new TransportBroke({ delivered: "unknown", text: `${name} stopped reading.` }) : Effect.void
        )
      )
    }),
  gone: child.gone,
  close: child.close,
  kill: child.kill
})
