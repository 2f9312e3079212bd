/**
 * Holds the tables against the provider sessions that are really alive.
 *
 * At start-up, before commands are accepted, every thread that is not at rest is judged once. On a timer
 * a listing counts only for a thread that has not changed and whose session has said nothing since before it
 * was asked for, which has nothing under way, and only when two listings in a row say the same: a listing
 * is ahead of the words that are still on their way, and a reconciler that "repairs" working turns is worse
 * than none.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Clock, Context, Effect, Layer } from "effect"
import { Mailboxes } from "../engine/Mailboxes.ts"
import { Projects } from "../projection/Projects.ts"
import { ThreadView } from "../projection/ThreadView.ts"
import { Registry } from "../provider/Registry.ts"
import { Sessions } from "../provider/Sessions.ts"
import { Reactor } from "../reactor/Reactor.ts"
import { Settings } from "../Settings.ts"
import { EventLog } from "../store/EventLog.ts"
import { isAlive, listAll, liveOf, ownSession } from "./listings.ts"
import { repair, takeUp } from "./takeUp.ts"
import type { Means } from "./takeUp.ts"

export class Reconciler extends Context.Service<
  Reconciler,
  {
    /** Judges every thread that is not at rest, once; the number of threads whose provider could not be listed. */
    readonly atStartUp: Effect.Effect<
      { readonly threads: number; readonly unknown: number },
      StorageUnavailable
    >
    /** One look at all threads that are not at rest, by the careful rule of a server that is working. */
    readonly look: Effect.Effect<void, StorageUnavailable>
  }
>()("server/reconciler/Reconciler") {
  static readonly layer = Layer.effect(
    Reconciler,
    Effect.gen(function* () {
      const registry = yield* Registry
      const sessions = yield* Sessions
      const mailboxes = yield* Mailboxes
      const reactor = yield* Reactor
      const view = yield* ThreadView
      const log = yield* EventLog
      const projects = yield* Projects
      const settings = yield* Settings
      const sightings = new Map<ThreadId, Sighting>()

      const means: Means = { log, projects, registry, sessions, settings }

      const atStartUp = Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const occasion = { reason: "The server restarted", now, intentLimitMs: settings.intentLimitMs }
        const threads = yield* view.openThreads
        const listings = yield* listAll(registry.all, settings)
        let unknown = 0
        for (const threadId of threads) {
          const mailbox = yield* mailboxes.of(threadId)
          const { state } = mailbox.current()
          const live = liveOf(threadId, state, listings)
          if (live.type === "unknown") unknown += 1
          yield* isAlive(live)
            ? takeUp(means, mailbox, live, { occasion, version: null })
            : mailbox.reconcile(live, occasion, null)
          yield* reactor.look(threadId)
        }
        return { threads: threads.length, unknown }
      })

      const look = Effect.gen(function* () {
        // 1. What stands, before anybody is asked.
        const standing = new Map<ThreadId, Moment>()
        for (const threadId of yield* view.openThreads) {
          const { state, version } = (yield* mailboxes.of(threadId)).current()
          // Streamed text is no version, and it is a sign of life.
          const heardAt = sessions.heardAt(threadId, state.session.generation)
          standing.set(threadId, { version, heardAt })
        }
        // 2. What is live.
        const listings = yield* listAll(registry.all, settings)
        const now = yield* Clock.currentTimeMillis
        const occasion = { reason: "The provider's session ended unseen", now, intentLimitMs: null }
        // 3. Only what two listings say of a thread in which nothing moves.
        for (const [threadId, { heardAt, version }] of standing) {
          const mailbox = yield* mailboxes.of(threadId)
          const { state } = mailbox.current()
          const held = sessions.get(threadId, state.session.generation) !== undefined
          const live = held ? ownSession(threadId, state, listings) : liveOf(threadId, state, listings)
          const sighting = { version, heardAt, says: JSON.stringify(live) }
          const before = sightings.get(threadId)
          sightings.set(threadId, sighting)
          if (reactor.underWay(threadId).length > 0 || before?.version !== version) continue
          if (before.heardAt !== heardAt || before.says !== sighting.says) continue
          yield* !held && isAlive(live)
            ? takeUp(means, mailbox, live, { occasion, version })
            : repair(means, mailbox, live, { occasion, version })
        }
        for (const threadId of sightings.keys()) if (!standing.has(threadId)) sightings.delete(threadId)
      })

      yield* look.pipe(
        Effect.catch(() => Effect.logWarning("The reconciler could not read the tables; it will look again")),
        Effect.delay(settings.reconcileEveryMs),
        Effect.forever,
        Effect.forkScoped
      )
      return Reconciler.of({ atStartUp, look })
    })
  )
}

interface Moment {
  readonly version: number
  /** Null: nothing was heard of this session yet. */
  readonly heardAt: bigint | null
}

interface Sighting extends Moment {
  readonly says: string
}
