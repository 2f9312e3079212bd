/**
 * How a call is refused or fails, beside the rejections of the domain. A client acts on `_tag` and fields;
 * nobody has to read a text to know what happened.
 */
import { ProjectRejection } from "@turnkeeper/domain/project/Project"
import { CommandIdReused } from "@turnkeeper/domain/receipt"
import { ThreadNotFound, ThreadRejection } from "@turnkeeper/domain/thread/Command"
import { Schema, SchemaGetter } from "effect"
import { Issue } from "./Checked.ts"
import { Scope } from "./Scope.ts"
import { ProtocolRange } from "./Version.ts"

/** The command id was used before, with another body (L11). Nothing was done. */
export { CommandIdReused }

export class UnsupportedProtocol extends Schema.TaggedError<UnsupportedProtocol>()("UnsupportedProtocol", {
  client: ProtocolRange,
  server: ProtocolRange
}) {}

/** The database did not take it; nothing was done. `retryable`: the same command may be sent again later. */
export class StorageUnavailable extends Schema.TaggedError<StorageUnavailable>()("StorageUnavailable", {
  retryable: Schema.Boolean
}) {}

/** More is waiting than the server holds; nothing was done. Send the same command again later. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {
  what: Schema.String,
  limit: Schema.Int
}) {}

export class TooManySubscriptions extends Schema.TaggedError<TooManySubscriptions>()("TooManySubscriptions", {
  limit: Schema.Int
}) {}

/** The payload does not fit its schema. `issues` says where and why, without the values. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  issues: Schema.Array(Issue)
}) {}

/** Too large for an answer, or nested too deep. */
export class PayloadTooLarge extends Schema.TaggedError<PayloadTooLarge>()("PayloadTooLarge", {
  limit: Schema.Int
}) {}

/** No credential, or a wrong one. Answered before the connection exists, with HTTP status 401. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}) {}

/** `Origin` or `Host` is not on the allow-list. Answered with HTTP status 403. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {
  header: Schema.Literals(["origin", "host"])
}) {}

/** The credential is good, but not for this: it would have to have this scope. Nothing was done. */
export class NotAllowed extends Schema.TaggedError<NotAllowed>()("NotAllowed", { needs: Scope }) {}

/** The pairing code was used before, or its time is over. Answered with HTTP status 401. */
export class PairingCodeNotValid extends Schema.TaggedError<PairingCodeNotValid>()(
  "PairingCodeNotValid",
  {}
) {}

/** There is no such directory, or it cannot be read. */
export class DirectoryUnreadable extends Schema.TaggedError<DirectoryUnreadable>()("DirectoryUnreadable", {
  path: Schema.String,
  reason: Schema.Literals(["missing", "not_a_directory", "not_allowed", "failed"])
}) {}

/** On the client's side only: the server refused with a tag that this build does not know. */
export class UnknownFailure extends Schema.TaggedError<UnknownFailure>()("UnknownFailure", {
  tag: Schema.String
}) {}

const AnyOtherTag = Schema.Struct({ _tag: Schema.String }).pipe(
  Schema.decodeTo(Schema.declare(Schema.is(UnknownFailure)), {
    decode: SchemaGetter.transform(({ _tag }) => new UnknownFailure({ tag: _tag })),
    encode: SchemaGetter.transform(({ tag }) => ({ _tag: tag }))
  })
)

const tolerant = <S extends Schema.Codec<{ readonly _tag: string }, { readonly _tag: string }>>(union: S) =>
  Schema.Union([union, AnyOtherTag])

/** What any call may be answered with. */
export const CallFailure = Schema.Union([
  InvalidRequest,
  NotAllowed,
  Overloaded,
  TooManySubscriptions,
  PayloadTooLarge
])

export const HelloFailure = tolerant(
  Schema.Union([UnsupportedProtocol, StorageUnavailable, ...CallFailure.members])
)
export type HelloFailure = typeof HelloFailure.Type

/** The rules said no: asking again without a change gives the same answer. */
export const Rejection = Schema.Union([
  ...ThreadRejection.members,
  ...ProjectRejection.members,
  CommandIdReused
])
export type Rejection = typeof Rejection.Type
export const isRejection = Schema.is(Rejection)

export const DispatchFailure = tolerant(
  Schema.Union([...Rejection.members, StorageUnavailable, ...CallFailure.members])
)
export type DispatchFailure = typeof DispatchFailure.Type

export const ReadFailure = tolerant(
  Schema.Union([ThreadNotFound, StorageUnavailable, ...CallFailure.members])
)
export type ReadFailure = typeof ReadFailure.Type

export const BrowseFailure = tolerant(Schema.Union([DirectoryUnreadable, ...CallFailure.members]))
export type BrowseFailure = typeof BrowseFailure.Type
