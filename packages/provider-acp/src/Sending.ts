/**
 * How a prompt gets to the agent: it is told how to work, the prompt is written, and something proves that
 * the agent has it.
 */
import type { Prompt, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import { Deferred, Effect, Option } from "effect"
import type { Turn } from "./Conversation.ts"
import type { CurrentControls } from "./CurrentControls.ts"
import { blocksOf } from "./input.ts"
import type { ContentBlock } from "./protocol.ts"
import { codes } from "./protocol.ts"
import type { SessionContext } from "./SessionContext.ts"

export interface SendingOptions {
  readonly controls: CurrentControls
  readonly takesImages: boolean
}

export const make = (
  context: SessionContext,
  { controls, takesImages }: SendingOptions
): ProviderSession["send"] => {
  const { conversation, fail, life, outbox } = context
  let sending = false

  return (prompt) =>
    life.whileNotStopping("send", () => {
      // Some agents would answer both prompts at once, in the end of the second.
      if (sending || conversation.active() !== null)
        return Effect.fail(fail("send", "Rejected", "The agent is at work on another turn of this thread."))
      sending = true
      return Effect.gen(function* () {
        const blocks = yield* blocksOf(prompt, takesImages)
        if (blocks === null) {
          return yield* fail(
            "send",
            "Rejected",
            "An attachment is neither a file nor an address that the agent can read."
          )
        }
        const missing = yield* controls.apply("send", prompt)
        yield* outbox.put(missing.map((message) => ({ type: "notice", message })))
        const turn = yield* write(context, prompt, blocks)
        yield* taken(context, turn)
        return { providerTurnId: turn.id }
      }).pipe(Effect.ensuring(Effect.sync(() => void (sending = false))))
    })
}

const write = (
  { connection, conversation, deadlines, outbox, sessionId, wrap }: SessionContext,
  prompt: Prompt,
  blocks: Array<ContentBlock>
) =>
  Effect.suspend(() => {
    let turn: Turn | null = null
    return connection
      .begin(
        "session/prompt",
        { sessionId, prompt: blocks },
        {
          deadline: deadlines.send,
          onId: (id) => {
            turn = conversation.begin(id, prompt.turnId)
          },
          onAnswer: (answer) => Effect.suspend(() => outbox.put(conversation.answered(answer)))
        }
      )
      .pipe(
        Effect.tapError((error) =>
          Effect.sync(() => {
            if (error._tag === "TransportBroke" && error.delivered === "no") conversation.withdraw()
          })
        ),
        Effect.mapError(wrap("send")),
        Effect.map(() => turn!)
      )
  })

/**
 * A prompt has no answer but its turn's end. The agent's first words prove that it was read; an agent that
 * is still there a moment later has it in its input, and counts.
 */
const taken = ({ conversation, deadlines, life, outbox, wrap }: SessionContext, turn: Turn) =>
  Deferred.await(turn.taken).pipe(
    Effect.timeoutOption(deadlines.taken),
    Effect.flatMap((proof) =>
      Option.isSome(proof) ? Effect.void : Effect.suspend(() => outbox.put(conversation.take(turn)))
    ),
    Effect.tapError((error) =>
      Effect.sync(() => {
        if (error._tag === "Refused" && error.code === codes.resourceNotFound)
          life.exit(false, "The agent no longer knows this conversation.")
      })
    ),
    Effect.mapError(wrap("send"))
  )
