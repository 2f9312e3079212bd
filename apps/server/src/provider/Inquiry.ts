/**
 * Asks providers how they are: each at most once at a time, a few together, in a scope of its own, so that
 * whoever stops waiting stops nothing. Keeps what was last heard of each.
 */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Fault, FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { Health, Provider } from "@turnkeeper/provider-kit/Provider"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Clock, Deferred, Effect, Exit, Semaphore } from "effect"

/** Adapters have deadlines of their own; this one is for those that do not keep theirs. */
const probeLimit = "60 seconds"
/** Programs that are started only to be asked: a few at a time. */
const askedAtOnce = 4
export interface Known {
  readonly health: Health
  readonly checkedAt: number | null
}

/** `answered`: something new is known of this one. */
export const makeInquiry = Effect.fnUntraced(function* (answered: (id: ProviderInstanceId) => void) {
  const scope = yield* Effect.scope
  const turns = Semaphore.makeUnsafe(askedAtOnce)
  const found = new Map<Provider, Known>()
  const underWay = new Map<Provider, Deferred.Deferred<void>>()

  const run = (provider: Provider, done: Deferred.Deferred<void>) =>
    Effect.gen(function* () {
      const health = yield* turns.withPermit(probed(provider))
      found.set(provider, { health, checkedAt: yield* Clock.currentTimeMillis })
      answered(provider.instanceId)
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          underWay.delete(provider)
          Deferred.doneUnsafe(done, Exit.void)
        })
      )
    )

  const begin = (provider: Provider) =>
    Effect.suspend(() => {
      const asking = underWay.get(provider)
      if (asking !== undefined) return Effect.succeed(asking)
      const done = Deferred.makeUnsafe<void>()
      underWay.set(provider, done)
      return Effect.as(Effect.forkIn(run(provider, done), scope), done)
    })

  /** Resolves when it has answered, or run out of time. Whoever stops waiting stops nothing. */
  const ask = (provider: Provider) => Effect.flatMap(begin(provider), Deferred.await)

  return {
    begin,
    ask,
    known: (provider: Provider): Known =>
      found.get(provider) ?? { health: unknownHealth("Not looked at yet"), checkedAt: null },
    /** Begins to ask one of which nothing is known yet. */
    askOnce: (provider: Provider) => (found.has(provider) ? Effect.void : Effect.asVoid(begin(provider))),
    forgetAllBut: (providers: ReadonlyArray<Provider>) => {
      for (const provider of found.keys()) if (!providers.includes(provider)) found.delete(provider)
    },
    /**
     * The same provider. When it cannot be opened because it is not usable, what is known to help is said
     * with it, and it is asked anew.
     */
    doubting: (provider: Provider): Provider => ({
      ...provider,
      open: (options) =>
        provider.open(options).pipe(
          Effect.mapError((error) => withAdvice(error, found.get(provider)?.health.advice ?? null)),
          Effect.tapError(({ fault }) => (isUnusable(fault) ? begin(provider) : Effect.void))
        )
    })
  }
})

const unusableReasons: ReadonlySet<FaultReason> = new Set(["NotInstalled", "NotSignedIn"])
const isUnusable = ({ reason }: Fault) => unusableReasons.has(reason)

const withAdvice = (error: ProviderError, advice: string | null): ProviderError => {
  const { provider, operation, fault, cause } = error
  if (advice === null || !isUnusable(fault) || fault.message.includes(advice)) return error
  const message = `${fault.message} ${advice}`
  return new ProviderError({
    provider,
    operation,
    fault: { ...fault, message },
    ...(cause !== undefined && { cause })
  })
}

const unknownHealth = (advice: string): Health => ({ status: "unknown", version: null, models: [], advice })

const probed = (provider: Provider) =>
  provider.probe.pipe(
    Effect.timeoutOrElse({
      duration: probeLimit,
      orElse: () => Effect.succeed(unknownHealth(`It did not answer within ${probeLimit}`))
    }),
    Effect.catchDefect((defect) =>
      Effect.as(
        Effect.logWarning(`Asking the provider ${provider.instanceId} failed`, defect),
        unknownHealth("Asking it failed; the server's log says why")
      )
    )
  )
