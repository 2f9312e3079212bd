/** Usage: what the provider reported for each turn, added up. */
import type { Usage } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Cells } from "../store/rows.ts"
import { insertInto, runRows } from "../store/rows.ts"
import type { Batch, Projection } from "./Batch.ts"
import { keyOf } from "./Batch.ts"

export const projection: Projection = {
  table: "usage",
  apply: (sql, batch) => runRows(sql, add, rowsOf(batch))
}

const add = insertInto(
  "usage",
  [
    "thread_id",
    "turn_id",
    "updated_at",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_micro_usd"
  ],
  `ON CONFLICT (thread_id, turn_id) DO UPDATE SET
    updated_at = excluded.updated_at,
    input_tokens = input_tokens + excluded.input_tokens,
    cached_input_tokens = cached_input_tokens + excluded.cached_input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
    cost_micro_usd = cost_micro_usd + excluded.cost_micro_usd`
)

type Amounts = readonly [number, number, number, number, number]

const rowsOf = (batch: Batch): ReadonlyArray<Cells> => {
  const sums = new Map<string, { readonly key: Cells; readonly amounts: Amounts }>()
  for (const { record } of batch.steps) {
    const { event, threadId, at } = record
    if (event.type !== "usage.reported") continue
    const key = keyOf(threadId, event.turnId)
    const amounts = amountsOf(event.usage)
    const before = sums.get(key)?.amounts
    sums.set(key, {
      key: [threadId, event.turnId, at],
      amounts: before === undefined ? amounts : plus(before, amounts)
    })
  }
  return [...sums.values()].map(({ key, amounts }) => [...key, ...amounts])
}

/** Whole numbers, so that the sum does not depend on the order of adding. */
const amountsOf = (usage: Usage): Amounts => [
  Math.round(usage.inputTokens),
  Math.round(usage.cachedInputTokens),
  Math.round(usage.outputTokens),
  Math.round(usage.reasoningTokens),
  Math.round((usage.costUsd ?? 0) * 1_000_000)
]

const plus = (a: Amounts, b: Amounts): Amounts => [
  a[0] + b[0],
  a[1] + b[1],
  a[2] + b[2],
  a[3] + b[3],
  a[4] + b[4]
]
