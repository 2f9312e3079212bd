/**
 * The wire's failures as the domain's reasons. Read from types and codes, never from what a message says.
 */
import type { StartFailed } from "@turnkeeper/provider-kit/Child"
import { codes } from "@turnkeeper/provider-kit/JsonRpc"
import type { CallFailed } from "@turnkeeper/provider-kit/JsonRpc"
import * as ProviderErrors from "@turnkeeper/provider-kit/ProviderError"
import { reasonBy } from "@turnkeeper/provider-kit/wireFault"

/** The codes of JSON-RPC that say: looked at and not begun. */
const refusals = new Set<number>([codes.invalidRequest, codes.methodNotFound, codes.invalidParams])
/** Codex takes no more requests at the moment. */
const overloaded = -32001

export const reasonOf = reasonBy(({ code }) => {
  if (code === overloaded) return "Unavailable"
  // An internal error may have come after the work was begun.
  return refusals.has(code) ? "Rejected" : "Unknown"
})

export type Wrap = ProviderErrors.Wrap<CallFailed | StartFailed>

export const wrapWith = ProviderErrors.wrapWith(reasonOf)
