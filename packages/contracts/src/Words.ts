/**
 * What people read, the same in every client: the state of a thread, the end of a turn, a refusal.
 *
 * Each says what is true and what can be done; none is ever read by a program.
 */
import type { Decision } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { ThreadRow, TurnRow } from "./Rows.ts"
import type { TurnUsage } from "./TurnUsage.ts"

/** How a thread is doing, for a sign beside its words. */
export type ThreadSign =
  | "waiting"
  | "stopping"
  | "reconnecting"
  | "quiet"
  | "working"
  | "queued"
  | "doubtful"
  | "failed"
  | "interrupted"
  | "ready"

/** A few words for the sidebar, and their sign. The first that is true wins: what waits for the user comes first. */
export const threadStatus = (
  row: ThreadRow,
  now?: number
): { readonly sign: ThreadSign; readonly words: string } => {
  const { activeTurn, latestTurn, recovering } = row
  const since =
    activeTurn?.startedAt == null || now === undefined
      ? ""
      : ` · ${durationWords(now - activeTurn.startedAt)}`
  if (row.openRequests > 0) return { sign: "waiting", words: "Waiting for you" }
  if (row.stopping !== null || activeTurn?.interruptAskedAt != null) {
    return { sign: "stopping", words: "Stopping…" }
  }
  if (recovering !== null) return { sign: "reconnecting", words: `Reconnecting${progressOf(recovering)}` }
  if (activeTurn?.quiet != null) {
    const { quietSince } = activeTurn
    const time = quietSince == null || now === undefined ? "" : ` for ${durationWords(now - quietSince)}`
    return { sign: "quiet", words: `Quiet${time}` }
  }
  if (row.sessionStatus === "running") return { sign: "working", words: `Working${since}` }
  if (row.sessionStatus === "starting") return { sign: "queued", words: "Starting" }
  if (latestTurn !== null && latestTurn.state === "sending") return { sign: "queued", words: "Sending" }
  if (row.queuedTurns > 0) return { sign: "queued", words: "Queued" }
  if (latestTurn?.state === "running") return { sign: "working", words: "Working" }
  if (latestTurn?.delivered === "unknown") return { sign: "doubtful", words: "Maybe not sent" }
  // The newest turn may only have been cancelled behind the one that failed, or was cut off with its session.
  if (latestTurn?.state === "error" || row.sessionStatus === "error") {
    return { sign: "failed", words: "Failed" }
  }
  const cutOff = latestTurn?.state === "cancelled" && row.lastError !== null
  if (latestTurn?.state === "interrupted" || cutOff) return { sign: "interrupted", words: "Interrupted" }
  return { sign: "ready", words: "Ready" }
}

export const threadWords = (row: ThreadRow, now?: number): string => threadStatus(row, now).words

const progressOf = ({ attempt, limit }: { readonly attempt: number | null; readonly limit: number | null }) =>
  attempt === null ? "" : limit === null ? ` ${attempt}` : ` ${attempt}/${limit}`

/** How a turn ended, with its reason; null while it is open. */
export const turnEndWords = (turn: Pick<TurnRow, "state" | "delivered" | "reason">): string | null => {
  const why = turn.reason === null || turn.reason === "" ? "" : `: ${turn.reason}`
  if (turn.delivered === "unknown" && turn.state !== "completed") {
    return `The agent may or may not have received this${why}. Send it again or discard it.`
  }
  switch (turn.state) {
    case "completed":
      return "Done"
    case "error":
      return `Failed${why}`
    case "interrupted":
      return turn.reason === null || turn.reason === "" ? "Interrupted" : turn.reason
    case "cancelled":
      // Its reason is a whole sentence already.
      return turn.reason === null || turn.reason === "" ? "Not sent" : turn.reason
    case "steered":
      return "Went into the turn that runs"
    default:
      return null
  }
}

/** `12.3k tokens in, 8.1k cached, 890 out · $0.04`: what a turn has used; null where there is nothing to tell. */
export const usageWords = (usage: TurnUsage | null | undefined): string | null => {
  if (usage == null) return null
  const { inputTokens, cachedInputTokens, outputTokens, costMicroUsd } = usage
  const counts =
    inputTokens + cachedInputTokens + outputTokens === 0
      ? null
      : [
          `${amountWords(inputTokens)} tokens in`,
          ...(cachedInputTokens === 0 ? [] : [`${amountWords(cachedInputTokens)} cached`]),
          `${amountWords(outputTokens)} out`
        ].join(", ")
  const cost = costMicroUsd === 0 ? null : costWords(costMicroUsd / 1_000_000)
  return [counts, cost].filter((words) => words !== null).join(" · ") || null
}

/** `890`, `12.3k`, `1.2M`. */
const amountWords = (count: number): string => {
  if (count < 1_000) return String(count)
  // What rounds to a thousand thousands is a million.
  return count < 999_950 ? `${(count / 1_000).toFixed(1)}k` : `${(count / 1_000_000).toFixed(1)}M`
}

const costWords = (dollars: number): string => (dollars < 0.01 ? "under $0.01" : `$${dollars.toFixed(2)}`)

/** What each answer to an approval means. */
export const decisionWords: Readonly<Record<Decision, string>> = {
  accept: "Yes",
  accept_for_session: "Yes, and do not ask again in this session",
  decline: "No",
  cancel: "No, and stop the turn"
}

/** `1st`, `2nd`, `3rd`, `11th`: a place in the queue. */
export const placeWords = (place: number): string => {
  const ends = ["th", "st", "nd", "rd"]
  const end = Math.floor((place % 100) / 10) === 1 ? "th" : (ends[place % 10] ?? "th")
  return `${place}${end}`
}

/** `2 m`, for what goes on since a while. */
export const durationWords = (milliseconds: number): string => {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** What happened, what it means for the work, what to do. */
export const refusalWords = (error: { readonly _tag: string }): string =>
  words[error._tag] ?? `${spaced(error._tag)}.`

const words: Readonly<Record<string, string>> = {
  ThreadNotFound: "There is no such thread. Nothing was sent.",
  ThreadAlreadyExists: "A thread with this id exists already. Nothing was changed.",
  ThreadArchived: "The thread is archived. Nothing was sent: unarchive it first.",
  TurnIdTaken: "This turn id was used before. Nothing was sent.",
  TurnNotFound: "There is no such turn in this thread.",
  NothingToInterrupt: "Nothing runs that could be interrupted.",
  TurnNotRunning: "Only a turn that runs can be asked after. This one does not.",
  TurnNotQueued: "Only a message that still waits can be changed. This one does not.",
  TurnNotSettled: "Only a turn that has ended can be retried. This one has not.",
  QueueFull: "Too many messages wait in this thread. This one was not sent: try again when some are done.",
  EmptyMessage: "The message is empty. Nothing was sent.",
  RequestNotOpen: "The agent is no longer waiting for this.",
  AnswerNotOffered: "This answer is not among those that are offered, or a question is left out.",
  ProjectNotFound: "There is no such project.",
  ProjectAlreadyExists: "A project with this id exists already. Nothing was changed.",
  ProjectNotEmpty: "Threads still belong to this project. It was not deleted.",
  CommandIdReused: "This command id was used before for something else. Nothing was done.",
  StorageUnavailable: "The server could not write to its database. Nothing was done: try again.",
  Overloaded: "The server has too much to do. Nothing was done: try again.",
  TooManySubscriptions: "This connection follows too many threads.",
  InvalidRequest: "The server did not understand the request. Nothing was done.",
  NotAllowed: "This credential does not allow that. Nothing was done: sign in with one that does.",
  PairingCodeNotValid: "This link was used before, or its time is over. Make a new one: turnkeeper pair",
  DirectoryUnreadable: "There is no such directory, or it cannot be read.",
  PayloadTooLarge: "The request is too large. Nothing was done.",
  UnsupportedProtocol: "This client and the server speak different versions. Update the older one.",
  UnknownFailure: "The server refused for a reason this client does not know. Update this client.",
  NotConnected: "There is no connection to the server. Nothing was done: try again when it is back.",
  ConnectionLost: "The connection was lost before the answer came. Look whether it was done.",
  Blocked: "The server does not let this client in. Nothing was done.",
  Closed: "This client was closed. What was not sent is kept.",
  Discarded: "This was taken back before it was sent.",
  OutboxFull: "Too much waits to be sent already. This was not taken: wait until some is sent.",
  OtherDatabase: "This was written for another database than the one that answers now. It was not sent.",
  ServerBroken: "Something broke in the server; its log says what. Look whether it was done.",
  Unauthorized: "You are signed out. Sign in again.",
  Forbidden: "The server does not allow this address. Open the one that it printed at its start."
}

/** `TurnNotFound` reads `Turn not found`. */
export const spaced = (tag: string): string => {
  const lower = tag.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase()
  return lower.charAt(0).toUpperCase() + lower.slice(1)
}
