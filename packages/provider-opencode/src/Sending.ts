/**
 * How a prompt gets to OpenCode: it is told what the user allows, the prompt is sent, and the message is seen
 * in the record.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { Prompt, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import { Clock, Deferred, Effect } from "effect"
import type { CallFailed } from "./Api.ts"
import * as Calls from "./calls.ts"
import type * as Conversation from "./Conversation.ts"
import type { CurrentFreedom } from "./CurrentFreedom.ts"
import * as History from "./history.ts"
import type { SessionContext } from "./SessionContext.ts"
import { messageIdOf, promptOf } from "./settings.ts"
import type { Telling } from "./Telling.ts"

export interface SendingOptions {
  /** For prompts that name none. */
  readonly model: string | null
  readonly freedom: CurrentFreedom
  readonly tell: Telling["tell"]
  /** From now on it is not known whether OpenCode has taken this turn's message. */
  readonly doubt: (turnId: TurnId) => void
  readonly settled: (turnId: TurnId) => void
}

export const make =
  (context: SessionContext, options: SendingOptions): ProviderSession["send"] =>
  (prompt) => {
    const { conversation, fail, life } = context
    return life.whileNotStopping("send", () => {
      // OpenCode would take it and answer it after the running turn, without saying where one ends.
      if (conversation.active() !== null || conversation.sending() !== null)
        return Effect.fail(fail("send", "Rejected", "OpenCode is at work on another turn of this thread."))
      return send(context, options, prompt)
    })
  }

const send = Effect.fnUntraced(function* (
  context: SessionContext,
  { doubt, freedom, model, settled, tell }: SendingOptions,
  prompt: Prompt
) {
  const { conversation, fail, life, wrap } = context
  const id = messageIdOf(prompt.turnId, yield* Clock.currentTimeMillis)
  const body = promptOf({ ...prompt, model: prompt.model ?? model }, id)
  if (body === null) {
    return yield* fail(
      "send",
      "Rejected",
      "OpenCode cannot read an attachment, or the model's name has no provider."
    )
  }
  const sending = conversation.sendBegan(id, prompt.turnId)
  yield* freedom.set(prompt).pipe(
    Effect.tapError(() => Effect.sync(() => conversation.sendSettled(false))),
    // The prompt itself was not sent yet.
    Effect.mapError((error) =>
      fail("send", error._tag === "Refused" ? "Rejected" : "Unavailable", error.message)
    )
  )
  doubt(prompt.turnId)
  yield* Calls.prompt(context, body).pipe(
    Effect.tapError((error) =>
      Effect.sync(() => {
        if (!isUntouched(error)) return
        conversation.sendSettled(false)
        settled(prompt.turnId)
      })
    ),
    Effect.mapError(wrap("send"))
  )
  const isTaken = yield* taken(context, sending, tell)
  // A session that ended meanwhile does not know: its server may still be at it.
  if (!life.isOver()) settled(prompt.turnId)
  if (!isTaken) {
    return life.isOver()
      ? yield* fail("send", "Unknown", "OpenCode ended while it took the message.")
      : yield* fail("send", "Rejected", "OpenCode did not take the message.")
  }
  return { providerTurnId: ProviderTurnId.make(id) }
})

/** OpenCode has done nothing with the prompt. */
const isUntouched = (error: CallFailed): boolean =>
  (error._tag === "Refused" && error.status < 500) ||
  (error._tag === "Unreachable" && error.delivered === "no")

/**
 * `prompt_async` is answered before the message is in the record. Its copy among the events proves that
 * it is; where that does not come, the record is asked.
 */
const taken = (
  { asking, conversation, deadlines, fail, sessionID, wrap }: SessionContext,
  sending: Conversation.Sending,
  tell: Telling["tell"]
) =>
  Deferred.await(sending.taken).pipe(
    Effect.timeoutOrElse({
      duration: deadlines.send,
      orElse: () =>
        History.hasMessage(asking, sessionID, sending.id).pipe(
          Effect.mapError(wrap("send")),
          Effect.flatMap((found) => {
            if (found) return Effect.as(tell(conversation.sendSettled(true)), true)
            // Told of an error, and not in the record: it is not coming any more.
            if (sending.error !== null) {
              conversation.sendSettled(false)
              return Effect.succeed(false)
            }
            return Effect.fail(fail("send", "Unknown", "OpenCode did not confirm the message in time."))
          })
        )
    })
  )
