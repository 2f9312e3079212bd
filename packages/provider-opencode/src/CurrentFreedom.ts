/** What the user allows may change from turn to turn; what he granted for the session stays. */
import { Effect } from "effect"
import type { CallFailed } from "./Api.ts"
import * as Calls from "./calls.ts"
import type { Rule } from "./protocol.ts"
import type { SessionContext } from "./SessionContext.ts"
import type { Freedom } from "./settings.ts"
import { rulesOf, sameFreedom } from "./settings.ts"

export interface CurrentFreedom {
  readonly set: (wanted: Freedom) => Effect.Effect<void, CallFailed>
  readonly grant: (rules: ReadonlyArray<Rule>) => Effect.Effect<void, CallFailed>
}

const grantsMax = 200

export const make = (context: SessionContext, first: Freedom): CurrentFreedom => {
  let freedom = first
  let granted: ReadonlyArray<Rule> = []
  return {
    set: (wanted) =>
      Effect.suspend(() => {
        const next: Freedom = { runtimeMode: wanted.runtimeMode, interactionMode: wanted.interactionMode }
        if (sameFreedom(freedom, next)) return Effect.void
        // A grant was given under another freedom: it does not widen a narrower one.
        const kept = next.runtimeMode === freedom.runtimeMode ? granted : []
        return Calls.addRules(context, [...rulesOf(next), ...kept]).pipe(
          Effect.andThen(
            Effect.sync(() => {
              freedom = next
              granted = kept
            })
          )
        )
      }),
    grant: (rules) =>
      rules.length === 0
        ? Effect.void
        : Calls.addRules(context, rules).pipe(
            Effect.andThen(Effect.sync(() => void (granted = [...granted, ...rules].slice(-grantsMax))))
          )
  }
}
