/** The configured providers: the rows as the server sends them. */
import type { ProviderItem, ProviderRow } from "@turnkeeper/contracts/Providers"
import { Effect } from "effect"
import { callOver } from "./call.ts"
import type { Link } from "./Link.ts"
import { makeListing } from "./listing.ts"

interface Rows {
  readonly providers: ReadonlyArray<ProviderRow>
}

export const makeProviders = (link: Link) => {
  const { model, run, show } = makeListing<ProviderItem, Rows>(link, {
    name: "providers",
    stream: (session) => session.calls("providers.subscribe", {}),
    empty: { providers: [] },
    join: joined
  })
  const refresh = Effect.map(callOver(link, "providers.refresh", {}), ({ providers }) => show({ providers }))
  return { model, run, refresh }
}

const joined = (rows: Rows, item: ProviderItem): Rows => {
  const { providers } = rows
  switch (item.type) {
    case "snapshot":
      return { providers: item.providers }
    case "provider": {
      const { row } = item
      const at = providers.findIndex((one) => one.id === row.id)
      return { providers: at === -1 ? [...providers, row] : providers.with(at, row) }
    }
    case "provider.removed":
      return { providers: providers.filter((one) => one.id !== item.id) }
    default:
      return rows
  }
}
