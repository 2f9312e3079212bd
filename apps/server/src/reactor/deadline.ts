/**
 * Waits for a deadline, by the monotonic clock: a jump of the wall clock trips none. It begins anew after
 * a restart; a deadline is a patience, not an appointment.
 */
import { Effect } from "effect"
import type { Performer } from "./Performer.ts"

export const deadline: Performer<"deadline"> = ({ owed }) =>
  Effect.as(Effect.sleep(owed.afterMs), {
    happening: { type: "deadline", kind: owed.kind, turnId: owed.turnId }
  })
