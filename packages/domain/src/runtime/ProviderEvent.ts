/**
 * What any provider may say, in our words. Adapters translate into these and into nothing else.
 *
 * An event says which of the provider's turns it belongs to; which of *our* turns that is, and whether
 * it still matters, is the kernel's business (`observe`). `providerTurnId: null` means the provider did
 * not name a turn: such an event never settles one (L4).
 */
import { Schema } from "effect"
import { ProviderTurnId, TurnId } from "../ids.ts"

const of = <const Type extends string, const Fields extends Schema.Struct.Fields>(
  type: Type,
  fields: Fields
) => Schema.Struct({ type: Schema.tag(type), ...fields })

const providerTurnId = Schema.NullOr(ProviderTurnId)
/** The provider's own id of the item. May repeat inside a turn once the earlier one has completed. */
const providerItemId = Schema.String

export const ItemKind = Schema.Literals([
  "assistant_message",
  "reasoning",
  "command",
  "file_change",
  "tool_call",
  "web_search",
  "plan",
  "notice",
  "unknown"
])
export type ItemKind = typeof ItemKind.Type

/** What a card shows of an item beside its text: bounded, JSON, for display only. */
export const ItemDetail = Schema.Record(Schema.String, Schema.Unknown)
export type ItemDetail = typeof ItemDetail.Type

export const ItemEnd = Schema.Literals(["completed", "failed", "declined"])
export type ItemEnd = typeof ItemEnd.Type

export const TurnOutcome = Schema.Literals(["completed", "failed", "interrupted"])
export type TurnOutcome = typeof TurnOutcome.Type

export const Decision = Schema.Literals(["accept", "accept_for_session", "decline", "cancel"])
export type Decision = typeof Decision.Type

export const RequestKind = Schema.Literals([
  "command_approval",
  "file_change_approval",
  "permission",
  "question"
])
export type RequestKind = typeof RequestKind.Type

export const Question = Schema.Struct({
  id: Schema.String,
  question: Schema.String,
  options: Schema.Array(
    Schema.Struct({ label: Schema.String, description: Schema.optionalKey(Schema.String) })
  )
})
export type Question = typeof Question.Type

/** What the user is asked. `decisions` are those the provider really offers, in its order. */
export const Ask = Schema.Struct({
  title: Schema.String,
  detail: ItemDetail,
  decisions: Schema.Array(Decision),
  questions: Schema.Array(Question)
})
export type Ask = typeof Ask.Type

/** Finite: the log is JSON, which would turn any other number into null and the thread unreadable. */
export const Usage = Schema.Struct({
  inputTokens: Schema.Finite,
  cachedInputTokens: Schema.Finite,
  outputTokens: Schema.Finite,
  reasoningTokens: Schema.Finite,
  costUsd: Schema.optionalKey(Schema.Finite)
})
export type Usage = typeof Usage.Type

export const ProviderEvent = Schema.Union([
  /** The cursor with which this conversation can be resumed later; replaces the one before. */
  of("resume.changed", { resume: Schema.String }),
  /** The last event of a stream, exactly once. `clean`: it was asked to end or ended by itself in order. */
  of("session.exited", { clean: Schema.Boolean, message: Schema.NullOr(Schema.String) }),
  /** `turnId` where the adapter knows that this turn carries our message. */
  of("turn.started", { providerTurnId: ProviderTurnId, turnId: Schema.NullOr(TurnId) }),
  of("turn.completed", { providerTurnId, outcome: TurnOutcome, message: Schema.NullOr(Schema.String) }),
  of("turn.aborted", { providerTurnId, message: Schema.NullOr(Schema.String) }),
  of("item.started", {
    providerTurnId,
    providerItemId,
    kind: ItemKind,
    title: Schema.String,
    detail: ItemDetail
  }),
  of("item.updated", { providerTurnId, providerItemId, detail: ItemDetail }),
  /** `text`: the whole final text where the item has one; null keeps what was streamed. */
  of("item.completed", {
    providerTurnId,
    providerItemId,
    kind: ItemKind,
    title: Schema.String,
    end: ItemEnd,
    text: Schema.NullOr(Schema.String),
    detail: ItemDetail
  }),
  /** More text of an open item. `offset`, in UTF-16 units, where the provider gives one. */
  of("text.delta", {
    providerTurnId,
    providerItemId,
    text: Schema.String,
    offset: Schema.optionalKey(Schema.Int)
  }),
  of("request.opened", {
    providerTurnId,
    requestKey: Schema.String,
    kind: RequestKind,
    ask: Ask
  }),
  /** The provider closed the request by itself, or confirms an answer. */
  of("request.resolved", { requestKey: Schema.String }),
  /** The provider is retrying by itself; nothing has ended (L6). */
  of("error.transient", {
    providerTurnId,
    message: Schema.String,
    attempt: Schema.NullOr(Schema.Int),
    limit: Schema.NullOr(Schema.Int)
  }),
  /** The turn is going to fail; its terminal event is still to come. */
  of("error.final", { providerTurnId, message: Schema.String }),
  of("usage", { providerTurnId, usage: Usage }),
  /** A sentence of the provider for the user: a warning, a notice. Bounded. */
  of("notice", { message: Schema.String }),
  /** A native message this adapter does not know. Counted, kept in the native log, harmless. */
  of("unknown", { method: Schema.String })
]).pipe(Schema.toTaggedUnion("type"))
export type ProviderEvent = typeof ProviderEvent.Type

/** One event of a live stream: `seq` counts 1, 2, 3 … within the generation. */
export interface Numbered {
  readonly seq: number
  readonly event: ProviderEvent
}
