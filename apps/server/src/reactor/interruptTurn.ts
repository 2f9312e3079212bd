/** Asks the provider to end the running turn. Its end is proven by its own event, not by this answer. */
import { Effect, Result } from "effect"
import { called, outcome } from "./Performer.ts"
import type { Performer } from "./Performer.ts"
import { heldSession } from "./there.ts"

export const interruptTurn: Performer<"turn.interrupt"> = (task, means) =>
  Effect.gen(function* () {
    const { owed } = task
    const { turnId, generation } = owed
    const there = yield* heldSession(task, means)
    if (Result.isFailure(there)) {
      return outcome({ type: "interrupt.failed", turnId, generation, fault: there.failure })
    }
    const session = there.success
    if (session === undefined) {
      const fault = { reason: "SessionGone", message: "The session had ended" } as const
      return outcome({ type: "interrupt.failed", turnId, generation, fault })
    }
    const asked = yield* called(
      session.interrupt(owed.providerTurnId),
      means.settings.interruptMs,
      "Interrupting the turn"
    )
    return Result.isSuccess(asked)
      ? outcome({ type: "interrupt.accepted", turnId, generation })
      : outcome({ type: "interrupt.failed", turnId, generation, fault: asked.failure })
  })
