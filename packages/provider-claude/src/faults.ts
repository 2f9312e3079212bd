/** What fails here, as the domain's reasons. Read from types, never from a text. */
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { StartFailed } from "@turnkeeper/provider-kit/Child"
import * as ProviderErrors from "@turnkeeper/provider-kit/ProviderError"
import { Schema } from "effect"
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

export type Wrap = ProviderErrors.Wrap<CallFailed | StartFailed | SdkMissing>

export const wrapWith = ProviderErrors.wrapWith(reasonOf)
