/**
 * Holds the tables against the provider sessions that are really alive.
 *
 * At start-up, before commands are accepted, every thread that is not at rest is judged once. On a timer
 * a listing counts only for a thread that has not changed since before it was asked for, has nothing
 * under way, and only when two listings in a row say the same: a listing is older than the events behind
 * it, and a reconciler that "repairs" working turns is worse than none.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { Generation, ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import { resumeOf } from "@turnkeeper/domain/thread/draft"
import type { Happening, Live } from "@turnkeeper/domain/thread/Owed"
import type { Occasion } from "@turnkeeper/domain/thread/reconcile"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { LiveSession, Missed, Provider } from "@turnkeeper/provider-kit/Provider"
import { Clock, Context, Effect, Layer, Option, Result } from "effect"
import type { Mailbox } from "../engine/Mailbox.ts"
import { Mailboxes } from "../engine/Mailboxes.ts"
import { Projects } from "../projection/Projects.ts"
import { ThreadView } from "../projection/ThreadView.ts"
import { Registry } from "../provider/Registry.ts"
import { Sessions } from "../provider/Sessions.ts"
import { called } from "../reactor/Performer.ts"
import { Reactor } from "../reactor/Reactor.ts"
import { directoryOf, optionsOf } from "../reactor/startSession.ts"
import { Settings } from "../Settings.ts"
import type { ServerSettings } from "../Settings.ts"
import { EventLog } from "../store/EventLog.ts"
import { heardTurn } from "./heardTurn.ts"

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

      /** How a turn ended while nobody listened: nothing but the provider's own record can say (L7). */
      const proven = Effect.fnUntraced(function* (state: ThreadState, live: Live) {
        const { session } = state
        const turn = state.turns.find((open) => open.id === session.activeTurnId)
        const provider = session.provider === null ? undefined : registry.get(session.provider)
        if (live.type !== "idle" || turn === undefined || turn.messageId === null) return live
        if (provider === undefined || !provider.capabilities.history) return live
        const query = { resume: cursorOf(state), turnId: turn.id, messageId: turn.messageId }
        const read = yield* called(
          provider.evidence(query),
          settings.evidenceMs,
          "Reading the provider's record"
        )
        if (Result.isFailure(read) || read.success.type !== "found" || read.success.running) return live
        const { providerTurnId, outcome, message, texts } = read.success
        return { ...live, last: { providerTurnId, outcome, message, texts } }
      })

      /** The tables as the truth wants them. */
      const repair = Effect.fnUntraced(function* (
        mailbox: Mailbox,
        live: Live,
        occasion: Occasion,
        version: number | null
      ) {
        yield* mailbox.reconcile(yield* proven(mailbox.current().state, live), occasion, version)
      })

      /**
       * A session that outlived the server is held again: without a hand on it nobody would hear its words or
       * carry out its stop. What it did meanwhile is taken in first, then the tables are held against what is
       * true behind it, and only then its further words are heard. Where it cannot be opened the listing has
       * to do, and the next look tries again.
       */
      const takeUp = Effect.fnUntraced(function* (
        mailbox: Mailbox,
        listed: Live,
        occasion: Occasion,
        version: number | null
      ) {
        const { threadId } = mailbox
        // A start that was under way has succeeded: nothing is heard in a session that is still starting.
        const starting = mailbox.current().state.session.status === "starting"
        if (starting) yield* repair(mailbox, listed, occasion, version)
        const { state } = mailbox.current()
        const { generation, provider: owner } = state.session
        const provider = owner === null ? undefined : registry.get(owner)
        if (!state.session.open || provider === undefined)
          return yield* repair(mailbox, listed, occasion, version)
        const cwd = yield* directoryOf(threadId, state, { projects })
        // Without a cursor nobody can name the session: the next turn gets a new one.
        if (cwd === null || cursorOf(state) === null) {
          return yield* mailbox.reconcile({ type: "absent" }, occasion, null)
        }
        const of = { generation, turnId: state.session.activeTurnId, resume: resumeOf(state.session, owner) }
        const rejoin = { heard: yield* heardTurn(log, threadId, mailbox.current()) }
        const opened = yield* called(
          sessions.open(provider, { ...optionsOf(threadId, of, state, cwd), rejoin }),
          settings.openMs,
          "Taking the session up again"
        )
        if (Result.isSuccess(opened)) {
          const { missed } = opened.success
          if (missed === undefined) yield* repair(mailbox, listed, occasion, starting ? null : version)
          else {
            yield* takeIn(mailbox, generation, missed)
            yield* repair(mailbox, behind(missed, generation), occasion, null)
          }
          return yield* sessions.listen(threadId, generation)
        }
        yield* sessions.close(threadId, generation)
        yield* Effect.logWarning(
          `The session of thread ${threadId} could not be taken up again: ${opened.failure.message}`
        )
        const gone = opened.failure.reason === "SessionGone"
        yield* repair(mailbox, gone ? { type: "absent" } : listed, occasion, null)
      })

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
            ? takeUp(mailbox, live, occasion, null)
            : mailbox.reconcile(live, occasion, null)
          yield* reactor.look(threadId)
        }
        return { threads: threads.length, unknown }
      })

      const look = Effect.gen(function* () {
        // 1. What stands, before anybody is asked.
        const standing = new Map<ThreadId, number>()
        for (const threadId of yield* view.openThreads) {
          standing.set(threadId, (yield* mailboxes.of(threadId)).current().version)
        }
        // 2. What is live.
        const listings = yield* listAll(registry.all, settings)
        const now = yield* Clock.currentTimeMillis
        const occasion = { reason: "The provider's session ended unseen", now, intentLimitMs: null }
        // 3. Only what two listings say of a thread in which nothing moves.
        for (const [threadId, version] of standing) {
          const mailbox = yield* mailboxes.of(threadId)
          const { state } = mailbox.current()
          const held = sessions.get(threadId, state.session.generation) !== undefined
          const live = held ? ownSession(threadId, state, listings) : liveOf(threadId, state, listings)
          const sighting = { version, says: JSON.stringify(live) }
          const before = sightings.get(threadId)
          sightings.set(threadId, sighting)
          if (reactor.underWay(threadId).length > 0 || before?.version !== version) continue
          if (before.says !== sighting.says) continue
          yield* !held && isAlive(live)
            ? takeUp(mailbox, live, occasion, version)
            : repair(mailbox, live, occasion, version)
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

interface Sighting {
  readonly version: number
  readonly says: string
}

/** Null: could not be listed. A provider that is not configured any more has nothing alive. */
type Listings = ReadonlyMap<ProviderInstanceId, ReadonlyArray<LiveSession> | null>

const listAll = (providers: ReadonlyArray<Provider>, { listMs }: ServerSettings): Effect.Effect<Listings> =>
  Effect.map(
    Effect.forEach(
      providers,
      (provider) =>
        provider.listLive.pipe(
          Effect.timeoutOption(listMs),
          Effect.map(Option.getOrNull),
          Effect.catchCause((cause) =>
            Effect.as(Effect.logWarning(`${provider.displayName} could not be listed`, cause), null)
          ),
          Effect.map((listed) => [provider.instanceId, listed] as const)
        ),
      { concurrency: 8 }
    ),
    (listed) => new Map(listed)
  )

const liveOf = (threadId: ThreadId, state: ThreadState, listings: Listings): Live => {
  const { provider, generation } = state.session
  if (provider === null) return { type: "absent" }
  const listed = listings.get(provider)
  if (listed === null) return { type: "unknown" }
  const found = listed?.find((live) => live.threadId === threadId && live.generation === generation)
  if (found === undefined) return { type: "absent" }
  return found.activeProviderTurnId === null
    ? { type: "idle", generation, last: null }
    : { type: "running", generation, providerTurnId: found.activeProviderTurnId, turnId: found.activeTurnId }
}

const isAlive = (live: Live): boolean => live.type === "idle" || live.type === "running"

/** In order, and behind all that had been heard of the generation. */
const takeIn = (mailbox: Mailbox, generation: Generation, { events }: Missed) => {
  const { seen } = mailbox.current().state.session
  return mailbox.hear(
    events.map((event, index): Happening => ({ type: "provider", generation, seq: seen + index + 1, event })),
    { type: "provider", generation }
  )
}

const behind = ({ running }: Missed, generation: Generation): Live =>
  running === null ? { type: "idle", generation, last: null } : { type: "running", generation, ...running }

const cursorOf = ({ session }: ThreadState): string | null =>
  resumeOf(session, session.provider)?.cursor ?? null

/** We hold the session ourselves: that it is not in the list is the adapter's word against our own stream's. */
const ownSession = (threadId: ThreadId, state: ThreadState, listings: Listings): Live => {
  const live = liveOf(threadId, state, listings)
  return live.type === "absent" ? { type: "unknown" } : live
}
