/**
 * One client's view of one thread, kept true: what it has, then what it missed, then what happens.
 *
 *     attach ─▶ read ─▶ synchronized ─▶ live ──▶ live ──▶ …
 *                ▲                       │ fell behind
 *                └───────────────────────┘
 *
 * Live delivery is attached before anything is read, so nothing falls between. Every version is sent once
 * and in order; streamed text joins at its offset, never with a gap and never twice. A client that reads
 * slower than the thread speaks makes its feed overflow: it then reads again from where it is, and costs
 * nobody else anything.
 */
import type { ThreadInput } from "@turnkeeper/contracts/Api"
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { limits } from "@turnkeeper/contracts/Limits"
import type { Cursor, ThreadItem, ThreadSnapshot } from "@turnkeeper/contracts/Streams"
import { ThreadNotFound } from "@turnkeeper/domain/thread/Command"
import { Effect, Stream } from "effect"
import { actorOf } from "../engine/Change.ts"
import type { Delta, ThreadRecord } from "../engine/Change.ts"
import type { Feed, FeedEntry, ThreadNews } from "../engine/Feed.ts"
import type { OpenText, ThreadView } from "../projection/ThreadView.ts"
import { chunked } from "./chunked.ts"
import { withHeartbeats } from "./heartbeat.ts"

/** Where a subscription reads from. */
export interface ThreadSource {
  readonly feed: Feed["Service"]
  readonly view: ThreadView["Service"]
  readonly epoch: string
}

type Items = ReadonlyArray<ThreadItem>
type Failure = ThreadNotFound | StorageUnavailable

/** Ends only with an error of a read. */
export const threadSubscription = (
  source: ThreadSource,
  input: ThreadInput
): Stream.Stream<ThreadItem, Failure> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const live = yield* source.feed.thread(input.threadId)
      const sent = makeSent(source.epoch)
      const first = yield* input.after === undefined
        ? everything(source, input, sent)
        : continued(source, input, sent, input.after)

      /** What the live feed brought; the gap again when it overflowed. */
      const itemsOf = (taken: ReadonlyArray<ThreadNews>): Effect.Effect<Items, Failure> => {
        const items: Array<ThreadItem> = []
        for (const news of taken) {
          // The rest of what was taken is in the database too, so it is read with the gap.
          if (news.type === "overflowed" || !sent.join(news, items)) {
            return Effect.map(caughtUp(source, input, sent), (rest) => [...items, ...rest])
          }
        }
        return Effect.succeed(items)
      }

      return chunked(first, yield* withHeartbeats(live, itemsOf))
    })
  )

/** From where a client says it was, if that is a place in this database. */
const continued = (
  source: ThreadSource,
  input: ThreadInput,
  sent: Sent,
  after: Cursor
): Effect.Effect<Items, Failure> => {
  if (after.epoch !== source.epoch) return restarted(source, input, sent, "unknown_epoch")
  sent.continueFrom(after)
  return caughtUp(source, input, sent)
}

/**
 * The missed events and then the open texts, which are of the same moment: so each text comes after the
 * start of its item. Everything anew, where that is more than one should catch up.
 */
const caughtUp = Effect.fnUntraced(function* (source: ThreadSource, input: ThreadInput, sent: Sent) {
  const gap = yield* source.view.eventsAfter(input.threadId, sent.version())
  if (gap === null) return yield* everything(source, input, sent)
  const items: Array<ThreadItem> = []
  sent.catchUp(gap.records, items)
  for (const text of gap.texts) sent.openText(text, items)
  return [...items, sent.synchronized()] as Items
})

const everything = Effect.fnUntraced(function* (source: ThreadSource, input: ThreadInput, sent: Sent) {
  const { threadId, tail = limits.tail } = input
  const now = yield* source.view.snapshot(threadId, Math.min(tail, limits.tailMax))
  if (now === null || now.thread.deletedAt !== null) return yield* new ThreadNotFound({ threadId })
  const isAhead = sent.version() > now.version
  const snapshot: ThreadSnapshot = { type: "snapshot", ...now }
  sent.restart(snapshot)
  const items: Items = [snapshot, sent.synchronized()]
  return isAhead ? [reset("version_ahead"), ...items] : items
})

const restarted = (source: ThreadSource, input: ThreadInput, sent: Sent, reason: "unknown_epoch") =>
  Effect.map(everything(source, input, sent), (items): Items => [reset(reason), ...items])

const reset = (reason: "unknown_epoch" | "version_ahead"): ThreadItem => ({ type: "reset", reason })

type Sent = ReturnType<typeof makeSent>

/** What the client has: the version, and of each open item how much text. Bounded by what is open. */
const makeSent = (epoch: string) => {
  let version = 0
  let texts = new Map<string, number>()
  /** A client that resumes need not say which items are open: then one that is not in `texts` may be. */
  let knowsAll = true
  /** Closed by a missed event: the live feed may still bring text from before. */
  const closed = new Set<string>()

  const join = (news: FeedEntry, items: Array<ThreadItem>): boolean =>
    news.type === "record" ? joinRecord(news.record, items) : joinText(news.delta.event, items)

  const joinRecord = (record: ThreadRecord, items: Array<ThreadItem>): boolean => {
    if (record.version <= version) return true
    if (record.version !== version + 1) return false
    version = record.version
    const { event } = record
    if (event.type === "item.started") texts.set(event.itemId, 0)
    if (event.type === "item.completed") texts.delete(event.itemId)
    items.push(itemOf(record, eventOf))
    return true
  }

  const joinText = (event: Delta["event"], items: Array<ThreadItem>): boolean => {
    const { itemId, offset, text } = event
    const have = texts.get(itemId) ?? (knowsAll || closed.has(itemId) ? Infinity : 0)
    // The client has it, or the item is closed: its completion carried the whole text.
    if (offset + text.length <= have) return true
    if (offset > have) return false
    texts.set(itemId, offset + text.length)
    const piece = (): ThreadItem => ({ type: "delta", itemId, offset: have, text: text.slice(have - offset) })
    items.push(have === offset ? itemOf(event, piece) : piece())
    return true
  }

  return {
    /** Adds what is new to the client; false when something before it is missing. */
    join,

    catchUp: (missed: ReadonlyArray<ThreadRecord>, items: Array<ThreadItem>) => {
      closed.clear()
      for (const record of missed) {
        joinRecord(record, items)
        if (record.event.type === "item.completed") closed.add(record.event.itemId)
      }
    },

    version: () => version,
    synchronized: (): ThreadItem => ({ type: "synchronized", epoch, version }),

    restart: (snapshot: ThreadSnapshot) => {
      version = snapshot.version
      knowsAll = true
      texts = new Map(snapshot.entries.filter(isOpen).map((entry) => [entry.id, entry.text.length]))
    },

    continueFrom: (after: Cursor) => {
      version = after.version
      knowsAll = false
      texts = new Map(Object.entries(after.texts ?? {}))
    },

    /** The text of an open item from where the client's ends. */
    openText: ({ itemId, text }: OpenText, items: Array<ThreadItem>) => {
      const offset = Math.min(texts.get(itemId) ?? 0, text.length)
      texts.set(itemId, text.length)
      if (offset < text.length) items.push({ type: "delta", itemId, offset, text: text.slice(offset) })
    }
  }
}

/** What a client is told of something committed: one object for all who follow, so that it is encoded once. */
const itemOf = <A extends object>(committed: A, make: (committed: A) => ThreadItem): ThreadItem => {
  const known = told.get(committed)
  if (known !== undefined) return known
  const made = make(committed)
  told.set(committed, made)
  return made
}

/** For as long as anybody holds what was committed. */
const told = new WeakMap<object, ThreadItem>()

const eventOf = ({ at, cause, event, sequence, version }: ThreadRecord): ThreadItem => {
  const actor = actorOf(cause)
  return { type: "event", version, sequence, at, ...(actor !== null && { actor }), event }
}

const isOpen = ({ status }: ThreadSnapshot["entries"][number]) => status === "open"
