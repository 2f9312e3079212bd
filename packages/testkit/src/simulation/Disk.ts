/**
 * A disk that fails when it is told to, with SQLite's own errors: it sits in `node:sqlite` itself, below every
 * client, so that what the server makes of such an error is the real thing. One process, one disk.
 *
 * Only what the server does for itself is broken, not what is read to judge it.
 */
import { Cause, Context, Effect, Fiber } from "effect"
import { DatabaseSync, StatementSync } from "node:sqlite"

/**
 * `commit denied`: the commit fails and nothing of it is there. `commit unheard`: it is there, and the server
 * is told that it failed.
 */
export type Place = "prepare" | "step" | "commit denied" | "commit unheard" | "read"
export const places: ReadonlyArray<Place> = ["prepare", "step", "commit denied", "commit unheard", "read"]

/** SQLite's extended result codes, with what it says. Each may pass. */
export const errors = {
  full: [13, "database or disk is full"],
  write: [10 | (3 << 8), "disk I/O error"],
  sync: [10 | (4 << 8), "disk I/O error"],
  read: [10 | (1 << 8), "disk I/O error"],
  busy: [5, "database is locked"]
} as const

export interface DiskFault {
  readonly place: Place
  /** The first that fails, counted from 1, and how many of them in a row. */
  readonly at: number
  readonly times: number
  /** And again after so many. */
  readonly every?: number
  readonly error: keyof typeof errors
  /** SQLite may undo the whole transaction on such an error, or leave that to us. */
  readonly undoes: boolean
}

/** Reads of the simulation itself, which no disk may disturb. */
const Bystander = Context.Reference<boolean>("testkit/simulation/Bystander", { defaultValue: () => false })
export const asBystander = Effect.provideService(Bystander, true)

let broken: {
  readonly file: string
  readonly fault: DiskFault
  readonly spares: Context.Reference<boolean>
} | null = null
let passed = 0
let failures = 0

/** From now on, except where `spares` is set; the count begins anew. */
export const breakDisk = (
  file: string,
  fault: DiskFault,
  spares: Context.Reference<boolean> = Bystander
): void => {
  broken = { file, fault, spares }
  passed = 0
}

/** The disk works again. How many places of the kind were passed since it was told to fail. */
export const mendDisk = (): number => {
  broken = null
  return passed
}

/** How often the disk has failed since the last time this was asked. */
export const takeFailures = (): number => {
  const counted = failures
  failures = 0
  return counted
}

/** The same count, left as it is. */
export const failuresSoFar = (): number => failures

const ours = new WeakSet<object>()

/** Whether a cause, an error or one of several comes of this disk: SQLite's error, or the refusal made of it. */
export const isOfDisk = (found: unknown): boolean => {
  if (Array.isArray(found)) return found.some(isOfDisk)
  if (!Cause.isCause(found)) return descends(found)
  return found.reasons.some((reason) => {
    if (Cause.isFailReason(reason)) return descends(reason.error)
    return Cause.isDieReason(reason) && descends(reason.defect)
  })
}

const depthMax = 8

const descends = (error: unknown, depth = 0): boolean => {
  if (typeof error !== "object" || error === null || depth > depthMax) return false
  if (ours.has(error) || ("_tag" in error && error._tag === "StorageUnavailable")) return true
  const { cause, reason } = error as { readonly cause?: unknown; readonly reason?: unknown }
  return descends(cause, depth + 1) || descends(reason, depth + 1)
}

/** What undoes a transaction is not broken: it needs no disk, and its failure would look like "nothing to undo". */
const undoing = "ROLLBACK"

const made = new WeakMap<StatementSync, { readonly of: DatabaseSync; readonly text: string }>()
const readers = new WeakSet<DatabaseSync>()
const real = {
  prepare: DatabaseSync.prototype.prepare,
  run: StatementSync.prototype.run,
  all: StatementSync.prototype.all
}

const isServers = (spares: Context.Reference<boolean>) => {
  const fiber = Fiber.getCurrent()
  return fiber !== undefined && !Context.get(fiber.context, spares)
}

const isHit = (of: DatabaseSync, place: Place): boolean => {
  if (broken?.fault.place !== place || of.location() !== broken.file) return false
  if (!isServers(broken.spares)) return false
  passed += 1
  const { at, every, times } = broken.fault
  const since = passed - at
  return since >= 0 && (every === undefined ? since : since % every) < times
}

const fail = (of: DatabaseSync): never => {
  const { error, undoes } = broken!.fault
  failures += 1
  if (undoes && of.isTransaction) of.exec("ROLLBACK")
  const [errcode, message] = errors[error]
  const thrown = Object.assign(new Error(message), { code: "ERR_SQLITE_ERROR", errcode, errstr: message })
  ours.add(thrown)
  throw thrown
}

DatabaseSync.prototype.prepare = function (this: DatabaseSync, text: string) {
  if (text !== undoing && isHit(this, "prepare")) fail(this)
  const statement = real.prepare.call(this, text)
  made.set(statement, { of: this, text })
  if (text.includes("query_only = ON")) readers.add(this)
  return statement
}

const stepping = <A>(statement: StatementSync, step: () => A): A => {
  const found = made.get(statement)
  if (broken === null || found === undefined || found.text === undoing) return step()
  const { of, text } = found
  // The end of a read writes nothing: it is a read like the others.
  if (text === "COMMIT" && !readers.has(of)) {
    if (isHit(of, "commit denied")) fail(of)
    if (!isHit(of, "commit unheard")) return step()
    step()
    return fail(of)
  }
  if (isHit(of, readers.has(of) ? "read" : "step")) fail(of)
  return step()
}

StatementSync.prototype.run = function (this: StatementSync, ...values: ReadonlyArray<never>) {
  return stepping(this, () => real.run.apply(this, values as never))
}
StatementSync.prototype.all = function (this: StatementSync, ...values: ReadonlyArray<never>) {
  return stepping(this, () => real.all.apply(this, values as never))
} as never
