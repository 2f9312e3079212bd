/**
 * The providers' settings file: `{"providers": [{"id": "codex", "kind": "codex", …}]}`.
 *
 * A file that cannot be read as a whole is an error of its own. One entry that is wrong does not take the
 * others down: it becomes a provider that says what is wrong with it and opens nothing. No value of the file
 * is ever repeated, neither here nor in what is made of it: keys stand in it.
 */
import { issuesOf } from "@turnkeeper/contracts/Checked"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { findProgram } from "@turnkeeper/provider-kit/processes"
import type { Instance, Program, ProviderKind } from "@turnkeeper/provider-kit/ProviderKind"
import { Effect, Result, Schema } from "effect"
import type { Scope } from "effect"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { jsonPlace } from "./jsonPlace.ts"
import { unusable } from "./unusable.ts"

/** One instance as it was configured. */
export interface Configured {
  readonly id: ProviderInstanceId
  readonly kind: string
  readonly displayName?: string
  /** Where its program is, as it stands now; null: nowhere, or it needs none. */
  readonly findProgram: () => string | null
  /** Values of its settings that must never be shown. */
  readonly secrets: ReadonlyArray<string>
  /** What is wrong with its entry, for the person who wrote it; null: it can be used. */
  readonly problem: string | null
  /** Two of the same id are the same when this is. Holds secrets: for comparing only. */
  readonly fingerprint: string
  readonly adapter: (instance: Instance) => Effect.Effect<Provider, never, Scope.Scope>
}

/** The file cannot be used at all. `reason` is for the person who wrote it, and holds none of its values. */
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

/** Safe as the name of a folder, which the instance's places on disk are. */
const Id = Schema.String.annotate({
  description: "The name of this instance. Threads are bound to it: keep it."
}).check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
    message: "has to have 1 to 64 characters of A-Z a-z 0-9 . _ - and to begin with a letter or digit"
  })
)
const isId = Schema.is(Id)

/** A kind whose settings' types nobody needs to know any more. */
export interface Kind {
  readonly kind: string
  readonly entry: Schema.Codec<Entry, unknown>
  readonly allowed: ReadonlyArray<string>
  readonly adapterOf: (entry: Entry) => Configured["adapter"]
  readonly findProgram: (entry: Entry) => string | null
}
export type Kinds = ReadonlyMap<string, Kind>

interface Entry {
  readonly id: string
  readonly kind: string
  readonly displayName?: string
  readonly binary?: unknown
  readonly env?: unknown
}

const erased = <Fields extends Schema.Struct.Fields>(kind: ProviderKind<Fields>): Kind => {
  const entry = Schema.Struct({
    id: Id,
    kind: Schema.Literal(kind.kind),
    displayName: Schema.optionalKey(Schema.String.annotate({ description: "What people read." })),
    ...kind.settings
  })
  return {
    kind: kind.kind,
    entry: entry as unknown as Kind["entry"],
    allowed: Object.keys(entry.fields),
    findProgram: ({ binary, env }) => programOf(kind.program, binary, env),
    adapterOf: (read) => (instance) => {
      const { id: _id, kind: _kind, displayName: _displayName, ...settings } = read
      return kind.make(instance, settings as Schema.Struct<Fields>["Type"])
    }
  }
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export const kindsOf = (kinds: ReadonlyArray<ProviderKind<any>>): Kinds =>
  new Map(kinds.map((kind) => [kind.kind, erased(kind)]))

/** An instance with nothing set. */
export const withoutSettings = (kinds: Kinds, id: ProviderInstanceId, kind: string): Configured =>
  configuredOf(kinds, { id, kind }, 0)

const programOf = (program: Program | undefined, binary: unknown, env: unknown): string | null => {
  if (program === undefined) return null
  const wanted = typeof binary === "string" ? binary : (process.env[program.variable] ?? program.name)
  return findProgram(wanted, { ...process.env, ...Object(env) })
}

/** JSON Schema (draft 2020-12) of a settings file. */
export const jsonSchemaOf = (kinds: Kinds): object => {
  const file = Schema.Struct({
    $schema: Schema.optionalKey(Schema.String),
    providers: Schema.Array(Schema.Union([...kinds.values()].map(({ entry }) => entry)))
  })
  const { schema } = Schema.toJsonSchemaDocument(file, { onExcessProperty: "error" })
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Providers of Turnkeeper",
    ...schema
  }
}

const File = Schema.Struct({ providers: Schema.Array(Schema.Unknown) })
const decodeFile = Schema.decodeUnknownResult(File)

export const read = (
  kinds: Kinds,
  file: string
): Effect.Effect<ReadonlyArray<Configured>, ProviderConfigInvalid> =>
  Effect.tryPromise({ try: () => readFile(file, "utf8"), catch: (error) => unreadable(file, error) }).pipe(
    Effect.flatMap((text) => Effect.fromResult(Result.mapError(parse(kinds, text), invalid(file))))
  )

const invalid = (file: string) => (reason: string) => new ProviderConfigInvalid({ file, reason })

const unreadable = (file: string, error: unknown) => {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
  return invalid(file)(code === "ENOENT" ? "there is no such file" : `it cannot be read (${code})`)
}

/** Pure. The words of a failure end the sentence "the file cannot be used: …". */
export const parse = (kinds: Kinds, text: string): Result.Result<ReadonlyArray<Configured>, string> =>
  Result.flatMap(parseJson(text), (json) =>
    Result.match(decodeFile(json), {
      onFailure: () => Result.fail('it has to be of the form {"providers": [ … ]}'),
      onSuccess: ({ providers }) => Result.succeed(allOf(kinds, providers))
    })
  )

const parseJson = (text: string): Result.Result<unknown, string> =>
  Result.try({
    try: (): unknown => JSON.parse(text),
    catch: () => `it is not valid JSON (${jsonPlace(text)})`
  })

const allOf = (kinds: Kinds, entries: ReadonlyArray<unknown>): ReadonlyArray<Configured> => {
  const seen = new Set<string>()
  return entries.map((entry, index) => {
    const configured = configuredOf(kinds, entry, index)
    if (!seen.has(configured.id)) {
      seen.add(configured.id)
      return configured
    }
    const twice = `\`providers[${index}].id\`: another entry has this id already.`
    return broken({ id: placeName(index), kind: configured.kind }, twice, entry)
  })
}

/** What an entry without a usable id of its own is called: by no name that an entry may have. */
const placeName = (index: number) => ProviderInstanceId.make(`providers:${index}`)

const configuredOf = (kinds: Kinds, entry: unknown, index: number): Configured => {
  const { id, kind } = Object(entry) as { readonly id?: unknown; readonly kind?: unknown }
  const named = {
    id: isId(id) ? ProviderInstanceId.make(id) : placeName(index),
    kind: typeof kind === "string" ? kind.slice(0, 64) : "unknown"
  }
  const known = kinds.get(named.kind)
  if (known === undefined) {
    const all = [...kinds.keys()].join(", ")
    return broken(named, `\`providers[${index}].kind\` has to be one of: ${all}.`, entry)
  }
  return Result.match(readEntry(known, entry, `providers[${index}]`), {
    onFailure: (problem) => broken(named, problem, entry),
    onSuccess: (read) => ({
      ...named,
      ...(read.displayName !== undefined && { displayName: read.displayName }),
      problem: null,
      secrets: secretsIn(entry),
      findProgram: () => known.findProgram(read),
      fingerprint: JSON.stringify(entry),
      adapter: known.adapterOf(read)
    })
  })
}

const readEntry = (kind: Kind, entry: unknown, path: string): Result.Result<Entry, string> => {
  const strange = Object.keys(Object(entry) as object).find((key) => !kind.allowed.includes(key))
  if (strange !== undefined) {
    const name = `${path}.${strange.slice(0, 64)}`
    return Result.fail(`\`${name}\` is not known. A ${kind.kind} takes: ${kind.allowed.join(", ")}.`)
  }
  const decoded = Schema.decodeUnknownResult(kind.entry, { errors: "all", onExcessProperty: "error" })(entry)
  return Result.mapError(decoded, ({ issue }) =>
    issuesOf(issue)
      .map(({ path: inside, message }) => `\`${[path, inside].filter(Boolean).join(".")}\`: ${message}.`)
      .join(" ")
  )
}

const broken = (named: Pick<Configured, "id" | "kind">, problem: string, entry: unknown): Configured => ({
  ...named,
  problem,
  secrets: [],
  findProgram: () => null,
  fingerprint: JSON.stringify(entry),
  adapter: () => Effect.succeed(unusable(named, "Its settings are wrong", problem))
})

/**
 * What may be a key: every value under `env`, and what its name says is one. Short values are words like
 * `true`, which would be hidden from every sentence.
 */
export const secretsIn = (entry: unknown, isSecret = false): ReadonlyArray<string> => {
  if (typeof entry === "string") return isSecret && entry.length >= 8 ? [entry] : []
  if (typeof entry !== "object" || entry === null) return []
  return Object.entries(entry).flatMap(([name, value]) =>
    secretsIn(value, isSecret || /^env$|password|token|secret|key/i.test(name))
  )
}

/** The places on disk of an instance. */
export const placesOf = ({ id, kind, displayName }: Configured, dataDirectory: string): Instance => ({
  instanceId: id,
  ledgerDirectory: join(dataDirectory, "processes", id),
  stateDirectory: join(dataDirectory, kind, id),
  ...(displayName !== undefined && { displayName })
})
