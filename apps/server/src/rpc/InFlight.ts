/**
 * The calls and subscriptions of one connection that are not yet over. Both are bounded; what is beyond
 * is refused with its typed error before any handler sees it.
 */
import { Overloaded, TooManySubscriptions } from "@turnkeeper/contracts/Errors"
import { limits } from "@turnkeeper/contracts/Limits"

export interface InFlight<Entry extends { readonly isStream: boolean }> {
  /** Why this one can not be taken now, or null. */
  readonly refuse: (isStream: boolean) => Overloaded | TooManySubscriptions | null
  readonly has: (id: string | number) => boolean
  readonly get: (id: string | number) => Entry | undefined
  readonly add: (id: string | number, entry: Entry) => void
  readonly remove: (id: string | number) => void
}

export const makeInFlight = <
  Entry extends { readonly isStream: boolean } = { readonly isStream: boolean }
>(): InFlight<Entry> => {
  const entries = new Map<string | number, Entry>()
  let streams = 0
  return {
    refuse: (isStream) => {
      if (isStream) {
        return streams >= limits.subscriptions
          ? new TooManySubscriptions({ limit: limits.subscriptions })
          : null
      }
      return entries.size - streams >= limits.callsInFlight
        ? new Overloaded({ what: "calls in flight", limit: limits.callsInFlight })
        : null
    },
    has: (id) => entries.has(id),
    get: (id) => entries.get(id),
    add: (id, entry) => {
      entries.set(id, entry)
      if (entry.isStream) streams += 1
    },
    remove: (id) => {
      if (entries.get(id)?.isStream === true) streams -= 1
      entries.delete(id)
    }
  }
}
