/**
 * What has happened to a thread. These shapes are the storage format: add a variant or an optional
 * field freely, never change the meaning of one that has been written.
 *
 * `text.appended` alone is not stored in the log: it goes to the text journal, and the item's
 * completion carries the whole text.
 */
import { Schema } from "effect"
import {
  Generation,
  ItemId,
  MessageId,
  Millis,
  ProjectId,
  ProviderInstanceId,
  ProviderTurnId,
  RequestId,
  TurnId
} from "../ids.ts"
import {
  Ask,
  Decision,
  ItemDetail,
  ItemKind,
  RequestKind,
  TurnOutcome,
  Usage
} from "../runtime/ProviderEvent.ts"
import { Attachment, Delivery, InteractionMode, RuntimeMode } from "./Command.ts"
import { Delivered, ItemStatus, SettledTurnState } from "./lifecycle.ts"

const of = <const Type extends string, const Fields extends Schema.Struct.Fields>(
  type: Type,
  fields: Fields
) =>
  Schema.Struct({
    type: Schema.tag(type),
    ...fields,
    /** The number of the provider event that this follows from: the fence against copies (L10). */
    seq: Schema.optionalKey(Schema.Int)
  })

const message = Schema.String

/** Who wants the session to end. Only the user's own stop is answered with a failure (L9); the others escalate. */
export const StopCause = Schema.Literals(["user", "interrupt", "doubt", "switch", "deleted"])
export type StopCause = typeof StopCause.Type

export const StopStep = Schema.Literals(["stop", "kill"])
export type StopStep = typeof StopStep.Type

export const Resume = Schema.Struct({ provider: ProviderInstanceId, cursor: Schema.String })
export type Resume = typeof Resume.Type

/** How a session came to its end. `gone`: the provider does not know it; `lost`: our own process ended around it. */
export const SessionEnd = Schema.Literals(["asked", "clean", "crash", "gone", "lost", "start_failed"])
export type SessionEnd = typeof SessionEnd.Type

export const Answer = Schema.Struct({
  decision: Schema.NullOr(Decision),
  answers: Schema.Record(Schema.String, Schema.Array(Schema.String))
})
export type Answer = typeof Answer.Type

export const ThreadEvent = Schema.Union([
  of("thread.created", {
    projectId: ProjectId,
    title: Schema.String,
    provider: ProviderInstanceId,
    model: Schema.NullOr(Schema.String),
    runtimeMode: RuntimeMode,
    interactionMode: InteractionMode,
    cwd: Schema.NullOr(Schema.String)
  }),
  of("thread.updated", {
    title: Schema.optionalKey(Schema.String),
    provider: Schema.optionalKey(ProviderInstanceId),
    model: Schema.optionalKey(Schema.NullOr(Schema.String)),
    runtimeMode: Schema.optionalKey(RuntimeMode),
    interactionMode: Schema.optionalKey(InteractionMode)
  }),
  of("thread.archived", {}),
  of("thread.unarchived", {}),
  of("thread.deleted", {}),

  of("turn.queued", {
    turnId: TurnId,
    messageId: MessageId,
    text: Schema.String,
    attachments: Schema.Array(Attachment),
    delivery: Delivery,
    provider: ProviderInstanceId,
    model: Schema.NullOr(Schema.String),
    runtimeMode: RuntimeMode,
    interactionMode: InteractionMode,
    /** The turn whose interruption this one asked for; it goes right behind that one. */
    interrupts: Schema.NullOr(TurnId),
    retryOf: Schema.NullOr(TurnId),
    at: Millis
  }),
  of("turn.edited", { turnId: TurnId, text: Schema.String }),
  of("turn.reordered", { turnId: TurnId, before: Schema.NullOr(TurnId) }),
  /** The marker: committed before the provider is called. `into`: the running turn this one steers. */
  of("turn.send_started", { turnId: TurnId, generation: Generation, into: Schema.NullOr(TurnId) }),
  /** The outcome of the send is not known. */
  of("turn.send_doubted", { turnId: TurnId, reason: message }),
  /** Proven not delivered (or not steered): waits for its turn again. */
  of("turn.requeued", { turnId: TurnId, reason: message }),
  of("turn.started", { turnId: TurnId, providerTurnId: Schema.NullOr(ProviderTurnId) }),
  /** The provider works by itself: a turn with origin `provider`. */
  of("turn.adopted", { turnId: TurnId, providerTurnId: ProviderTurnId }),
  of("turn.referenced", { turnId: TurnId, providerTurnId: ProviderTurnId }),
  of("turn.interrupt_requested", { turnId: TurnId, by: Schema.NullOr(TurnId) }),
  of("turn.interrupt_accepted", { turnId: TurnId }),
  /** The interrupt did not help; what follows is the session's stop. */
  of("turn.interrupt_escalated", { turnId: TurnId, reason: message }),
  of("turn.interrupt_failed", { turnId: TurnId, reason: message }),
  of("turn.error_noted", { turnId: TurnId, message }),
  /**
   * `asking`: is it alive? `alive`: the provider says so. `unknown`: could not be asked. null: it speaks again.
   * `silentMs`: how long it had said nothing by then; absent where nobody counted.
   */
  of("turn.quiet", {
    turnId: TurnId,
    quiet: Schema.NullOr(Schema.Literals(["asking", "alive", "unknown"])),
    silentMs: Schema.optionalKey(Schema.Int)
  }),
  of("turn.settled", {
    turnId: TurnId,
    state: SettledTurnState,
    reason: Schema.NullOr(message),
    delivery: Delivered,
    /** The turn this one's message went into, when steered. */
    into: Schema.NullOr(TurnId)
  }),
  /** A provider turn that is not ours to settle started or ended; kept in mind, for it may turn out to be ours. */
  of("provider_turn.heard", {
    providerTurnId: ProviderTurnId,
    turnId: Schema.NullOr(TurnId),
    ended: Schema.NullOr(Schema.Struct({ outcome: TurnOutcome, message: Schema.NullOr(message) }))
  }),

  of("session.starting", {
    generation: Generation,
    provider: ProviderInstanceId,
    turnId: Schema.NullOr(TurnId)
  }),
  of("session.started", { generation: Generation, resume: Schema.NullOr(Schema.String) }),
  of("session.resume_changed", { resume: Schema.String }),
  of("session.recovering", {
    message,
    attempt: Schema.NullOr(Schema.Int),
    limit: Schema.NullOr(Schema.Int)
  }),
  of("session.recovered", {}),
  of("session.stop_asked", { by: StopCause, step: StopStep }),
  /** The session stays as it is; `lastError` says so (L9). */
  of("session.stop_failed", { message }),
  of("session.stopped", { generation: Generation, end: SessionEnd, message: Schema.NullOr(message) }),

  of("item.started", {
    itemId: ItemId,
    turnId: TurnId,
    providerItemId: Schema.String,
    kind: ItemKind,
    title: Schema.String,
    detail: ItemDetail
  }),
  of("item.updated", { itemId: ItemId, detail: ItemDetail }),
  of("text.appended", { itemId: ItemId, offset: Schema.Int, text: Schema.String }),
  /** Carries the whole text: what the journal held until now. `detail` replaces the earlier one where given. */
  of("item.completed", {
    itemId: ItemId,
    turnId: TurnId,
    kind: ItemKind,
    status: ItemStatus,
    text: Schema.String,
    title: Schema.optionalKey(Schema.String),
    detail: Schema.optionalKey(ItemDetail),
    reason: Schema.optionalKey(message)
  }),

  of("request.opened", { requestId: RequestId, turnId: TurnId, kind: RequestKind, ask: Ask }),
  of("request.answered", { requestId: RequestId, answer: Answer }),
  /** The answer could not be passed on; the request is open again. */
  of("request.answer_failed", { requestId: RequestId, message }),
  of("request.closed", {
    requestId: RequestId,
    turnId: TurnId,
    status: Schema.Literals(["answered", "expired"]),
    reason: Schema.NullOr(message)
  }),

  of("usage.reported", { turnId: TurnId, usage: Usage }),
  of("notice.recorded", { turnId: Schema.NullOr(TurnId), message })
]).pipe(Schema.toTaggedUnion("type"))
export type ThreadEvent = typeof ThreadEvent.Type
export type ThreadEventType = ThreadEvent["type"]
export type EventOf<Type extends ThreadEventType> = Extract<ThreadEvent, { readonly type: Type }>

/** True for what goes to the text journal instead of the log. */
export const isStreamed = (event: ThreadEvent): event is EventOf<"text.appended"> =>
  event.type === "text.appended"
