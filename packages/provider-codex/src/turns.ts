/** What is asked of the turn that Codex works on: whether it runs, and to end. */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Refused } from "@turnkeeper/provider-kit/JsonRpc"
import type { TurnTruth } from "@turnkeeper/provider-kit/Provider"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { mismatch, runningTurn } from "@turnkeeper/provider-kit/runningTurn"
import { Deferred, Effect } from "effect"
import * as History from "./history.ts"
import type { SessionContext } from "./SessionContext.ts"
import type { Turn } from "./Turn.ts"

/** The running turn, once Codex can be told something about it; fails when it is not the one named. */
export const running = Effect.fnUntraced(function* (
  context: SessionContext,
  operation: "steer" | "interrupt",
  named: string | null
) {
  const { conversation, fail } = context
  const turn = yield* runningTurn(fail, operation, conversation.active(), named)
  yield* begun(context, turn)
  if (conversation.active()?.id !== turn.id) return yield* mismatch(fail, operation)
  return turn
})

/** Codex refuses for several reasons with one code: whether the turn runs is asked separately. */
export const refused = (context: SessionContext, operation: "steer" | "interrupt", turn: Turn) =>
  Effect.fnUntraced(function* (refusal: Refused) {
    const { conversation, fail, wrap } = context
    if (conversation.active()?.id !== turn.id) return yield* mismatch(fail, operation)
    const truth = yield* probe(context, ProviderTurnId.make(turn.id))
    return yield* truth.type === "running" ? wrap(operation)(refusal) : mismatch(fail, operation)
  })

export const interrupt = (context: SessionContext, named: ProviderTurnId | null) =>
  context.life.whileOpen("interrupt", () =>
    Effect.gen(function* () {
      const { codexThread, connection, deadlines, wrap } = context
      const turn = yield* running(context, "interrupt", named)
      yield* connection
        .call("turn/interrupt", { threadId: codexThread, turnId: turn.id }, { deadline: deadlines.call })
        .pipe(
          Effect.catchTag("Refused", refused(context, "interrupt", turn)),
          Effect.catchTag(["NoAnswer", "TransportBroke"], (error) => Effect.fail(wrap("interrupt")(error)))
        )
    })
  )

export const probe = (
  context: SessionContext,
  named: ProviderTurnId | null
): Effect.Effect<TurnTruth, ProviderError> =>
  Effect.suspend(() => {
    const { asking, codexThread, conversation, life, wrap } = context
    if (life.isOver()) return Effect.succeed<TurnTruth>({ type: "gone" })
    const turn = conversation.active()
    const turnId = named ?? turn?.id ?? null
    if (turnId === null) return Effect.succeed<TurnTruth>({ type: "gone" })
    const ours = turn?.id === turnId ? turn : null
    return (ours === null ? Effect.void : begun(context, ours)).pipe(
      Effect.andThen(History.turnTruth(asking, codexThread, turnId)),
      Effect.catchTag("Refused", () => Effect.succeed<TurnTruth>({ type: "gone" })),
      // There is no record yet in a turn's first moments; then the thread's own status is the word.
      Effect.flatMap((truth) =>
        truth.type === "gone" && ours !== null ? statusTruth(asking, codexThread) : Effect.succeed(truth)
      ),
      Effect.mapError(wrap("probe"))
    )
  })

/** Codex answers `turn/start` before the turn exists: until it says `turn/started`, it does not know it. */
const begun = ({ deadlines }: SessionContext, turn: Turn) =>
  Deferred.await(turn.started).pipe(Effect.timeoutOption(deadlines.turn))

const statusTruth = ({ connection, deadline }: History.Asking, threadId: string) =>
  connection.call("thread/read", { threadId }, { deadline }).pipe(
    Effect.map(({ thread }): TurnTruth =>
      thread.status.type === "active" ? { type: "running" } : { type: "gone" }
    ),
    Effect.catchTag("Refused", () => Effect.succeed<TurnTruth>({ type: "gone" }))
  )
