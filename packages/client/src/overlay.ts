/**
 * What a thread shows: the server's rows, and over them what this client has asked for and the server has
 * not said yet. Its word takes the place of ours as soon as it comes.
 */
import type { ThreadFold } from "@turnkeeper/contracts/Fold"
import type { RequestRow } from "@turnkeeper/contracts/Rows"
import type { OutboxEntry } from "./Client.ts"
import type { OptimisticSend, ThreadModel } from "./Models.ts"
import type { AcceptedMessage } from "./Outbox.ts"

/** What the server told, as it is known here. */
export interface Told {
  readonly threadId: string
  readonly fold: ThreadFold | null
  readonly status: ThreadModel["status"]
  readonly asOf: number | null
  readonly loadingOlder: boolean
}

/** What this client has asked for, of all threads. */
export interface Asked {
  readonly entries: ReadonlyArray<OutboxEntry>
  readonly accepted: ReadonlyArray<AcceptedMessage>
}

/** The model before, itself, where nothing has changed but the time. */
export const overlay = (before: ThreadModel, told: Told, asked: Asked): ThreadModel => {
  const { asOf, fold, loadingOlder, status, threadId } = told
  const mine = asked.entries.filter(({ command }) => "threadId" in command && command.threadId === threadId)
  const next: ThreadModel = {
    status,
    // While live it is true now; a heartbeat is no reason to show everything again.
    asOf: status === "live" && before.status === "live" ? before.asOf : asOf,
    threadId,
    thread: fold?.thread ?? null,
    session: fold?.session ?? null,
    turns: fold?.turns ?? [],
    requests: same(before.requests, requestsOf(fold, mine, before)),
    closedRequests: fold?.closedRequests ?? [],
    entries: fold?.entries ?? [],
    hasOlder: fold !== null && fold.before !== null,
    loadingOlder,
    pending: pendingOf(before.pending, told, mine, asked.accepted),
    stopping: stoppingOf(fold, mine)
  }
  const keys = Object.keys(next) as ReadonlyArray<keyof ThreadModel>
  return keys.every((key) => isSame(before[key], next[key])) ? before : next
}

/** The same array where nothing in it has changed. */
const same = <A>(before: ReadonlyArray<A>, after: ReadonlyArray<A>): ReadonlyArray<A> =>
  before.length === after.length && before.every((one, index) => one === after[index]) ? before : after

const isSame = (a: unknown, b: unknown) =>
  a === b || (Array.isArray(a) && Array.isArray(b) && a.length === 0 && b.length === 0)

const requestsOf = (
  fold: ThreadFold | null,
  mine: ReadonlyArray<OutboxEntry>,
  before: ThreadModel
): ReadonlyArray<RequestRow> => {
  const answering = new Set(
    mine.flatMap(({ command, state }) =>
      command.type === "thread.request.answer" && state !== "refused" ? [command.requestId] : []
    )
  )
  return (fold?.requests ?? []).map((row): RequestRow => {
    if (row.status !== "open" || !answering.has(row.requestId)) return row
    const shown = before.requests.find((one) => one.requestId === row.requestId)
    return shown?.status === "answering" && shown.openedAt === row.openedAt
      ? shown
      : { ...row, status: "answering" }
  })
}

const pendingOf = (
  before: ReadonlyArray<OptimisticSend>,
  { fold, status, threadId }: Told,
  mine: ReadonlyArray<OutboxEntry>,
  accepted: ReadonlyArray<AcceptedMessage>
): ReadonlyArray<OptimisticSend> => {
  const known = new Set(fold?.turns.map((turn) => turn.turnId))
  const isShown = (turnId: string) => known.has(turnId as never)
  const sent = accepted.flatMap(({ entry, version }) => {
    const one = messageOf(entry, "accepted")
    if (one === null || one.threadId !== threadId || isShown(one.turnId)) return []
    return status === "gone" || (fold !== null && fold.version >= version) ? [] : [one]
  })
  const answered = new Set(accepted.map(({ entry }) => entry.commandId))
  const unsent = mine.flatMap((entry) => messageOf(entry, entry.state) ?? [])
  // One whose answer was lost is shown by its turn already; it is only asked for once more.
  const isUnsent = ({ commandId, state, turnId }: OptimisticSend) =>
    !answered.has(commandId) && (state === "refused" || !isShown(turnId))
  const all = [...sent, ...unsent.filter(isUnsent)]
  const reused = all.map((one) => before.find((other) => isSameMessage(one, other)) ?? one)
  return same(before, reused)
}

const messageOf = (entry: OutboxEntry, state: OptimisticSend["state"]): OptimisticSend | null => {
  const { command, commandId, createdAt, failure } = entry
  if (command.type !== "thread.turn.start") return null
  const { delivery = "queue", messageId, text, threadId, turnId } = command
  return { commandId, threadId, turnId, messageId, text, delivery, createdAt, state, failure }
}

const isSameMessage = (a: OptimisticSend, b: OptimisticSend) =>
  a.commandId === b.commandId && a.state === b.state && a.failure === b.failure

const stoppingOf = (fold: ThreadFold | null, mine: ReadonlyArray<OutboxEntry>): ThreadModel["stopping"] => {
  const activeTurnId = fold?.session.activeTurnId ?? null
  const active = fold?.turns.find((turn) => turn.turnId === activeTurnId)
  if (fold?.session.stopping != null || active?.interruptAskedAt != null) return "asked"
  const isAsking = mine.some(
    ({ command, state }) =>
      state !== "refused" &&
      (command.type === "thread.session.stop" ||
        (command.type === "thread.turn.interrupt" &&
          activeTurnId !== null &&
          (command.turnId === undefined || command.turnId === activeTurnId)))
  )
  return isAsking ? "asking" : null
}
