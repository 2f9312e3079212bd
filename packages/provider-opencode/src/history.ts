/**
 * OpenCode's record and status, as its API gives them: read, never guessed.
 *
 * OpenCode writes the user's message to its record before it asks the model (test/real.test.ts kills it in
 * between). So a record that was read to its end and does not hold the message proves that the model never
 * saw it, unless the message is still on its way to a process that lives; the caller knows that.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import type { TurnTruth } from "@turnkeeper/provider-kit/Provider"
import { Effect } from "effect"
import type { Duration } from "effect"
import type { Api, CallFailed } from "./Api.ts"
import type { PermissionRequest, QuestionRequest, Recorded, SessionInfo, Status } from "./protocol.ts"
import type { RecordedTurn } from "./record.ts"
import { boundedTexts, isContinuation, outcomeOf, turnIn } from "./record.ts"
import { endOfMessageId } from "./settings.ts"

export interface Asking {
  readonly api: Pick<Api, "get" | "page">
  /** The status is kept per directory. */
  readonly directory: string
  readonly deadline: Duration.Input
}

export const sessionInfo = ({ api, deadline }: Pick<Asking, "api" | "deadline">, sessionID: string) =>
  api.get<SessionInfo>(`/session/${sessionID}`, { deadline }).pipe(
    Effect.map((info): SessionInfo | null => info),
    Effect.catchIf(
      (error) => error._tag === "Refused" && error.status === 404,
      () => Effect.succeed(null)
    )
  )

/** What every session of this directory does that does anything; who is not in it rests. */
export const statuses = ({ api, directory, deadline }: Asking) =>
  api.get<Readonly<Record<string, Status>>>("/session/status", { directory, deadline })

const statusOf = (asking: Asking, sessionID: string) =>
  Effect.map(statuses(asking), (all): Status => all[sessionID] ?? { type: "idle" })

const pageSize = 50
/** 10,000 messages: beyond that the answer is "cannot tell", never "no". */
const pagesMax = 200

/** The newest messages, oldest first, and the status, which was asked first: what rests is written. */
export const seen = Effect.fn("history.seen")(function* (asking: Asking, sessionID: string) {
  const status = yield* statusOf(asking, sessionID)
  const messages = yield* asking.api.get<ReadonlyArray<Recorded>>(
    `/session/${sessionID}/message?limit=${pageSize}`,
    { directory: asking.directory, deadline: asking.deadline }
  )
  return { status, messages }
})

/** Nobody works on it, and every answer of its newest turn has its end. */
export const rests = Effect.fn("history.rests")(function* (asking: Asking, sessionID: string) {
  const { status, messages } = yield* seen(asking, sessionID)
  return status.type === "idle" && (newestTurn(messages)?.answers ?? []).every(({ completed }) => completed)
})

export const newestTurn = (messages: ReadonlyArray<Recorded>): RecordedTurn | null => {
  const newest = messages.findLast(({ info, parts }) => info.role === "user" && !isContinuation(parts))
  return newest === undefined ? null : turnIn(messages, newest.info.id)
}

/** As `seen`, back to the message that `isIt` names, however far; to the newest page where there is none. */
export const seenSince = Effect.fn("history.seenSince")(function* (
  asking: Asking,
  sessionID: string,
  isIt: (messageID: string) => boolean
) {
  const status = yield* statusOf(asking, sessionID)
  const found = yield* findMessages(asking, sessionID, isIt)
  if (typeof found !== "string") return { status, messages: found.messages, id: found.id }
  const { messages } = yield* seen(asking, sessionID)
  return { status, messages, id: null }
})

/** The sessions that OpenCode made inside this one, and inside those. */
export const descendantsOf = Effect.fnUntraced(function* (
  { api, directory, deadline }: Asking,
  sessionID: string,
  max: number
) {
  const found: Array<string> = []
  const waiting = [sessionID]
  for (let id = waiting.shift(); id !== undefined && found.length < max; id = waiting.shift()) {
    const children: ReadonlyArray<SessionInfo> = yield* api.get<ReadonlyArray<SessionInfo>>(
      `/session/${id}/children`,
      { directory, deadline }
    )
    const ids = children.map((child) => child.id)
    found.push(...ids)
    waiting.push(...ids)
  }
  return found.slice(0, max)
})

export const openRequests = ({ api, directory, deadline }: Asking) =>
  Effect.all({
    permissions: api.get<ReadonlyArray<PermissionRequest>>("/permission", { directory, deadline }),
    questions: api.get<ReadonlyArray<QuestionRequest>>("/question", { directory, deadline })
  })

export const hasMessage = ({ api, directory, deadline }: Asking, sessionID: string, messageID: string) =>
  api.get<Recorded>(`/session/${sessionID}/message/${messageID}`, { directory, deadline }).pipe(
    Effect.as(true),
    Effect.catchIf(
      (error) => error._tag === "Refused" && error.status === 404,
      () => Effect.succeed(false)
    )
  )

/** Reads from the newest message back to the one that is asked for, and so all that answers it. */
const findMessages = Effect.fnUntraced(function* (
  { api, directory, deadline }: Asking,
  sessionID: string,
  isIt: (messageID: string) => boolean
): Effect.fn.Return<
  { readonly id: string; readonly messages: ReadonlyArray<Recorded> } | "absent" | "too long",
  CallFailed
> {
  let messages: ReadonlyArray<Recorded> = []
  let cursor: string | null = null
  for (let page = 0; page < pagesMax; page++) {
    const before: string = cursor === null ? "" : `&before=${encodeURIComponent(cursor)}`
    const { body, nextCursor } = yield* api.page<ReadonlyArray<Recorded>>(
      `/session/${sessionID}/message?limit=${pageSize}${before}`,
      { directory, deadline }
    )
    messages = [...body, ...messages]
    const found = body.find(({ info }) => info.role === "user" && isIt(info.id))
    if (found !== undefined) return { id: found.info.id, messages }
    if (nextCursor === null || body.length === 0) return "absent"
    cursor = nextCursor
  }
  return "too long"
})

const findTurn = (asking: Asking, sessionID: string, isIt: (messageID: string) => boolean) =>
  Effect.map(findMessages(asking, sessionID, isIt), (found) =>
    typeof found === "string" ? found : (turnIn(found.messages, found.id) ?? ("absent" as const))
  )

/** Works on it, or is about to: it was asked last, and the session is busy. */
const isWorkedOn = (turn: RecordedTurn, status: Status, newest: RecordedTurn | null): boolean =>
  status.type !== "idle" && newest?.id === turn.id

/** Does this turn run, and if not, how did it end? */
export const turnTruth = Effect.fn("history.turnTruth")(function* (
  asking: Asking,
  sessionID: string,
  messageID: string
): Effect.fn.Return<TurnTruth, CallFailed> {
  const { status, messages } = yield* seen(asking, sessionID)
  const turn = turnIn(messages, messageID) ?? (yield* findTurn(asking, sessionID, (id) => id === messageID))
  if (turn === "absent" || turn === "too long") return { type: "gone" }
  if (isWorkedOn(turn, status, newestTurn(messages))) return { type: "running" }
  return { type: "ended", ...outcomeOf(turn.answers) }
})

/** What became of the message that carries `turnId`. */
export const messageTruth = Effect.fn("history.messageTruth")(function* (
  asking: Asking,
  sessionID: string,
  turnId: TurnId
): Effect.fn.Return<Evidence, CallFailed> {
  const { status, messages } = yield* seen(asking, sessionID)
  const end = endOfMessageId(turnId)
  const turn = yield* findTurn(asking, sessionID, (id) => id.endsWith(end))
  if (turn === "absent") return { type: "absent" }
  if (turn === "too long")
    return { type: "none", message: "OpenCode's record of this conversation is too long to read." }
  const providerTurnId = ProviderTurnId.make(turn.id)
  if (isWorkedOn(turn, status, newestTurn(messages))) return { type: "found", providerTurnId, running: true }
  return {
    type: "found",
    providerTurnId,
    running: false,
    ...outcomeOf(turn.answers),
    texts: boundedTexts(turn.texts)
  }
})
