/**
 * Why a provider call did not do what it was asked, in our words.
 *
 * Rules read the `reason`; the `message` is for people and is never looked at by code.
 */
import { Schema } from "effect"
import { Millis } from "../ids.ts"

export const FaultReason = Schema.Literals([
  /** The provider no longer knows the session. */
  "SessionGone",
  /** The provider no longer waits for this request. */
  "RequestGone",
  /** The turn named is not the one that runs, or none runs. */
  "TurnMismatch",
  "NotInstalled",
  "NotSignedIn",
  "RateLimited",
  /** The provider understood and said no. */
  "Rejected",
  /** The provider could not be reached; nothing was delivered. */
  "Unavailable",
  /** No answer in time, or the transport broke in the middle: it may have been delivered. */
  "Unknown",
  "ProtocolViolation",
  /** This provider cannot do that at all. */
  "Unsupported"
])
export type FaultReason = typeof FaultReason.Type

export const Fault = Schema.Struct({
  reason: FaultReason,
  message: Schema.String,
  /** When the provider allows the next try, where it said so. */
  retryAt: Schema.optionalKey(Millis)
})
export type Fault = typeof Fault.Type
