/** The configured providers and what is known of them. */
import { Millis, ProviderInstanceId } from "@turnkeeper/domain/ids"
import { Schema } from "effect"
import { tolerant, tolerantUnion } from "./Tolerant.ts"

/** What a provider can do: data, never a name to test for. A capability that is not listed is absent. */
export const Capabilities = Schema.Record(Schema.String, Schema.Union([Schema.Boolean, Schema.String]))

export const Health = Schema.Struct({
  status: tolerant(Schema.Literals(["ready", "not_installed", "not_signed_in", "failed", "unknown"])),
  version: Schema.NullOr(Schema.String),
  models: Schema.Array(Schema.Struct({ id: Schema.String, name: Schema.String, isDefault: Schema.Boolean })),
  /** What to do when it is not usable. */
  advice: Schema.NullOr(Schema.String)
})

/** Something to click for whoever meets this provider for the first time. */
export const Example = Schema.Struct({ title: Schema.String, prompt: Schema.String })

export const ProviderRow = Schema.Struct({
  id: ProviderInstanceId,
  kind: Schema.String,
  displayName: Schema.String,
  capabilities: Capabilities,
  health: Health,
  /** Where its program is on the server's machine; null: it was not found, or there is none. */
  program: Schema.NullOr(Schema.String),
  /** When it was last asked; null: not yet. */
  checkedAt: Schema.NullOr(Millis),
  /** What else is to be known, e.g. that new settings wait; null: nothing. */
  notice: Schema.NullOr(Schema.String),
  examples: Schema.Array(Example)
})
export type ProviderRow = typeof ProviderRow.Type

/**
 * What flows on a subscription to the providers: snapshot ─▶ synchronized ─▶ provider | removed | heartbeat …
 * A row that changes while a slow client reads comes once, in its newest state.
 */
export const ProviderItem = tolerantUnion(
  Schema.Union([
    Schema.Struct({ type: Schema.tag("snapshot"), providers: Schema.Array(ProviderRow) }),
    Schema.Struct({ type: Schema.tag("synchronized") }),
    Schema.Struct({ type: Schema.tag("provider"), row: ProviderRow }),
    Schema.Struct({ type: Schema.tag("provider.removed"), id: ProviderInstanceId }),
    Schema.Struct({ type: Schema.tag("heartbeat"), at: Millis })
  ])
)
export type ProviderItem = typeof ProviderItem.Type

/** The rows after every provider was asked anew. */
export const Refreshed = Schema.Struct({
  providers: Schema.Array(ProviderRow),
  /** Why the settings file could not be read again; the instances are those of before. Null: it was read. */
  settingsProblem: Schema.NullOr(Schema.String)
})
export type Refreshed = typeof Refreshed.Type

/** How a provider is doing, in a few words; its advice says what to do. */
export const healthWords = ({ status, version }: Pick<typeof Health.Type, "status" | "version">): string => {
  switch (status) {
    case "ready":
      return version === null ? "Ready" : `Ready · ${version}`
    case "not_installed":
      return "Not installed"
    case "not_signed_in":
      return "Signed out"
    case "failed":
      return "Does not work"
    case "unknown":
      return "Not known yet"
  }
}
