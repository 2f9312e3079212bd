/** What is told of a session: in order, behind what was missed where it went on without us. */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import * as Listener from "@turnkeeper/provider-kit/Listener"
import { Effect } from "effect"

export interface Telling extends Listener.Listener {
  /** What was told until now, of which nothing was said to the listener. From here on he is told. */
  readonly takeMissed: () => ReadonlyArray<ProviderEvent>
}

export interface TellingOptions extends Listener.ListenerOptions {
  /** What is told until `takeMissed` is part of what was missed. */
  readonly rejoins: boolean
  /** What was said cannot be told any more. */
  readonly lost: (message: string) => void
}

/** Events that are kept until the record has been read. */
const missedMax = 50_000

export const make = ({ lost, rejoins, ...listening }: TellingOptions): Telling => {
  const listener = Listener.make(listening)
  /** Present until what was missed has been read. */
  let missed: Array<ProviderEvent> | null = rejoins ? [] : null
  return {
    isDeaf: listener.isDeaf,
    tell: (events) =>
      Effect.suspend(() => {
        if (missed === null) return listener.tell(events)
        if (missed.length < missedMax) missed.push(...events)
        else lost("OpenCode said more than could be kept while its record was read.")
        return Effect.void
      }),
    takeMissed: () => {
      const events = missed ?? []
      missed = null
      return events
    }
  }
}
