/**
 * The thread in which heavy reads run, so that none of them holds up the server's own.
 *
 * Its file is its entry, in the sources and in the bundle alike: the server loads it for `entry` alone.
 */
import { DatabaseSync } from "node:sqlite"
import { parentPort, workerData } from "node:worker_threads"
import type { FoundPage, SearchRequest } from "./search.ts"
import { search } from "./search.ts"

export const entry = import.meta.url

/** What the server starts it with. The name tells its thread from others that may load this file. */
export interface WorkerData {
  readonly name: typeof name
  readonly filename: string
}
export const name = "turnkeeper heavy reads"

export interface Question {
  readonly id: number
  readonly request: Request
}
export type Request = { readonly type: "search" } & SearchRequest

/** `failed`: what SQLite said; the thread goes on. */
export type Reply =
  | { readonly id: number; readonly type: "answer"; readonly answer: FoundPage }
  | { readonly id: number; readonly type: "failed"; readonly message: string }

const isOurs = (data: unknown): data is WorkerData =>
  typeof data === "object" && data !== null && "name" in data && data.name === name

if (parentPort !== null && isOurs(workerData)) {
  const port = parentPort
  const database = new DatabaseSync(workerData.filename, { readOnly: true })
  database.exec("PRAGMA busy_timeout = 1000; PRAGMA query_only = ON; PRAGMA cache_size = -8192")
  port.on("message", ({ id, request }: Question) => {
    let reply: Reply
    try {
      reply = { id, type: "answer", answer: search(database, request) }
    } catch (cause) {
      reply = { id, type: "failed", message: cause instanceof Error ? cause.message : String(cause) }
    }
    port.postMessage(reply)
  })
}
