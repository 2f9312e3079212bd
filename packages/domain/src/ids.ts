/**
 * Identities. A client makes the ids of what it asks for (thread, turn, message, command), so that a
 * repeated request is recognisable; everything that follows from them is derived, never drawn.
 */
import { Schema } from "effect"

/** 1 to 128 characters of an alphabet that is safe in URLs, file names and logs. */
const id = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._:/#@-]{0,127}$/))

export const ProjectId = id.pipe(Schema.brand("ProjectId"))
export type ProjectId = typeof ProjectId.Type

export const ThreadId = id.pipe(Schema.brand("ThreadId"))
export type ThreadId = typeof ThreadId.Type

export const TurnId = id.pipe(Schema.brand("TurnId"))
export type TurnId = typeof TurnId.Type

export const MessageId = id.pipe(Schema.brand("MessageId"))
export type MessageId = typeof MessageId.Type

export const CommandId = id.pipe(Schema.brand("CommandId"))
export type CommandId = typeof CommandId.Type

/** One configured provider, e.g. `codex` or `codex-work`. */
export const ProviderInstanceId = id.pipe(Schema.brand("ProviderInstanceId"))
export type ProviderInstanceId = typeof ProviderInstanceId.Type

/** A unit of provider work: `<turn>/<ordinal in the turn>`. Ours, because providers repeat theirs. */
export const ItemId = Schema.String.pipe(Schema.brand("ItemId"))
export type ItemId = typeof ItemId.Type

/** Something the provider waits for: `<generation>/<the provider's own key>`. */
export const RequestId = Schema.String.pipe(Schema.brand("RequestId"))
export type RequestId = typeof RequestId.Type

/** The provider's own name for a turn. Opaque. */
export const ProviderTurnId = Schema.String.pipe(Schema.brand("ProviderTurnId"))
export type ProviderTurnId = typeof ProviderTurnId.Type

/** The incarnation of a thread's session: 0 before the first start, then 1, 2, 3 … */
export const Generation = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
export type Generation = typeof Generation.Type

/** Milliseconds since 1970 on the server's wall clock. For people; no rule depends on their differences. */
export const Millis = Schema.Finite
export type Millis = typeof Millis.Type
