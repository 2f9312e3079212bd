/**
 * How a call ends beside the typed errors of contracts: what the client itself knows. Like those, they
 * are told apart by `_tag`.
 */
import type { DispatchFailure } from "@turnkeeper/contracts/Errors"
import { Schema } from "effect"
import { BlockedReason } from "./Connection.ts"

/** There is no connection. Nothing was sent. */
export class NotConnected extends Schema.TaggedError<NotConnected>()("NotConnected", {}) {}

/** The connection ended before the answer came: it may have been done or not. */
export class ConnectionLost extends Schema.TaggedError<ConnectionLost>()("ConnectionLost", {}) {}

/** The server can not be used until somebody does something about the reason. Nothing was sent. */
export class Blocked extends Schema.TaggedError<Blocked>()("Blocked", { reason: BlockedReason }) {}

/** The client was closed. A kept command is still in the storage of the outbox. */
export class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}

/** The command was taken out of the outbox by the user before the server had it. */
export class Discarded extends Schema.TaggedError<Discarded>()("Discarded", {}) {}

/** The outbox holds no such command that could be sent again: it was accepted, discarded, or is on its way. */
export class NotInOutbox extends Schema.TaggedError<NotInOutbox>()("NotInOutbox", {}) {}

/** Too much waits to be sent already. This command was not taken. */
export class OutboxFull extends Schema.TaggedError<OutboxFull>()("OutboxFull", {
  limit: Schema.Int
}) {}

/** The command was made for another database than the one that answers now. It was not sent. */
export class OtherDatabase extends Schema.TaggedError<OtherDatabase>()("OtherDatabase", {}) {}

/** The server broke while it answered; its log says how. Whether something was done is not known. */
export class ServerBroken extends Schema.TaggedError<ServerBroken>()("ServerBroken", {}) {}

/** What any call may end with on this side of the socket. */
export type LinkFailure = NotConnected | ConnectionLost | Blocked | Closed | ServerBroken

/** Why a command was not accepted. */
export type DispatchFailed =
  | LinkFailure
  | Discarded
  | NotInOutbox
  | OutboxFull
  | OtherDatabase
  | DispatchFailure
