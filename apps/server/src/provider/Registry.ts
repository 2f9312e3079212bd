/**
 * The provider instances and what was found out about each.
 *
 * Asking runs beside everything else: a provider that is slow to say what it is delays nobody. Each is asked
 * at the start, when somebody wants to know, when a session could not be opened because the provider is not
 * usable, and now and then while somebody watches.
 */
import type { ProviderRow } from "@turnkeeper/contracts/Providers"
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { Clock, Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { Bell, Subscription } from "../engine/Feed.ts"
import { bell } from "../engine/Feed.ts"
import type { Known } from "./Inquiry.ts"
import { makeInquiry } from "./Inquiry.ts"
import type { Instances, Offered } from "./Instances.ts"
import { fixed } from "./Instances.ts"
import type { ProviderConfigInvalid } from "./settingsFile.ts"

export class Registry extends Context.Service<
  Registry,
  {
    /** All that may have sessions, also those that are not offered any more. */
    readonly all: ReadonlyArray<Provider>
    readonly get: (id: ProviderInstanceId) => Provider | undefined
    /** Every offered instance with its newest known health. */
    readonly list: Effect.Effect<ReadonlyArray<ProviderRow>>
    /** Which rows change from now on, each once. Watched, providers are asked now and then. */
    readonly watch: Effect.Effect<Subscription<ProviderInstanceId>, never, Scope.Scope>
    /**
     * Reads the settings again and asks every instance anew; resolves when all have answered or run out of
     * time. Gives what is wrong with the settings file as a whole, null: nothing.
     */
    readonly refresh: Effect.Effect<string | null>
  }
>()("server/provider/Registry") {
  static readonly layer = (given: ReadonlyArray<Provider> | Instances<ProviderConfigInvalid>) =>
    Layer.effect(
      Registry,
      Effect.gen(function* () {
        const instances = "reload" in given ? given : fixed(given)
        const watchers = new Set<Bell<ProviderInstanceId>>()
        const ring = (id: ProviderInstanceId) => {
          for (const watcher of watchers) watcher.ring(id, id)
        }
        const inquiry = yield* makeInquiry(ring)

        // One that went has no row any more: whoever watches is told to look, and finds out.
        let known: ReadonlyArray<ProviderInstanceId> = []
        instances.onChange(
          Effect.suspend(() => {
            const offered = instances.offered().map(({ provider }) => provider)
            const ids = offered.map(({ instanceId }) => instanceId)
            for (const id of new Set([...known, ...ids])) ring(id)
            known = ids
            inquiry.forgetAllBut(instances.all())
            return Effect.forEach(offered, inquiry.askOnce, { discard: true })
          })
        )

        const all = Effect.suspend(() =>
          Effect.forEach(instances.offered(), ({ provider }) => inquiry.ask(provider), {
            concurrency: "unbounded",
            discard: true
          })
        )
        const due = Effect.gen(function* () {
          if (watchers.size === 0) return
          const now = yield* Clock.currentTimeMillis
          for (const { provider } of instances.offered()) {
            if (isDue(inquiry.known(provider), now)) yield* inquiry.begin(provider)
          }
        })
        yield* Effect.forkScoped(all)
        yield* Effect.forkScoped(Effect.forever(Effect.delay(due, againEveryMs.look)))

        return Registry.of({
          get all() {
            return instances.all()
          },
          get: (id) => {
            const provider = instances.get(id)
            return provider === undefined ? undefined : inquiry.doubting(provider)
          },
          list: Effect.sync(() =>
            instances.offered().map((offered) => rowOf(offered, inquiry.known(offered.provider)))
          ),
          watch: Effect.acquireRelease(
            Effect.sync(() => {
              const watcher = bell<ProviderInstanceId>()
              watchers.add(watcher)
              return watcher
            }),
            (watcher) => Effect.sync(() => watchers.delete(watcher))
          ),
          refresh: instances.reload.pipe(
            Effect.as(null),
            Effect.catch(({ message }) => Effect.succeed(message)),
            Effect.tap(() => all)
          )
        })
      })
    )
}

/** While somebody watches. What is usable seldom stops being so, and asking it costs a process. */
const againEveryMs = { look: 60_000, ready: 30 * 60_000, otherwise: 5 * 60_000 }

/** What was found in the future was found before the clock was set back. */
const isDue = ({ health, checkedAt }: Known, now: number): boolean =>
  checkedAt !== null &&
  (now < checkedAt ||
    now - checkedAt >= (health.status === "ready" ? againEveryMs.ready : againEveryMs.otherwise))

const rowOf = ({ provider, notice, findProgram }: Offered, { health, checkedAt }: Known): ProviderRow => ({
  id: provider.instanceId,
  kind: provider.kind,
  displayName: provider.displayName,
  capabilities: { ...provider.capabilities },
  health,
  program: findProgram(),
  checkedAt,
  notice,
  examples: provider.examples ?? []
})
