/** What a turn has used, added up from what the provider reported while it ran. */
import type { Usage } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Schema } from "effect"

/** Whole numbers, so that a sum does not depend on the order of adding. */
export const TurnUsage = Schema.Struct({
  inputTokens: Schema.Int,
  /** Read from a cache. Some providers count them among `inputTokens` as well, others beside them. */
  cachedInputTokens: Schema.Int,
  outputTokens: Schema.Int,
  /** Thought and not said, where the provider tells them apart. */
  reasoningTokens: Schema.Int,
  /** Millionths of a dollar; 0 where the provider names no price. */
  costMicroUsd: Schema.Int
})
export type TurnUsage = typeof TurnUsage.Type

export const nothingUsed: TurnUsage = {
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  costMicroUsd: 0
}

/** With one more report of the provider. */
export const withUsage = (sum: TurnUsage, reported: Usage): TurnUsage => ({
  inputTokens: sum.inputTokens + Math.round(reported.inputTokens),
  cachedInputTokens: sum.cachedInputTokens + Math.round(reported.cachedInputTokens),
  outputTokens: sum.outputTokens + Math.round(reported.outputTokens),
  reasoningTokens: sum.reasoningTokens + Math.round(reported.reasoningTokens),
  costMicroUsd: sum.costMicroUsd + Math.round((reported.costUsd ?? 0) * 1_000_000)
})
