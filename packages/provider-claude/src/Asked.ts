/** What Claude asks, until it is answered, withdrawn or given up: Claude waits for each of them. */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { ProviderSession } from "@turnkeeper/provider-kit/Provider"
import { Effect } from "effect"
import type { CurrentFreedom } from "./CurrentFreedom.ts"
import { understand } from "./requests.ts"
import type { AskContext, CanUseTool, PermissionResult } from "./sdk.ts"
import type { SessionContext } from "./SessionContext.ts"
import { leavesPlan } from "./tools.ts"
import { interruptWasAsked } from "./Turn.ts"

export interface Asked {
  readonly canUseTool: CanUseTool
  readonly answer: ProviderSession["answer"]
  /** Nobody will answer any more. */
  readonly giveUp: () => void
}

interface Question {
  readonly tool: string
  readonly input: Readonly<Record<string, unknown>>
  readonly context: Omit<AskContext, "signal">
  readonly signal: AbortSignal
}

export const make = (
  { conversation, fail, life, outbox, scope }: SessionContext,
  freedom: CurrentFreedom
): Asked => {
  const waiting = new Map<string, (result: PermissionResult) => void>()

  const canUseTool: CanUseTool = (tool, input, { signal, ...context }) => {
    const decided = freedom.policyOf(tool)
    if (decided === "allow") return Promise.resolve({ behavior: "allow", updatedInput: input })
    if (decided === "deny" || signal.aborted) {
      conversation.declined(context.toolUseID)
      return Promise.resolve({ behavior: "deny", message: "This thread may not change files." })
    }
    return new Promise((resolve) => {
      // After what was printed before it: the call is shown before its question.
      setImmediate(() => askUser({ tool, input, context, signal }, resolve))
    })
  }

  const askUser = (
    { context, input, signal, tool }: Question,
    resolve: (result: PermissionResult) => void
  ) => {
    const held = understand(tool, input, context)
    const events = held === null || signal.aborted || life.isOver() ? [] : conversation.asked(held)
    // What cannot be asked is not allowed; Claude would wait for ever.
    if (held === null || events.length === 0) return resolve(unasked)
    const { key } = held
    waiting.set(key, resolve)
    signal.addEventListener("abort", () => {
      settle(key, unasked)
      tell(conversation.withdrawn(key))
    })
    tell(events)
  }

  const tell = (events: ReadonlyArray<ProviderEvent>) => {
    if (events.length > 0) Effect.runFork(Effect.forkIn(outbox.put(events), scope))
  }

  const settle = (key: string, result: PermissionResult) => {
    waiting.get(key)?.(result)
    waiting.delete(key)
  }

  const answer: Asked["answer"] = (requestKey, given) =>
    Effect.suspend(() => {
      const held = conversation.held(requestKey)
      if (life.isOver() || held === null || !waiting.has(requestKey))
        return Effect.fail(fail("answer", "RequestGone", "Claude no longer waits for this."))
      const result = held.reply(given)
      conversation.release(requestKey, result.behavior === "deny")
      const turn = conversation.active()
      if (result.behavior === "deny" && result.interrupt === true && turn !== null) interruptWasAsked(turn)
      if (result.behavior === "allow" && held.ask.detail["tool"] === leavesPlan) freedom.planIsLeft()
      settle(requestKey, result)
      return Effect.void
    })

  return {
    canUseTool,
    answer,
    giveUp: () => {
      for (const key of waiting.keys()) settle(key, unasked)
    }
  }
}

const unasked: PermissionResult = { behavior: "deny", message: "Nobody can be asked about this." }
