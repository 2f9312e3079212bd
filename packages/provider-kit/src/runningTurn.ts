/** Whether what is asked of a turn is asked of the one that runs: the same words from every adapter. */
import { Effect } from "effect"
import type { Fail, Operation, ProviderError } from "./ProviderError.ts"

export const mismatch = (fail: Fail, operation: Operation): ProviderError =>
  fail(operation, "TurnMismatch", "That turn does not run.")

/** The turn that runs. `named: null` means whichever that is; `TurnMismatch` where none runs, or another one. */
export const runningTurn = <Turn extends { readonly id: string }>(
  fail: Fail,
  operation: Operation,
  active: Turn | null,
  named: string | null
): Effect.Effect<Turn, ProviderError> =>
  active === null || (named !== null && active.id !== named)
    ? Effect.fail(mismatch(fail, operation))
    : Effect.succeed(active)
