/**
 * What Codex itself recorded of a conversation: read, never guessed.
 *
 * Codex writes the user's message to its record before it asks the model (test/real.test.ts kills it in
 * between). So a record that was read to its end and does not hold the message proves that the model never
 * saw it. Reading does not load the thread: nothing starts to work because of it.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { Evidence, RecordedText } from "@turnkeeper/domain/thread/Owed"
import type { HeardTurn, TurnTruth } from "@turnkeeper/provider-kit/Provider"
import type { Duration } from "effect"
import { Effect } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import type { CallFailed } from "@turnkeeper/provider-kit/JsonRpc"
import type { Connection } from "./Connection.ts"
import { errorText, reasoningText } from "./translate.ts"

export interface Asking {
  readonly connection: Pick<Connection, "call">
  readonly deadline: Duration.Input
}

/**
 * Is there any record of this conversation? Told by a refusal of the program, not by what it says: it
 * refuses for a thread that it does not know, and for one that is loaded and has no record to resume.
 */
export const exists = (
  { connection, deadline }: Asking,
  threadId: string
): Effect.Effect<boolean, CallFailed> =>
  connection.call("thread/turns/list", { threadId, limit: 1, itemsView: "notLoaded" }, { deadline }).pipe(
    Effect.as(true),
    Effect.catchTag("Refused", () => Effect.succeed(false))
  )

/** What became of the message that carries `turnId`. A refusal means that there are no items to read. */
export const messageTruth = Effect.fn("history.messageTruth")(function* (
  asking: Asking,
  threadId: string,
  turnId: TurnId
): Effect.fn.Return<Evidence, CallFailed> {
  const entry = yield* findMessage(asking, threadId, turnId)
  if (entry === "absent") return { type: "absent" }
  if (entry === "too long")
    return { type: "none", message: "Codex's record of this conversation is too long to read." }
  const providerTurnId = ProviderTurnId.make(entry.turnId)
  const turn = yield* findTurn(asking, threadId, entry.turnId)
  if (turn === null)
    return { type: "none", message: "Codex recorded the message but does not say what became of it." }
  if (turn.status === "inProgress") return { type: "found", providerTurnId, running: true }
  return {
    type: "found",
    providerTurnId,
    running: false,
    outcome: turn.status,
    message: turn.error === null ? null : errorText(turn.error),
    texts: yield* textsOf(asking, threadId, entry.turnId)
  }
})

/** Does this turn run, and if not, how did it end? */
export const turnTruth = Effect.fn("history.turnTruth")(function* (
  asking: Asking,
  threadId: string,
  turnId: string
): Effect.fn.Return<TurnTruth, CallFailed> {
  const turn = yield* findTurn(asking, threadId, turnId)
  if (turn === null) return { type: "gone" }
  if (turn.status === "inProgress") return { type: "running" }
  return { type: "ended", outcome: turn.status, message: turn.error === null ? null : errorText(turn.error) }
})

/** The newest turn, with the first message of the user in it. */
export const newestTurn = ({ connection, deadline }: Asking, threadId: string) =>
  connection
    .call("thread/turns/list", { threadId, limit: 1, itemsView: "summary" }, { deadline })
    .pipe(Effect.map(({ data }): Protocol.Turn | null => data[0] ?? null))

const pageSize = 100
/** 100,000 items, 20,000 turns: beyond that the answer is "cannot tell", never "no". */
const itemPagesMax = 1_000
const turnPagesMax = 200

/** The newest entry first: what is asked for is almost always among the last. */
const findMessage = Effect.fnUntraced(function* (
  { connection, deadline }: Asking,
  threadId: string,
  turnId: TurnId
) {
  let cursor: string | null = null
  for (let page = 0; page < itemPagesMax; page++) {
    const { data, nextCursor }: Protocol.ThreadItemsListResponse = yield* connection.call(
      "thread/items/list",
      { threadId, cursor, limit: pageSize, sortDirection: "desc" },
      { deadline }
    )
    const found = data.find(({ item }) => item.type === "userMessage" && item.clientId === turnId)
    if (found !== undefined) return found
    if (nextCursor === null || data.length === 0) return "absent" as const
    cursor = nextCursor
  }
  return "too long" as const
})

const findTurn = Effect.fnUntraced(function* (
  { connection, deadline }: Asking,
  threadId: string,
  turnId: string
) {
  let cursor: string | null = null
  for (let page = 0; page < turnPagesMax; page++) {
    const { data, nextCursor }: Protocol.ThreadTurnsListResponse = yield* connection.call(
      "thread/turns/list",
      { threadId, cursor, limit: pageSize, itemsView: "notLoaded" },
      { deadline }
    )
    const found = data.find(({ id }) => id === turnId)
    if (found !== undefined) return found
    if (nextCursor === null || data.length === 0) return null
    cursor = nextCursor
  }
  return null
})

const textsMax = 500
/** Of one turn. What lies beyond is not told. */
const turnItemPagesMax = 20

const textsOf = (asking: Asking, threadId: string, turnId: string) =>
  Effect.map(itemsOf(asking, threadId, turnId), (items) => items.flatMap(recordedText).slice(0, textsMax))

/** What has ended in a turn, in its order. What is open is in no record. */
const itemsOf = Effect.fnUntraced(function* (
  { connection, deadline }: Asking,
  threadId: string,
  turnId: string
) {
  const items: Array<Protocol.ThreadItem> = []
  let cursor: string | null = null
  for (let page = 0; page < turnItemPagesMax; page++) {
    const { data, nextCursor }: Protocol.ThreadItemsListResponse = yield* connection.call(
      "thread/items/list",
      { threadId, turnId, cursor, limit: pageSize, sortDirection: "asc" },
      { deadline }
    )
    items.push(...data.map(({ item }) => item))
    if (nextCursor === null || data.length === 0) break
    cursor = nextCursor
  }
  return items
})

/** A turn with what has ended in it. */
export interface Recorded {
  readonly turn: Protocol.Turn
  readonly items: ReadonlyArray<Protocol.ThreadItem>
}

/** The turn that was open when nobody could listen any more, and another one that runs now. */
export interface Away {
  readonly heard: Recorded | null
  readonly running: Recorded | null
}

/** What the record says of the time in which nobody listened. A turn that has no record yet is not in it. */
export const away = Effect.fn("history.away")(function* (
  asking: Asking,
  threadId: string,
  heard: Pick<HeardTurn, "turnId" | "providerTurnId"> | null
): Effect.fn.Return<Away, CallFailed> {
  const recorded = (turn: Protocol.Turn) =>
    Effect.map(itemsOf(asking, threadId, turn.id), (items): Recorded => ({ turn, items }))
  const id =
    heard === null ? null : (heard.providerTurnId ?? (yield* turnOfMessage(asking, threadId, heard.turnId)))
  const found = id === null ? null : yield* findTurn(asking, threadId, id)
  const newest = yield* newestTurn(asking, threadId)
  const runs = newest !== null && newest.status === "inProgress" && newest.id !== id
  return {
    heard: found === null ? null : yield* recorded(found),
    running: runs ? yield* recorded(newest) : null
  }
})

const turnOfMessage = (asking: Asking, threadId: string, turnId: TurnId | null) =>
  turnId === null
    ? Effect.succeed(null)
    : Effect.map(findMessage(asking, threadId, turnId), (entry) =>
        entry === "absent" || entry === "too long" ? null : entry.turnId
      )

const recordedText = (item: Protocol.ThreadItem): ReadonlyArray<RecordedText> => {
  switch (item.type) {
    case "agentMessage":
      return [{ kind: "assistant_message", providerItemId: item.id, text: item.text }]
    case "reasoning":
      return [{ kind: "reasoning", providerItemId: item.id, text: reasoningText(item) }]
    default:
      return []
  }
}
