/**
 * The mailboxes of all threads that are awake, and the doorbell that rings when one of them has changed.
 *
 * A thread wakes when somebody writes to it and is read from its table then; it goes back to sleep when it
 * is at rest and nobody wrote for a while. Threads never wait for one another.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { atRest } from "@turnkeeper/domain/thread/draft"
import { initial } from "@turnkeeper/domain/thread/State"
import { Clock, Context, Effect, FiberSet, Layer, Semaphore } from "effect"
import { ThreadView } from "../projection/ThreadView.ts"
import { Commit } from "./Commit.ts"
import { bell, Feed } from "./Feed.ts"
import type { Subscription } from "./Feed.ts"
import * as Mailbox from "./Mailbox.ts"

export class Mailboxes extends Context.Service<
  Mailboxes,
  {
    /** The thread's mailbox, awake; of a thread that is not there yet, too. */
    readonly of: (threadId: ThreadId) => Effect.Effect<Mailbox.Mailbox, StorageUnavailable>
    /** The mailbox if it is awake. */
    readonly awake: (threadId: ThreadId) => Mailbox.Mailbox | undefined
    /** Threads whose committed state has changed, each once. For the reactor alone. */
    readonly changes: Subscription<ThreadId>
    /** Rings for a thread as if it had changed. */
    readonly ring: (threadId: ThreadId) => void
  }
>()("server/engine/Mailboxes") {
  static readonly layer = Layer.effect(
    Mailboxes,
    Effect.gen(function* () {
      const commit = yield* Commit
      const view = yield* ThreadView
      const { missed } = yield* Feed
      const boxes = new Map<ThreadId, Slot>()
      const clock = yield* Clock.Clock
      const fork = yield* FiberSet.makeRuntime()
      const waking = yield* Semaphore.make(1)
      const doorbell = bell<ThreadId>()
      const ring = (threadId: ThreadId) => doorbell.ring(threadId, threadId)

      const load = (threadId: ThreadId) =>
        Effect.map(view.load(threadId), (found) => found ?? { state: initial, version: 0 })

      const run: Mailbox.Surroundings["run"] = (effect, done) => void fork(effect).addObserver(done)

      const around = { commit, clock, run, facts: view.facts, load, changed: ring, missed }

      const wake = Effect.fn("Mailboxes.wake")(function* (threadId: ThreadId) {
        const known = boxes.get(threadId)
        if (known !== undefined) return known.mailbox
        const mailbox = Mailbox.make(threadId, yield* load(threadId), around)
        boxes.set(threadId, { mailbox, usedAt: yield* Clock.monotonicTimeNanos })
        return mailbox
      })

      const of = (threadId: ThreadId) =>
        Effect.suspend(() => {
          const slot = boxes.get(threadId)
          if (slot === undefined) return waking.withPermit(wake(threadId))
          return Effect.map(Clock.monotonicTimeNanos, (now) => {
            slot.usedAt = now
            return slot.mailbox
          })
        })

      const sweep = Effect.gen(function* () {
        const now = yield* Clock.monotonicTimeNanos
        for (const [threadId, slot] of boxes) {
          if (!maySleep(slot, now)) continue
          boxes.delete(threadId)
        }
      })
      // Nobody wakes a thread while others are laid to sleep.
      const sleepers = Effect.andThen(Effect.sleep("1 minute"), waking.withPermit(sweep)).pipe(Effect.forever)
      yield* Effect.forkScoped(sleepers)

      return Mailboxes.of({ of, awake: (threadId) => boxes.get(threadId)?.mailbox, changes: doorbell, ring })
    })
  )
}

interface Slot {
  readonly mailbox: Mailbox.Mailbox
  /** On the monotonic clock: a jump of the wall clock must not put to sleep what is in use. Nanoseconds. */
  usedAt: bigint
}

const idleNanos = 5n * 60_000_000_000n

/** Whoever got hold of it a moment ago may be about to write: so only what was not used for long sleeps. */
const maySleep = ({ mailbox, usedAt }: Slot, now: bigint) => {
  const { state } = mailbox.current()
  return mailbox.isIdle() && atRest(state) && !state.session.open && now - usedAt > idleNanos
}
