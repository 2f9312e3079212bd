/** The end of a session that is asked for: in order, or by its process. The end of its process is the proof. */
import { Deferred, Effect } from "effect"
import type { SessionContext } from "./SessionContext.ts"
import * as Turns from "./turns.ts"

/** `closes`: the agent can be asked to close the conversation. */
export const stop = (context: SessionContext, closes: boolean) => inTime(context, leave(context, closes))

export const kill = (context: SessionContext) => inTime(context, context.connection.kill)

/** In order as far as the agent lets us. */
const leave = Effect.fnUntraced(function* (context: SessionContext, closes: boolean) {
  const { connection, conversation, deadlines, sessionId } = context
  const turn = conversation.active()
  if (turn !== null) {
    yield* Turns.cancel(context, turn).pipe(
      Effect.andThen(Deferred.await(turn.over)),
      Effect.timeout(deadlines.turn),
      Effect.ignore
    )
  }
  if (closes) {
    yield* connection.call("session/close", { sessionId }, { deadline: "1 second" }).pipe(Effect.ignore)
  }
  yield* connection.close
})

const inTime = ({ fail }: SessionContext, effect: Effect.Effect<unknown>) =>
  Effect.timeoutOrElse(effect, {
    duration: "15 seconds",
    orElse: () => Effect.fail(fail("stop", "Unknown", "The agent's process did not end."))
  })
