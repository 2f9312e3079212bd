/** Asks the provider whether a turn that has been quiet is still alive. Time alone proves nothing. */
import { Effect, Result } from "effect"
import { called, outcome } from "./Performer.ts"
import type { Performer } from "./Performer.ts"
import { heldSession } from "./there.ts"

export const probeTurn: Performer<"turn.probe"> = (task, means) =>
  Effect.gen(function* () {
    const { owed } = task
    const at = { turnId: owed.turnId, generation: owed.generation }
    const there = yield* heldSession(task, means)
    if (Result.isFailure(there)) return outcome({ type: "probe.failed", ...at })
    const session = there.success
    if (session === undefined) return outcome({ type: "probe.gone", ...at, ended: null })
    const probed = yield* called(
      session.probe(owed.providerTurnId),
      means.settings.probeMs,
      "Asking after the turn"
    )
    if (Result.isFailure(probed)) return outcome({ type: "probe.failed", ...at })
    const truth = probed.success
    if (truth.type === "running") return outcome({ type: "probe.alive", ...at })
    const ended = truth.type === "ended" ? { outcome: truth.outcome, message: truth.message } : null
    return outcome({ type: "probe.gone", ...at, ended })
  })
