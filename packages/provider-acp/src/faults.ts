/**
 * The wire's failures as the domain's reasons. Read from types and codes, never from what a message says.
 */
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { StartFailed } from "@turnkeeper/provider-kit/Child"
import type { CallFailed, Refused } from "@turnkeeper/provider-kit/JsonRpc"
import * as ProviderErrors from "@turnkeeper/provider-kit/ProviderError"
import { reasonBy } from "@turnkeeper/provider-kit/wireFault"
import { codes } from "./protocol.ts"

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

const reasonOf = reasonBy(({ code }) => reasons.get(code) ?? "Unknown")

export type Wrap = ProviderErrors.Wrap<CallFailed | StartFailed>

export const wrapWith = ProviderErrors.wrapWith(reasonOf)
