/** A client of one thread: what its subscription told it, joined by the rule that every client uses. */
import { cursorOf, joined } from "@turnkeeper/contracts/Fold"
import type { ThreadFold } from "@turnkeeper/contracts/Fold"
import type { ThreadItem } from "@turnkeeper/contracts/Streams"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Effect, Fiber, Stream } from "effect"
import { Feed } from "../../src/engine/Feed.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import { threadSubscription } from "../../src/rpc/ThreadSubscription.ts"
import type { App } from "../lifecycle/harness.ts"

export interface Client {
  readonly threadId: ThreadId
  readonly fold: () => ThreadFold | null
  /** What did not fit what was told before. */
  readonly faults: () => ReadonlyArray<unknown>
  /** Follows the server that runs now, from where it is. Nothing happens where it does so already. */
  readonly connect: Effect.Effect<void>
  readonly cut: Effect.Effect<void>
}

export const makeClient = (app: App, threadId: ThreadId): Client => {
  let fold: ThreadFold | null = null
  let reading: Fiber.Fiber<unknown, unknown> | null = null
  const faults: Array<unknown> = []

  const take = (item: ThreadItem) => {
    const next = joined(fold, item)
    fold = next.fold
    if (next.fault !== null) faults.push(next.fault)
  }

  const follow = Effect.gen(function* () {
    const view = yield* ThreadView
    const source = { feed: yield* Feed, view, epoch: view.epoch }
    const input = fold === null ? { threadId } : { threadId, after: cursorOf(fold) }
    yield* Stream.runForEach(threadSubscription(source, input), (item) => Effect.sync(() => take(item)))
  })

  const cut = Effect.suspend(() => {
    const last = reading
    reading = null
    return last === null ? Effect.void : Effect.asVoid(Fiber.interrupt(last))
  })

  return {
    threadId,
    fold: () => fold,
    faults: () => faults,
    connect: Effect.suspend(() =>
      reading !== null && reading.pollUnsafe() === undefined
        ? Effect.void
        : Effect.map(Effect.forkDetach(Effect.exit(app.use(follow))), (fiber) => {
            reading = fiber
          })
    ),
    cut
  }
}
