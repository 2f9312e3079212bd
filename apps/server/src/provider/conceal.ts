/**
 * What a program says when it cannot be used may repeat what it was given: a key, a password. What stands in
 * an instance's settings as a secret is taken out of the words about its health and its opening.
 */
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Effect } from "effect"

export const concealing =
  (secrets: ReadonlyArray<string>) =>
  (provider: Provider): Provider => {
    if (secrets.length === 0) return provider
    const hidden = (text: string) => secrets.reduce((said, secret) => said.replaceAll(secret, "…"), text)
    return {
      ...provider,
      probe: Effect.map(provider.probe, (health) => ({
        ...health,
        advice: health.advice === null ? null : hidden(health.advice)
      })),
      open: (options) =>
        Effect.mapError(
          provider.open(options),
          // Its cause is for the log, and may hold the same: it is left behind.
          ({ operation, fault }) =>
            new ProviderError({
              provider: provider.instanceId,
              operation,
              fault: { ...fault, message: hidden(fault.message) }
            })
        )
    }
  }
