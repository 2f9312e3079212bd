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
import { descendantsOf, ensureGone, isAlive, signalGroup, startTimeOf } from "./processes.ts"

export interface ProcessLedger {
  /** Synchronous, so that nothing can be written to a child before it is on record. */
  readonly record: (pid: number, command: string) => void
  readonly forget: (pid: number) => void
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

const Child = Schema.Struct({
  pid: Schema.Int.check(Schema.isGreaterThan(1)),
  startTime: Schema.String,
  command: Schema.String
})
type Child = typeof Child.Type

const decodeChild = Schema.decodeUnknownOption(Schema.fromJsonString(Child))

export const make = (options: ProcessLedgerOptions): ProcessLedger => {
  const prefix = `${encodeURIComponent(options.owner)}.`
  const fileOf = (pid: number) => join(options.directory, `${prefix}${pid}.json`)

  const record = (pid: number, command: string): void => {
    const startTime = startTimeOf(pid)
    // It has ended already: there is nothing to find again.
    if (startTime === null) return
    mkdirSync(options.directory, { recursive: true })
    const child: Child = { pid, startTime, command }
    // Renamed into place: a reader never sees half a record.
    writeFileSync(`${fileOf(pid)}.new`, JSON.stringify(child))
    renameSync(`${fileOf(pid)}.new`, fileOf(pid))
  }

  const forget = (pid: number): void => rmSync(fileOf(pid), { force: true })

  const reap = Effect.gen(function* () {
    const killed: Array<number> = []
    const survived: Array<number> = []
    for (const file of recordsIn(options.directory, prefix)) {
      const child = readRecord(file)
      if (child !== null && isAlive(child)) {
        const below = descendantsOf(child.pid)
        signalGroup(child.pid, "SIGKILL")
        const left = yield* ensureGone([child, ...below])
        if (left.length > 0) {
          survived.push(...left.map(({ pid }) => pid))
          continue
        }
        killed.push(child.pid)
      }
      rmSync(file, { force: true })
    }
    return { killed, survived }
  })

  return { record, forget, reap }
}

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
