import type { ProjectRow, ThreadRow } from "@turnkeeper/contracts/Rows"
import { Archive, ArchiveRestore, Ellipsis, Pencil, Trash2 } from "lucide-react"
import { useState } from "react"
import { shortPath } from "../model/format.ts"
import { ActionMenu } from "../ui/Menu.tsx"
import { Button } from "../ui/Button.tsx"
import { Modal } from "../ui/Modal.tsx"

interface ThreadHeaderProps {
  readonly thread: ThreadRow
  readonly project: ProjectRow | null
  readonly onRename: (title: string) => void
  readonly onArchive: () => void
  readonly onDelete: () => void
}

export const ThreadHeader = ({ thread, project, onRename, onArchive, onDelete }: ThreadHeaderProps) => {
  const [open, setOpen] = useState<"rename" | "delete" | null>(null)
  const archived = thread.archivedAt !== null
  const where = thread.cwd ?? project?.directory ?? null
  return (
    <header className="thread-head">
      <div className="thread-names">
        <h1>{thread.title === "" ? "Thread" : thread.title}</h1>
        {where !== null && (
          <span className="thread-where" title={where}>
            {project === null ? "" : `${project.title} · `}
            {shortPath(where)}
          </span>
        )}
      </div>
      <ActionMenu
        label="More about this thread"
        actions={[
          { label: "Rename", icon: <Pencil size={14} />, run: () => setOpen("rename") },
          {
            label: archived ? "Take out of the archive" : "Archive",
            icon: archived ? <ArchiveRestore size={14} /> : <Archive size={14} />,
            run: onArchive
          },
          { label: "Delete…", icon: <Trash2 size={14} />, danger: true, run: () => setOpen("delete") }
        ]}
      >
        <Ellipsis size={17} />
      </ActionMenu>
      {open === "rename" && (
        <RenameDialog
          title={thread.title}
          onClose={() => setOpen(null)}
          onSave={(title) => {
            setOpen(null)
            onRename(title)
          }}
        />
      )}
      {open === "delete" && (
        <Modal label="Delete this thread?" onClose={() => setOpen(null)}>
          <p>
            What runs in it is stopped, what waits is withdrawn, and it is gone from the list. This cannot be
            undone.
          </p>
          <div className="modal-actions">
            <Button onClick={() => setOpen(null)}>Keep it</Button>
            <Button look="danger" onClick={onDelete}>
              Delete
            </Button>
          </div>
        </Modal>
      )}
    </header>
  )
}

const titleLength = 500

interface RenameProps {
  readonly title: string
  readonly onClose: () => void
  readonly onSave: (title: string) => void
}

const RenameDialog = ({ title: before, onClose, onSave }: RenameProps) => {
  const [title, setTitle] = useState(before)
  return (
    <Modal label="Rename this thread" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          if (title.trim() !== "") onSave(title.trim())
        }}
      >
        <input
          data-first
          className="field"
          aria-label="Title"
          maxLength={titleLength}
          value={title}
          onChange={(event) => setTitle(event.target.value)}
        />
        <div className="modal-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={title.trim() === ""}>
            Rename
          </Button>
        </div>
      </form>
    </Modal>
  )
}
