/** The end of a session that is asked for: in order, or by its process. Its process's end is the proof. */
import { Deferred, Effect } from "effect"
import type { SessionContext } from "./SessionContext.ts"
import * as Turns from "./turns.ts"

export const stop = (context: SessionContext) => ended(context, leave(context))

export const kill = (context: SessionContext) => ended(context, context.child.kill)

const leave = Effect.fnUntraced(function* (context: SessionContext) {
  const { child, conversation, deadlines } = context
  const turn = conversation.active()
  if (turn !== null) {
    // Closing the input alone would let the turn run on; a refusal here is no obstacle to closing it.
    yield* Turns.abort(context, turn).pipe(
      Effect.andThen(Deferred.await(turn.over)),
      Effect.timeoutOption(deadlines.turn),
      Effect.ignore
    )
  }
  yield* child.close
})

const ended = ({ child, fail }: SessionContext, effect: Effect.Effect<void>) =>
  Effect.andThen(
    effect,
    Effect.suspend(() =>
      child.isGone() ? Effect.void : Effect.fail(fail("stop", "Unknown", "Claude's process did not end."))
    )
  )
