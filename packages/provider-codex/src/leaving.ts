/** The end of a session: asked for, in order or by its process; or found out, from what Codex refuses. */
import type { Refused } from "@turnkeeper/provider-kit/JsonRpc"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { TransportBroke } from "@turnkeeper/provider-kit/Transport"
import { Deferred, Effect, Option } from "effect"
import type { SessionContext } from "./SessionContext.ts"
import * as Terminals from "./terminals.ts"
import * as Turns from "./turns.ts"

export const stop = (context: SessionContext): Effect.Effect<void, ProviderError> =>
  leave(context).pipe(
    // It ended by itself meanwhile: that is what was asked for.
    Effect.catch((error) =>
      Effect.flatMap(endedMeanwhile(context, error), (ended) =>
        Effect.fail(ended ? context.fail("stop", "SessionGone", error.fault.message) : error)
      )
    )
  )

export const kill = (context: SessionContext, killProcess: Effect.Effect<void>) =>
  inTime(context, killProcess, "Codex's process did not end.")

/** Interrupts what runs, ends what it started, and leaves the thread: each step proven. */
const leave = Effect.fnUntraced(function* (context: SessionContext) {
  const { codexThread, connection, conversation, deadlines, wrap } = context
  const unanswered = conversation.unanswered()
  if (unanswered !== null) {
    yield* inTime(context, Deferred.await(unanswered), "A message is still on its way to Codex.")
  }
  const turn = conversation.active()
  if (turn !== null) {
    yield* Turns.interrupt(context, null).pipe(
      Effect.catchIf(
        ({ fault }) => fault.reason === "TurnMismatch",
        () => Effect.void
      )
    )
    yield* inTime(context, Deferred.await(turn.over), "Codex did not end the turn.")
  }
  yield* Terminals.end(context, null).pipe(
    Effect.andThen(
      connection.call("thread/unsubscribe", { threadId: codexThread }, { deadline: deadlines.call })
    ),
    Effect.catchTag("Refused", refusedBecauseGone(context, "stop")),
    Effect.catchTag(["NoAnswer", "TransportBroke"], (error) => Effect.fail(wrap("stop")(error)))
  )
})

const inTime = <A>({ deadlines, fail }: SessionContext, effect: Effect.Effect<A>, otherwise: string) =>
  Effect.timeoutOrElse(effect, {
    duration: deadlines.turn,
    orElse: () => Effect.fail(fail("stop", "Unknown", otherwise))
  })

/** A call fails before its session hears of the end: a broken wire is waited on until it is known to be over. */
const endedMeanwhile = ({ connection, life }: SessionContext, { cause }: ProviderError) => {
  if (life.isOver() || !(cause instanceof TransportBroke)) return Effect.succeed(life.isOver())
  return connection.closed.pipe(Effect.timeoutOption("2 seconds"), Effect.map(Option.isSome))
}

/** A thread that Codex has unloaded refuses every prompt: the session is over then, and says so. */
export const refusedBecauseGone = (
  { codexThread, connection, deadlines, fail, life, wrap }: SessionContext,
  operation: "send" | "stop"
) =>
  Effect.fnUntraced(function* (refused: Refused) {
    const loaded = yield* connection
      .call("thread/loaded/list", {}, { deadline: deadlines.call })
      .pipe(Effect.option)
    if (
      Option.isSome(loaded) &&
      loaded.value.nextCursor === null &&
      !loaded.value.data.includes(codexThread)
    ) {
      life.exit(false, "Codex has unloaded this thread.")
      return yield* fail(operation, "SessionGone", refused.message)
    }
    return yield* wrap(operation)(refused)
  })
