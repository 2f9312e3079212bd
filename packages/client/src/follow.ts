/**
 * A subscription that goes on over connections: begun again on each session, and whenever what it brought
 * does not fit what was there.
 */
import type { ReadFailure } from "@turnkeeper/contracts/Errors"
import { Data, Deferred, Effect, Random, Stream } from "effect"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import { inSession } from "./call.ts"
import { delayOf, repeating } from "./backoff.ts"
import { ServerBroken } from "./Errors.ts"
import type { Follower, Link } from "./Link.ts"
import type { Session } from "./open.ts"

export interface Following<Item> extends Follower {
  readonly stream: (session: Session) => Stream.Stream<Item, ReadFailure | RpcClientError>
  /** False: it does not fit, begin again. Calls `caughtUp` once everything up to now was told. */
  readonly take: (items: ReadonlyArray<Item>, caughtUp: () => void) => boolean
  /** What is there is not kept up to date any more. */
  readonly onLost: () => void
  /** True: asking again without a change gives the same answer. */
  readonly onFailure: (failure: ReadFailure | ServerBroken) => boolean
}

class DoesNotFit extends Data.TaggedError("DoesNotFit") {}

/** Runs until it is interrupted. `poke` makes one that has stopped ask again. */
export const follow = <Item>(link: Link, following: Following<Item>) => {
  let bell = Deferred.makeUnsafe<void>()
  let pokes = 0
  const poke = () => {
    pokes += 1
    Deferred.doneUnsafe(bell, Effect.void)
  }

  const once = (session: Session, onTold: () => void) => {
    const told = Stream.runForEachArray(following.stream(session), (items) =>
      Effect.suspend(() => (following.take(items, onTold) ? Effect.void : Effect.fail(new DoesNotFit())))
    )
    // Such a stream has no end of its own.
    return Effect.flip(inSession(session, Effect.andThen(told, Effect.fail(new ServerBroken()))))
  }

  const onSession = Effect.fnUntraced(function* (session: Session) {
    let failed = 0
    const onTold = () => {
      failed = 0
      link.caughtUp(following)
    }
    while (true) {
      const before = pokes
      const end = yield* once(session, onTold)
      following.onLost()
      if (end._tag === "ConnectionLost") return
      if (end._tag !== "DoesNotFit" && following.onFailure(end)) {
        link.caughtUp(following)
        // What it was poked for may have come to be while the answer to the earlier question was on its way.
        if (pokes !== before) continue
        bell = Deferred.makeUnsafe<void>()
        yield* Effect.raceFirst(Deferred.await(bell), session.lost)
        if (link.session.get() !== session) return
        continue
      }
      // The first time at once: one resubscription mends what was missed.
      const delay = failed === 0 ? 0 : delayOf(repeating, failed, yield* Random.next)
      failed += 1
      yield* Effect.raceFirst(Effect.sleep(delay), session.lost)
    }
  })

  const run = Effect.gen(function* () {
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        link.join(following)
        // At once, so that nothing counts as true any more when the connection says that it is away.
        return link.session.subscribe(() => {
          if (link.session.get() === null) following.onLost()
        })
      }),
      (unsubscribe) =>
        Effect.sync(() => {
          unsubscribe()
          following.onLost()
          link.leave(following)
        })
    )
    let last: Session | null = null
    while (true) {
      last = yield* link.next(last)
      yield* onSession(last)
    }
  }).pipe(Effect.scoped)

  return { run, poke }
}
