/** What Claude's result says of its turn. Pure. */
import type { TurnOutcome, Usage } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { ResultMessage, Tokens } from "./protocol.ts"

export interface End {
  readonly outcome: TurnOutcome
  readonly message: string | null
}

/**
 * `subtype` is not enough: a model that could not be reached ends as `success` with `is_error`, and an
 * interruption as an error of the execution.
 */
export const endOfResult = (result: ResultMessage, interruptAsked: boolean): End => {
  const { is_error, subtype, terminal_reason } = result
  if (interruptions.has(terminal_reason ?? "")) return { outcome: "interrupted", message: null }
  // Older programs do not say why; what was asked for and did not end well is what was asked for.
  if (interruptAsked && terminal_reason === undefined && subtype === "error_during_execution")
    return { outcome: "interrupted", message: null }
  if (is_error !== true && subtype === "success") return { outcome: "completed", message: null }
  return { outcome: "failed", message: reasonOf(result) }
}

const interruptions = new Set(["aborted_streaming", "aborted_tools"])

const messageMax = 2_000

const reasonOf = ({ result, errors, terminal_reason, subtype }: ResultMessage): string =>
  (
    result ||
    errors?.join("\n") ||
    `Claude ended the turn: ${terminal_reason ?? subtype ?? "no reason given"}.`
  ).slice(0, messageMax)

/** What a turn says that asked no model, such as a command of Claude's own. */
export const plainText = ({ result }: ResultMessage): string => (typeof result === "string" ? result : "")

/** Null when nothing was used. */
export const usageOf = (tokens: Tokens | undefined, costUsd: number | null): Usage | null => {
  const inputTokens = tokens?.input_tokens ?? 0
  const cachedInputTokens = tokens?.cache_read_input_tokens ?? 0
  const outputTokens = tokens?.output_tokens ?? 0
  if (inputTokens + cachedInputTokens + outputTokens === 0 && (costUsd ?? 0) === 0) return null
  return {
    inputTokens,
    cachedInputTokens,
    outputTokens,
    reasoningTokens: tokens?.output_tokens_details?.thinking_tokens ?? 0,
    ...(costUsd === null ? {} : { costUsd })
  }
}
