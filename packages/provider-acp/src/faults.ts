/**
 * The wire's failures as the domain's reasons. Read from types and codes, never from what a message says.
 */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { Operation } from "@turnkeeper/provider-kit/ProviderError"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import type { SpawnFailed } from "./Child.ts"
import type { CallFailed, Refused } from "./Connection.ts"
import { codes } from "./protocol.ts"

/** Makes the errors of one provider instance. */
export type Fail = (operation: Operation, reason: FaultReason, message: string) => ProviderError

export const failWith =
  (provider: ProviderInstanceId): Fail =>
  (operation, reason, message) =>
    new ProviderError({ provider, operation, fault: { reason, message } })

export type Wrap = (operation: Operation) => (cause: CallFailed | SpawnFailed) => ProviderError

export const wrapWith =
  (provider: ProviderInstanceId): Wrap =>
  (operation) =>
  (cause) =>
    new ProviderError({
      provider,
      operation,
      fault: { reason: reasonOf(cause), message: cause.message },
      cause
    })

/** The codes that say: looked at and not begun. Any other may have come after the work was begun. */
const reasons: ReadonlyMap<number, FaultReason> = new Map([
  [codes.parseError, "Rejected"],
  [codes.invalidRequest, "Rejected"],
  [codes.methodNotFound, "Rejected"],
  [codes.invalidParams, "Rejected"],
  [codes.authRequired, "NotSignedIn"],
  [codes.resourceNotFound, "SessionGone"]
])

/** The agent looked at the request and did not begin with it. */
export const isRefusal = ({ code }: Refused): boolean => reasons.has(code)

const reasonOf = (error: CallFailed | SpawnFailed): FaultReason => {
  switch (error._tag) {
    case "SpawnFailed":
      return error.missing ? "NotInstalled" : "Unavailable"
    case "NoAnswer":
      return "Unknown"
    case "TransportBroke":
      return error.delivered === "no" ? "Unavailable" : "Unknown"
    case "Refused":
      return reasons.get(error.code) ?? "Unknown"
  }
}
