/**
 * The directory that holds everything of one server, and the lock that makes it one server's only.
 *
 * Promise: of two servers on the same directory the second gets a typed refusal that names the first.
 * Ownership has two witnesses: an operating system's lock on `lock.guard`, which ends with its process
 * whatever happens, and the file `lock`, which says who the owner is and where it listens. The directory
 * is taken over only when the first is free and the process in the second is gone.
 *
 * Known limit: on a network file system without locks only the file `lock` speaks.
 */
import { Context, Effect, Layer, Schema } from "effect"
import type { Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { resultCode } from "./Connection.ts"
import { parseJson } from "./rows.ts"

/** Another server works here. `address` is where it listens, as soon as it does. */
export class DataDirectoryInUse extends Schema.TaggedError<DataDirectoryInUse>()("DataDirectoryInUse", {
  directory: Schema.String,
  pid: Schema.NullOr(Schema.Int),
  address: Schema.NullOr(Schema.String)
}) {}

/** The directory cannot be made or written to. `code` is the system's, e.g. EACCES. */
export class DataDirectoryUnusable extends Schema.TaggedError<DataDirectoryUnusable>()(
  "DataDirectoryUnusable",
  {
    directory: Schema.String,
    code: Schema.NullOr(Schema.String),
    reason: Schema.String
  }
) {}

export class DataDirectory extends Context.Service<
  DataDirectory,
  {
    /** Absolute. */
    readonly directory: string
    /** The database file. */
    readonly database: string
    /** Tells those who find the lock where this server listens. */
    readonly announce: (address: string) => Effect.Effect<void, DataDirectoryUnusable>
  }
>()("server/store/DataDirectory") {
  /** Makes the directory (for its owner alone) and holds it as long as the layer lives. */
  static readonly layer = (directory: string) => Layer.effect(DataDirectory, take(path.resolve(directory)))
}

/** The database of a data directory, whoever works there. */
export const databaseIn = (directory: string) => path.join(directory, "turnkeeper.db")

/** What the lock file says of the owner. */
const Owner = Schema.Struct({
  pid: Schema.Int,
  /** Tells the process from a later one with the same pid; null where the system does not say. */
  startTime: Schema.NullOr(Schema.String),
  address: Schema.NullOr(Schema.String)
})
type Owner = typeof Owner.Type
const decodeOwner = Schema.decodeUnknownResult(Owner)

const take = (
  directory: string
): Effect.Effect<DataDirectory["Service"], DataDirectoryInUse | DataDirectoryUnusable, Scope.Scope> =>
  Effect.gen(function* () {
    const lock = path.join(directory, "lock")
    const database = databaseIn(directory)
    const me: Owner = { pid: process.pid, startTime: startTimeOf(process.pid), address: null }

    yield* attempt(directory, () => fs.mkdirSync(directory, { recursive: true, mode: 0o700 }))
    // From here on no other process comes between looking at the owner and taking its place.
    yield* Effect.acquireRelease(guard(directory, lock), (held) => Effect.sync(() => held.close()))
    const owner = ownerIn(lock)
    if (owner !== null && isAlive(owner)) return yield* inUse(directory, owner)
    yield* Effect.acquireRelease(
      attempt(directory, () => writeWhole(lock, me)),
      () => Effect.sync(() => fs.rmSync(lock, { force: true }))
    )
    // Made with its mode here; SQLite gives its side files the same.
    yield* attempt(directory, () => fs.closeSync(fs.openSync(database, "a", 0o600)))

    return DataDirectory.of({
      directory,
      database,
      announce: (address) => attempt(directory, () => writeWhole(lock, { ...me, address }))
    })
  })

const attempt = <A>(directory: string, run: () => A): Effect.Effect<A, DataDirectoryUnusable> =>
  Effect.try({ try: run, catch: (cause) => unusable(directory, cause) })

const unusable = (directory: string, cause: unknown) =>
  new DataDirectoryUnusable({
    directory,
    code: cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : null,
    reason: cause instanceof Error ? cause.message : String(cause)
  })

const inUse = (directory: string, owner: Owner | null) =>
  new DataDirectoryInUse({ directory, pid: owner?.pid ?? null, address: owner?.address ?? null })

const sqliteBusy = 5
const sqliteNotADatabase = 26

/** The system's lock, through SQLite, which has it on every platform. Held until it is closed. */
const guard = (directory: string, lock: string) =>
  Effect.try({
    try: () => {
      const file = path.join(directory, "lock.guard")
      fs.closeSync(fs.openSync(file, "a", 0o600))
      const held = new DatabaseSync(file)
      try {
        held.exec("BEGIN EXCLUSIVE")
        return held
      } catch (cause) {
        held.close()
        throw cause
      }
    },
    catch: (cause) => {
      if (resultCode(cause) === sqliteBusy) return inUse(directory, ownerIn(lock))
      const { code, reason } = unusable(directory, cause)
      // Nothing is ever written to this file, so whatever it holds is not ours and is not needed.
      const advice = resultCode(cause) === sqliteNotADatabase ? ". Remove that file and start again." : ""
      return new DataDirectoryUnusable({ directory, code, reason: `lock.guard: ${reason}${advice}` })
    }
  })

/** A reader sees the old content or the new one, never a part. */
const writeWhole = (file: string, owner: Owner) => {
  const draft = `${file}.${process.pid}`
  fs.writeFileSync(draft, JSON.stringify(owner), { mode: 0o600 })
  fs.renameSync(draft, file)
}

/** null: no lock, or nothing that names an owner. */
const ownerIn = (lock: string): Owner | null => {
  try {
    const decoded = decodeOwner(parseJson(fs.readFileSync(lock, "utf8")))
    return decoded._tag === "Success" ? decoded.success : null
  } catch {
    return null
  }
}

const isAlive = (owner: Owner): boolean => {
  if (!exists(owner.pid)) return false
  const now = startTimeOf(owner.pid)
  return now === null || owner.startTime === null || now === owner.startTime
}

/** A process of another user answers with a refusal, which is an answer. A zombie is dead. */
const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !isZombie(pid)
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"
  }
}

const isZombie = (pid: number): boolean => {
  const state = statOf(pid)?.[0]
  return state === "Z" || state === "X"
}

/** Boot and ticks since then: no two processes with one pid have the same. null where there is no /proc. */
const startTimeOf = (pid: number): string | null => {
  const ticks = statOf(pid)?.[19]
  return ticks === undefined ? null : `${bootId()}:${ticks}`
}

/** The fields behind the program's name, which may itself hold spaces and brackets. */
const statOf = (pid: number): ReadonlyArray<string> | null => {
  const stat = readText(`/proc/${pid}/stat`)
  return stat === null ? null : stat.slice(stat.lastIndexOf(")") + 2).split(" ")
}

const bootId = (): string => readText("/proc/sys/kernel/random/boot_id")?.trim() ?? ""

const readText = (file: string): string | null => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return null
  }
}
