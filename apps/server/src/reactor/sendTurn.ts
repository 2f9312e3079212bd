/** Hands one prompt to the provider: as a turn of its own, or into the running one. */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { Fault } from "@turnkeeper/domain/runtime/Fault"
import type { OpenTurn, ThreadState } from "@turnkeeper/domain/thread/State"
import type { Prompt } from "@turnkeeper/provider-kit/Provider"
import { Effect, Result, Schedule } from "effect"
import { called, outcome } from "./Performer.ts"
import type { Means, Performed, Performer } from "./Performer.ts"

export const sendTurn: Performer<"turn.send"> = ({ threadId, owed, state }, means) =>
  Effect.gen(function* () {
    const { turnId, generation } = owed
    const ready = yield* readyToSend(threadId, owed, state, means)
    if (Result.isFailure(ready)) return notSent(owed, ready.failure)
    const { session, prompt } = ready.success
    const sent = yield* called(session.send(prompt), means.settings.sendMs, "Sending the message")
    return Result.isSuccess(sent)
      ? outcome({ type: "send.accepted", turnId, generation, providerTurnId: sent.success.providerTurnId })
      : notSent(owed, sent.failure)
  })

export const steerTurn: Performer<"turn.steer"> = ({ threadId, owed, state }, means) =>
  Effect.gen(function* () {
    const { turnId, generation } = owed
    const ready = yield* readyToSend(threadId, owed, state, means)
    if (Result.isFailure(ready)) return notSent(owed, ready.failure)
    const { session, prompt } = ready.success
    const steered = yield* called(
      session.steer(prompt, owed.intoProviderTurnId),
      means.settings.sendMs,
      "Adding the message to the running turn"
    )
    return Result.isSuccess(steered)
      ? outcome({ type: "steer.accepted", turnId, generation })
      : notSent(owed, steered.failure)
  })

type Target = Pick<Parameters<typeof sendTurn>[0]["owed"], "turnId" | "generation">

/** Only `Unknown` leaves room for doubt; with any other reason the provider did not take it. */
const notSent = ({ turnId, generation }: Target, fault: Fault): Performed =>
  outcome({ type: fault.reason === "Unknown" ? "send.unknown" : "send.rejected", turnId, generation, fault })

const readyToSend = (threadId: ThreadId, { turnId, generation }: Target, state: ThreadState, means: Means) =>
  Effect.gen(function* () {
    const session = means.sessions.get(threadId, generation)
    if (session === undefined) {
      return yield* Effect.fail<Fault>({
        reason: "SessionGone",
        message: "The session ended before the message was sent"
      })
    }
    const turn = state.turns.find((open) => open.id === turnId)
    const prompt = turn === undefined ? null : yield* promptOf(threadId, turn, means)
    if (prompt === null) {
      return yield* Effect.fail<Fault>({
        reason: "Rejected",
        message: "The message's text could not be read"
      })
    }
    return { session, prompt }
  }).pipe(Effect.result)

const promptOf = (threadId: ThreadId, turn: OpenTurn, { view }: Means) =>
  Effect.gen(function* () {
    const { messageId, model, runtimeMode, interactionMode } = turn
    if (messageId === null) return null
    const written = yield* view.prompt(threadId, messageId)
    if (written === null) return null
    const prompt: Prompt = {
      turnId: turn.id,
      messageId,
      text: written.text,
      attachments: written.attachments,
      model,
      runtimeMode,
      interactionMode
    }
    return prompt
  }).pipe(
    Effect.retry({ times: 5, schedule: Schedule.spaced("200 millis") }),
    Effect.catch(() => Effect.succeed(null))
  )
