/** What fails here, as the domain's reasons. Read from types, never from a text. */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { Operation } from "@turnkeeper/provider-kit/ProviderError"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Schema } from "effect"
import type { StartFailed } from "./Child.ts"
import type { SdkMissing } from "./sdk.ts"

/** Claude refused a call, ended before it answered one, or did not answer in time. */
export class CallFailed extends Schema.TaggedError<CallFailed>()("CallFailed", {
  how: Schema.Literals(["refused", "no answer"]),
  text: Schema.String
}) {
  override get message() {
    return this.text
  }
}

/** Makes the errors of one provider instance. */
export type Fail = (operation: Operation, reason: FaultReason, message: string) => ProviderError
export type Wrap = (
  operation: Operation
) => (cause: CallFailed | StartFailed | SdkMissing | ProviderError) => ProviderError

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

const reasonOf = (error: CallFailed | StartFailed | SdkMissing): FaultReason => {
  switch (error._tag) {
    case "SdkMissing":
      return "NotInstalled"
    case "StartFailed":
      return error.missing ? "NotInstalled" : "Unavailable"
    case "CallFailed":
      return error.how === "refused" ? "Rejected" : "Unknown"
  }
}
