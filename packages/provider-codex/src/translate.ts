/**
 * Codex's notifications in our words. Pure, and total: whatever arrives, it never throws.
 *
 * A notification that this adapter does not know, or whose shape is not the one it knows, becomes
 * `unknown`. One that says nothing a thread needs (a status, an account, a setting) becomes nothing;
 * in particular `thread/status/changed idle`, which Codex sends before the turn's end, is never an end.
 * Items that Codex leaves open when a turn is interrupted or fails stay open here: the kernel closes them.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { TurnId } from "@turnkeeper/domain/ids"
import type { ItemEnd, ItemKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { byName } from "@turnkeeper/provider-kit/byName"
import { bounded } from "@turnkeeper/provider-kit/detail"
import { Schema } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import { notificationMethods } from "./_generated/protocol.ts"
import type { Notification } from "@turnkeeper/provider-kit/JsonRpc"

export const translate = (notification: Notification): ReadonlyArray<ProviderEvent> => {
  const { method, params } = notification
  const say = words(method)
  if (say === undefined) return known.has(method) ? [] : [{ type: "unknown", method }]
  try {
    // The generated types describe what the program should send; what it did send is checked here, once.
    const events = say(params as never)
    return areEvents(events) ? events : [{ type: "unknown", method }]
  } catch {
    return [{ type: "unknown", method }]
  }
}

const known = new Set(notificationMethods)
const areEvents = Schema.is(Schema.Array(ProviderEvent))

/** The list of steps that Codex keeps for a turn has no item id of its own. */
export const stepsItemId = "steps"

type Say = (params: never) => ReadonlyArray<ProviderEvent>

const words = byName<Say>({
  "turn/started": ({ turn }: Protocol.TurnStartedNotification) => [turnStarted(turn.id, null)],
  "turn/completed": ({ turn }: Protocol.TurnCompletedNotification) => turnCompleted(turn),
  "turn/plan/updated": ({ turnId, explanation, plan }: Protocol.TurnPlanUpdatedNotification) => [
    {
      type: "item.updated",
      providerTurnId: ProviderTurnId.make(turnId),
      providerItemId: stepsItemId,
      detail: bounded({ explanation, steps: plan })
    }
  ],

  "item/started": ({ turnId, item }: Protocol.ItemStartedNotification) => itemStarted(turnId, item),
  "item/completed": ({ turnId, item }: Protocol.ItemCompletedNotification) => itemCompleted(turnId, item),
  "item/agentMessage/delta": (params: Protocol.AgentMessageDeltaNotification) => [delta(params)],
  "item/plan/delta": (params: Protocol.PlanDeltaNotification) => [delta(params)],
  "item/reasoning/summaryTextDelta": (params: Protocol.ReasoningSummaryTextDeltaNotification) => [
    delta(params)
  ],
  "item/reasoning/textDelta": (params: Protocol.ReasoningTextDeltaNotification) => [delta(params)],
  "item/reasoning/summaryPartAdded": ({
    turnId,
    itemId,
    summaryIndex
  }: Protocol.ReasoningSummaryPartAddedNotification) =>
    summaryIndex > 0 ? [delta({ turnId, itemId, delta: partSeparator })] : [],
  "item/commandExecution/outputDelta": (params: Protocol.CommandExecutionOutputDeltaNotification) => [
    delta(params)
  ],
  "item/mcpToolCall/progress": ({ turnId, itemId, message }: Protocol.McpToolCallProgressNotification) => [
    {
      type: "item.updated",
      providerTurnId: ProviderTurnId.make(turnId),
      providerItemId: itemId,
      detail: bounded({ progress: message })
    }
  ],

  error: (params: Protocol.ErrorNotification) => [errorEvent(params)],
  "thread/tokenUsage/updated": ({ turnId, tokenUsage }: Protocol.ThreadTokenUsageUpdatedNotification) => [
    {
      type: "usage",
      providerTurnId: ProviderTurnId.make(turnId),
      usage: {
        inputTokens: tokenUsage.last.inputTokens,
        cachedInputTokens: tokenUsage.last.cachedInputTokens,
        outputTokens: tokenUsage.last.outputTokens,
        reasoningTokens: tokenUsage.last.reasoningOutputTokens
      }
    }
  ],
  "serverRequest/resolved": ({ requestId }: Protocol.ServerRequestResolvedNotification) => [
    { type: "request.resolved", requestKey: String(requestId) }
  ],

  warning: ({ message }: Protocol.WarningNotification) => [notice(message)],
  guardianWarning: ({ message }: Protocol.WarningNotification) => [notice(message)],
  "model/rerouted": ({ fromModel, toModel }: Protocol.ModelReroutedNotification) => [
    notice(`Codex answers with ${toModel} in place of ${fromModel}.`)
  ]
})

export const turnStarted = (id: string, turnId: TurnId | null): ProviderEvent => ({
  type: "turn.started",
  providerTurnId: ProviderTurnId.make(id),
  turnId
})

export const notice = (message: string): ProviderEvent => ({
  type: "notice",
  message: message.slice(0, 2_000)
})

const delta = (params: { turnId: string; itemId: string; delta: string }): ProviderEvent => ({
  type: "text.delta",
  providerTurnId: ProviderTurnId.make(params.turnId),
  providerItemId: params.itemId,
  text: params.delta
})

const turnCompleted = (turn: Protocol.Turn): ReadonlyArray<ProviderEvent> => {
  // A turn that is still in progress has not ended, whatever the notification is called.
  if (turn.status === "inProgress") return [{ type: "unknown", method: "turn/completed" }]
  return [
    {
      type: "turn.completed",
      providerTurnId: ProviderTurnId.make(turn.id),
      outcome: turn.status,
      message: turn.error === null ? null : errorText(turn.error)
    }
  ]
}

const errorEvent = ({ turnId, error, willRetry }: Protocol.ErrorNotification): ProviderEvent => {
  const providerTurnId = ProviderTurnId.make(turnId)
  if (!willRetry) return { type: "error.final", providerTurnId, message: errorText(error) }
  return {
    type: "error.transient",
    providerTurnId,
    message: error.message.slice(0, messageMax),
    ...tries(error)
  }
}

const messageMax = 2_000

/**
 * The numbers of "Reconnecting... 1/5". Codex has no field for them, so they are read from the text, to be
 * shown and for nothing else: no rule looks at them, and null is as good.
 */
const tries = (error: Protocol.TurnError): { attempt: number | null; limit: number | null } => {
  const [, attempt, limit] = /\b(\d{1,4})\/(\d{1,4})\b/.exec(error.message) ?? []
  return attempt === undefined || limit === undefined
    ? { attempt: null, limit: null }
    : { attempt: Number(attempt), limit: Number(limit) }
}

export const errorText = (error: Protocol.TurnError): string =>
  [error.message, error.additionalDetails]
    .filter((text): text is string => typeof text === "string" && text !== "")
    .map(sentenceIn)
    .join("\n")
    .slice(0, messageMax)

/** Codex passes a model service's refusal on as its raw JSON body: a person reads the sentence inside. */
const sentenceIn = (text: string): string => {
  if (!text.startsWith("{")) return text
  try {
    const body: { readonly error?: { readonly message?: unknown } } = JSON.parse(text)
    return typeof body.error?.message === "string" ? body.error.message : text
  } catch {
    return text
  }
}

/** Codex's own copy of the user's message is not an item of the answer; it only proves what arrived. */
const itemStarted = (turnId: string, item: Protocol.ThreadItem): ReadonlyArray<ProviderEvent> => {
  if (item.type === "userMessage") return []
  const { kind, title, detail } = describe(item, false)
  return [
    {
      type: "item.started",
      providerTurnId: ProviderTurnId.make(turnId),
      providerItemId: item.id,
      kind,
      title: title.slice(0, titleMax),
      detail: bounded(detail)
    }
  ]
}

const itemCompleted = (turnId: string, item: Protocol.ThreadItem): ReadonlyArray<ProviderEvent> => {
  if (item.type === "userMessage") return []
  const { kind, title, detail, text = null, end = "completed" } = describe(item, true)
  return [
    {
      type: "item.completed",
      providerTurnId: ProviderTurnId.make(turnId),
      providerItemId: item.id,
      kind,
      title: title.slice(0, titleMax),
      end,
      text,
      detail: bounded(detail)
    }
  ]
}

interface Described {
  readonly kind: ItemKind
  readonly title: string
  readonly detail: Record<string, unknown>
  readonly text?: string | null
  readonly end?: ItemEnd
}

const titleMax = 500
const partSeparator = "\n\n"

const describe = (item: Protocol.ThreadItem, done: boolean): Described => {
  switch (item.type) {
    case "agentMessage":
      return { kind: "assistant_message", title: "", detail: {}, text: item.text }
    case "reasoning":
      return { kind: "reasoning", title: "", detail: {}, text: reasoningText(item) }
    case "plan":
      return { kind: "plan", title: "", detail: {}, text: item.text }
    case "commandExecution":
      return describeCommand(item)
    case "fileChange":
      return describeFileChange(item, done)
    case "mcpToolCall":
      return {
        kind: "tool_call",
        title: `${item.server}: ${item.tool}`,
        detail: {
          server: item.server,
          tool: item.tool,
          arguments: item.arguments,
          result: item.result,
          error: item.error
        },
        end: endOf(item.status)
      }
    case "dynamicToolCall":
      return {
        kind: "tool_call",
        title: item.tool,
        detail: { tool: item.tool, arguments: item.arguments, content: item.contentItems },
        end: endOf(item.status)
      }
    case "collabAgentToolCall":
      return { kind: "tool_call", title: item.tool, detail: { prompt: item.prompt }, end: endOf(item.status) }
    case "imageView":
      return { kind: "tool_call", title: item.path, detail: { path: item.path } }
    case "webSearch":
      return { kind: "web_search", title: item.query, detail: { query: item.query, action: item.action } }
    case "contextCompaction":
      return { kind: "notice", title: "Codex shortened its memory of the conversation", detail: {} }
    default:
      return { kind: "unknown", title: item.type, detail: {} }
  }
}

type ItemOf<Type extends Protocol.ThreadItem["type"]> = Extract<Protocol.ThreadItem, { type: Type }>

export const reasoningText = (item: ItemOf<"reasoning">): string =>
  (item.summary.length > 0 ? item.summary : item.content).join(partSeparator)

/** `command` has the shell around it; the single action inside is what people recognise. */
const describeCommand = (item: ItemOf<"commandExecution">): Described => {
  const [action, ...others] = item.commandActions
  return {
    kind: "command",
    title: action !== undefined && others.length === 0 ? action.command : item.command,
    detail: { command: item.command, cwd: item.cwd, exitCode: item.exitCode, durationMs: item.durationMs },
    text: item.aggregatedOutput,
    end: endOf(item.status)
  }
}

/** The diffs come with the end only: they would be stored twice. */
const describeFileChange = (item: ItemOf<"fileChange">, done: boolean): Described => ({
  kind: "file_change",
  title: item.changes.map((change) => change.path).join(", "),
  detail: { changes: done ? item.changes : item.changes.map(({ path, kind }) => ({ path, kind })) },
  end: endOf(item.status)
})

const endOf = (status: "inProgress" | "interrupted" | ItemEnd): ItemEnd => {
  if (status === "inProgress") return "completed"
  return status === "interrupted" ? "failed" : status
}
