/**
 * One kind of provider: what a person may set for an instance of it, and how the adapter is made from that.
 *
 * An adapter's package exports one of these; the server's list of kinds names it, and the settings file, its
 * JSON Schema, the errors about it and `doctor` follow from it.
 */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { Schema } from "effect"
import type { Effect, Scope } from "effect"
import type { Provider } from "./Provider.ts"

/** One configured instance, and the places on disk that are its own. Absolute. */
export interface Instance {
  readonly instanceId: ProviderInstanceId
  readonly displayName?: string
  /** Where the processes that run are on record, so that a later server ends what a killed one left. */
  readonly ledgerDirectory: string
  /** For whatever else the adapter has to keep. Made by the adapter, if it needs it. */
  readonly stateDirectory: string
}

export interface ProviderKind<in out Fields extends Schema.Struct.Fields = Schema.Struct.Fields> {
  /** What stands under `kind` in the settings file. */
  readonly kind: string
  /**
   * What may stand in an instance's entry beside `id`, `kind` and `displayName`. Every field is optional, so
   * that a kind needs no settings to be tried, and has a description: it is what people see in their editor.
   */
  readonly settings: Fields
  /** The program that it starts, where it starts one: how people are told where it was found. */
  readonly program?: Program
  /** Makes the adapter. Starts nothing that can fail: whether the program is there is for `probe` to say. */
  readonly make: (
    instance: Instance,
    settings: Schema.Struct<Fields>["Type"]
  ) => Effect.Effect<Provider, never, Scope.Scope>
}

/** Found by the setting `binary`, else by the variable, else by its name on the path. */
export interface Program {
  readonly name: string
  readonly variable: string
}

/** Gives `make` the types of its settings. */
export const providerKind = <const Fields extends Schema.Struct.Fields>(
  kind: ProviderKind<Fields>
): ProviderKind<Fields> => kind

/** A field that may be left out, with the words that explain it. */
export const setting = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(schema.annotate({ description }))

/** The setting of a kind that starts a program. */
export const binary = ({ name, variable }: Program) =>
  setting(Schema.String, `The program. When absent: the variable ${variable}, else \`${name}\` on the path.`)

/** Environment of the programs that are started. Often holds keys: it is never shown or logged. */
export const env = setting(
  Schema.Record(Schema.String, Schema.String),
  "Added to the environment of the program. Keys may stand here: they are never shown or logged."
)
