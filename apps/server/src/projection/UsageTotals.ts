/** Usage: what the provider reported for each turn, added up. */
import { nothingUsed, withUsage } from "@turnkeeper/contracts/TurnUsage"
import type { TurnUsage } from "@turnkeeper/contracts/TurnUsage"
import type { Cells } from "../store/rows.ts"
import { insertInto } from "../store/rows.ts"
import type { Batch, Projection } from "./Batch.ts"
import { keyOf } from "./Batch.ts"

export const projection: Projection = {
  table: "usage",
  writes: (batch) => [{ statement: add, rows: rowsOf(batch) }]
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

const rowsOf = (batch: Batch): ReadonlyArray<Cells> => {
  const sums = new Map<string, { readonly key: Cells; readonly sum: TurnUsage }>()
  for (const { record } of batch.steps) {
    const { event, threadId, at } = record
    if (event.type !== "usage.reported") continue
    const key = keyOf(threadId, event.turnId)
    const sum = withUsage(sums.get(key)?.sum ?? nothingUsed, event.usage)
    sums.set(key, { key: [threadId, event.turnId, at], sum })
  }
  return [...sums.values()].map(({ key, sum }) => [
    ...key,
    sum.inputTokens,
    sum.cachedInputTokens,
    sum.outputTokens,
    sum.reasoningTokens,
    sum.costMicroUsd
  ])
}

/** The sum of the turn of a row of `turns`, as JSON; null: nothing was reported. Looked up by key. */
export const usageOfTurn = `(SELECT json_object('inputTokens', input_tokens,
    'cachedInputTokens', cached_input_tokens, 'outputTokens', output_tokens,
    'reasoningTokens', reasoning_tokens, 'costMicroUsd', cost_micro_usd)
  FROM usage WHERE usage.thread_id = turns.thread_id AND usage.turn_id = turns.turn_id)`
