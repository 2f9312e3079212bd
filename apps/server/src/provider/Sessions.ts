/**
 * The provider sessions that this server holds open: at most one per thread, each in a scope of its own.
 *
 * Closing the scope ends the session and everything it started. The events of a session are consumed as
 * long as the scope lives (B9), and what is over is closed before the next generation begins (B4).
 */
import type { Generation, ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import type { OpenOptions, Provider, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Clock, Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { Mailboxes } from "../engine/Mailboxes.ts"
import { ingest } from "../ingestion/Ingestion.ts"
import { Settings } from "../Settings.ts"

export interface LiveHere {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly provider: ProviderInstanceId
  readonly session: ProviderSession
}

export class Sessions extends Context.Service<
  Sessions,
  {
    /** Opens a generation. Its events are read only from `listen` on. Interrupting it closes what was begun. */
    readonly open: (provider: Provider, options: OpenOptions) => Effect.Effect<ProviderSession, ProviderError>
    /** Starts to consume the generation's events. */
    readonly listen: (threadId: ThreadId, generation: Generation) => Effect.Effect<void>
    readonly get: (threadId: ThreadId, generation: Generation) => ProviderSession | undefined
    /** As `get`, but waits for one that is still opening; undefined when it is closed before it is open. */
    readonly opened: (
      threadId: ThreadId,
      generation: Generation
    ) => Effect.Effect<ProviderSession | undefined>
    /** Closes the generation, whether it is open or still opening; resolves when that is done. */
    readonly close: (threadId: ThreadId, generation: Generation) => Effect.Effect<void>
    /** Resolves when no session of the thread is open or being closed, other than `except`. */
    readonly gone: (threadId: ThreadId, except: Generation) => Effect.Effect<void>
    /** Whether the thread holds any session other than `except`. */
    readonly holds: (threadId: ThreadId, except: Generation) => boolean
    /** When the generation last said anything, on the monotonic clock. Nanoseconds; null: never, or not here. */
    readonly heardAt: (threadId: ThreadId, generation: Generation) => bigint | null
    readonly live: () => ReadonlyArray<LiveHere>
  }
>()("server/provider/Sessions") {
  static readonly layer = Layer.effect(
    Sessions,
    Effect.gen(function* () {
      const mailboxes = yield* Mailboxes
      const { gatherMs } = yield* Settings
      const clock = yield* Clock.Clock
      const held = new Map<string, Held>()
      const scope = yield* Effect.scope

      const close = (threadId: ThreadId, generation: Generation) =>
        Effect.suspend(() => {
          const entry = held.get(keyOf(threadId, generation))
          return entry === undefined ? Effect.void : closeHeld(held, entry)
        })

      const open = Effect.fn("Sessions.open")(function* (provider: Provider, options: OpenOptions) {
        const { threadId, generation } = options
        const entry: Held = {
          threadId,
          generation,
          provider: provider.instanceId,
          scope: yield* Scope.fork(scope),
          closed: yield* Deferred.make<void>(),
          opened: yield* Deferred.make<void>(),
          session: null,
          heardAt: null,
          closing: false
        }
        held.set(keyOf(threadId, generation), entry)
        const session = yield* provider.open(options).pipe(
          Effect.provideService(Scope.Scope, entry.scope),
          // A stop that comes meanwhile closes the scope; whoever waits here hears of it at once.
          Effect.raceFirst(Effect.andThen(Deferred.await(entry.closed), Effect.interrupt)),
          Effect.onError(() => closeHeld(held, entry))
        )
        entry.session = session
        Deferred.doneUnsafe(entry.opened, Exit.void)
        return session
      })

      const listen = (threadId: ThreadId, generation: Generation) =>
        Effect.gen(function* () {
          const entry = held.get(keyOf(threadId, generation))
          if (entry?.session == null) return
          const mailbox = yield* mailboxes.of(threadId).pipe(Effect.orDie)
          // Closed while it was opening: nobody waits for its words any more.
          const { session } = mailbox.current().state
          if (!session.open || session.generation !== generation) return yield* closeHeld(held, entry)
          const heard = () => void (entry.heardAt = clock.monotonicTimeNanosUnsafe())
          yield* ingest(entry.session, generation, mailbox, { gatherMs, heard }).pipe(
            Effect.ensuring(Effect.forkIn(closeHeld(held, entry), scope)),
            Effect.forkIn(entry.scope)
          )
        })

      const opened = (threadId: ThreadId, generation: Generation) =>
        Effect.suspend(() => {
          const entry = held.get(keyOf(threadId, generation))
          return entry === undefined
            ? Effect.succeed(undefined)
            : Effect.raceFirst(Deferred.await(entry.opened), Deferred.await(entry.closed)).pipe(
                Effect.map(() => entry.session ?? undefined)
              )
        })

      const others = (threadId: ThreadId, except: Generation) =>
        [...held.values()].filter((entry) => entry.threadId === threadId && entry.generation !== except)

      const gone = (threadId: ThreadId, except: Generation) =>
        Effect.forEach(others(threadId, except), (entry) => closeHeld(held, entry), { discard: true })

      yield* Effect.addFinalizer(() => endAll(held, mailboxes))

      return Sessions.of({
        open,
        listen,
        close,
        gone,
        holds: (threadId, except) => others(threadId, except).length > 0,
        heardAt: (threadId, generation) => held.get(keyOf(threadId, generation))?.heardAt ?? null,
        get: (threadId, generation) => held.get(keyOf(threadId, generation))?.session ?? undefined,
        opened,
        live: () =>
          [...held.values()].flatMap(({ threadId, generation, provider, session }) =>
            session === null ? [] : [{ threadId, generation, provider, session }]
          )
      })
    })
  )
}

interface Held {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly provider: ProviderInstanceId
  readonly scope: Scope.Closeable
  readonly closed: Deferred.Deferred<void>
  /** Resolves when `session` is there. */
  readonly opened: Deferred.Deferred<void>
  session: ProviderSession | null
  heardAt: bigint | null
  closing: boolean
}

const keyOf = (threadId: ThreadId, generation: Generation) => `${threadId} ${generation}`

/** Once; whoever comes second waits for the first. */
const closeHeld = (held: Map<string, Held>, entry: Held): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (entry.closing) return Deferred.await(entry.closed)
    entry.closing = true
    return Scope.close(entry.scope, Exit.void).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          held.delete(keyOf(entry.threadId, entry.generation))
          Deferred.doneUnsafe(entry.closed, Exit.void)
        })
      ),
      Effect.uninterruptible
    )
  })

/** The server stops in order: each thread is told the truth first, then its session is closed. */
const endAll = (held: Map<string, Held>, mailboxes: Mailboxes["Service"]) =>
  Effect.forEach(
    [...held.values()],
    (entry) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const occasion = { reason: "The server was stopped", now, intentLimitMs: null }
        const mailbox = mailboxes.awake(entry.threadId)
        if (mailbox !== undefined) {
          yield* Effect.timeoutOption(mailbox.reconcile({ type: "absent" }, occasion, null), "2 seconds")
        }
        yield* closeHeld(held, entry)
      }),
    { concurrency: 16, discard: true }
  )
