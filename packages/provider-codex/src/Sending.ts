/** How a prompt gets to Codex: as a turn of its own, or into the one that runs. */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { Prompt, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import { Effect, Exit } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import type { Hearing } from "./Hearing.ts"
import { refusedBecauseGone } from "./leaving.ts"
import type { SessionContext } from "./SessionContext.ts"
import type { Current } from "./settings.ts"
import { afterTurn, changesOf, inputOf } from "./settings.ts"
import { steerBegan, steerFailed } from "./Turn.ts"
import * as Turns from "./turns.ts"

export interface SendingOptions {
  readonly settings: Current
  /** The prompt of this turn is about to be written. */
  readonly onSend: (turnId: TurnId) => void
  readonly tell: Hearing["tell"]
}

export type Sending = Pick<ProviderSession, "send" | "steer">

export const make = (context: SessionContext, { onSend, settings: first, tell }: SendingOptions): Sending => {
  const { codexThread, connection, conversation, deadlines, fail, life, wrap } = context
  let settings = first

  const send: Sending["send"] = (prompt) =>
    life.whileNotStopping("send", () => {
      // Codex would put the message into the turn that runs, without saying so.
      if (conversation.active() !== null || conversation.unanswered() !== null) {
        return Effect.fail(fail("send", "Rejected", "Codex is at work on another turn of this thread."))
      }
      const input = inputOf(prompt)
      if (input === null) return Effect.fail(unreachable(fail, "send"))
      conversation.sendBegan(prompt.turnId)
      onSend(prompt.turnId)
      return Effect.map(start(prompt, input), ({ turn }) => {
        settings = afterTurn(settings, prompt)
        return { providerTurnId: ProviderTurnId.make(turn.id) }
      })
    })

  const start = (prompt: Prompt, input: Array<Protocol.UserInput>) =>
    connection
      .call(
        "turn/start",
        {
          threadId: codexThread,
          clientUserMessageId: prompt.turnId,
          input,
          ...changesOf(settings, prompt)
        },
        {
          deadline: deadlines.send,
          onAnswer: (answer) =>
            tell(conversation.sendAnswered(Exit.isSuccess(answer) ? answer.value.turn.id : null))
        }
      )
      .pipe(
        Effect.tapError((error) =>
          error._tag === "TransportBroke" && error.delivered === "no"
            ? tell(conversation.sendAnswered(null))
            : Effect.void
        ),
        Effect.catchTag("Refused", refusedBecauseGone(context, "send")),
        Effect.catchTag(["NoAnswer", "TransportBroke"], (error) => Effect.fail(wrap("send")(error)))
      )

  const steer: Sending["steer"] = (prompt, into) =>
    life.whileOpen("steer", () =>
      Effect.gen(function* () {
        const input = inputOf(prompt)
        if (input === null) return yield* unreachable(fail, "steer")
        const turn = yield* Turns.running(context, "steer", into)
        steerBegan(turn, prompt.turnId)
        onSend(prompt.turnId)
        yield* connection
          .call(
            "turn/steer",
            { threadId: codexThread, clientUserMessageId: prompt.turnId, input, expectedTurnId: turn.id },
            { deadline: deadlines.send }
          )
          .pipe(
            Effect.tapError(() => Effect.sync(() => steerFailed(turn, prompt.turnId))),
            Effect.catchTag("Refused", Turns.refused(context, "steer", turn)),
            Effect.catchTag(["NoAnswer", "TransportBroke"], (error) => Effect.fail(wrap("steer")(error)))
          )
      })
    )

  return { send, steer }
}

const unreachable = (fail: Fail, operation: "send" | "steer") =>
  fail(operation, "Rejected", "An attachment is neither a file nor an address Codex can read.")
