/**
 * How a prompt gets to Claude: it is told what to obey, the message is noted and handed over, and Claude
 * says that it works on it.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Prompt, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import { Deferred, Effect } from "effect"
import type * as Conversation from "./Conversation.ts"
import type { CurrentFreedom } from "./CurrentFreedom.ts"
import type { How } from "./Handed.ts"
import type { Inbox } from "./Inbox.ts"
import type { UserMessage } from "./sdk.ts"
import type { SessionContext } from "./SessionContext.ts"
import { messageOf } from "./settings.ts"

export interface SendingOptions {
  /** For prompts that name none. */
  readonly model: string | null
  readonly freedom: CurrentFreedom
  readonly inbox: Inbox
  /** Notes, durably, what becomes of a message before it is done, or as soon as it is known. */
  readonly note: (sessionId: string, uuid: string, how: How) => void
}

export type Send = ProviderSession["send"]

export const make = (
  context: SessionContext,
  { freedom, inbox, model: usual, note }: SendingOptions
): Send => {
  const { calls, conversation, deadlines, fail, life } = context
  /** What Claude was last told. */
  let model = usual

  const prepare = (prompt: Prompt) =>
    Effect.gen(function* () {
      yield* freedom.set(prompt)
      const wanted = prompt.model ?? usual
      if (wanted === model) return
      yield* calls.ask((query) => query.setModel(wanted ?? undefined))
      model = wanted
    })

  const handOver = (message: UserMessage) =>
    Effect.try({
      try: () => {
        note(conversation.name(), message.uuid, "handed")
        inbox.push(message)
      },
      catch: (error) => {
        conversation.sendFailed()
        return fail("send", "Unavailable", `The message could not be noted: ${String(error)}`)
      }
    })

  const taken = (sending: Conversation.Sending) =>
    Deferred.await(sending.taken).pipe(
      Effect.timeoutOrElse({
        duration: deadlines.send,
        orElse: () => Effect.fail(fail("send", "Unknown", "Claude did not confirm the message in time."))
      }),
      Effect.flatMap((isTaken) => {
        if (isTaken) return confirmed(sending.id)
        return Effect.fail(
          life.isOver()
            ? fail("send", "Unknown", "Claude ended while it took the message.")
            : fail("send", "Rejected", "Claude did not take the message.")
        )
      })
    )

  /** A note that fails takes nothing back: the message is delivered. */
  const confirmed = (uuid: string) =>
    Effect.try({ try: () => note(conversation.name(), uuid, "taken"), catch: (error) => error }).pipe(
      Effect.ignore,
      Effect.as({ providerTurnId: ProviderTurnId.make(uuid) })
    )

  return (prompt) =>
    life.whileNotStopping("send", () => {
      // Claude would take it and answer it behind the running turn, or put it into that.
      if (conversation.active() !== null || conversation.sending() !== null)
        return Effect.fail(fail("send", "Rejected", "Claude is at work on another turn of this thread."))
      const message = messageOf(prompt)
      if (message === null)
        return Effect.fail(fail("send", "Rejected", "An attachment could not be read, or is too large."))
      const sending = conversation.sendBegan(message.uuid, prompt.turnId)
      return prepare(prompt).pipe(
        // Refused, or not waited for any more: the next one is not held up by it.
        Effect.onError(() => Effect.sync(conversation.sendFailed)),
        // The prompt itself was not handed over yet.
        Effect.mapError(({ how, text }) =>
          fail("send", how === "refused" ? "Rejected" : "Unavailable", text)
        ),
        Effect.andThen(handOver(message)),
        Effect.andThen(taken(sending))
      )
    })
}
