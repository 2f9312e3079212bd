/** The wire's failures as the domain's reasons. Read from types and status codes, never from a text. */
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { StartFailed } from "@turnkeeper/provider-kit/Child"
import * as ProviderErrors from "@turnkeeper/provider-kit/ProviderError"
import type { CallFailed } from "./Api.ts"

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

export type Wrap = ProviderErrors.Wrap<CallFailed | StartFailed>

export const wrapWith = ProviderErrors.wrapWith(reasonOf)
