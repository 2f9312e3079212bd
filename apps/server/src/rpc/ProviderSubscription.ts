/**
 * One client's view of the providers: every row once, then each again when it changed.
 *
 * Rows are read when they are sent, not when they change, as with the shell: nothing can pile up.
 */
import type { ProviderItem } from "@turnkeeper/contracts/Providers"
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { Effect, Stream } from "effect"
import type { Registry } from "../provider/Registry.ts"
import { chunked } from "./chunked.ts"
import { withHeartbeats } from "./heartbeat.ts"

type Items = ReadonlyArray<ProviderItem>

export const providerSubscription = (registry: Registry["Service"]): Stream.Stream<ProviderItem> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const live = yield* registry.watch
      const first: Items = [{ type: "snapshot", providers: yield* registry.list }, { type: "synchronized" }]

      const itemsOf = (changed: ReadonlyArray<ProviderInstanceId>) =>
        Effect.map(registry.list, (list) => {
          const rows = new Map(list.map((row) => [row.id, row]))
          return changed.map((id) => {
            const row = rows.get(id)
            return row === undefined ? { type: "provider.removed", id } : { type: "provider", row }
          }) as Items
        })

      return chunked(first, yield* withHeartbeats(live, itemsOf))
    })
  )
