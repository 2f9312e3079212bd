/**
 * What stands in the place of an instance that cannot be made, e.g. because its settings are wrong: it says
 * what is wrong, opens nothing and has nothing alive. The instances beside it do not notice.
 */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Capabilities, Provider } from "@turnkeeper/provider-kit/Provider"
import type { Operation } from "@turnkeeper/provider-kit/ProviderError"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Effect } from "effect"

const nothing: Capabilities = {
  steer: false,
  resume: false,
  history: false,
  outlivesServer: false,
  reasksRequests: false,
  modelSwitch: "new_session",
  approvals: false,
  questions: false,
  attachments: false,
  planMode: false,
  usage: false,
  rollback: false,
  fork: false
}

/** Both are for people, without values of the settings: `WHAT: WHY`. */
export const unusable = (
  { id, kind }: { readonly id: ProviderInstanceId; readonly kind: string },
  what: string,
  why: string
): Provider => {
  const message = `${what}: ${why}`
  const refuse = (operation: Operation) =>
    Effect.fail(new ProviderError({ provider: id, operation, fault: { reason: "NotInstalled", message } }))
  return {
    instanceId: id,
    kind,
    displayName: id,
    capabilities: nothing,
    probe: Effect.succeed({ status: "failed", version: null, models: [], advice: message }),
    open: () => refuse("open"),
    // As with a provider that is not configured any more: what it had has ended.
    listLive: Effect.succeed([]),
    evidence: () => refuse("evidence")
  }
}
