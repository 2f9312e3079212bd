/**
 * What a session has to say, until somebody reads it: in order, bounded, ending with one last event.
 *
 * Text of one item that nobody has read yet is joined: a provider that prints faster than we commit costs
 * one event, not thousands. Beyond the bound `put` waits, which stops the reading of the provider.
 */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Array as Arr, Cause, Deferred, Effect, Stream } from "effect"

export interface Outbox {
  /** Resolves when there is room. Does nothing after the end. */
  readonly put: (events: ReadonlyArray<ProviderEvent>) => Effect.Effect<void>
  /** `put` would wait. */
  readonly isFull: () => boolean
  /** The last event. Never waits; nothing comes after it. Does nothing the second time. */
  readonly end: (last: ProviderEvent) => void
  /** Nobody will read any more: what is put is dropped, except the last event. */
  readonly abandon: () => void
  /** Consumed once. */
  readonly events: Stream.Stream<ProviderEvent>
}

export interface OutboxOptions {
  readonly eventsMax?: number
  /** UTF-16 units of text, over all events that wait. */
  readonly textMax?: number
}

export const make = ({ eventsMax = 1024, textMax = 4 * 1024 * 1024 }: OutboxOptions = {}): Outbox => {
  let waiting: Array<ProviderEvent> = []
  let text = 0
  let ended = false
  let abandoned = false
  /** Present while a reader has nothing to read. */
  let news: Deferred.Deferred<void> | null = null
  /** Present while writers have no room. */
  let room: Deferred.Deferred<void> | null = null

  // Forgotten first: who is woken goes on at once, and may wait again before this returns.
  const wake = () => {
    const waiter = news
    news = null
    if (waiter !== null) Deferred.doneUnsafe(waiter, Effect.void)
  }

  const relieve = () => {
    const waiter = room
    room = null
    if (waiter !== null) Deferred.doneUnsafe(waiter, Effect.void)
  }

  const add = (event: ProviderEvent) => {
    if (event.type === "text.delta") text += event.text.length
    const joined = join(waiting.at(-1), event)
    if (joined === null) waiting.push(event)
    else waiting[waiting.length - 1] = joined
  }

  const isFull = () => !ended && !abandoned && (waiting.length >= eventsMax || text >= textMax)

  const put = (events: ReadonlyArray<ProviderEvent>): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (ended || abandoned || events.length === 0) return Effect.void
      if (isFull()) {
        room ??= Deferred.makeUnsafe<void>()
        return Effect.andThen(Deferred.await(room), put(events))
      }
      for (const event of events) add(event)
      wake()
      return Effect.void
    })

  const end = (last: ProviderEvent) => {
    if (ended) return
    ended = true
    waiting.push(last)
    wake()
    relieve()
  }

  const take: Effect.Effect<Arr.NonEmptyReadonlyArray<ProviderEvent>, Cause.Done> = Effect.suspend(() => {
    const taken = waiting
    if (Arr.isArrayNonEmpty(taken)) {
      waiting = []
      text = 0
      relieve()
      return Effect.succeed(taken)
    }
    if (ended) return Cause.done()
    news ??= Deferred.makeUnsafe<void>()
    return Effect.andThen(Deferred.await(news), take)
  })

  const abandon = () => {
    abandoned = true
    relieve()
  }

  return { put, isFull, end, abandon, events: Stream.fromPull(Effect.succeed(take)) }
}

/** Longest text that is made by joining. UTF-16 units. */
const joinedMax = 64 * 1024

/** Two pieces of text of one item, one right behind the other, as one; null when they are not that. */
const join = (before: ProviderEvent | undefined, event: ProviderEvent): ProviderEvent | null => {
  if (before?.type !== "text.delta" || event.type !== "text.delta") return null
  if (before.providerItemId !== event.providerItemId || before.providerTurnId !== event.providerTurnId)
    return null
  if (event.offset !== undefined || before.text.length + event.text.length > joinedMax) return null
  return { ...before, text: before.text + event.text }
}
