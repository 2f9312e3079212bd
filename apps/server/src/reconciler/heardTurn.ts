/**
 * What the log has of the turn that was open when nobody could listen any more: an adapter that takes the
 * session up again tells the rest, and nothing twice.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { activeTurn, sendingTurn } from "@turnkeeper/domain/thread/draft"
import type { ThreadEvent } from "@turnkeeper/domain/thread/Event"
import type { OpenTurn, ThreadState } from "@turnkeeper/domain/thread/State"
import type { HeardTurn } from "@turnkeeper/provider-kit/Provider"
import { Effect } from "effect"
import type { Standing } from "../engine/Letter.ts"
import type { EventLog } from "../store/EventLog.ts"
import { isThreadRecord } from "../store/EventLog.ts"

const page = { rows: 1_000, bytes: 4 * 1024 * 1024 }
/** How far back the first look goes. Events; each further one goes four times as far. */
const firstLook = 500

export const heardTurn = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  threadId: ThreadId,
  { state, version }: Standing
): Effect.fn.Return<HeardTurn | null, StorageUnavailable> {
  const turn = activeTurn(state) ?? sendingTurn(state)
  if (turn === undefined) return null
  let events: ReadonlyArray<ThreadEvent> = []
  for (let back = firstLook; ; back *= 4) {
    const after = Math.max(0, version - back)
    events = yield* eventsAfter(log, threadId, after)
    if (after === 0 || events.some((event) => begins(event, turn))) break
  }
  return heardIn(events, turn, state)
})

const eventsAfter = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  threadId: ThreadId,
  after: number
) {
  const events: Array<ThreadEvent> = []
  for (let next = after; ;) {
    const read = yield* log.readThread(threadId, next, page)
    for (const record of read.records) if (isThreadRecord(record)) events.push(record.event)
    if (read.complete) return events
    next = read.next
  }
})

/** Before this nothing can have been heard of the turn. */
const begins = (event: ThreadEvent, { id }: OpenTurn): boolean =>
  (event.type === "turn.queued" || event.type === "turn.adopted") && event.turnId === id

const heardIn = (events: ReadonlyArray<ThreadEvent>, turn: OpenTurn, state: ThreadState): HeardTurn => ({
  turnId: turn.id,
  providerTurnId: turn.providerTurnId,
  items: events.flatMap((event) => {
    if (event.type !== "item.started" || event.turnId !== turn.id) return []
    const open = state.items.find(({ id }) => id === event.itemId)
    const { detail, kind, providerItemId, title } = event
    return [{ providerItemId, kind, title, detail, text: open?.text ?? null }]
  }),
  requests: state.requests.flatMap(({ key, turnId }) => (turnId === turn.id ? [key] : []))
})
