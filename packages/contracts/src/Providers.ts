/** The configured providers and what is known of them. */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { Schema } from "effect"
import { tolerant } from "./Tolerant.ts"

/** What a provider can do: data, never a name to test for. A capability that is not listed is absent. */
export const Capabilities = Schema.Record(Schema.String, Schema.Union([Schema.Boolean, Schema.String]))

export const Health = Schema.Struct({
  status: tolerant(Schema.Literals(["ready", "not_installed", "not_signed_in", "failed", "unknown"])),
  version: Schema.NullOr(Schema.String),
  models: Schema.Array(Schema.Struct({ id: Schema.String, name: Schema.String, isDefault: Schema.Boolean })),
  /** What to do when it is not usable. */
  advice: Schema.NullOr(Schema.String)
})

export const ProviderRow = Schema.Struct({
  id: ProviderInstanceId,
  kind: Schema.String,
  displayName: Schema.String,
  capabilities: Capabilities,
  health: Health
})
export type ProviderRow = typeof ProviderRow.Type
