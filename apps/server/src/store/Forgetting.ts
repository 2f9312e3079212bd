/**
 * Deleted threads whose history is still to go: noted in the commit that deletes them, so that a crash
 * leaves none behind.
 *
 * What stays of a thread for ever are three events: its creation, its deletion, and the newest, which keeps
 * its versions dense from there. So its id is never given again, and a rebuild makes the same rows (L15).
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { Write } from "./rows.ts"
import { insertInto } from "./rows.ts"

export interface Deletion {
  readonly threadId: ThreadId
  /** Version of the event that deleted it. */
  readonly version: number
}

/** For the commit's transaction alone. */
export const noteDeletions = (deletions: ReadonlyArray<Deletion>): Write => ({
  statement: insert,
  rows: deletions.map(({ threadId, version }) => [threadId, version])
})

const insert = insertInto("forgetting", ["thread_id", "deleted_version"], "ON CONFLICT DO NOTHING")

/** The versions that stay of a deleted thread. */
export type Kept = ReadonlySet<number>
export const kept = (deleted: number, newest: number): Kept => new Set([1, deleted, newest])

/** Every thread that has lost a part of its history already: what is left beside the kept events is no history. */
export const halfForgottenRows = `SELECT thread_id AS id, deleted_version AS deleted, newest_version AS newest
  FROM forgetting WHERE newest_version IS NOT NULL`

export interface HalfForgotten {
  readonly id: ThreadId
  readonly deleted: number
  readonly newest: number
}

export const keptOf = (rows: ReadonlyArray<HalfForgotten>): ReadonlyMap<ThreadId, Kept> =>
  new Map(rows.map(({ id, deleted, newest }) => [id, kept(deleted, newest)]))
