/**
 * Who reads the events of one session, where the sessions of others are heard on the same wire.
 *
 *     listens ──stands still for too long──▶ deaf ──has taken what was put last──▶ listens
 *
 * Promise: `tell` never holds up the others for longer than the standstill. What is said to a deaf listener is
 * not told; `hearAgain` has to find it in the record.
 */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect } from "effect"
import type { Duration, Scope } from "effect"
import type { Outbox } from "./Outbox.ts"

export interface Listener {
  /** Waits for the listener, and no longer than the others can bear. */
  readonly tell: (events: ReadonlyArray<ProviderEvent>) => Effect.Effect<void>
  /** It stands still: nothing new is to be told. */
  readonly isDeaf: () => boolean
}

export interface ListenerOptions {
  readonly outbox: Pick<Outbox, "isFull" | "put">
  /** How long a listener that does not read may hold up those of the other sessions. */
  readonly standstill: Duration.Input
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
  /** It reads again. Called in the step in which it is no longer deaf, so that nothing is heard in between. */
  readonly hearAgain: () => Effect.Effect<void>
}

export const make = ({ hearAgain, outbox, scope, standstill }: ListenerOptions): Listener => {
  let deaf = false

  const tell: Listener["tell"] = (events) =>
    Effect.suspend(() =>
      outbox.isFull() && !deaf
        ? Effect.timeoutOrElse(outbox.put(events), { duration: standstill, orElse: () => goDeaf(events) })
        : outbox.put(events)
    )

  const goDeaf = (untold: ReadonlyArray<ProviderEvent>) =>
    Effect.suspend(() => {
      // Others may have waited as long beside the first: it hears again once, when it has taken what came first.
      const again = deaf ? Effect.void : readsAgain
      deaf = true
      return outbox.put(untold).pipe(Effect.andThen(again), Effect.forkIn(scope), Effect.asVoid)
    })

  const readsAgain = Effect.suspend(() => {
    deaf = false
    return hearAgain()
  })

  return { tell, isDeaf: () => deaf }
}
