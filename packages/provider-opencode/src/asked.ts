/** What OpenCode asks: what of it is open, and how it is answered. */
import type { Answer } from "@turnkeeper/domain/thread/Event"
import { Effect } from "effect"
import * as Calls from "./calls.ts"
import type { CurrentFreedom } from "./CurrentFreedom.ts"
import * as History from "./history.ts"
import { permission, question } from "./requests.ts"
import type { Held } from "./requests.ts"
import type { SessionContext } from "./SessionContext.ts"
import { abort } from "./turns.ts"

/** Whether this session of OpenCode's works for ours. */
export type WorksForUs = (sessionID: string) => boolean

export const openRequests = ({ asking, sessionID }: SessionContext, worksForUs: WorksForUs) =>
  Effect.map(
    History.openRequests(asking),
    ({ permissions, questions }) =>
      [...permissions.map(permission), ...questions.map(question)].filter(
        (held) => held !== null && (held.sessionID === sessionID || worksForUs(held.sessionID))
      ) as ReadonlyArray<Held>
  )

export const answer = (context: SessionContext, freedom: CurrentFreedom, requestKey: string, given: Answer) =>
  Effect.suspend(() => {
    const { conversation, fail, wrap } = context
    const held = conversation.held(requestKey)
    const turn = conversation.active()
    if (held === null || turn === null)
      return Effect.fail(fail("answer", "RequestGone", "OpenCode no longer waits for this."))
    const reply = held.reply(given)
    conversation.release(requestKey, given.decision === "decline" || given.decision === "cancel")
    if (reply === "abort") return abort(context, turn).pipe(Effect.mapError(wrap("answer")))
    return freedom.grant(given.decision === "accept_for_session" ? held.grants : []).pipe(
      Effect.andThen(Calls.reply(context, reply.path, reply.body)),
      Effect.catchTag("Refused", (refused) =>
        Effect.fail(
          refused.status === 404
            ? fail("answer", "RequestGone", "OpenCode no longer waits for this.")
            : wrap("answer")(refused)
        )
      ),
      Effect.mapError(wrap("answer")),
      Effect.tapError((error) =>
        Effect.sync(() => void (error.fault.reason === "RequestGone" || conversation.restore(held)))
      ),
      Effect.asVoid
    )
  })
