/** What is asked of the turn that the agent works on: whether it runs, and to end. */
import type { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnTruth } from "@turnkeeper/provider-kit/Provider"
import { runningTurn } from "@turnkeeper/provider-kit/runningTurn"
import { Effect, Schedule } from "effect"
import { noAnswer } from "./Connection.ts"
import { interruptWasAsked } from "./Conversation.ts"
import type { Turn } from "./Conversation.ts"
import type { SessionContext } from "./SessionContext.ts"

export const interrupt = (context: SessionContext, named: ProviderTurnId | null) => {
  const { conversation, fail, life, wrap } = context
  return life.whileOpen("interrupt", () =>
    runningTurn(fail, "interrupt", conversation.active(), named).pipe(
      Effect.flatMap((turn) => cancel(context, turn)),
      Effect.mapError(wrap("interrupt"))
    )
  )
}

/** What waits for an answer is answered: an agent may forget it, and the protocol wants it. */
export const cancel = (context: SessionContext, turn: Turn) =>
  Effect.suspend(() => {
    const { connection, conversation, deadlines, scope } = context
    const isAsked = turn.interruptAsked
    interruptWasAsked(turn)
    const waiting = conversation.releaseAll()
    return sayCancel(context).pipe(
      Effect.andThen(
        Effect.forEach(waiting, (held) => connection.reply(held.id, held.cancelled), { discard: true })
      ),
      Effect.timeoutOrElse({
        duration: deadlines.call,
        orElse: () => Effect.fail(noAnswer("session/cancel"))
      }),
      Effect.andThen(
        isAsked ? Effect.void : Effect.asVoid(Effect.forkIn(cancelUntilOver(context, turn), scope))
      )
    )
  })

const sayCancel = ({ connection, sessionId }: SessionContext) =>
  connection.notify("session/cancel", { sessionId })

/** A cancel that comes before the agent has begun is lost in some: it is said again, so often. */
const cancelAgain = { schedule: Schedule.spaced("1 second"), times: 8 }

const cancelUntilOver = (context: SessionContext, turn: Turn) => {
  const isOver = () => context.conversation.active() !== turn
  return Effect.suspend(() => (isOver() ? Effect.void : sayCancel(context))).pipe(
    Effect.delay("1 second"),
    Effect.repeat({ ...cancelAgain, until: isOver }),
    Effect.ignore
  )
}

/** The protocol has no status: a prompt that is not answered is the agent's word that it works on it. */
export const probe = (
  { connection, conversation, life }: SessionContext,
  named: ProviderTurnId | null
): Effect.Effect<TurnTruth> =>
  Effect.sync(() => {
    const active = conversation.active()
    const id = named ?? active?.id ?? null
    if (life.isOver() || connection.isClosed() || id === null) return { type: "gone" }
    if (active?.id === id) return { type: "running" }
    const ended = conversation.ended(id)
    return ended === null ? { type: "gone" } : { type: "ended", ...ended }
  })
