/** What the providers say is alive, and what that means for one thread. */
import type { ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import type { Live } from "@turnkeeper/domain/thread/Owed"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { LiveSession, Provider } from "@turnkeeper/provider-kit/Provider"
import { Effect, Option } from "effect"
import type { ServerSettings } from "../Settings.ts"

/** Null: could not be listed. A provider that is not configured any more has nothing alive. */
export type Listings = ReadonlyMap<ProviderInstanceId, ReadonlyArray<LiveSession> | null>

export const listAll = (
  providers: ReadonlyArray<Provider>,
  { listMs }: ServerSettings
): Effect.Effect<Listings> =>
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

export const liveOf = (threadId: ThreadId, state: ThreadState, listings: Listings): Live => {
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

export const isAlive = (live: Live): boolean => live.type === "idle" || live.type === "running"

/** We hold the session ourselves: that it is not in the list is the adapter's word against our own stream's. */
export const ownSession = (threadId: ThreadId, state: ThreadState, listings: Listings): Live => {
  const live = liveOf(threadId, state, listings)
  return live.type === "absent" ? { type: "unknown" } : live
}
