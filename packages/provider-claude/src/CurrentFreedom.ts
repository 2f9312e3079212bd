/** What Claude was last told to obey: it may change from turn to turn, and with a plan that is agreed to. */
import { Effect } from "effect"
import type { Calls } from "./Calls.ts"
import type { Conversation } from "./Conversation.ts"
import type { CallFailed } from "./faults.ts"
import type { Freedom } from "./settings.ts"
import { flagsOf, permissionModeOf, policyOf, sameFreedom } from "./settings.ts"

export interface CurrentFreedom {
  /** What is decided without the user when Claude asks for a tool; `ask` where he decides. */
  readonly policyOf: (tool: string) => ReturnType<typeof policyOf>
  readonly set: (wanted: Freedom) => Effect.Effect<void, CallFailed>
  /** The user agreed to a plan: Claude has left its plan mode by itself. */
  readonly planIsLeft: () => void
}

export interface FreedomOptions {
  readonly freedom: Freedom
  readonly calls: Calls
  readonly conversation: Pick<Conversation, "permissionMode">
}

export const make = ({ calls, conversation, freedom }: FreedomOptions): CurrentFreedom => {
  let now = freedom

  const set: CurrentFreedom["set"] = (wanted) =>
    Effect.gen(function* () {
      const next: Freedom = { runtimeMode: wanted.runtimeMode, interactionMode: wanted.interactionMode }
      const mode = permissionModeOf(next)
      if (next.runtimeMode !== now.runtimeMode)
        yield* calls.ask((query) => query.applyFlagSettings({ permissions: flagsOf(next).permissions }))
      // Claude changes its mode by itself when a plan is agreed to, and when changes are for the session.
      const modeNow = conversation.permissionMode() ?? permissionModeOf(now)
      if (modeNow !== mode && !(sameFreedom(now, next) && modeNow === "acceptEdits"))
        yield* calls.ask((query) => query.setPermissionMode(mode))
      now = next
    })

  return {
    policyOf: (tool) => policyOf(now, tool),
    set,
    planIsLeft: () => {
      now = { ...now, interactionMode: "default" }
    }
  }
}
