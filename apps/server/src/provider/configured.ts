/**
 * The list of kinds of providers: the one place that knows adapters by name.
 *
 * To add a kind, add it to `kinds`: either what its package exports (`providerKind({…})`), or an entry here.
 * To have it on a fresh machine without a settings file, add it to `found`. Everything else follows:
 * reading the file, its JSON Schema, the errors, `doctor`. How the file is read: `settingsFile.ts`.
 */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { acp } from "@turnkeeper/provider-acp/kind"
import { claude } from "@turnkeeper/provider-claude/kind"
import * as Codex from "@turnkeeper/provider-codex/Codex"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { binary, env, providerKind, setting } from "@turnkeeper/provider-kit/ProviderKind"
import * as OpenCode from "@turnkeeper/provider-opencode/OpenCode"
import { makeScripted } from "@turnkeeper/provider-kit/testing/ScriptedProvider"
import { Effect, Schema } from "effect"
import type { Scope } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { concealed } from "./conceal.ts"
import { make as makeInstances } from "./Instances.ts"
import type { Instances } from "./Instances.ts"
import { ProviderConfigInvalid } from "./settingsFile.ts"
import * as SettingsFile from "./settingsFile.ts"

const scripted = providerKind({
  kind: "scripted",
  settings: {
    tickMs: setting(Schema.Int, "Milliseconds between two streamed words."),
    recordDirectory: setting(
      Schema.String,
      "Where it records what it received; in the data directory when absent."
    )
  },
  make: ({ stateDirectory, ...instance }, settings) =>
    Effect.sync(() => makeScripted({ recordDirectory: stateDirectory, ...instance, ...settings }).provider)
})

/** Of programs that can be spoken to over an address of their own. */
const outliving = {
  outlive: setting(
    Schema.Boolean,
    "The program goes on when this server is killed, and the next one joins what it works on. An orderly stop ends it. Linux only."
  ),
  abandonAfterMinutes: setting(
    Schema.Finite.check(Schema.isGreaterThan(0)),
    "With `outlive`: how long the program goes on without any server. An hour when absent."
  )
}

const codexProgram = { name: "codex", variable: "TURNKEEPER_CODEX_BIN" }
const codex = providerKind({
  kind: "codex",
  program: codexProgram,
  settings: {
    binary: binary(codexProgram),
    home: setting(Schema.String, "CODEX_HOME: another home is another account. The user's own when absent."),
    env,
    configOverrides: setting(
      Schema.Record(Schema.String, Schema.String),
      "Codex's own settings, as it takes them with `-c key=value`."
    ),
    ...outliving
  },
  make: (instance, settings) => Codex.make({ ...instance, ...settings })
})

const opencodeProgram = { name: "opencode", variable: "TURNKEEPER_OPENCODE_BIN" }
const opencode = providerKind({
  kind: "opencode",
  program: opencodeProgram,
  settings: {
    binary: binary(opencodeProgram),
    env,
    server: setting(
      Schema.Struct({
        url: Schema.String,
        username: Schema.optionalKey(Schema.String),
        password: Schema.optionalKey(Schema.String)
      }),
      "A server that runs already, in place of one of our own."
    ),
    ...outliving
  },
  make: (instance, settings) => OpenCode.make({ ...instance, ...settings })
})

export const kinds = SettingsFile.kindsOf([scripted, codex, opencode, claude, acp])

/** What a settings file may hold, for editors. */
export const fileSchema = SettingsFile.jsonSchemaOf(kinds)

/** One instance as it was configured; its settings have been read. */
export type Configured = SettingsFile.Configured

/** What a fresh machine has. Whether the programs are there is found out by probing, not by failing. */
export const found: ReadonlyArray<Configured> = ["scripted", "codex", "opencode", "claude"].map((kind) =>
  SettingsFile.withoutSettings(kinds, ProviderInstanceId.make(kind), kind)
)

export { ProviderConfigInvalid }

/** The settings file that is looked for when none is named. */
export const defaultFile = (dataDirectory: string): string => join(dataDirectory, "providers.json")

/** The instances of a file: of the one that is named, else of the default one, else what a fresh machine has. */
export const read = (
  file: string | null,
  dataDirectory: string
): Effect.Effect<ReadonlyArray<Configured>, ProviderConfigInvalid> => {
  if (file !== null) return SettingsFile.read(kinds, file)
  const byDefault = defaultFile(dataDirectory)
  return Effect.suspend(() =>
    existsSync(byDefault) ? SettingsFile.read(kinds, byDefault) : Effect.succeed(found)
  )
}

/**
 * Makes the adapter. Its processes are recorded in the data directory, so that a later server ends what a
 * killed one left. Nothing that it says of itself holds a secret of its settings or of our environment.
 */
export const make = (
  configured: Configured,
  dataDirectory: string
): Effect.Effect<Provider, never, Scope.Scope> =>
  concealed(
    // Programs inherit our environment, and so its keys.
    [...configured.secrets, ...SettingsFile.secretsIn(process.env)],
    configured.adapter(SettingsFile.placesOf(configured, dataDirectory))
  )

/**
 * The instances of a data directory, which can be read again. Their scope is below the present one: what is
 * built later in it ends first, so that a server that is told to stop does not hear of providers that died.
 */
export const instances = (
  file: string | null,
  dataDirectory: string
): Effect.Effect<Instances<ProviderConfigInvalid>, ProviderConfigInvalid, Scope.Scope> =>
  makeInstances({
    read: read(file, dataDirectory),
    adapterOf: (configured) => make(configured, dataDirectory)
  })
