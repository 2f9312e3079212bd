/**
 * The thread in which the tables are made anew while the server works. It reads and folds whenever it likes, and
 * writes only when it is its turn: asked for, given by the server's one writer, and given back after a moment.
 *
 * Its file is its entry, in the sources and in the bundle alike: the server loads it for `entry` alone.
 */
// Works by being loaded before any schema is made: checking what was read is then several times as fast.
// oxlint-disable-next-line import/no-unassigned-import
import "effect/schema/SchemaJITCompiler/enable"
import { DatabaseSync } from "node:sqlite"
import { once } from "node:events"
import type { MessagePort } from "node:worker_threads"
import { parentPort, workerData } from "node:worker_threads"
import { resultCode } from "../store/Connection.ts"
import type { Page, Run } from "./Anew.ts"
import { readingLog, runsOf } from "./Anew.ts"
import { concluded, createShadow, inTransaction, openShadow, shadowOf } from "./shadow.ts"

export const entry = import.meta.url

/** What the server starts it with. The name tells its thread from others that may load this file. */
export interface WorkerData {
  readonly name: typeof name
  readonly filename: string
}
export const name = "turnkeeper rebuild"

export interface Counts {
  readonly events: number
  readonly unreadable: number
  /** How far it has come in the log, 0 to 1. */
  readonly share: number
}

/** `ready`: asks for its turn. `wrote` and `done` end a turn. `failed`: nothing is left open; `code` is SQLite's. */
export type Said =
  | { readonly type: "ready" }
  | { readonly type: "wrote"; readonly counts: Counts }
  | { readonly type: "done"; readonly counts: Counts }
  | { readonly type: "failed"; readonly message: string; readonly code: number | null }

/** Of one turn: the commits wait for it. */
const turnMillis = 15

/** So many pages of what came meanwhile are read before the commits have to wait for the rest. */
const latePages = 64

const isOurs = (data: unknown): data is WorkerData =>
  typeof data === "object" && data !== null && "name" in data && data.name === name

const work = async (port: MessagePort, filename: string) => {
  // A thread has no origin.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  const say = (said: Said) => port.postMessage(said)
  const write = openShadow(filename)
  const read = new DatabaseSync(filename, { readOnly: true })
  try {
    read.exec("PRAGMA busy_timeout = 5000")
    // Between its turns, so that no commit waits for it.
    write.exec("PRAGMA wal_autocheckpoint = 0")
    await rebuild(write, read, say, () => once(port, "message"))
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    say({ type: "failed", message, code: resultCode(cause) })
  } finally {
    read.close()
    write.close()
    port.close()
  }
}

const rebuild = async (
  write: DatabaseSync,
  read: DatabaseSync,
  say: (said: Said) => void,
  given: () => Promise<unknown>
) => {
  let counts: Counts = { events: 0, unreadable: 0, share: 0 }
  const turn = async <A>(body: () => A): Promise<A> => {
    const mine = given()
    say({ type: "ready" })
    await mine
    return inTransaction(write, body)
  }
  // What is half forgotten is looked up in the same moment: nothing is forgotten from here on.
  const next = await turn(() => {
    createShadow(write)
    return readingLog(read)
  })
  const runs = runsOf(write, shadowOf)
  say({ type: "wrote", counts })
  for (let complete = false, late = 0; !complete && late < latePages;) {
    const page = next()
    complete = page.complete
    if (page.share === 1) late += 1
    counts = plus(counts, page)
    const left = [...runs(page.writes)]
    while (left.length > 0) {
      await turn(() => someOf(left))
      say({ type: "wrote", counts })
    }
    // What is written must not pile up, nor be left to the next commit.
    write.exec("PRAGMA wal_checkpoint(PASSIVE)")
  }
  // Nobody commits meanwhile: what is read now is the end of the log.
  await turn(() => {
    for (let complete = false; !complete;) {
      const page = next()
      complete = page.complete
      counts = plus(counts, page)
      for (const run of runs(page.writes)) run()
    }
    concluded(write)
  })
  say({ type: "done", counts: { ...counts, share: 1 } })
}

/** Runs from the front, as many as fit into one turn; at least one. */
const someOf = (left: Array<Run>) => {
  const until = performance.now() + turnMillis
  let done = 0
  while (done < left.length && (done === 0 || performance.now() < until)) left[done++]?.()
  left.splice(0, done)
}

/** Of the pages so far. */
const plus = (counts: Counts, { events, share, unreadable }: Page): Counts => ({
  events: counts.events + events,
  unreadable: counts.unreadable + unreadable,
  share
})

// Last, so that all of the above is there.
if (parentPort !== null && isOurs(workerData)) await work(parentPort, workerData.filename)
