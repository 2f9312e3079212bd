/**
 * The folders of a directory, for choosing a project's.
 *
 * Names only, never a file's content, and at most so many of them: a folder with a million entries costs a
 * bounded list.
 */
import { DirectoryUnreadable } from "@turnkeeper/contracts/Errors"
import { foldersMax } from "@turnkeeper/contracts/Workspace"
import type { BrowseInput, Folder } from "@turnkeeper/contracts/Workspace"
import { Context, Effect } from "effect"
import type { Dirent } from "node:fs"
import { access, mkdir, opendir, realpath, stat } from "node:fs/promises"
import { homedir } from "node:os"
import { dirname, join, resolve } from "node:path"

/** A folder of the server's own, offered for a first try: it holds nothing that an agent could harm. */
export class Playground extends Context.Service<Playground, string>()("server/rpc/Playground") {}

/** `playground`: made when it is not there yet. */
export const browse = (input: BrowseInput, playground: string) => {
  const asked = expanded(input.path ?? "~")
  return Effect.tryPromise({
    try: () => look(asked, playground),
    catch: (cause) => new DirectoryUnreadable({ path: asked, reason: reasonOf(cause) })
  })
}

const expanded = (path: string) =>
  resolve(homedir(), path === "~" || /^~[\\/]/.test(path) ? join(homedir(), path.slice(1)) : path)

const look = async (asked: string, playground: string): Promise<Folder> => {
  await mkdir(playground, { recursive: true, mode: 0o700 })
  const path = await realpath(asked)
  const { names, truncated } = await foldersIn(path)
  const parent = dirname(path)
  return {
    path,
    parent: parent === path ? null : parent,
    home: homedir(),
    playground,
    isGit: await isGit(path),
    directories: await Promise.all(
      names
        .toSorted(inOrder)
        .map(async (name) => ({ name, path: join(path, name), isGit: await isGit(join(path, name)) }))
    ),
    truncated
  }
}

/** Looked at, whatever they are. */
const entriesMax = 50_000

const foldersIn = async (path: string): Promise<Found> => {
  const names: Array<string> = []
  let looked = 0
  for await (const entry of await opendir(path)) {
    if ((looked += 1) > entriesMax) return { names, truncated: true }
    if (!(await isFolder(path, entry))) continue
    if (names.length === foldersMax) return { names, truncated: true }
    names.push(entry.name)
  }
  return { names, truncated: false }
}

interface Found {
  readonly names: ReadonlyArray<string>
  /** There may be more. */
  readonly truncated: boolean
}

/** A link to a folder is one, too. */
const isFolder = async (path: string, entry: Dirent): Promise<boolean> => {
  if (!entry.isSymbolicLink()) return entry.isDirectory()
  return stat(join(path, entry.name)).then(
    (target) => target.isDirectory(),
    () => false
  )
}

/** A work tree of git has a file there instead of a folder. */
const isGit = (path: string): Promise<boolean> =>
  access(join(path, ".git")).then(
    () => true,
    () => false
  )

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" })

const inOrder = (a: string, b: string) =>
  Number(a.startsWith(".")) - Number(b.startsWith(".")) || collator.compare(a, b)

const reasons: Readonly<Record<string, DirectoryUnreadable["reason"]>> = {
  ENOENT: "missing",
  ENOTDIR: "not_a_directory",
  EACCES: "not_allowed",
  EPERM: "not_allowed"
}

const reasonOf = (cause: unknown): DirectoryUnreadable["reason"] =>
  (cause instanceof Error && "code" in cause ? reasons[String(cause.code)] : undefined) ?? "failed"
