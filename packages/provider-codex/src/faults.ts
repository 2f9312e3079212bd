/**
 * The wire's failures as the domain's reasons. Read from types and codes, never from what a message says.
 */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Fault, FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { Operation } from "@turnkeeper/provider-kit/ProviderError"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import type { SpawnFailed } from "./Child.ts"
import type { CallFailed } from "./Connection.ts"

export const faultOf = (error: CallFailed | SpawnFailed): Fault => ({
  reason: reasonOf(error),
  message: error.message
})

/** Makes the errors of one provider instance. */
export type Fail = (operation: Operation, reason: FaultReason, message: string) => ProviderError

export const failWith =
  (provider: ProviderInstanceId): Fail =>
  (operation, reason, message) =>
    new ProviderError({ provider, operation, fault: { reason, message } })

export const wrapWith =
  (provider: ProviderInstanceId) =>
  (operation: Operation) =>
  (cause: CallFailed | SpawnFailed): ProviderError =>
    new ProviderError({ provider, operation, fault: faultOf(cause), cause })

/** The codes of JSON-RPC that say: looked at and not begun. */
const refusals = new Set([-32600, -32601, -32602])
/** Codex takes no more requests at the moment. */
const overloaded = -32001

const reasonOf = (error: CallFailed | SpawnFailed): FaultReason => {
  switch (error._tag) {
    case "SpawnFailed":
      return error.missing ? "NotInstalled" : "Unavailable"
    case "NoAnswer":
      return "Unknown"
    case "TransportBroke":
      return error.delivered === "no" ? "Unavailable" : "Unknown"
    case "Refused":
      if (error.code === overloaded) return "Unavailable"
      // An internal error may have come after the work was begun.
      return refusals.has(error.code) ? "Rejected" : "Unknown"
  }
}
