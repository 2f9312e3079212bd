/** Choosing a folder of the server's machine for a new project. */
import type { Client } from "@turnkeeper/client"
import { newId } from "@turnkeeper/client"
import { ArrowUp, Folder, FolderGit2, House } from "lucide-react"
import { useEffect, useState } from "react"
import { failureNotice, useApp } from "../store/app.ts"
import { follow } from "../store/react.ts"
import { Button, IconButton } from "../ui/Button.tsx"
import { Modal } from "../ui/Modal.tsx"

interface FolderDialogProps {
  readonly onClose: () => void
  readonly onCreated: (projectId: string) => void
}

type Listing = Awaited<ReturnType<typeof browse>>
const browse = (client: Client, path: string | null) =>
  client.call("workspace.browse", path === null ? {} : { path })

const nameOf = (path: string) => path.split(/[\\/]/).findLast((part) => part !== "") ?? path

export const FolderDialog = ({ onClose, onCreated }: FolderDialogProps) => {
  const { client, attempt } = useApp()
  const [path, setPath] = useState<string | null>(null)
  const [typed, setTyped] = useState("")
  const [title, setTitle] = useState<string | null>(null)
  const [listing, setListing] = useState<Listing | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => {
    return follow(
      browse(client, path),
      (found) => {
        setListing(found)
        setTyped(found.path)
        setProblem(null)
      },
      (error) => setProblem(failureNotice(error).text)
    )
  }, [client, path])
  const directory = listing?.path ?? null
  const name = title ?? (directory === null ? "" : nameOf(directory))
  const create = () => {
    if (directory === null || name.trim() === "") return
    const projectId = newId("project")
    attempt(client.dispatch({ type: "project.create", projectId, title: name.trim(), directory }), () =>
      onCreated(projectId)
    )
  }
  return (
    <Modal label="Add a project" onClose={onClose} className="folder-dialog">
      <p className="modal-lead">Choose the folder in which the agent works.</p>
      <form
        className="folder-path"
        onSubmit={(event) => {
          event.preventDefault()
          setPath(typed)
        }}
      >
        <IconButton
          label="The folder above"
          disabled={listing?.parent == null}
          onClick={() => setPath(listing?.parent ?? null)}
        >
          <ArrowUp size={15} />
        </IconButton>
        <IconButton label="Home" disabled={listing === null} onClick={() => setPath(listing?.home ?? null)}>
          <House size={15} />
        </IconButton>
        <input
          data-first
          className="field"
          aria-label="Folder"
          value={typed}
          spellCheck={false}
          onChange={(event) => setTyped(event.target.value)}
        />
        <Button type="submit">Open</Button>
      </form>
      {problem !== null && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <ul className="folders" aria-label={directory === null ? "Folders" : `Folders in ${directory}`}>
        {listing?.directories.map((folder) => (
          <li key={folder.path}>
            <button type="button" onClick={() => setPath(folder.path)}>
              {folder.isGit ? (
                <FolderGit2 size={15} aria-hidden="true" />
              ) : (
                <Folder size={15} aria-hidden="true" />
              )}
              {folder.name}
            </button>
          </li>
        ))}
        {listing?.directories.length === 0 && <li className="folders-none">No folders in here.</li>}
      </ul>
      <label className="folder-name">
        <span>Name of the project</span>
        <input
          className="field"
          value={name}
          maxLength={200}
          onChange={(event) => setTitle(event.target.value)}
        />
      </label>
      <div className="modal-actions">
        <Button onClick={onClose}>Cancel</Button>
        <Button look="primary" disabled={directory === null || name.trim() === ""} onClick={create}>
          Use this folder
        </Button>
      </div>
    </Modal>
  )
}
