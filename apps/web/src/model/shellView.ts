/** The sidebar's order: projects by name, their threads by what happened last. Pure. */
import type { ProjectRow, ThreadRow } from "@turnkeeper/contracts/Rows"
import { threadStatus } from "@turnkeeper/contracts/Words"
import type { ThreadSign } from "@turnkeeper/contracts/Words"

export interface ProjectGroup {
  readonly project: ProjectRow
  readonly threads: ReadonlyArray<ThreadRow>
}

export const groupThreads = (
  projects: ReadonlyArray<ProjectRow>,
  threads: ReadonlyArray<ThreadRow>,
  archived: boolean
): ReadonlyArray<ProjectGroup> => {
  const shown = threads.filter((row) => row.deletedAt === null && (row.archivedAt !== null) === archived)
  return projects
    .toSorted((a, b) => a.title.localeCompare(b.title) || a.projectId.localeCompare(b.projectId))
    .map((project) => ({
      project,
      threads: shown
        .filter((row) => row.projectId === project.projectId)
        .toSorted((a, b) => b.lastActivityAt - a.lastActivityAt || a.threadId.localeCompare(b.threadId))
    }))
    .filter((group) => !archived || group.threads.length > 0)
}

/** Of one project, before all are asked for: the newest are what one looks for. */
export const shownAtFirst = 50

/** The thread that is open is shown wherever it stands. */
export const shownThreads = (
  threads: ReadonlyArray<ThreadRow>,
  all: boolean,
  open: string | null
): ReadonlyArray<ThreadRow> =>
  all ? threads : threads.filter((row, index) => index < shownAtFirst || row.threadId === open)

export type Sign = ThreadSign | "unread"

export interface ThreadFace {
  readonly sign: Sign
  readonly words: string
}

/**
 * How a thread is shown in the list. `unread`: it came to rest since it was last looked at; a message that was
 * only withdrawn is nothing that was done. `discarded`: the user has dealt with its newest turn of unknown delivery.
 */
export const threadFace = (row: ThreadRow, now: number, unread: boolean, discarded: boolean): ThreadFace => {
  const status = threadStatus(row, now)
  if (status.sign === "doubtful" && discarded) {
    return { sign: "interrupted", words: "Interrupted" }
  }
  const done = status.sign === "ready" && row.latestTurn?.state !== "cancelled"
  return done && unread ? { sign: "unread", words: "Done, unread" } : status
}

/** The threads in the order in which the list shows them: what "next" and "previous" go by. */
export const inListOrder = (groups: ReadonlyArray<ProjectGroup>): ReadonlyArray<ThreadRow> =>
  groups.flatMap((group) => group.threads)
