/** What is asked of the turn that OpenCode works on: whether it runs, and to end. */
import type { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnTruth } from "@turnkeeper/provider-kit/Provider"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { runningTurn } from "@turnkeeper/provider-kit/runningTurn"
import { Deferred, Effect } from "effect"
import type { CallFailed } from "./Api.ts"
import * as Calls from "./calls.ts"
import * as History from "./history.ts"
import type { SessionContext } from "./SessionContext.ts"
import { interruptWasAsked } from "./Turn.ts"
import type { Turn } from "./Turn.ts"

/** `look`: its end may not be said, and is looked for. */
export const interrupt = (
  context: SessionContext,
  named: ProviderTurnId | null,
  look: Effect.Effect<void>
) => {
  const { conversation, fail, life, wrap } = context
  return life.whileOpen("interrupt", () =>
    Effect.gen(function* () {
      const turn = yield* runningTurn(fail, "interrupt", conversation.active(), named)
      yield* abort(context, turn).pipe(Effect.mapError(wrap("interrupt")))
      if (conversation.active() === turn) yield* look
    })
  )
}

/** An abort of a session that has not begun to work is taken and forgotten: its beginning is waited for. */
export const abort = (context: SessionContext, turn: Turn): Effect.Effect<void, CallFailed> =>
  Deferred.await(turn.begun).pipe(
    Effect.timeoutOption(context.deadlines.turn),
    Effect.andThen(
      Effect.suspend(() => {
        if (Deferred.isDoneUnsafe(turn.over)) return Effect.void
        interruptWasAsked(turn)
        return Calls.abort(context).pipe(Effect.asVoid)
      })
    )
  )

export const probe = (
  { asking, conversation, life, sessionID, wrap }: SessionContext,
  named: ProviderTurnId | null
): Effect.Effect<TurnTruth, ProviderError> =>
  Effect.suspend(() => {
    const id = named ?? conversation.active()?.id ?? null
    if (life.isOver() || id === null) return Effect.succeed<TurnTruth>({ type: "gone" })
    return History.turnTruth(asking, sessionID, id).pipe(
      Effect.map((truth): TurnTruth => {
        if (truth.type === "running" && conversation.active()?.id !== id && conversation.active() !== null)
          return { type: "gone" }
        return truth
      }),
      Effect.mapError(wrap("probe"))
    )
  })
