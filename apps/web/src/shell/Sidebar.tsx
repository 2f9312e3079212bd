/** Projects and their threads, each with how it is doing. */
import type { ShellModel } from "@turnkeeper/client"
import type { ThreadRow } from "@turnkeeper/contracts/Rows"
import { durationWords } from "@turnkeeper/contracts/Words"
import { Archive, ChevronRight, FolderPlus, Plus, Search } from "lucide-react"
import { memo, useState } from "react"
import { shortPath } from "../model/format.ts"
import { groupThreads, shownThreads, threadFace } from "../model/shellView.ts"
import type { ProjectGroup } from "../model/shellView.ts"
import type { Route } from "../store/route.ts"
import { hashOf, toThread } from "../store/route.ts"
import { IconButton } from "../ui/Button.tsx"
import { Sign } from "../ui/Sign.tsx"

interface SidebarProps {
  readonly shell: ShellModel
  readonly route: Route
  readonly now: number
  readonly isUnread: (row: ThreadRow) => boolean
  readonly isDiscarded: (turnId: string) => boolean
  readonly folded: Readonly<Record<string, true>>
  readonly onFold: (projectId: string) => void
  readonly onSearch: () => void
  readonly onAddProject: () => void
  readonly unsent: React.ReactNode
  readonly footer: React.ReactNode
}

export const Sidebar = (props: SidebarProps) => {
  const { shell, onSearch, onAddProject, unsent, footer } = props
  const [archived, setArchived] = useState(false)
  const groups = groupThreads(shell.projects, shell.threads, archived)
  return (
    <nav className="sidebar" aria-label="Threads">
      <div className="sidebar-head">
        <span className="brand">
          <img src="/icon.svg" alt="" width="20" height="20" /> Turnkeeper
        </span>
        <IconButton label="Search threads, messages and commands (Ctrl K)" onClick={onSearch}>
          <Search size={16} />
        </IconButton>
      </div>
      <a className="new-thread" href={hashOf({ page: "new", projectId: null })}>
        <Plus size={15} aria-hidden="true" /> New thread
      </a>
      <div className="sidebar-list">
        {unsent}
        {shell.status === "loading" && <p className="sidebar-note">Loading…</p>}
        {groups.map((group) => (
          <Project key={group.project.projectId} group={group} {...props} />
        ))}
        {shell.status !== "loading" && groups.length === 0 && (
          <p className="sidebar-note">{archived ? "Nothing is archived." : "No project yet."}</p>
        )}
      </div>
      <div className="sidebar-tools">
        <button type="button" className="tool" onClick={onAddProject}>
          <FolderPlus size={14} aria-hidden="true" /> Add project
        </button>
        <button type="button" className="tool" aria-pressed={archived} onClick={() => setArchived(!archived)}>
          <Archive size={14} aria-hidden="true" /> Archive
        </button>
      </div>
      {footer}
    </nav>
  )
}

const Project = ({ group, ...props }: SidebarProps & { readonly group: ProjectGroup }) => {
  const { project, threads } = group
  const open = props.folded[project.projectId] !== true
  const listId = `project-${project.projectId}`
  const [all, setAll] = useState(false)
  const openThread = props.route.page === "thread" ? props.route.threadId : null
  const shown = shownThreads(threads, all, openThread)
  return (
    <section className="project" aria-label={project.title}>
      <div className="project-head">
        <button
          type="button"
          className="project-name"
          aria-expanded={open}
          aria-controls={listId}
          title={project.directory}
          onClick={() => props.onFold(project.projectId)}
        >
          <ChevronRight size={13} className="fold-arrow" aria-hidden="true" />
          <span className="project-title">{project.title}</span>
          <span className="project-where">{shortPath(project.directory, 1)}</span>
        </button>
        <a
          className="icon-button"
          href={hashOf({ page: "new", projectId: project.projectId })}
          aria-label={`New thread in ${project.title}`}
          title={`New thread in ${project.title}`}
        >
          <Plus size={14} />
        </a>
      </div>
      <ul id={listId} hidden={!open}>
        {shown.map((row) => {
          const current = row.threadId === openThread
          return (
            <ThreadLine
              key={row.threadId}
              row={row}
              now={props.now}
              current={current}
              unread={!current && props.isUnread(row)}
              discarded={row.latestTurn !== null && props.isDiscarded(row.latestTurn.turnId)}
            />
          )
        })}
        {shown.length < threads.length && (
          <li>
            <button type="button" className="thread-more" onClick={() => setAll(true)}>
              Show all {threads.length}
            </button>
          </li>
        )}
      </ul>
    </section>
  )
}

interface ThreadLineProps {
  readonly row: ThreadRow
  readonly now: number
  readonly current: boolean
  readonly unread: boolean
  readonly discarded: boolean
}

/** Drawn again only when something of its own has changed: there may be a thousand. */
const ThreadLine = memo(({ row, now, current, unread, discarded }: ThreadLineProps) => {
  const face = threadFace(row, now, unread, discarded)
  const resting = face.sign === "ready"
  return (
    <li>
      <a
        className={`thread-line thread-line-${face.sign}`}
        href={hashOf(toThread(row.threadId))}
        aria-current={current ? "page" : undefined}
        data-thread={row.threadId}
      >
        <Sign sign={face.sign} />
        <span className="thread-line-title" title={row.title}>
          {row.title === "" ? "Thread" : row.title}
        </span>
        <span className={resting ? "thread-line-when" : "thread-line-status"}>
          {resting ? (
            <>
              <span className="visually-hidden">{face.words}, </span>
              {durationWords(now - row.lastActivityAt)}
            </>
          ) : (
            face.words
          )}
        </span>
      </a>
    </li>
  )
})
