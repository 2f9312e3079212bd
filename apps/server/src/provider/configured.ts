/**
 * The list of adapters: the one place that knows them by name.
 *
 * A provider configuration is a JSON file: `{"providers": [{"id": "codex", "kind": "codex", …}]}`. Without
 * one there is the scripted provider, which needs nothing, and every real one that is found.
 */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import * as Codex from "@turnkeeper/provider-codex/Codex"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import * as OpenCode from "@turnkeeper/provider-opencode/OpenCode"
import { makeScripted } from "@turnkeeper/provider-kit/testing/ScriptedProvider"
import { Effect, Schema, Scope } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"

const common = { id: ProviderInstanceId, displayName: Schema.optionalKey(Schema.String) }

export const Configured = Schema.Union([
  Schema.Struct({
    ...common,
    kind: Schema.tag("scripted"),
    /** Time between two streamed words. */
    tickMs: Schema.optionalKey(Schema.Int),
    /** Where it records what it received; in the data directory when absent. */
    recordDirectory: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct({
    ...common,
    kind: Schema.tag("codex"),
    /** The program; `codex` on the path when absent. */
    binary: Schema.optionalKey(Schema.String),
    /** CODEX_HOME; the user's own when absent. */
    home: Schema.optionalKey(Schema.String),
    env: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
    configOverrides: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
  }),
  Schema.Struct({
    ...common,
    kind: Schema.tag("opencode"),
    /** The program; `opencode` on the path when absent. */
    binary: Schema.optionalKey(Schema.String),
    env: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
    /** A server that runs already, in place of one of our own. */
    server: Schema.optionalKey(
      Schema.Struct({
        url: Schema.String,
        username: Schema.optionalKey(Schema.String),
        password: Schema.optionalKey(Schema.String)
      })
    )
  })
]).pipe(Schema.toTaggedUnion("kind"))
export type Configured = typeof Configured.Type

export const ProviderFile = Schema.Struct({ providers: Schema.Array(Configured) })

/** The configuration could not be read. `reason` is for the person who wrote it. */
export class ProviderConfigInvalid extends Schema.TaggedError<ProviderConfigInvalid>()(
  "ProviderConfigInvalid",
  {
    file: Schema.String,
    reason: Schema.String
  }
) {
  override get message() {
    return `The provider configuration ${this.file} cannot be used: ${this.reason}`
  }
}

const decode = Schema.decodeUnknownEffect(ProviderFile)

export const read = (file: string): Effect.Effect<ReadonlyArray<Configured>, ProviderConfigInvalid> =>
  Effect.tryPromise(() => readFile(file, "utf8")).pipe(
    Effect.flatMap((text) => Effect.try({ try: (): unknown => JSON.parse(text), catch: (error) => error })),
    Effect.flatMap(decode),
    Effect.mapError((error) => new ProviderConfigInvalid({ file, reason: String(error) })),
    Effect.flatMap(({ providers }) =>
      new Set(providers.map(({ id }) => id)).size === providers.length
        ? Effect.succeed(providers)
        : Effect.fail(new ProviderConfigInvalid({ file, reason: "two providers have the same id" }))
    )
  )

/** What a fresh machine has. Whether the programs are there is found out by probing, not by failing. */
export const found: ReadonlyArray<Configured> = [
  { id: ProviderInstanceId.make("scripted"), kind: "scripted" },
  { id: ProviderInstanceId.make("codex"), kind: "codex" },
  { id: ProviderInstanceId.make("opencode"), kind: "opencode" }
]

/**
 * Makes the adapter. Its processes are recorded in the data directory, so that a later server ends what a killed one left.
 *
 * It has a scope of its own, forked now: what it starts later, at the first message, still ends after the
 * sessions, which are made after it. Else a server that is told to stop would hear of a provider that died.
 */
export const make = (
  configured: Configured,
  dataDirectory: string
): Effect.Effect<Provider, never, Scope.Scope> =>
  Effect.flatMap(Effect.flatMap(Effect.scope, Scope.fork), (scope) =>
    Scope.provide(adapterOf(configured, dataDirectory), scope)
  )

const adapterOf = (
  configured: Configured,
  dataDirectory: string
): Effect.Effect<Provider, never, Scope.Scope> => {
  const { id, displayName } = configured
  const name = displayName === undefined ? {} : { displayName }
  switch (configured.kind) {
    case "scripted":
      return Effect.sync(
        () =>
          makeScripted({
            instanceId: id,
            recordDirectory: configured.recordDirectory ?? join(dataDirectory, "scripted", id),
            ...name,
            ...(configured.tickMs !== undefined && { tickMs: configured.tickMs })
          }).provider
      )
    case "codex": {
      const { binary, home, env, configOverrides } = configured
      return Codex.make({
        instanceId: id,
        ledgerDirectory: join(dataDirectory, "processes", id),
        ...name,
        ...(binary !== undefined && { binary }),
        ...(home !== undefined && { home }),
        ...(env !== undefined && { env }),
        ...(configOverrides !== undefined && { configOverrides })
      })
    }
    case "opencode": {
      const { binary, env, server } = configured
      return OpenCode.make({
        instanceId: id,
        ledgerDirectory: join(dataDirectory, "processes", id),
        ...name,
        ...(binary !== undefined && { binary }),
        ...(env !== undefined && { env }),
        ...(server !== undefined && { server })
      })
    }
  }
}
