/** Passes the user's answer on to the provider that waits for it. */
import { Effect, Result } from "effect"
import { called, outcome } from "./Performer.ts"
import type { Performer } from "./Performer.ts"

export const answerRequest: Performer<"request.answer"> = ({ threadId, owed }, { sessions, settings }) =>
  Effect.gen(function* () {
    const { requestId } = owed
    const session = sessions.get(threadId, owed.generation)
    if (session === undefined) return outcome({ type: "answer.gone", requestId })
    const given = yield* called(
      session.answer(owed.key, owed.answer),
      settings.answerMs,
      "Passing the answer on"
    )
    if (Result.isSuccess(given)) return outcome({ type: "answer.accepted", requestId })
    const { reason } = given.failure
    return reason === "RequestGone" || reason === "SessionGone"
      ? outcome({ type: "answer.gone", requestId })
      : outcome({ type: "answer.failed", requestId, fault: given.failure })
  })
