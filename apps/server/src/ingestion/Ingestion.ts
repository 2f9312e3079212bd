/**
 * What a provider session says, into its thread's mailbox: numbered, gathered, in order.
 *
 * It remembers nothing that a restart would lose, and it reads only a little further than what is committed:
 * a provider that speaks faster than we commit is slowed, never buffered without bound.
 */
import type { Generation } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Happening } from "@turnkeeper/domain/thread/Owed"
import type { ProviderSession } from "@turnkeeper/provider-kit/Provider"
import { Effect, Stream } from "effect"
import type { Mailbox } from "../engine/Mailbox.ts"
import * as Ahead from "./ahead.ts"

export interface Gathering {
  /**
   * How long streamed text is gathered before it is committed. Milliseconds; 0: not at all, and only what comes
   * while a commit is under way is one portion.
   */
  readonly gatherMs: number
  /** Runs whenever the provider has said something. */
  readonly heard: () => void
}

const chunkMax = 256

/**
 * Runs until the session's end is committed. An adapter that ends its stream without saying so is taken
 * at its deed: the session has ended.
 */
export const ingest = (
  session: ProviderSession,
  generation: Generation,
  mailbox: Mailbox,
  { gatherMs, heard }: Gathering
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const cause = { type: "provider", generation } as const
    // 0 in a new generation. One that is taken up again goes on behind what it had said before.
    let seq = mailbox.current().state.session.seen
    let exited = false

    const ahead = Ahead.make((portion, sent) => {
      const happenings = coalesced(portion).map((event): Happening => {
        seq += 1
        exited ||= event.type === "session.exited"
        return { type: "provider", generation, seq, event }
      })
      mailbox.note(happenings, cause, sent)
    })

    const said = (events: Ahead.Portion) => {
      heard()
      return ahead.add(events)
    }

    const gathered =
      gatherMs === 0
        ? session.events
        : Stream.flattenIterable(Stream.groupedWithin(session.events, chunkMax, gatherMs))
    return gathered.pipe(
      Stream.runForEachArray(said),
      Effect.andThen(ahead.settled),
      Effect.raceFirst(ahead.broken),
      Effect.catchCause((cause) =>
        Effect.logError("A provider's event stream broke; its session is taken as ended", cause)
      ),
      Effect.andThen(ahead.settled),
      Effect.andThen(
        Effect.suspend(() =>
          exited ? Effect.void : said([{ type: "session.exited", clean: false, message: null }])
        )
      ),
      Effect.andThen(ahead.settled),
      // Closed meanwhile: who does not listen any more has not heard what waits.
      Effect.ensuring(Effect.sync(ahead.drop))
    )
  })

/** Neighbouring pieces of one text are one piece, and of neighbouring updates of one item the last counts. */
export const coalesced = (events: ReadonlyArray<ProviderEvent>): ReadonlyArray<ProviderEvent> => {
  const out: Array<ProviderEvent> = []
  /** The last one of `out`, where it is text: a copy, so that it may grow. */
  let text: Growing | null = null
  for (const event of events) {
    if (event.type !== "text.delta") {
      text = null
      if (replaces(out.at(-1), event)) out.pop()
      out.push(event)
    } else if (text !== null && continues(text, event)) {
      text.text += event.text
    } else {
      text = { ...event }
      out.push(text)
    }
  }
  return out
}

type Piece = Extract<ProviderEvent, { readonly type: "text.delta" }>
type Growing = Omit<Piece, "text"> & { text: string }

/** An update says all that is to be said of its item. */
const replaces = (first: ProviderEvent | undefined, second: ProviderEvent): boolean =>
  first?.type === "item.updated" && second.type === "item.updated" && ofOneItem(first, second)

type OfItem = Pick<Piece, "providerTurnId" | "providerItemId">

const ofOneItem = (first: OfItem, second: OfItem): boolean =>
  first.providerTurnId === second.providerTurnId && first.providerItemId === second.providerItemId

const continues = (first: Growing, second: Piece): boolean => {
  if (!ofOneItem(first, second)) return false
  return first.offset === undefined
    ? second.offset === undefined
    : second.offset === first.offset + first.text.length
}
