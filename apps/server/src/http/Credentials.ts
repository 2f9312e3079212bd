/**
 * The tokens of programs and the signed-in browsers: in one file of the data directory, for its owner only,
 * by their hashes.
 *
 * Promise: what was acknowledged is in the file. It is written whole, under another name, and moved into
 * place; a change that cannot be written did not happen. The directory has one server, so the file has one
 * writer.
 */
import { accessLimits, CredentialRow } from "@turnkeeper/contracts/Access"
import { Overloaded, StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import { isRight, issue, parse } from "./secret.ts"

const Stored = Schema.Struct({ ...CredentialRow.fields, hash: Schema.String })
type Stored = typeof Stored.Type

const decode = Schema.decodeUnknownSync(Schema.Struct({ credentials: Schema.Array(Stored) }))

export interface Credentials {
  readonly list: () => ReadonlyArray<CredentialRow>
  /** The credential whose secret this is, if its time is not over. */
  readonly matching: (text: string, now: number) => CredentialRow | null
  readonly find: (id: string) => CredentialRow | null
  /** `text` is the secret, told here and never again. */
  readonly add: (
    credential: Omit<CredentialRow, "id">
  ) => Effect.Effect<{ readonly row: CredentialRow; readonly text: string }, StorageUnavailable | Overloaded>
  /** False: there was none. */
  readonly remove: (id: string) => Effect.Effect<boolean, StorageUnavailable>
  readonly extend: (id: string, expiresAt: number) => Effect.Effect<void, StorageUnavailable>
}

/** `file: null` keeps them in memory. A file that cannot be read counts as empty: then everybody signs in anew. */
export const open = Effect.fnUntraced(function* (file: string | null) {
  const read = file === null ? [] : load(file)
  if (read === null) yield* Effect.logWarning(`${file} cannot be read: every token and browser is signed out`)
  let all: ReadonlyMap<string, Stored> = new Map((read ?? []).map((one) => [one.id, one]))

  const change = (next: ReadonlyMap<string, Stored>) =>
    Effect.try({
      try: () => {
        if (file !== null) save(file, [...next.values()])
        all = next
      },
      catch: () => new StorageUnavailable({ retryable: true })
    })

  const credentials: Credentials = {
    list: () => [...all.values()].map(rowOf),
    matching: (text, now) => {
      const presented = parse(text)
      const found = presented === null ? undefined : all.get(presented.id)
      if (presented === null || found === undefined || !isRight(presented, found.hash)) return null
      return isOver(found, now) ? null : rowOf(found)
    },
    find: (id) => {
      const found = all.get(id)
      return found === undefined ? null : rowOf(found)
    },
    add: Effect.fnUntraced(function* (credential) {
      const room = roomFor(all, credential)
      if (room === null)
        return yield* new Overloaded({ what: "credentials", limit: accessLimits.credentials })
      const { id, text, hash } = issue()
      const row = { ...credential, id }
      yield* change(new Map(room).set(id, { ...row, hash }))
      return { row, text }
    }),
    remove: Effect.fnUntraced(function* (id) {
      if (!all.has(id)) return false
      yield* change(new Map([...all].filter(([other]) => other !== id)))
      return true
    }),
    extend: Effect.fnUntraced(function* (id, expiresAt) {
      const found = all.get(id)
      if (found !== undefined) yield* change(new Map(all).set(id, { ...found, expiresAt }))
    })
  }
  return credentials
})

const rowOf = ({ hash: _, ...row }: Stored): CredentialRow => row

const isOver = ({ expiresAt }: CredentialRow, now: number) => expiresAt !== null && expiresAt <= now

/**
 * The others, when there is room for one more. A browser pushes out those that are over and then the one that
 * would end first: pairing again is one click, and must not be in the way of the owner. A token is kept until
 * it is over or revoked.
 */
const roomFor = (
  all: ReadonlyMap<string, Stored>,
  { kind, createdAt }: Omit<CredentialRow, "id">
): ReadonlyMap<string, Stored> | null => {
  if (all.size < accessLimits.credentials) return all
  const standing = [...all.values()].filter((one) => !isOver(one, createdAt))
  if (standing.length < accessLimits.credentials) return new Map(standing.map((one) => [one.id, one]))
  const oldest = standing
    .filter((one) => one.kind === "browser")
    .reduce<Stored | null>(
      (first, one) => (first === null || (one.expiresAt ?? 0) < (first.expiresAt ?? 0) ? one : first),
      null
    )
  if (kind !== "browser" || oldest === null) return null
  return new Map(standing.filter((one) => one !== oldest).map((one) => [one.id, one]))
}

/** Null: something is there that holds no credentials. */
const load = (file: string): ReadonlyArray<Stored> | null => {
  try {
    return fs.existsSync(file) ? decode(JSON.parse(fs.readFileSync(file, "utf8"))).credentials : []
  } catch {
    return null
  }
}

/** What was told to a user survives the power, too. */
const save = (file: string, credentials: ReadonlyArray<Stored>) => {
  const draft = `${file}.${process.pid}`
  const handle = fs.openSync(draft, "w", 0o600)
  try {
    fs.writeFileSync(handle, `${JSON.stringify({ credentials })}\n`)
    fs.fsyncSync(handle)
  } finally {
    fs.closeSync(handle)
  }
  fs.renameSync(draft, file)
}
