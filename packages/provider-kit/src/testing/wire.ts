/** The other end of a wire of lines, moved by hand: only the transport is replaced, what is above it is real. */
import { Deferred, Effect, Queue, Stream } from "effect"
import type { Cause, Scope } from "effect"
import type { Gone } from "../Child.ts"
import { TransportBroke } from "../Transport.ts"
import type { Transport } from "../Transport.ts"

export type Frame = { readonly [key: string]: unknown }

export interface Wire {
  readonly transport: Transport
  /** The program says this. */
  readonly say: (...frames: ReadonlyArray<Frame | string>) => Effect.Effect<void>
  /** The next thing that our side wrote. */
  readonly heard: Effect.Effect<Frame>
  /** The program is gone. */
  readonly die: (message?: string) => Effect.Effect<void>
  readonly closed: () => Gone["how"] | null
}

export const wire: Effect.Effect<Wire, never, Scope.Scope> = Effect.gen(function* () {
  const input = yield* Queue.unbounded<Uint8Array, Cause.Done>()
  const written = yield* Queue.unbounded<Frame>()
  const gone = yield* Deferred.make<Gone>()
  let how: Gone["how"] | null = null

  const end = (by: Gone["how"], message: string) =>
    Effect.suspend(() => {
      how ??= by
      return Effect.andThen(Queue.end(input), Deferred.succeed(gone, { how, message }))
    }).pipe(Effect.asVoid)

  return {
    transport: {
      input: Stream.fromQueue(input),
      write: (line) =>
        Effect.suspend(() =>
          how === null
            ? Effect.asVoid(Queue.offer(written, JSON.parse(line) as Frame))
            : new TransportBroke({ delivered: "no", text: "The program is not running." })
        ),
      gone: Deferred.await(gone),
      close: end("closed", "The program ended with exit code 0."),
      kill: end("killed", "The program ended by SIGKILL.")
    },
    say: (...frames) =>
      Queue.offer(
        input,
        Buffer.from(
          frames.map((frame) => `${typeof frame === "string" ? frame : JSON.stringify(frame)}\n`).join("")
        )
      ).pipe(Effect.asVoid),
    heard: Queue.take(written),
    die: (message = "The program ended by SIGKILL.") => end("by itself", message),
    closed: () => how
  }
})
