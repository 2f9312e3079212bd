/** What the agent asks its client: answered by the user, by what he has allowed, or refused. */
import type { Answer } from "@turnkeeper/domain/thread/Event"
import type { PeerRequest } from "@turnkeeper/provider-kit/JsonRpc"
import { Effect } from "effect"
import { noAnswer } from "./Connection.ts"
import type { CurrentControls } from "./CurrentControls.ts"
import { codes } from "./protocol.ts"
import { understand } from "./requests.ts"
import type { Held } from "./requests.ts"
import type { SessionContext } from "./SessionContext.ts"
import * as Turns from "./turns.ts"

export const ask = (context: SessionContext, controls: CurrentControls, request: PeerRequest) =>
  Effect.suspend(() => {
    const { connection, conversation, life, outbox } = context
    const held = life.isOver() ? null : understand(request, conversation.tool)
    if (held === null) return refuse(context, request)
    const allowed = controls.allowsAll() ? allowing(held) : null
    // In a turn that runs, nobody is asked who has allowed everything.
    if (allowed !== null && conversation.active()?.interruptAsked === false)
      return inBackground(context, connection.reply(held.id, allowed))
    const events = conversation.ask(held)
    return events === null
      ? inBackground(context, connection.reply(held.id, held.cancelled))
      : outbox.put(events)
  })

/** The answer that allows it, where one is offered and it is about a tool: a question is the user's. */
const allowing = (held: Held): unknown => {
  if (held.kind === "question" || held.isAboutMode) return null
  const decision = held.ask.decisions.find((one) => one === "accept")
  return decision === undefined ? null : held.reply({ decision, answers: {} })
}

const refuse = (context: SessionContext, { id, method }: PeerRequest) => {
  const { connection, life, outbox } = context
  return Effect.andThen(
    life.isOver() ? Effect.void : outbox.put([{ type: "unknown", method: method.slice(0, 100) }]),
    inBackground(context, connection.refuse(id, codes.methodNotFound, "This client cannot answer that."))
  )
}

/** The agent no longer waits for an answer. */
export const takeBack = (context: SessionContext, id: unknown) =>
  Effect.suspend(() => {
    const { connection, conversation, outbox } = context
    if (typeof id !== "number" && typeof id !== "string") return Effect.void
    const events = conversation.forget(id)
    if (events.length === 0) return Effect.void
    return Effect.andThen(
      outbox.put(events),
      inBackground(context, connection.refuse(id, codes.requestCancelled, "The request was cancelled."))
    )
  })

/** Not waited for: an agent that does not read must not stop us from reading. */
const inBackground = ({ deadlines, scope }: SessionContext, write: Effect.Effect<void, unknown>) =>
  write.pipe(Effect.timeout(deadlines.call), Effect.ignore, Effect.forkIn(scope), Effect.asVoid)

export const answer = (context: SessionContext, requestKey: string, given: Answer) =>
  Effect.suspend(() => {
    const { connection, conversation, deadlines, fail, outbox, wrap } = context
    const turn = conversation.active()
    const isNo = given.decision === "decline" || given.decision === "cancel"
    const held = turn === null ? null : conversation.release(requestKey, isNo)
    if (held === null || turn === null)
      return Effect.fail(fail("answer", "RequestGone", "The agent no longer waits for this."))
    const ends = given.decision === "cancel"
    return connection.reply(held.id, ends ? held.cancelled : held.reply(given)).pipe(
      Effect.andThen(ends ? Turns.cancel(context, turn) : Effect.void),
      Effect.timeoutOrElse({
        duration: deadlines.call,
        orElse: () => Effect.fail(noAnswer("session/request_permission"))
      }),
      Effect.mapError(wrap("answer")),
      Effect.andThen(
        Effect.suspend(() =>
          conversation.active() === turn
            ? outbox.put([{ type: "request.resolved", requestKey }])
            : Effect.void
        )
      )
    )
  })
