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
  const pull = Effect.gen(function* () {
    while (!Arr.isReadonlyArrayNonEmpty(unsent)) unsent = yield* next
    const [chunk, rest] = Arr.splitAtNonEmpty(unsent, limits.chunkItems)
    unsent = rest
    return chunk
  })
  return Stream.fromPull(Effect.succeed(pull))
}
