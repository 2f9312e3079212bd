/**
 * What Claude says, from the first word to the last: through the conversation into the outbox, and while the
 * outbox has no room the gate before Claude's output is closed.
 */
import { Effect, Fiber, Stream } from "effect"
import type { Query } from "./sdk.ts"
import type { SessionContext } from "./SessionContext.ts"

/** Begins to read. The session ends with the process, behind what it said last. */
export const begin = Effect.fnUntraced(function* (
  context: SessionContext,
  query: Query,
  onHeard: (native: unknown) => void
) {
  const { child, deadlines, life, scope } = context
  const reader = yield* Stream.fromAsyncIterable(query, (error) => error).pipe(
    Stream.runForEach((native) => hear(context, native, onHeard)),
    // A stream that broke is as good as one that ended: the process says how.
    Effect.ignore,
    Effect.forkIn(scope)
  )
  yield* Effect.exit(child.gone).pipe(
    Effect.flatMap((gone) =>
      Fiber.await(reader).pipe(
        Effect.timeoutOption(deadlines.lastWords),
        Effect.andThen(
          Effect.sync(() =>
            gone._tag === "Success"
              ? life.exit(gone.value.how === "closed", gone.value.message)
              : life.exit(false, child.startFailed()?.message ?? "Claude could not be started.")
          )
        ),
        // Last: the end does not wait for what the SDK does about it.
        Effect.andThen(Fiber.interrupt(reader))
      )
    ),
    Effect.forkIn(scope)
  )
})

const hear = (
  { child: { gate }, conversation, life, outbox }: SessionContext,
  native: unknown,
  onHeard: (native: unknown) => void
) =>
  Effect.suspend(() => {
    if (life.isOver()) return Effect.void
    onHeard(native)
    const events = conversation.hear(native)
    // Nothing more is read until what was said has its place.
    gate.close()
    return Effect.ensuring(outbox.put(events), Effect.sync(gate.open))
  })
