/**
 * A thread in which a part of the tables is made anew while the server works. It reads and folds whenever it
 * likes, and writes only when it is its turn: asked for, given by the server's one writer, and given back after a
 * moment. So while one thread writes, another reads.
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
import type { Page, Part, Run } from "./Anew.ts"
import { readingLog, runsOf } from "./Anew.ts"
import { busyMillis, concluded, createShadow, inTransaction, openShadow, shadowOf } from "./shadow.ts"

export const entry = import.meta.url

/** What the server starts it with. The name tells its thread from others that may load this file. */
export interface WorkerData {
  readonly name: typeof name
  readonly filename: string
  readonly part: Part
}
export const name = "turnkeeper rebuild"

export interface Counts {
  readonly events: number
  readonly unreadable: number
  /** How far it has come in the log, 0 to 1. */
  readonly share: number
}

/**
 * `turn`: what it asked for. `goOn`: make what has come meanwhile. While nobody commits, and until it says that it
 * `wrote`: `rest`, make all that is left; `conclude`, everything is made, put it into use.
 */
export type Asked = "turn" | "goOn" | "rest" | "conclude"

/**
 * `ready`: asks for its turn. `wrote` ends one; `more`: it was not enough for the page. `caughtUp`: has made what the log had, and waits to be asked.
 * `failed`: nothing is left open; `code` is SQLite's.
 */
export type Said =
  | { readonly type: "ready" }
  | { readonly type: "wrote"; readonly counts: Counts; readonly more: boolean }
  | { readonly type: "caughtUp" }
  | { readonly type: "failed"; readonly message: string; readonly code: number | null }

/** Of one turn: the commits wait for it. */
const turnMillis = 15

/** So many pages of what came meanwhile are read before the thread says that it has caught up all the same. */
const latePages = 64

/** Pages between two checkpoints: much of what one changes the next one changes again. */
const pagesOfCheckpoint = 2

const isOurs = (data: unknown): data is WorkerData =>
  typeof data === "object" && data !== null && "name" in data && data.name === name

const work = async (port: MessagePort, { filename, part }: WorkerData) => {
  // A thread has no origin.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  const say = (said: Said) => port.postMessage(said)
  const write = openShadow(filename)
  const read = new DatabaseSync(filename, { readOnly: true })
  try {
    read.exec(`PRAGMA busy_timeout = ${busyMillis}`)
    // Between its turns, so that no commit waits for it.
    write.exec("PRAGMA wal_autocheckpoint = 0")
    await rebuild({ write, read, part }, say, async (said) => {
      const heard = once(port, "message")
      say(said)
      const [asked] = await heard
      return asked as Asked
    })
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    say({ type: "failed", message, code: resultCode(cause) })
  } finally {
    read.close()
    write.close()
    port.close()
  }
}

interface Job {
  readonly write: DatabaseSync
  readonly read: DatabaseSync
  readonly part: Part
}

const rebuild = async (
  { part, read, write }: Job,
  say: (said: Said) => void,
  ask: (said: Said) => Promise<Asked>
) => {
  let counts: Counts = { events: 0, unreadable: 0, share: 0 }
  let isLong = false
  const turn = async <A>(body: () => A, isMore: (made: A) => boolean = () => false): Promise<A> => {
    await ask({ type: "ready" })
    const made = inTransaction(write, body)
    if (isLong) isLong = !startedAnew(write)
    say({ type: "wrote", counts, more: isMore(made) })
    return made
  }
  // What is half forgotten is looked up in the same moment: nothing is forgotten from here on.
  const next = await turn(() => {
    createShadow(write)
    return readingLog(read, part)
  })
  const runs = runsOf(write, shadowOf)
  const page = () => {
    const read = next()
    counts = plus(counts, read)
    return { ...read, runs: runs(read) }
  }
  const goOn = async () => {
    for (let complete = false, late = 0, pages = 1; !complete && late < latePages; pages++) {
      const read = page()
      complete = read.complete
      if (read.share === 1) late += 1
      while (await turn(() => someOf(read.runs), Boolean));
      // What is written must not pile up, nor be left to the next commit.
      if (complete || pages % pagesOfCheckpoint === 0) isLong = checkpointed(write, "PASSIVE") > walPages
    }
  }
  const rest = () => {
    for (let complete = false; !complete;) {
      const read = page()
      complete = read.complete
      for (const run of read.runs) run()
    }
  }
  await goOn()
  for (let asked = await ask({ type: "caughtUp" }); ;) {
    if (asked === "goOn") await goOn()
    else inTransaction(write, () => (asked === "rest" ? rest() : concluded(write)))
    asked = await ask(asked === "goOn" ? { type: "caughtUp" } : { type: "wrote", counts, more: false })
  }
}

/**
 * Pages of the WAL from which on it is made to begin anew. By itself it would not while both threads are at work:
 * before all of it is in the file the other one has written more.
 */
const walPages = 16_384

/**
 * The next commit begins the WAL anew, unless somebody reads on for longer than a turn may take. Call in a turn, when
 * nobody writes. False: the other thread is bringing it into the file.
 */
const startedAnew = (database: DatabaseSync): boolean => {
  database.exec(`PRAGMA busy_timeout = ${turnMillis}`)
  const pages = checkpointed(database, "RESTART")
  database.exec(`PRAGMA busy_timeout = ${busyMillis}`)
  return pages !== -1
}

/** How many pages the WAL has; -1: another connection is about it. */
const checkpointed = (database: DatabaseSync, mode: "PASSIVE" | "RESTART"): number =>
  Number(database.prepare(`PRAGMA wal_checkpoint(${mode})`).get()?.["log"])

/** As many as fit into one turn; at least one. Whether there may be more. */
const someOf = (runs: Iterator<Run, void>): boolean => {
  const until = performance.now() + turnMillis
  do {
    const next = runs.next()
    if (next.done === true) return false
    next.value()
  } while (performance.now() < until)
  return true
}

/** Of the pages so far. */
const plus = (counts: Counts, { events, share, unreadable }: Page): Counts => ({
  events: counts.events + events,
  unreadable: counts.unreadable + unreadable,
  share
})

// Last, so that all of the above is there.
if (parentPort !== null && isOurs(workerData)) await work(parentPort, workerData)
