/** Asks the provider's own record whether a message arrived. */
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import { Effect, Result, Schedule } from "effect"
import { called, outcome } from "./Performer.ts"
import type { Performer } from "./Performer.ts"

export const findEvidence: Performer<"turn.evidence"> = ({ threadId, owed, state }, means) =>
  Effect.gen(function* () {
    const { turnId, generation } = owed
    const { settings } = means
    // "It is not there" is the last word only when what could still put it there has ended.
    if (owed.final) yield* means.sessions.gone(threadId, -1)
    const provider = means.registry.get(owed.provider)
    const messageId = state.turns.find((turn) => turn.id === turnId)?.messageId ?? null
    if (provider === undefined || messageId === null)
      return known({ type: "none", message: "Its provider is not configured any more." })
    if (!provider.capabilities.history)
      return known({ type: "none", message: "This provider keeps no record to ask." })
    // Without a cursor no record can be named, and what was not read proves nothing (L12).
    if (owed.resume === null)
      return known({ type: "none", message: "The provider gave no name by which its record could be read." })
    const query = { resume: owed.resume.cursor, turnId, messageId }
    const read = yield* called(
      provider.evidence(query),
      settings.evidenceMs,
      "Reading the provider's record"
    ).pipe(
      Effect.flatMap((result) =>
        Result.isSuccess(result) ? Effect.succeed(result.success) : Effect.fail(result.failure)
      ),
      Effect.retry({ times: settings.evidenceTries - 1, schedule: Schedule.exponential("1 second") }),
      Effect.catch((fault) => Effect.succeed<Evidence>({ type: "none", message: fault.message }))
    )
    return known(read)

    function known(evidence: Evidence) {
      return outcome({ type: "evidence", turnId, generation, evidence })
    }
  })
