/** What a card shows of an item, bounded, whatever a provider puts into it. */
import type { ItemDetail } from "@turnkeeper/domain/runtime/ProviderEvent"

const detailStringMax = 32_000
const detailListMax = 100
const detailDepthMax = 8

/** For display: long strings and lists are cut, fields without a value are left out. */
export const bounded = (detail: Record<string, unknown>): ItemDetail =>
  Object.fromEntries(
    Object.entries(detail)
      .filter(([, value]) => value !== null && value !== undefined)
      .slice(0, detailListMax)
      .map(([key, value]) => [key, cut(value, 1)])
  )

const cut = (value: unknown, depth: number): unknown => {
  if (typeof value === "string") {
    return value.length > detailStringMax ? `${value.slice(0, detailStringMax)}\u2026` : value
  }
  if (typeof value !== "object" || value === null) return value
  if (depth >= detailDepthMax) return "\u2026"
  if (Array.isArray(value)) return value.slice(0, detailListMax).map((each) => cut(each, depth + 1))
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, detailListMax)
      .map(([key, each]) => [key, cut(each, depth + 1)])
  )
}
