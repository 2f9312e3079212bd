/** What a provider says when a scenario speaks for it: events of the turn that runs on the thread. */
import type { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect } from "effect"
import type { App } from "./harness.ts"
import { isIn, thread } from "./harness.ts"

/** Says an event of the turn that runs. */
export const tell = (app: App, event: (providerTurnId: ProviderTurnId) => ProviderEvent) =>
  Effect.suspend(() => app.control().emit(thread, event(app.control().activeTurn(thread)!)))

/** A turn that runs and does nothing by itself. */
export const manual = (app: App, turn: string) =>
  Effect.andThen(app.say(turn, `[[manual]] ${turn}`), app.until(isIn(turn, "running")))

export const begunItem =
  (providerItemId: string, kind: "assistant_message" | "command" = "assistant_message") =>
  (providerTurnId: ProviderTurnId): ProviderEvent => ({
    type: "item.started",
    providerTurnId,
    providerItemId,
    kind,
    title: kind === "command" ? "make" : "",
    detail: {}
  })

export const words =
  (providerItemId: string, text: string) =>
  (providerTurnId: ProviderTurnId): ProviderEvent => ({
    type: "text.delta",
    providerTurnId,
    providerItemId,
    text
  })

export const end =
  (outcome: "completed" | "failed" | "interrupted", message: string | null = null) =>
  (providerTurnId: ProviderTurnId): ProviderEvent => ({
    type: "turn.completed",
    providerTurnId,
    outcome,
    message
  })

export const lost =
  (attempt: number) =>
  (providerTurnId: ProviderTurnId): ProviderEvent => ({
    type: "error.transient",
    providerTurnId,
    message: `Reconnecting... ${attempt}/5`,
    attempt,
    limit: 5
  })

export const asks =
  (requestKey: string) =>
  (providerTurnId: ProviderTurnId): ProviderEvent => ({
    type: "request.opened",
    providerTurnId,
    requestKey,
    kind: "command_approval",
    ask: { title: "make", detail: {}, decisions: ["accept", "decline"], questions: [] }
  })
