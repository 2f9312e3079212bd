/**
 * The session that a call is for. It is held here, or it is not there, or it outlived an earlier server and
 * could not be taken up yet: then it works on without a hand on it, and nothing may be concluded from not
 * holding it.
 */
import type { Generation, ThreadId } from "@turnkeeper/domain/ids"
import type { Fault } from "@turnkeeper/domain/runtime/Fault"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { Provider, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import { Effect, Result } from "effect"
import { called } from "./Performer.ts"
import type { Means } from "./Performer.ts"

export interface Sought {
  readonly threadId: ThreadId
  readonly owed: { readonly generation: Generation }
  readonly state: ThreadState
}

/** The session; undefined where there is none; a fault where that is not known. */
export type There = Result.Result<ProviderSession | undefined, Fault>

/** The provider of a session that may live although nobody here holds it. */
export const outlivingProvider = ({ state }: Sought, { registry }: Means): Provider | undefined => {
  const { provider: id } = state.session
  const provider = id === null ? undefined : registry.get(id)
  return provider?.capabilities.outlivesServer === true ? provider : undefined
}

/** By the provider's own listing. */
export const livesUnheld = (
  { threadId, owed }: Sought,
  { settings }: Means,
  provider: Provider
): Effect.Effect<Result.Result<boolean, Fault>> =>
  Effect.map(
    called(provider.listLive, settings.listMs, "Listing the provider's sessions"),
    Result.map((listed) =>
      listed.some((live) => live.threadId === threadId && live.generation === owed.generation)
    )
  )

/** The session that is held, once it is opened; one that is being taken up is waited for. */
export const heldSession = (sought: Sought, means: Means): Effect.Effect<There> =>
  Effect.suspend(() => {
    const { threadId, owed } = sought
    const { sessions, settings } = means
    const held = sessions.get(threadId, owed.generation)
    const provider = outlivingProvider(sought, means)
    if (held !== undefined || provider === undefined) return Effect.succeed<There>(Result.succeed(held))
    if (sessions.holds(threadId, -1 as Generation)) {
      return called(sessions.opened(threadId, owed.generation), settings.openMs, "Taking the session up")
    }
    return Effect.map(livesUnheld(sought, means, provider), (lives): There => {
      if (Result.isFailure(lives)) return Result.fail(lives.failure)
      return lives.success ? Result.fail(unreached) : Result.succeed(undefined)
    })
  })

const unreached: Fault = {
  reason: "Unavailable",
  message: "The agent goes on by itself, and the server could not get hold of it yet"
}
