/** What is asked of the turn that Claude works on: whether it runs, and to end. */
import type { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnTruth } from "@turnkeeper/provider-kit/Provider"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { runningTurn } from "@turnkeeper/provider-kit/runningTurn"
import { Effect } from "effect"
import type { SessionContext } from "./SessionContext.ts"
import { interruptWasAsked } from "./Turn.ts"
import type { Turn } from "./Turn.ts"

export const interrupt = (context: SessionContext, named: ProviderTurnId | null) => {
  const { conversation, fail, life, wrap } = context
  return life.whileOpen("interrupt", () =>
    runningTurn(fail, "interrupt", conversation.active(), named).pipe(
      Effect.flatMap((turn) => abort(context, turn)),
      Effect.mapError(wrap("interrupt"))
    )
  )
}

export const abort = ({ calls }: SessionContext, turn: Turn) =>
  Effect.suspend(() => {
    interruptWasAsked(turn)
    return Effect.asVoid(calls.ask((query) => query.interrupt()))
  })

export const probe = (
  { calls, conversation, life, wrap }: SessionContext,
  named: ProviderTurnId | null
): Effect.Effect<TurnTruth, ProviderError> =>
  Effect.suspend(() => {
    const id = named ?? conversation.active()?.id ?? null
    if (life.isOver() || id === null) return Effect.succeed<TurnTruth>({ type: "gone" })
    // Its answer comes behind all that Claude has said before: what was said of the turn is known then.
    return calls
      .ask((query) => query.mcpServerStatus())
      .pipe(
        Effect.map((): TurnTruth => {
          if (conversation.active()?.id === id) return { type: "running" }
          const ended = conversation.ended(id)
          return ended === null ? { type: "gone" } : { type: "ended", ...ended }
        }),
        Effect.mapError(wrap("probe"))
      )
  })
