/** A program whose lines are not as they should be, and the patience with which an adapter is watched meanwhile. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { broken, brokenText } from "./broken.ts"

/** The frames as they were said, each of them maybe missing, said twice, with something wrong in it, or cut. */
export const brokenLines = <Frame extends object>(
  frames: ReadonlyArray<Frame>
): fc.Arbitrary<ReadonlyArray<Frame | string>> =>
  fc
    .tuple(
      ...frames.map((frame) =>
        fc.oneof(
          { weight: 12, arbitrary: fc.constant<ReadonlyArray<Frame | string>>([frame]) },
          { weight: 1, arbitrary: fc.constantFrom<ReadonlyArray<Frame | string>>([], [frame, frame]) },
          {
            weight: 2,
            arbitrary: broken(fc.constant(frame)).map((made) => [JSON.stringify(made) ?? "null"])
          },
          { weight: 1, arbitrary: brokenText(fc.constant(frame)).map((text) => [text.replaceAll("\n", " ")]) }
        )
      )
    )
    .map((all) => all.flat())

/** All the time that it asks for passes at once; a defect where it does not come to an end by that. */
export const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, E, R> =>
  Effect.raceAllFirst([
    effect,
    Effect.forever(Effect.andThen(Effect.yieldNow, TestClock.adjust("1 second"))),
    Effect.andThen(
      TestClock.withLive(Effect.sleep("5 seconds")),
      Effect.suspend(() => Effect.die(new Error(`${what} does not come to an end`)))
    )
  ])

/** Words of an item whose own line was lost are strays, which whoever listens leaves out: nothing hangs on them. */
export const isEssential = (breach: string) =>
  !breach.startsWith("text of item ") && !breach.startsWith("item ")
