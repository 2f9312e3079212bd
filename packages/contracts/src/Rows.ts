/**
 * What a client sees of the tables: the rows of the sidebar and of one opened thread.
 *
 * Fields are only ever added. Enumerations are tolerant: a member that a client does not know reads as
 * `unknown`.
 */
import {
  Generation,
  MessageId,
  Millis,
  ProjectId,
  ProviderInstanceId,
  ProviderTurnId,
  RequestId,
  ThreadId,
  TurnId
} from "@turnkeeper/domain/ids"
import { Ask, ItemDetail, ItemKind, RequestKind } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Attachment, Delivery, InteractionMode, RuntimeMode } from "@turnkeeper/domain/thread/Command"
import { Answer, StopCause, StopStep } from "@turnkeeper/domain/thread/Event"
import {
  Delivered,
  ItemStatus,
  RequestStatus,
  SessionStatus,
  TurnState
} from "@turnkeeper/domain/thread/lifecycle"
import { Schema } from "effect"
import { tolerant } from "./Tolerant.ts"
import { TurnUsage } from "./TurnUsage.ts"

const sessionStatus = tolerant(SessionStatus)
const turnState = tolerant(TurnState)
const delivered = Schema.NullOr(tolerant(Delivered))
const text = Schema.NullOr(Schema.String)
const time = Schema.NullOr(Millis)
const recovering = Schema.NullOr(
  Schema.Struct({
    message: Schema.String,
    attempt: Schema.NullOr(Schema.Int),
    limit: Schema.NullOr(Schema.Int)
  })
)

export const ProjectRow = Schema.Struct({
  projectId: ProjectId,
  title: Schema.String,
  directory: Schema.String,
  createdAt: Millis,
  updatedAt: Millis
})
export type ProjectRow = typeof ProjectRow.Type

const quiet = Schema.NullOr(tolerant(Schema.Literals(["asking", "alive", "unknown"])))
/** Since when the turn has said nothing; null while it is not quiet. An older server leaves it out. */
const quietSince = Schema.optionalKey(time)

/** One line of the sidebar: all that it shows, without opening the thread. */
export const ThreadRow = Schema.Struct({
  threadId: ThreadId,
  projectId: ProjectId,
  title: Schema.String,
  provider: ProviderInstanceId,
  model: text,
  runtimeMode: tolerant(RuntimeMode),
  interactionMode: tolerant(InteractionMode),
  /** Where the provider works; null: the project's directory. */
  cwd: text,
  archivedAt: time,
  deletedAt: time,
  sessionStatus,
  lastError: text,
  recovering,
  /** Who asked for the session's end that is not yet proven. */
  stopping: Schema.NullOr(tolerant(StopCause)),
  latestTurn: Schema.NullOr(Schema.Struct({ turnId: TurnId, state: turnState, delivered })),
  /** The turn that runs: since when, whether its end was asked for, and whether it has gone quiet. */
  activeTurn: Schema.NullOr(
    Schema.Struct({ turnId: TurnId, startedAt: time, interruptAskedAt: time, quiet, quietSince })
  ),
  openRequests: Schema.Int,
  queuedTurns: Schema.Int,
  /** Of the newest event that `isActivity` says is one. */
  lastActivityAt: Millis,
  createdAt: Millis,
  /** Version of the thread's log that this row shows. */
  version: Schema.Int
})
export type ThreadRow = typeof ThreadRow.Type

export const SessionRow = Schema.Struct({
  threadId: ThreadId,
  status: sessionStatus,
  generation: Generation,
  provider: Schema.NullOr(ProviderInstanceId),
  activeTurnId: Schema.NullOr(TurnId),
  lastError: text,
  recovering,
  stopping: Schema.NullOr(Schema.Struct({ by: tolerant(StopCause), step: tolerant(StopStep) })),
  updatedAt: Millis
})
export type SessionRow = typeof SessionRow.Type

export const TurnRow = Schema.Struct({
  turnId: TurnId,
  threadId: ThreadId,
  messageId: Schema.NullOr(MessageId),
  origin: tolerant(Schema.Literals(["user", "provider"])),
  state: turnState,
  providerTurnId: Schema.NullOr(ProviderTurnId),
  delivery: tolerant(Delivery),
  /** Once settled: whether the provider got the message, as far as it can be proven. */
  delivered,
  reason: text,
  /** The turn this one's message went into, when steered. */
  into: Schema.NullOr(TurnId),
  interruptAskedAt: time,
  quiet,
  quietSince,
  retryOf: Schema.NullOr(TurnId),
  provider: ProviderInstanceId,
  model: text,
  runtimeMode: tolerant(RuntimeMode),
  interactionMode: tolerant(InteractionMode),
  queuedAt: Millis,
  startedAt: time,
  settledAt: time,
  /** What the provider reported so far, added up; null: nothing. An older server leaves it out. */
  usage: Schema.optionalKey(Schema.NullOr(TurnUsage)),
  /** Order in the thread. Queued turns run in this order. */
  ordinal: Schema.Number
})
export type TurnRow = typeof TurnRow.Type

/** A prompt, an answer or its reasoning. `text` of an open one is what came so far. */
export const MessageEntry = Schema.Struct({
  type: Schema.tag("message"),
  /** The message id of a prompt, the item id of everything else. */
  id: Schema.String,
  threadId: ThreadId,
  turnId: Schema.NullOr(TurnId),
  role: tolerant(Schema.Literals(["user", "assistant", "reasoning"])),
  status: tolerant(ItemStatus),
  text: Schema.String,
  attachments: Schema.Array(Attachment),
  position: Schema.Int,
  createdAt: Millis,
  completedAt: time
})
export type MessageEntry = typeof MessageEntry.Type

/** `text` leaves out `length` UTF-16 units at `from`. */
export const Omitted = Schema.Struct({ from: Schema.Int, length: Schema.Int })
export type Omitted = typeof Omitted.Type

/** Every other unit of work, and notices. */
export const ItemEntry = Schema.Struct({
  type: Schema.tag("item"),
  id: Schema.String,
  threadId: ThreadId,
  turnId: Schema.NullOr(TurnId),
  kind: tolerant(ItemKind),
  title: Schema.String,
  detail: ItemDetail,
  status: tolerant(ItemStatus),
  text: Schema.String,
  /** There where `text` is but the beginning and the end of a long one; `orchestration.itemText` has it whole. */
  omitted: Schema.optionalKey(Omitted),
  position: Schema.Int,
  createdAt: Millis,
  completedAt: time
})
export type ItemEntry = typeof ItemEntry.Type

/** What a thread's page is made of, in the order of `position`: the version of the event that made it. */
export const Entry = Schema.Union([MessageEntry, ItemEntry])
export type Entry = typeof Entry.Type

export const RequestRow = Schema.Struct({
  requestId: RequestId,
  threadId: ThreadId,
  turnId: TurnId,
  kind: tolerant(RequestKind),
  ask: Ask,
  status: tolerant(RequestStatus),
  answer: Schema.NullOr(Answer),
  /** Name of the credential that gave the answer; null: the owner's own has none. An older server leaves it out. */
  answeredBy: Schema.optionalKey(text),
  reason: text,
  openedAt: Millis,
  closedAt: time
})
export type RequestRow = typeof RequestRow.Type
