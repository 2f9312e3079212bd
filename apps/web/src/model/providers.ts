/** Which agent can be used, and what is in the way of the others. Pure. */
import type { ProviderRow } from "@turnkeeper/contracts/Providers"

const statusWords: Readonly<Record<ProviderRow["health"]["status"], string>> = {
  ready: "Ready",
  not_installed: "Not installed",
  not_signed_in: "Not signed in",
  failed: "Does not work",
  unknown: "Not checked yet"
}

/** What a list says of a provider: its state, and what to do about it. */
export const healthWords = ({ health }: ProviderRow): string => {
  const version = health.version === null ? "" : ` · ${health.version}`
  if (health.status === "ready") return `${statusWords.ready}${version}`
  return health.advice === null
    ? statusWords[health.status]
    : `${statusWords[health.status]}: ${health.advice}`
}

/** It can be tried: what was not looked at yet may well work. */
export const isUsable = ({ health }: ProviderRow): boolean =>
  health.status === "ready" || health.status === "unknown"

/** The one that was chosen last, else the first that can be used. */
export const firstChoice = (
  providers: ReadonlyArray<ProviderRow>,
  wanted: string | null
): ProviderRow | null =>
  providers.find((row) => row.id === wanted) ??
  providers.find((row) => row.health.status === "ready") ??
  providers.find(isUsable) ??
  providers[0] ??
  null

/** A capability that is not listed is absent. */
export const can = (provider: ProviderRow | undefined | null, capability: string): boolean =>
  provider?.capabilities[capability] === true
