/**
 * Rows that the server lists once and then sends again when they change: the shell, the providers.
 *
 *     snapshot ─▶ further rows ─▶ synchronized ─▶ rows that change, rows that go …
 */
import type { ReadFailure } from "@turnkeeper/contracts/Errors"
import type { Stream } from "effect"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import { follow } from "./follow.ts"
import type { Link } from "./Link.ts"
import type { Freshness } from "./Models.ts"
import type { Session } from "./open.ts"
import { makeStore } from "./Readable.ts"

export interface Listing<Item, Rows> {
  readonly name: string
  readonly stream: (session: Session) => Stream.Stream<Item, ReadFailure | RpcClientError>
  readonly empty: Rows
  /** The same object where the item changes nothing. */
  readonly join: (rows: Rows, item: Item) => Rows
  /** Each item, once what it says is in the rows. */
  readonly onJoined?: (item: Item) => void
}

export const makeListing = <Item extends { readonly type: string }, Rows extends object>(
  link: Link,
  listing: Listing<Item, Rows>
) => {
  const model = makeStore<Rows & { readonly status: Freshness; readonly asOf: number | null }>({
    ...listing.empty,
    status: "loading",
    asOf: null
  })
  let rows = listing.empty
  /** From `synchronized` on. Before, part of a list would look like all of it. */
  let whole = false
  let lastWord = 0

  const show = (next: Rows) => {
    const changed = next !== rows
    rows = next
    if (whole && (changed || model.get().status !== "live")) {
      model.set({ ...rows, status: "live", asOf: lastWord })
    }
  }

  const { run } = follow<Item>(link, {
    name: listing.name,
    stream: listing.stream,
    take: (items, caughtUp) => {
      lastWord = Date.now()
      if (items.some((item) => item.type === "snapshot")) whole = false
      if (items.some((item) => item.type === "synchronized")) whole = true
      show(items.reduce(listing.join, rows))
      if (listing.onJoined !== undefined) items.forEach(listing.onJoined)
      if (whole) caughtUp()
      return true
    },
    onLost: () => {
      whole = false
      const shown = model.get()
      if (shown.status === "live") model.set({ ...shown, status: "stale", asOf: lastWord })
    },
    onFailure: () => false
  })
  return { model, run, show }
}
