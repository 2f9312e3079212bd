/** What a card shows of an item, bounded, whatever a provider puts into it. */
import type { ItemDetail } from "@turnkeeper/domain/runtime/ProviderEvent"

const stringMax = 32_000
const listMax = 100
const depthMax = 8
/** Of one detail as a whole, in UTF-16 units of its strings and names; each value counts as one more. */
const wholeMax = 64_000

/** What may still be shown. */
interface Budget {
  units: number
}

/** For display: long strings and lists are cut, fields without a value are left out. */
export const bounded = (detail: Record<string, unknown>): ItemDetail =>
  fields(
    Object.entries(detail).filter(([, value]) => value !== null && value !== undefined),
    1,
    { units: wholeMax }
  )

const fields = (entries: ReadonlyArray<[string, unknown]>, depth: number, budget: Budget): ItemDetail => {
  const kept: Array<[string, unknown]> = []
  for (const [name, value] of entries.slice(0, listMax)) {
    if (budget.units <= 0) break
    if (value === undefined) continue
    budget.units -= name.length
    kept.push([name, cut(value, depth, budget)])
  }
  // Not by assignment: a field called `__proto__` is one like any other.
  return Object.fromEntries(kept)
}

const cut = (value: unknown, depth: number, budget: Budget): unknown => {
  budget.units -= 1
  if (typeof value === "string") {
    const max = Math.max(0, Math.min(stringMax, budget.units))
    budget.units -= Math.min(value.length, max)
    return value.length > max ? `${value.slice(0, max)}\u2026` : value
  }
  // As JSON has it: in a list, what has no value is null.
  if (typeof value !== "object" || value === null) return value ?? null
  if (depth >= depthMax) return "\u2026"
  if (!Array.isArray(value)) return fields(Object.entries(value), depth + 1, budget)
  const kept: Array<unknown> = []
  for (const each of value.slice(0, listMax)) {
    if (budget.units <= 0) break
    kept.push(cut(each, depth + 1, budget))
  }
  return kept
}
