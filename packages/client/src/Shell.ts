/** Projects and threads beside the open one: the rows as the server sends them, in the order to show them. */
import type { ProjectRow, ThreadRow } from "@turnkeeper/contracts/Rows"
import type { ShellCursor, ShellItem } from "@turnkeeper/contracts/Streams"
import type { Link } from "./Link.ts"
import { makeListing } from "./listing.ts"

type Synchronized = Extract<ShellItem, { readonly type: "synchronized" }>

interface Rows {
  readonly projects: ReadonlyArray<ProjectRow>
  readonly threads: ReadonlyArray<ThreadRow>
}

export const makeShell = (link: Link) => {
  /** Up to where the rows are known; null: only all of them together will do. */
  let after: ShellCursor | null = null
  return makeListing<ShellItem, Rows>(link, {
    name: "shell",
    stream: (session) => session.calls("orchestration.subscribeShell", after === null ? {} : { after }),
    empty: { projects: [], threads: [] },
    join: joined,
    onJoined: (item) => {
      // Of a list that is cut off in the middle nothing can be carried on.
      if (item.type === "snapshot") after = null
      if (item.type === "synchronized") after = cursorOf(item)
    }
  })
}

/** An older server does not say where it is. */
const cursorOf = ({ epoch, sequence }: Synchronized): ShellCursor | null =>
  epoch === undefined || sequence === undefined ? null : { epoch, sequence }

const joined = (rows: Rows, item: ShellItem): Rows => {
  const { projects, threads } = rows
  switch (item.type) {
    case "snapshot": {
      const project = new Map(projects.map((row) => [row.projectId, row]))
      const thread = new Map(threads.map((row) => [row.threadId, row]))
      return {
        projects: item.projects.map((row) => kept(project.get(row.projectId), row)).sort(byTitle),
        threads: item.threads.map((row) => kept(thread.get(row.threadId), row)).sort(byActivity)
      }
    }
    case "thread":
      return { projects, threads: withRow(threads, item.row, isThread(item.row.threadId), byActivity) }
    case "project":
      return { threads, projects: withRow(projects, item.row, isProject(item.row.projectId), byTitle) }
    case "thread.removed":
      return { projects, threads: threads.filter((row) => row.threadId !== item.threadId) }
    case "project.removed":
      return { threads, projects: projects.filter((row) => row.projectId !== item.projectId) }
    default:
      return rows
  }
}

const isThread = (threadId: string) => (row: ThreadRow) => row.threadId === threadId
const isProject = (projectId: string) => (row: ProjectRow) => row.projectId === projectId

/** The row that is there already, where the new one says the same. */
const kept = <Row>(mine: Row | undefined, row: Row): Row =>
  mine !== undefined && JSON.stringify(mine) === JSON.stringify(row) ? mine : row

/** The others are in order, so the row is put in its place: sorting a thousand for one would be work. */
const withRow = <Row>(
  rows: ReadonlyArray<Row>,
  row: Row,
  isIt: (other: Row) => boolean,
  order: (a: Row, b: Row) => number
): ReadonlyArray<Row> => {
  const others = rows.filter((other) => !isIt(other))
  const at = others.findIndex((other) => order(row, other) < 0)
  return at === -1 ? [...others, row] : others.toSpliced(at, 0, row)
}

const byTitle = (a: ProjectRow, b: ProjectRow) =>
  a.title.localeCompare(b.title) || compare(a.projectId, b.projectId)

const byActivity = (a: ThreadRow, b: ThreadRow) =>
  b.lastActivityAt - a.lastActivityAt || compare(a.threadId, b.threadId)

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
