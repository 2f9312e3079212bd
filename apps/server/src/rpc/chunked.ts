/**
 * A subscription as a stream: what is there first, then whatever `next` brings, for ever. Pulled, so that
 * nothing is read before the client took what came before; in chunks, because each is one acknowledgement.
 */
import { limits } from "@turnkeeper/contracts/Limits"
import { Array as Arr, Effect, Stream } from "effect"

export const chunked = <A, E>(
  first: ReadonlyArray<A>,
  next: Effect.Effect<ReadonlyArray<A>, E>
): Stream.Stream<A, E> => {
  let unsent = first
  const pull: Effect.Effect<Arr.NonEmptyReadonlyArray<A>, E> = Effect.suspend(() => {
    if (!Arr.isReadonlyArrayNonEmpty(unsent)) return pullNext
    const [chunk, rest] = Arr.splitAtNonEmpty(unsent, limits.chunkItems)
    unsent = rest
    return Effect.succeed(chunk)
  })
  const pullNext = Effect.flatMap(next, (items) => {
    unsent = items
    return pull
  })
  return Stream.fromPull(Effect.succeed(pull))
}
