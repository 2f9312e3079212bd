/**
 * A disk that fails when it is told to: at one prepare, one step, one commit or one read of the server, with
 * SQLite's own error. It sits in `node:sqlite` itself, below every client, so that what the server makes of
 * such an error is the real thing. The scenarios' own reads are left alone.
 */
import { Context, Fiber } from "effect"
import { DatabaseSync, StatementSync } from "node:sqlite"
import { Onlooker } from "../lifecycle/harness.ts"

/**
 * `commit denied`: the commit fails and nothing of it is there. `commit unheard`: it is there, and the
 * server is told that it failed.
 */
export type Place = "prepare" | "step" | "commit denied" | "commit unheard" | "read"
export const places: ReadonlyArray<Place> = ["prepare", "step", "commit denied", "commit unheard", "read"]

/** SQLite's extended result codes, with what it says. */
export const errors = {
  full: [13, "database or disk is full"],
  write: [10 | (3 << 8), "disk I/O error"],
  sync: [10 | (4 << 8), "disk I/O error"],
  read: [10 | (1 << 8), "disk I/O error"],
  busy: [5, "database is locked"]
} as const

export interface Failing {
  readonly file: string
  readonly place: Place
  /** Which of them, from 1. */
  readonly at: number
  /** How many of them in a row. */
  readonly times: number
  /** And again after so many; null: not again. */
  readonly every: number | null
  readonly error: keyof typeof errors
  /** SQLite may undo the whole transaction on such an error, or leave that to us. */
  readonly undoes: boolean
}

let failing: Failing | null = null
let seen = 0

/** From now on; the count begins anew. */
export const breakDisk = (how: Failing): void => {
  failing = how
  seen = 0
}

/** The disk works again. How many places of the kind were passed since it was told to fail. */
export const mendDisk = (): number => {
  failing = null
  return seen
}

const made = new WeakMap<StatementSync, { readonly of: DatabaseSync; readonly text: string }>()
const readOnly = new WeakSet<DatabaseSync>()
const real = {
  prepare: DatabaseSync.prototype.prepare,
  run: StatementSync.prototype.run,
  all: StatementSync.prototype.all
}

const isServers = () => {
  const fiber = Fiber.getCurrent()
  return fiber === undefined || !Context.get(fiber.context, Onlooker)
}

const isHit = (of: DatabaseSync, place: Place): boolean => {
  if (failing?.place !== place || of.location() !== failing.file || !isServers()) return false
  seen += 1
  const { at, times, every } = failing
  const since = seen - at
  return since >= 0 && (every === null ? since : since % every) < times
}

const fail = (of: DatabaseSync): never => {
  const { error, undoes } = failing!
  if (undoes && of.isTransaction) of.exec("ROLLBACK")
  const [errcode, message] = errors[error]
  throw Object.assign(new Error(message), { code: "ERR_SQLITE_ERROR", errcode, errstr: message })
}

DatabaseSync.prototype.prepare = function (this: DatabaseSync, text: string) {
  if (isHit(this, "prepare")) fail(this)
  const statement = real.prepare.call(this, text)
  made.set(statement, { of: this, text })
  if (text.includes("query_only = ON")) readOnly.add(this)
  return statement
}

/** What undoes a transaction is not broken: its failure is not to be told from "nothing to undo". */
const stepping = <A>(statement: StatementSync, step: () => A): A => {
  const found = made.get(statement)
  if (found === undefined || found.text === "ROLLBACK") return step()
  const { of, text } = found
  if (text === "COMMIT") {
    if (isHit(of, "commit denied")) fail(of)
    if (!isHit(of, "commit unheard")) return step()
    step()
    return fail(of)
  }
  if (isHit(of, readOnly.has(of) ? "read" : "step")) fail(of)
  return step()
}

StatementSync.prototype.run = function (this: StatementSync, ...values: ReadonlyArray<never>) {
  return stepping(this, () => real.run.apply(this, values as never))
}
StatementSync.prototype.all = function (this: StatementSync, ...values: ReadonlyArray<never>) {
  return stepping(this, () => real.all.apply(this, values as never))
} as never
