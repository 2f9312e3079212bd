/**
 * Which provider instances there are: made from the settings, and kept true to them when they are read again.
 *
 *     in the settings ──made──▶ offered ──changed, removed──▶ retiring ──its last session ends──▶ gone, or made anew
 *
 * Promise: a session that is open goes on with the adapter that opened it. An instance whose settings have
 * changed is made anew, and one that was removed ends, only when none of its sessions is open: two adapters
 * must never work with the same processes and conversations at once.
 */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { OpenOptions, Provider } from "@turnkeeper/provider-kit/Provider"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Effect, Exit, Scope, Semaphore } from "effect"
import type { Configured } from "./settingsFile.ts"
import { unusable } from "./unusable.ts"

export interface Offered {
  readonly provider: Provider
  /** What people have to know about the instance itself; null: nothing. */
  readonly notice: string | null
  readonly findProgram: () => string | null
}

export interface Instances<E = never> {
  /** All that may have sessions: those that are offered, and those that only finish. */
  readonly all: () => ReadonlyArray<Provider>
  readonly get: (id: ProviderInstanceId) => Provider | undefined
  /** Those of the settings, in their order. */
  readonly offered: () => ReadonlyArray<Offered>
  /** Reads the settings again. When they cannot be read, everything stays as it is. */
  readonly reload: Effect.Effect<void, E>
  /** Run whenever an instance came, went or was made anew. One listener. */
  readonly onChange: (listener: Effect.Effect<void>) => void
}

/** Instances that stay as they are. */
export const fixed = (providers: ReadonlyArray<Provider>): Instances => {
  const byId = new Map(providers.map((provider) => [provider.instanceId, provider]))
  const offered = providers.map((provider) => ({ provider, notice: null, findProgram: () => null }))
  return {
    all: () => providers,
    get: (id) => byId.get(id),
    offered: () => offered,
    reload: Effect.void,
    onChange: () => {}
  }
}

interface Held {
  readonly configured: Configured
  readonly provider: Provider
  readonly scope: Scope.Closeable
  readonly use: Use
  /** What takes its place when its last session has ended: other settings, or null, nothing. */
  next: Configured | null | undefined
}

/** Who is on an adapter. `over`: nobody may come any more. */
interface Use {
  sessions: number
  over: boolean
}

/**
 * The scope owns the adapters. They end after everything that is built later in it, however late they are
 * made: their scopes are below one that is forked now.
 */
export const make = Effect.fnUntraced(function* <E>(options: {
  readonly read: Effect.Effect<ReadonlyArray<Configured>, E>
  readonly adapterOf: (configured: Configured) => Effect.Effect<Provider, never, Scope.Scope>
}): Effect.fn.Return<Instances<E>, E, Scope.Scope> {
  const owner = yield* Effect.flatMap(Effect.scope, Scope.fork)
  const lock = Semaphore.makeUnsafe(1)
  const held = new Map<ProviderInstanceId, Held>()
  let order: ReadonlyArray<ProviderInstanceId> = []
  let changed: Effect.Effect<void> = Effect.void

  const put = Effect.fnUntraced(function* (configured: Configured) {
    const { id, problem } = configured
    if (problem !== null) yield* Effect.logWarning(`The provider ${id} cannot be used: ${problem}`)
    const scope = yield* Scope.fork(owner)
    const adapter = yield* options.adapterOf(configured).pipe(
      Scope.provide(scope),
      // One that cannot even be made does not take the others down.
      Effect.catchDefect((defect) =>
        Effect.as(
          Effect.logError(`The provider ${id} could not be made`, defect),
          unusable(configured, "It could not be made", "the server's log says why.")
        )
      )
    )
    const use: Use = { sessions: 0, over: false }
    const ended = Effect.forkIn(lock.withPermit(settle(id)), owner)
    const isRemoved = () => held.get(id)?.next === null
    const provider = counted(adapter, { use, ended, isRemoved, openAnew: openAnew(id) })
    held.set(id, { configured, provider, scope, use, next: undefined })
  }, Effect.uninterruptible)

  /** Lets what waits for the last session to end happen, if it has. Under the lock. */
  const settle = (id: ProviderInstanceId) =>
    Effect.suspend(() => {
      const old = held.get(id)
      if (old === undefined || old.next === undefined || old.use.sessions > 0) return Effect.void
      old.use.over = true
      return Scope.close(old.scope, Exit.void).pipe(
        Effect.andThen(Effect.sync(() => held.delete(id))),
        Effect.andThen(old.next === null ? Effect.void : put(old.next)),
        Effect.andThen(Effect.suspend(() => changed))
      )
    }).pipe(Effect.uninterruptible)

  /** For whoever held the adapter of before in his hand: waits for the one that takes its place. */
  const openAnew = (id: ProviderInstanceId) => (wanted: OpenOptions) =>
    Effect.flatMap(
      lock.withPermit(Effect.sync(() => held.get(id))),
      (now) => now?.provider.open(wanted) ?? Effect.fail(removed(id))
    )

  const apply = Effect.fnUntraced(function* (wanted: ReadonlyArray<Configured>) {
    order = wanted.map(({ id }) => id)
    const ids = new Set(order)
    for (const [id, old] of held) if (!ids.has(id)) old.next = null
    for (const configured of wanted) {
      const old = held.get(configured.id)
      if (old === undefined) yield* put(configured)
      else old.next = old.configured.fingerprint === configured.fingerprint ? undefined : configured
    }
    yield* Effect.forEach([...held.keys()], settle, { discard: true })
    yield* changed
  }, Effect.uninterruptible)

  yield* Effect.flatMap(options.read, apply)

  return {
    all: () => [...held.values()].map(({ provider }) => provider),
    get: (id) => held.get(id)?.provider,
    offered: () =>
      order.flatMap((id) => {
        const one = held.get(id)
        if (one === undefined) return []
        const { configured, provider } = one
        return [{ provider, notice: noticeOf(one), findProgram: configured.findProgram }]
      }),
    reload: lock.withPermit(Effect.flatMap(options.read, apply)),
    onChange: (listener) => void (changed = listener)
  }
})

const removed = (provider: ProviderInstanceId) =>
  new ProviderError({
    provider,
    operation: "open",
    fault: {
      reason: "NotInstalled",
      message: `The provider "${provider}" was taken out of the settings. Choose another one for this thread.`
    }
  })

const noticeOf = ({ next, use }: Held) => {
  if (next === undefined || next === null) return null
  const wrong = next.problem === null ? "" : ` They are wrong: ${next.problem}`
  return `Its settings were changed. They count when its open sessions have ended (${use.sessions}).${wrong}`
}

interface Counting {
  readonly use: Use
  /** Run when the last session has ended. */
  readonly ended: Effect.Effect<unknown>
  readonly isRemoved: () => boolean
  readonly openAnew: Provider["open"]
}

/** The same adapter, which says when its last session has ended, and lets nobody in when it is over or removed. */
const counted = (provider: Provider, { use, ended, isRemoved, openAnew }: Counting): Provider => ({
  ...provider,
  open: (wanted) =>
    Effect.suspend(() => {
      if (use.over) return openAnew(wanted)
      if (isRemoved()) return Effect.fail(removed(provider.instanceId))
      use.sessions += 1
      const left = Effect.suspend(() => {
        use.sessions -= 1
        return use.sessions === 0 ? ended : Effect.void
      })
      // Registered before the session's own end, so that it runs after it.
      return Effect.andThen(
        Effect.addFinalizer(() => left),
        provider.open(wanted)
      )
    })
})
