/** Passes the user's answer on to the provider that waits for it. */
import { Effect, Result } from "effect"
import { called, outcome } from "./Performer.ts"
import type { Performer } from "./Performer.ts"
import { heldSession } from "./there.ts"

export const answerRequest: Performer<"request.answer"> = (task, means) =>
  Effect.gen(function* () {
    const { owed } = task
    const { requestId } = owed
    const there = yield* heldSession(task, means)
    if (Result.isFailure(there)) return outcome({ type: "answer.failed", requestId, fault: there.failure })
    const session = there.success
    if (session === undefined) return outcome({ type: "answer.gone", requestId })
    const given = yield* called(
      session.answer(owed.key, owed.answer),
      means.settings.answerMs,
      "Passing the answer on"
    )
    if (Result.isSuccess(given)) return outcome({ type: "answer.accepted", requestId })
    const { reason } = given.failure
    return reason === "RequestGone" || reason === "SessionGone"
      ? outcome({ type: "answer.gone", requestId })
      : outcome({ type: "answer.failed", requestId, fault: given.failure })
  })
