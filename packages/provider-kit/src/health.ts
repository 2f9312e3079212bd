/** What a probe says where there is nothing to be asked, or no answer. */
import { Effect } from "effect"
import type { Duration } from "effect"
import type { Health } from "./Provider.ts"

/** `advice`: what to do, for people. */
export const unhealthy = (
  status: Exclude<Health["status"], "ready">,
  advice: string,
  version: string | null = null
): Health => ({ status, version, models: [], advice })

/** A probe never waits for longer than this. `name`: what people call the provider. */
export const within = (probe: Effect.Effect<Health>, deadline: Duration.Input, name: string) =>
  Effect.timeoutOrElse(probe, {
    duration: deadline,
    orElse: () => Effect.succeed(unhealthy("unknown", `${name} did not answer in time.`))
  })
