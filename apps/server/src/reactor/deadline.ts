/**
 * Waits for a deadline, by the monotonic clock: a jump of the wall clock trips none. It begins anew after
 * a restart; a deadline is a patience, not an appointment.
 */
import { Clock, Effect } from "effect"
import type { Means, Performer, Task } from "./Performer.ts"

export const deadline: Performer<"deadline"> = (task, means) =>
  Effect.as(task.owed.kind === "quiet" ? quietFor(task, means) : Effect.sleep(task.owed.afterMs), {
    happening: { type: "deadline", kind: task.owed.kind, turnId: task.owed.turnId }
  })

/** Quiet counts from the last word: each one begins the wait anew. */
const quietFor = ({ threadId, owed, state }: Task<"deadline">, { sessions }: Means): Effect.Effect<void> =>
  Effect.gen(function* () {
    const begun = yield* Clock.monotonicTimeNanos
    let left = owed.afterMs
    while (left > 0) {
      yield* Effect.sleep(left)
      const heardAt = sessions.heardAt(threadId, state.session.generation)
      const since = heardAt === null || heardAt < begun ? begun : heardAt
      left = owed.afterMs - Number(((yield* Clock.monotonicTimeNanos) - since) / 1_000_000n)
    }
  })
