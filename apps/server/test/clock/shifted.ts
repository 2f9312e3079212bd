/** A clock on the wall that somebody sets. */
import type { Clock } from "effect"
import { Effect } from "effect"

/** The same clock, but for what it says of the time of day. */
export const shifted = (clock: Clock.Clock, wall: { readonly offset: number }): Clock.Clock => {
  const millis = () => clock.currentTimeMillisUnsafe() + wall.offset
  const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(wall.offset) * 1_000_000n
  return {
    ...clock,
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos)
  }
}
