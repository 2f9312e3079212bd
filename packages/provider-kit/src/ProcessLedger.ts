/**
 * Which child processes of ours may still be alive: one JSON file per child, written right after the
 * spawn and removed when the child has ended.
 *
 * Promise: after `reap`, no child that an earlier run of this program recorded under the same name is
 * alive. A server that was killed cannot end its children; whatever reads a conversation or resumes one
 * has to know first that nobody is working on it any more.
 *
 * A child is recognised by its id together with the time it was started; anything else with that id is
 * left alone.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schema } from "effect"
import { descendantsOf, ensureGone, isAlive, isMarked, signalGroup, startTimeOf } from "./processes.ts"
import type { ProcessId } from "./processes.ts"

export interface ProcessLedger {
  /** Synchronous, so that nothing can be written to a child before it is on record. */
  readonly record: (pid: number, command: string) => void
  readonly forget: (pid: number) => void
  /** As `record`, of a child that is meant to live on without us; again when more is known of it. */
  readonly recordOutliving: (pid: number, command: string, facts: Outliving) => void
  /** The recorded children that are still alive and were meant to live on. */
  readonly outliving: () => ReadonlyArray<OutlivingChild>
  /** As `reap`, but this one stays. */
  readonly reapExcept: (pid: number) => Effect.Effect<Reaped>
  /** Kills every recorded child that is still alive, with all below it, and waits, bounded, until they are gone. */
  readonly reap: Effect.Effect<Reaped>
}

export interface Reaped {
  readonly killed: ReadonlyArray<number>
  /** Did not go away in time. Their record stays. */
  readonly survived: ReadonlyArray<number>
}

export interface ProcessLedgerOptions {
  readonly directory: string
  /** Children of other owners in the same directory are not touched. */
  readonly owner: string
}

/** What a later server needs to take a child over, and to be sure that it is the one it takes it for. */
export const Outliving = Schema.Struct({
  /** The mark in its environment: no other process has it but those that it has started. */
  mark: Schema.Struct({ name: Schema.String, value: Schema.String }),
  /** The program and its settings: one that differs is of no use. */
  identity: Schema.String,
  /** Where it is spoken to; null until it has said so. */
  address: Schema.NullOr(Schema.String),
  /** What it lets us in by. */
  secret: Schema.String,
  /** Where the files of its run are, without their endings: what it prints, its lease, its conversations. */
  run: Schema.String
})
export type Outliving = typeof Outliving.Type

const Child = Schema.Struct({
  pid: Schema.Int.check(Schema.isGreaterThan(1)),
  startTime: Schema.String,
  command: Schema.String,
  outliving: Schema.optionalKey(Outliving)
})
type Child = typeof Child.Type

export interface OutlivingChild extends ProcessId {
  readonly command: string
  readonly outliving: Outliving
}

const decodeChild = Schema.decodeUnknownOption(Schema.fromJsonString(Child))

export const make = (options: ProcessLedgerOptions): ProcessLedger => {
  const prefix = `${encodeURIComponent(options.owner)}.`
  const fileOf = (pid: number) => join(options.directory, `${prefix}${pid}.json`)

  const write = (pid: number, command: string, outliving?: Outliving): void => {
    const startTime = startTimeOf(pid)
    // It has ended already: there is nothing to find again.
    if (startTime === null) return
    mkdirSync(options.directory, { recursive: true })
    const child: Child = { pid, startTime, command, ...(outliving === undefined ? {} : { outliving }) }
    // Renamed into place: a reader never sees half a record. It may hold a secret: nobody else reads it.
    writeFileSync(`${fileOf(pid)}.new`, JSON.stringify(child), { mode: 0o600 })
    renameSync(`${fileOf(pid)}.new`, fileOf(pid))
  }

  const forget = (pid: number): void => {
    const child = readRecord(fileOf(pid))
    if (child !== null) removeRun(child)
    rmSync(fileOf(pid), { force: true })
  }

  const outliving = () =>
    recordsIn(options.directory, prefix).flatMap((file): ReadonlyArray<OutlivingChild> => {
      const child = readRecord(file)
      return child?.outliving !== undefined && isOurs(child) ? [{ ...child, outliving: child.outliving }] : []
    })

  const reapExcept = Effect.fnUntraced(function* (kept: number | null) {
    const killed: Array<number> = []
    const survived: Array<number> = []
    for (const file of recordsIn(options.directory, prefix)) {
      const child = readRecord(file)
      if (child !== null && child.pid === kept) continue
      if (child !== null && isOurs(child)) {
        const below = descendantsOf(child.pid)
        signalGroup(child.pid, "SIGKILL")
        const left = yield* ensureGone([child, ...below])
        if (left.length > 0) {
          survived.push(...left.map(({ pid }) => pid))
          continue
        }
        killed.push(child.pid)
      }
      if (child !== null) removeRun(child)
      rmSync(file, { force: true })
    }
    return { killed, survived }
  })

  return {
    record: (pid, command) => write(pid, command),
    recordOutliving: write,
    forget,
    outliving,
    reapExcept,
    reap: Effect.suspend(() => reapExcept(null))
  }
}

/** Also where all processes were numbered anew by a restart of the machine, as far as it can be told. */
const isOurs = (child: Child): boolean =>
  isAlive(child) &&
  (child.outliving === undefined ||
    isMarked(child.pid, child.outliving.mark.name, child.outliving.mark.value))

const removeRun = ({ outliving }: Child): void => {
  if (outliving === undefined) return
  for (const ending of runFiles) rmSync(outliving.run + ending, { force: true })
}

/** What belongs to one run of a child that lives on: what it prints, the sign that we live, its conversations. */
const runFiles = [".log", ".lease", ".sessions"]

const recordsIn = (directory: string, prefix: string): ReadonlyArray<string> => {
  try {
    return readdirSync(directory)
      .filter((name) => name.startsWith(prefix) && name.endsWith(".json"))
      .map((name) => join(directory, name))
  } catch {
    return []
  }
}

const readRecord = (file: string): Child | null => {
  try {
    const child = decodeChild(readFileSync(file, "utf8"))
    return child._tag === "Some" ? child.value : null
  } catch {
    return null
  }
}
