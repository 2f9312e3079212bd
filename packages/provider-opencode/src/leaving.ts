/** The end of a session that is asked for: in order, each step proven, or by its process. */
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Deferred, Effect, Schedule } from "effect"
import * as Calls from "./calls.ts"
import * as History from "./history.ts"
import type { SessionContext } from "./SessionContext.ts"
import * as Turns from "./turns.ts"

/** Ends those of these commands that still run, and gives those that it could not end. */
export type EndCommands = (commands: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>>

/** Aborts what runs and proves that nobody works any more and that no command is left. */
export const stop = Effect.fnUntraced(function* (context: SessionContext, endCommands: EndCommands) {
  const { asking, conversation, fail, sessionID, wrap } = context
  const sending = conversation.sending()
  if (sending !== null) {
    yield* inTime(context, Deferred.await(sending.taken), "A message is still on its way to OpenCode.")
  }
  const commands = conversation.commands()
  const turn = conversation.active()
  if (turn !== null) yield* Turns.abort(context, turn).pipe(Effect.mapError(wrap("stop")))
  const rests = History.rests(asking, sessionID).pipe(Effect.mapError(wrap("stop")))
  const after =
    turn === null
      ? rests
      : Effect.repeat(rests, { until: (yes) => yes, schedule: Schedule.spaced("100 millis") })
  const resting = yield* inTime(context, after, "OpenCode did not end the turn.")
  if (!resting) {
    // Another window of OpenCode is at work here: its turn is not ours, but this session's end is asked for.
    yield* Calls.abort(context).pipe(Effect.mapError(wrap("stop")))
  }
  const left = yield* endCommands(commands)
  if (left.length > 0) return yield* fail("stop", "Unknown", `A command could not be ended: ${left[0]}`)
})

export const kill = (context: SessionContext, killProcess: Effect.Effect<unknown>) =>
  inTime(context, killProcess, "OpenCode's process did not end.")

const inTime = <A>(
  { deadlines, fail }: SessionContext,
  effect: Effect.Effect<A, ProviderError>,
  otherwise: string
) =>
  Effect.timeoutOrElse(effect, {
    duration: deadlines.turn,
    orElse: () => Effect.fail(fail("stop", "Unknown", otherwise))
  })
