/** The projects and threads as a client of the shell has them, by what its subscription brought. */
import type { ProjectRow, ThreadRow } from "@turnkeeper/contracts/Rows"
import type { ShellCursor, ShellItem } from "@turnkeeper/contracts/Streams"

export interface Rows {
  readonly projects: ReadonlyArray<ProjectRow>
  readonly threads: ReadonlyArray<ThreadRow>
}

export interface Sidebar {
  readonly hear: (item: ShellItem) => void
  /** Nothing more comes; what is there stays. */
  readonly cut: () => void
  /** Everything up to now is there, and the line stands. */
  readonly isLive: () => boolean
  readonly rows: () => Rows
  /** Where to go on after a cut; null before everything was told once. */
  readonly cursor: () => ShellCursor | null
}

export const makeSidebar = (): Sidebar => {
  const projects = new Map<string, ProjectRow>()
  const threads = new Map<string, ThreadRow>()
  let live = false
  let cursor: ShellCursor | null = null

  const show = (rows: Rows) => {
    for (const row of rows.projects) projects.set(row.projectId, row)
    for (const row of rows.threads) threads.set(row.threadId, row)
  }

  return {
    hear: (item) => {
      switch (item.type) {
        case "snapshot":
          projects.clear()
          threads.clear()
          return show(item)
        case "thread":
          return void threads.set(item.row.threadId, item.row)
        case "project":
          return void projects.set(item.row.projectId, item.row)
        case "thread.removed":
          return void threads.delete(item.threadId)
        case "project.removed":
          return void projects.delete(item.projectId)
        case "synchronized":
          live = true
          if (item.epoch !== undefined && item.sequence !== undefined) {
            cursor = { epoch: item.epoch, sequence: item.sequence }
          }
          return
        default:
      }
    },
    cut: () => {
      live = false
    },
    isLive: () => live,
    rows: () => ({ projects: [...projects.values()], threads: [...threads.values()] }),
    cursor: () => cursor
  }
}

/** By their ids: what a client sorts by is its own. */
export const sortedRows = ({ projects, threads }: Rows): Rows => ({
  projects: projects.toSorted((one, other) => compare(one.projectId, other.projectId)),
  threads: threads.toSorted((one, other) => compare(one.threadId, other.threadId))
})

const compare = (one: string, other: string) => (one < other ? -1 : Number(one > other))
