/**
 * What a user may ask of a thread, and the ways in which it is refused.
 *
 * A command is complete: identities and the time are in it, so deciding it needs nothing else.
 */
import { Schema } from "effect"
import { CommandId, MessageId, ProjectId, ProviderInstanceId, RequestId, ThreadId, TurnId } from "../ids.ts"
import type { Millis } from "../ids.ts"
import { Decision } from "../runtime/ProviderEvent.ts"
import { limits } from "./lifecycle.ts"

export const Delivery = Schema.Literals(["queue", "steer", "interrupt"])
export type Delivery = typeof Delivery.Type

/** How freely the provider may act without asking. */
export const RuntimeMode = Schema.Literals(["read_only", "approval_required", "full_access"])
export type RuntimeMode = typeof RuntimeMode.Type

export const InteractionMode = Schema.Literals(["default", "plan"])
export type InteractionMode = typeof InteractionMode.Type

export const Text = Schema.String.check(Schema.isMaxLength(limits.promptLength))

export const Attachment = Schema.Struct({
  name: Schema.String.check(Schema.isMaxLength(256)),
  mediaType: Schema.String.check(Schema.isMaxLength(128)),
  /** Address of the stored bytes, or an absolute path the server may read. */
  source: Schema.String.check(Schema.isMaxLength(4096))
})
export type Attachment = typeof Attachment.Type

const title = Schema.String.check(Schema.isMaxLength(limits.titleLength))
const model = Schema.NullOr(Schema.String.check(Schema.isMaxLength(128)))
const path = Schema.NullOr(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(4096)))

export const NewThread = Schema.Struct({
  projectId: ProjectId,
  title,
  provider: ProviderInstanceId,
  model: Schema.optionalKey(model),
  runtimeMode: Schema.optionalKey(RuntimeMode),
  interactionMode: Schema.optionalKey(InteractionMode),
  /** Where the provider works; the project's directory when absent. */
  cwd: Schema.optionalKey(path)
})
export type NewThread = typeof NewThread.Type

const of = <const Type extends string, const Fields extends Schema.Struct.Fields>(
  type: Type,
  fields: Fields
) => Schema.Struct({ type: Schema.tag(type), commandId: CommandId, threadId: ThreadId, ...fields })

export const ThreadCommand = Schema.Union([
  of("thread.create", NewThread.fields),
  of("thread.update", {
    title: Schema.optionalKey(title),
    provider: Schema.optionalKey(ProviderInstanceId),
    model: Schema.optionalKey(model),
    runtimeMode: Schema.optionalKey(RuntimeMode),
    interactionMode: Schema.optionalKey(InteractionMode)
  }),
  of("thread.archive", {}),
  of("thread.unarchive", {}),
  of("thread.delete", {}),
  of("thread.turn.start", {
    turnId: TurnId,
    messageId: MessageId,
    text: Text,
    attachments: Schema.optionalKey(Schema.Array(Attachment).check(Schema.isMaxLength(20))),
    delivery: Schema.optionalKey(Delivery),
    /** Absent: what the thread says. */
    provider: Schema.optionalKey(ProviderInstanceId),
    model: Schema.optionalKey(model),
    runtimeMode: Schema.optionalKey(RuntimeMode),
    interactionMode: Schema.optionalKey(InteractionMode),
    /** Makes the thread in the same commit: a first message is one command. */
    createThread: Schema.optionalKey(NewThread)
  }),
  /** Without a turn id: the turn that runs or is being sent. */
  of("thread.turn.interrupt", { turnId: Schema.optionalKey(TurnId) }),
  /** Asks the provider at once whether it is at work on the turn that runs, instead of after its silence. */
  of("thread.turn.check", { turnId: TurnId }),
  of("thread.turn.retry", { turnId: TurnId, newTurnId: TurnId, newMessageId: MessageId }),
  of("thread.turn.edit", { turnId: TurnId, text: Text }),
  /** Puts a queued turn right before another queued one, or last. */
  of("thread.turn.reorder", { turnId: TurnId, before: Schema.NullOr(TurnId) }),
  of("thread.request.answer", {
    requestId: RequestId,
    decision: Schema.optionalKey(Decision),
    answers: Schema.optionalKey(Schema.Record(Schema.String, Schema.Array(Schema.String)))
  }),
  /** `force` goes straight to ending the provider's process. */
  of("thread.session.stop", { force: Schema.optionalKey(Schema.Boolean) })
]).pipe(Schema.toTaggedUnion("type"))
export type ThreadCommand = typeof ThreadCommand.Type

/**
 * What the tables know that the open state does not: looked up by key before a command is decided,
 * because a thread's state holds only what is not yet settled.
 */
export interface Facts {
  /** The wall clock, for stamps only. */
  readonly now: Millis
  /** The turn id, or new turn id, of the command was used before in this thread. */
  readonly turnIdTaken: boolean
  /** The settled turn that a retry names. */
  readonly retryOf: SettledTurn | null
}

export interface SettledTurn {
  readonly turnId: TurnId
  readonly text: string
  readonly attachments: ReadonlyArray<Attachment>
  readonly provider: ProviderInstanceId
  readonly model: string | null
  readonly runtimeMode: RuntimeMode
  readonly interactionMode: InteractionMode
}

export class ThreadNotFound extends Schema.TaggedError<ThreadNotFound>()("ThreadNotFound", {
  threadId: ThreadId
}) {}
export class ThreadAlreadyExists extends Schema.TaggedError<ThreadAlreadyExists>()("ThreadAlreadyExists", {
  threadId: ThreadId
}) {}
export class ThreadArchived extends Schema.TaggedError<ThreadArchived>()("ThreadArchived", {
  threadId: ThreadId
}) {}
export class TurnIdTaken extends Schema.TaggedError<TurnIdTaken>()("TurnIdTaken", { turnId: TurnId }) {}
export class TurnNotFound extends Schema.TaggedError<TurnNotFound>()("TurnNotFound", { turnId: TurnId }) {}
/** The turn has settled, or nothing runs: there is nothing to interrupt. */
export class NothingToInterrupt extends Schema.TaggedError<NothingToInterrupt>()("NothingToInterrupt", {
  threadId: ThreadId
}) {}
/** Only the turn that runs can be asked after. */
export class TurnNotRunning extends Schema.TaggedError<TurnNotRunning>()("TurnNotRunning", {
  turnId: TurnId
}) {}
/** Only a turn that is still queued can be edited or moved. */
export class TurnNotQueued extends Schema.TaggedError<TurnNotQueued>()("TurnNotQueued", { turnId: TurnId }) {}
/** Only a settled turn can be retried. */
export class TurnNotSettled extends Schema.TaggedError<TurnNotSettled>()("TurnNotSettled", {
  turnId: TurnId
}) {}
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", { limit: Schema.Int }) {}
export class EmptyMessage extends Schema.TaggedError<EmptyMessage>()("EmptyMessage", { turnId: TurnId }) {}
/** The request was answered, has expired or never was. */
export class RequestNotOpen extends Schema.TaggedError<RequestNotOpen>()("RequestNotOpen", {
  requestId: RequestId
}) {}
/** The decision is not among those offered, or a question is left out. */
export class AnswerNotOffered extends Schema.TaggedError<AnswerNotOffered>()("AnswerNotOffered", {
  requestId: RequestId
}) {}

export const ThreadRejection = Schema.Union([
  ThreadNotFound,
  ThreadAlreadyExists,
  ThreadArchived,
  TurnIdTaken,
  TurnNotFound,
  NothingToInterrupt,
  TurnNotRunning,
  TurnNotQueued,
  TurnNotSettled,
  QueueFull,
  EmptyMessage,
  RequestNotOpen,
  AnswerNotOffered
])
export type ThreadRejection = typeof ThreadRejection.Type
