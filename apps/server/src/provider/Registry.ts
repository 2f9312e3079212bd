/**
 * The configured provider instances and what was found out about each.
 *
 * Probing runs beside everything else: a provider that is slow to say what it is delays nobody.
 */
import type { ProviderRow } from "@turnkeeper/contracts/Providers"
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Health, Provider } from "@turnkeeper/provider-kit/Provider"
import { Context, Effect, Layer } from "effect"

export class Registry extends Context.Service<
  Registry,
  {
    readonly all: ReadonlyArray<Provider>
    readonly get: (id: ProviderInstanceId) => Provider | undefined
    /** Every instance with its newest known health. */
    readonly list: Effect.Effect<ReadonlyArray<ProviderRow>>
    /** Asks every instance anew; resolves when all have answered or run out of time. */
    readonly refresh: Effect.Effect<void>
  }
>()("server/provider/Registry") {
  static readonly layer = (providers: ReadonlyArray<Provider>) =>
    Layer.effect(
      Registry,
      Effect.gen(function* () {
        const byId = new Map(providers.map((provider) => [provider.instanceId, provider]))
        const health = new Map<ProviderInstanceId, Health>()
        const refresh = Effect.forEach(
          providers,
          (provider) =>
            Effect.map(probed(provider), (found) => {
              health.set(provider.instanceId, found)
            }),
          { concurrency: 4, discard: true }
        )
        yield* Effect.forkScoped(refresh)
        return Registry.of({
          all: providers,
          get: (id) => byId.get(id),
          list: Effect.sync(() =>
            providers.map((provider) => rowOf(provider, health.get(provider.instanceId)))
          ),
          refresh
        })
      })
    )
}

const unknownHealth = (advice: string): Health => ({ status: "unknown", version: null, models: [], advice })

const probed = (provider: Provider) =>
  provider.probe.pipe(
    Effect.timeoutOrElse({
      duration: "15 seconds",
      orElse: () => Effect.succeed(unknownHealth("It did not answer within 15 seconds"))
    }),
    Effect.catchDefect(() => Effect.succeed(unknownHealth("Asking it failed; the server's log says why")))
  )

const rowOf = (provider: Provider, health: Health | undefined): ProviderRow => ({
  id: provider.instanceId,
  kind: provider.kind,
  displayName: provider.displayName,
  capabilities: { ...provider.capabilities },
  health: health ?? unknownHealth("Not looked at yet")
})
