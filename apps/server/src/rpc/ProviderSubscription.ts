/**
 * One client's view of the providers: every row once, then each again when it changed.
 *
 * Rows are read when they are sent, not when they change, as with the shell: nothing can pile up.
 */
import { limits } from "@turnkeeper/contracts/Limits"
import type { ProviderItem } from "@turnkeeper/contracts/Providers"
import { Clock, Effect, Stream } from "effect"
import type { Registry } from "../provider/Registry.ts"
import { chunked } from "./chunked.ts"

type Items = ReadonlyArray<ProviderItem>

export const providerSubscription = (registry: Registry["Service"]): Stream.Stream<ProviderItem> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const live = yield* registry.watch
      const first: Items = [{ type: "snapshot", providers: yield* registry.list }, { type: "synchronized" }]

      const next = Effect.gen(function* () {
        const changed = yield* Effect.timeoutOption(live.take, limits.heartbeatMillis)
        if (changed._tag === "None") {
          return [{ type: "heartbeat", at: yield* Clock.currentTimeMillis }] as Items
        }
        const rows = new Map((yield* registry.list).map((row) => [row.id, row]))
        return changed.value.map((id) => {
          const row = rows.get(id)
          return row === undefined ? { type: "provider.removed", id } : { type: "provider", row }
        }) as Items
      })

      return chunked(first, next)
    })
  )
