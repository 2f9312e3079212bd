/**
 * What a client says about its connection.
 *
 *     connecting ──▶ catching up ──▶ live
 *         ▲               │            │ lost
 *         └── offline ◀───┴────────────┘      any ──▶ blocked   any ──▶ closed
 */
import { ProtocolRange } from "@turnkeeper/contracts/Version"
import { Schema } from "effect"

/** Why it is of no use to try again by itself, and what has to be done. */
export const BlockedReason = Schema.Union([
  /** The credential is missing, wrong or revoked: sign in again. */
  Schema.Struct({ type: Schema.tag("signed_out") }),
  /** No version in common: update the older one. */
  Schema.Struct({ type: Schema.tag("wrong_version"), client: ProtocolRange, server: ProtocolRange }),
  /** `origin`: this page's address is not allowed. `host`: the server is not known by this name. */
  Schema.Struct({ type: Schema.tag("forbidden"), header: Schema.Literals(["origin", "host", "unknown"]) }),
  /** Something answers at the address, and it is no Turnkeeper. */
  Schema.Struct({ type: Schema.tag("another_server") })
]).pipe(Schema.toTaggedUnion("type"))
export type BlockedReason = typeof BlockedReason.Type

/** The server that answers. */
export interface ServerFacts {
  readonly protocol: number
  readonly version: string
  /** Another one after each start of the server. */
  readonly instanceId: string
  /** Of the database. */
  readonly epoch: string
  readonly startedAt: number
  readonly capabilities: ReadonlyArray<string>
  readonly limits: Readonly<Record<string, number>>
}

/** `since`: milliseconds since 1970 on this machine, when this status began. */
export type Connection =
  | { readonly status: "connecting"; readonly since: number }
  | { readonly status: "catching up"; readonly since: number; readonly server: ServerFacts }
  | { readonly status: "live"; readonly since: number; readonly server: ServerFacts }
  /** `since`: when it was lost. `attempt`: how many tries in a row led to no lasting connection. */
  | {
      readonly status: "offline"
      readonly since: number
      readonly retryAt: number
      readonly attempt: number
    }
  | { readonly status: "blocked"; readonly since: number; readonly reason: BlockedReason }
  | { readonly status: "closed"; readonly since: number }
