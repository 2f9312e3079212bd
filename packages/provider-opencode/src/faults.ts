/** The wire's failures as the domain's reasons. Read from types and status codes, never from a text. */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { Operation } from "@turnkeeper/provider-kit/ProviderError"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import type { CallFailed } from "./Api.ts"
import type { StartFailed } from "./Serve.ts"

/** Makes the errors of one provider instance. */
export type Fail = (operation: Operation, reason: FaultReason, message: string) => ProviderError
export type Wrap = (
  operation: Operation
) => (cause: CallFailed | StartFailed | ProviderError) => ProviderError

export const failWith =
  (provider: ProviderInstanceId): Fail =>
  (operation, reason, message) =>
    new ProviderError({ provider, operation, fault: { reason, message } })

export const wrapWith =
  (provider: ProviderInstanceId): Wrap =>
  (operation) =>
  (cause) =>
    cause instanceof ProviderError
      ? cause
      : new ProviderError({
          provider,
          operation,
          fault: { reason: reasonOf(cause), message: cause.message },
          cause
        })

const reasonOf = (error: CallFailed | StartFailed): FaultReason => {
  switch (error._tag) {
    case "StartFailed":
      return error.missing ? "NotInstalled" : "Unavailable"
    case "NoAnswer":
      return "Unknown"
    case "Unreachable":
      return error.delivered === "no" ? "Unavailable" : "Unknown"
    case "Refused":
      if (error.status === 401 || error.status === 403) return "NotSignedIn"
      if (error.status === 404) return "SessionGone"
      // An internal error may have come after the work was begun.
      return error.status < 500 ? "Rejected" : "Unknown"
  }
}
