/**
 * Small things that this browser keeps for itself: drafts, what was looked at, the look of the page. Other tabs
 * are told, and a storage that is full or forbidden only means that a reload forgets.
 */
import type { Readable } from "@turnkeeper/client"

const prefix = "turnkeeper.web."

export interface Stored<A> extends Readable<A> {
  readonly set: (value: A) => void
}

/** `parse` makes a value of whatever is found, so that what an older version wrote does no harm. */
export const stored = <A>(
  name: string,
  parse: (found: unknown) => A,
  storage = browserStorage()
): Stored<A> => {
  const key = prefix + name
  const listeners = new Set<() => void>()
  const tell = () => {
    for (const listener of listeners) listener()
  }
  let value = parse(readJson(storage, key))
  globalThis.addEventListener?.("storage", (event: StorageEvent) => {
    if (event.key !== key) return
    value = parse(readJson(storage, key))
    tell()
  })
  return {
    get: () => value,
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    set: (next) => {
      if (Object.is(next, value)) return
      value = next
      writeJson(storage, key, next)
      tell()
    }
  }
}

export type TextStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">

const browserStorage = (): TextStorage | null => {
  try {
    return globalThis.localStorage ?? null
  } catch {
    return null
  }
}

const readJson = (storage: TextStorage | null, key: string): unknown => {
  try {
    return JSON.parse(storage?.getItem(key) ?? "null")
  } catch {
    return null
  }
}

const writeJson = (storage: TextStorage | null, key: string, value: unknown) => {
  try {
    storage?.setItem(key, JSON.stringify(value))
  } catch {
    // Full or forbidden: it lives as long as the page.
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A record of which only the newest entries are kept. */
export const recordOf =
  <A>(isValue: (value: unknown) => value is A) =>
  (found: unknown): Readonly<Record<string, A>> =>
    isRecord(found)
      ? Object.fromEntries(Object.entries(found).filter((entry): entry is [string, A] => isValue(entry[1])))
      : {}

/** With the entry as the newest; null takes it out. What is beyond the bound falls out, oldest first. */
export const withEntry = <A>(
  record: Readonly<Record<string, A>>,
  key: string,
  value: A | null,
  bound: number
): Readonly<Record<string, A>> => {
  const others = Object.entries(record).filter(([name]) => name !== key)
  const all = value === null ? others : [...others, [key, value] as const]
  return Object.fromEntries(all.slice(-bound))
}
