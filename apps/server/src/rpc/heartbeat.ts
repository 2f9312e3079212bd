/**
 * What a subscription brings, and a heartbeat when it has long brought nothing.
 *
 * The silence is watched by one fiber for as long as the subscription lasts. A timeout around every `take`
 * would be two more fibers and a timer for each message to each client: a third of what a message costs.
 */
import { limits } from "@turnkeeper/contracts/Limits"
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import type { Subscription } from "../engine/Feed.ts"

interface Heartbeat {
  readonly type: "heartbeat"
  readonly at: number
}

/** What comes next: `itemsOf` what was taken, or a heartbeat. */
export const withHeartbeats = <A, Item, E>(
  live: Subscription<A>,
  itemsOf: (taken: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<Item>, E>
): Effect.Effect<Effect.Effect<ReadonlyArray<Item | Heartbeat>, E>, never, Scope.Scope> =>
  Clock.clockWith((clock) => {
    // Monotonic: a clock that is set back must not make it silent.
    const now = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
    let since = now()
    const watch = Effect.suspend(() => {
      const left = since + limits.heartbeatMillis - now()
      if (left > 0) return Effect.sleep(left)
      since = now()
      live.nudge()
      return Effect.void
    })
    const next = Effect.flatMap(live.take, (taken): Effect.Effect<ReadonlyArray<Item | Heartbeat>, E> => {
      since = now()
      return taken.length === 0
        ? Effect.succeed([{ type: "heartbeat", at: clock.currentTimeMillisUnsafe() }])
        : itemsOf(taken)
    })
    return Effect.as(Effect.forkScoped(Effect.forever(watch)), next)
  })
