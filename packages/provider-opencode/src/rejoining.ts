/** A session that went on without us: what was not heard, from the record. */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { HeardTurn, Missed } from "@turnkeeper/provider-kit/Provider"
import { Effect } from "effect"
import { openRequests } from "./asked.ts"
import type { WorksForUs } from "./asked.ts"
import { isHeard } from "./Conversation.ts"
import * as History from "./history.ts"
import type { Looking } from "./Looking.ts"
import type { SessionContext } from "./SessionContext.ts"
import type { Telling } from "./Telling.ts"

export interface Rejoining {
  /** What was told of its open turn. */
  readonly heard: HeardTurn | null
  readonly telling: Telling
  readonly looking: Looking
  readonly worksForUs: WorksForUs
}

export const rejoin = Effect.fnUntraced(function* (context: SessionContext, rejoining: Rejoining) {
  const { conversation } = context
  yield* readRecord(context, rejoining)
  if (conversation.active() !== null) yield* readRequests(context, rejoining)
  const events = rejoining.telling.takeMissed()
  const turn = conversation.active()
  // What was said between the status and now may have been passed over: one more look finds it.
  if (turn !== null) yield* rejoining.looking.catchUp
  return {
    events,
    running: turn === null ? null : { providerTurnId: ProviderTurnId.make(turn.id), turnId: turn.turnId }
  } satisfies Missed
})

const readRecord = Effect.fnUntraced(function* (
  { asking, conversation, sessionID }: SessionContext,
  { heard, telling: { tell } }: Rejoining
) {
  const { id, messages, status } = yield* History.seenSince(
    asking,
    sessionID,
    (one) => heard !== null && isHeard(heard, one)
  )
  const newest = History.newestTurn(messages)
  const from = id ?? (status.type === "idle" ? null : (newest?.id ?? null))
  const first = messages.findIndex(({ info }) => info.id === from)
  const before = first === -1 ? messages : messages.slice(0, first)
  conversation.past(before.flatMap(({ info }) => (info.role === "user" ? [info.id] : [])))
  if (from !== null) {
    yield* tell(conversation.adopt(from, null))
    yield* tell(conversation.read(messages.slice(first), status))
  }
})

const readRequests = Effect.fnUntraced(function* (
  context: SessionContext,
  { heard, telling: { tell }, worksForUs }: Rejoining
) {
  const open = yield* openRequests(context, worksForUs)
  yield* tell(context.conversation.readRequests(open))
  const closed = (heard?.requests ?? []).filter((key) => !open.some((held) => held.id === key))
  yield* tell(closed.map((requestKey) => ({ type: "request.resolved", requestKey })))
})
