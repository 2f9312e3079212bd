/** Ends a generation. A session that is not there is stopped (L9). */
import { Effect, Result } from "effect"
import { called, outcome } from "./Performer.ts"
import type { Performer } from "./Performer.ts"

export const stopSession: Performer<"session.stop"> = ({ threadId, owed }, { sessions, settings }) =>
  Effect.gen(function* () {
    const { generation, step } = owed
    const session = sessions.get(threadId, generation)
    if (session !== undefined) {
      const stopped = yield* called(session.stop(step), settings.stopMs, "Stopping the session")
      if (Result.isFailure(stopped) && stopped.failure.reason !== "SessionGone") {
        return outcome({ type: "stop.failed", generation, step, fault: stopped.failure })
      }
    }
    // Also where it is still being opened: closing its scope ends what was begun.
    yield* sessions.close(threadId, generation)
    return outcome({ type: "stop.ok", generation })
  })
