/** What somebody who looks elsewhere wants to be told: an agent waits for them, or has come to an end. Pure. */
import type { ThreadRow } from "@turnkeeper/contracts/Rows"
import { threadStatus } from "@turnkeeper/contracts/Words"
import type { ThreadSign } from "@turnkeeper/contracts/Words"

export interface News {
  readonly threadId: string
  readonly title: string
  readonly words: string
}

const going: ReadonlySet<ThreadSign> = new Set([
  "working",
  "queued",
  "reconnecting",
  "quiet",
  "stopping",
  "waiting"
])

/** From one state of the list to the next. A thread that was not in the list before is no news. */
export const newsOf = (
  before: ReadonlyArray<ThreadRow>,
  after: ReadonlyArray<ThreadRow>
): ReadonlyArray<News> => {
  const known = new Map(before.map((row) => [row.threadId, row]))
  return after.flatMap((row) => {
    const old = known.get(row.threadId)
    if (old === undefined || old === row || row.deletedAt !== null || row.archivedAt !== null) return []
    const words = wordsOf(threadStatus(old).sign, row)
    return words === null ? [] : [{ threadId: row.threadId, title: row.title, words }]
  })
}

const wordsOf = (was: ThreadSign, row: ThreadRow): string | null => {
  const { sign, words } = threadStatus(row)
  if (sign === "waiting") return was === "waiting" ? null : words
  if (!going.has(was) || going.has(sign)) return null
  // A message that was only withdrawn is nothing that was done.
  if (sign === "ready") return row.latestTurn?.state === "completed" ? "Done" : null
  return words
}
