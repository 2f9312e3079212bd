/** A file system of its own, of a few megabytes, which can be filled and made read-only: for root on Linux. */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const run = (command: string, ...args: ReadonlyArray<string>) => spawnSync(command, args).status === 0

const mount = (directory: string) => run("mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", directory)

/** Whether this process may mount; where it may not, the tests that need it are shown as skipped. */
export const canMount = ((): boolean => {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false
  const directory = mkdtempSync(join(tmpdir(), "turnkeeper-mount-"))
  const mounted = mount(directory)
  if (mounted) run("umount", directory)
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  return mounted
})()

export interface SmallDisk {
  readonly directory: string
  /** Leaves so many bytes; 0: none at all. */
  readonly fill: (leave: number) => Effect.Effect<void>
  readonly free: Effect.Effect<void>
  /** Whether that could be done. */
  readonly readOnly: (on: boolean) => Effect.Effect<boolean>
}

/** Gone with the scope. */
export const smallDisk = Effect.acquireRelease(
  Effect.sync((): SmallDisk => {
    const directory = mkdtempSync(join(tmpdir(), "turnkeeper-disk-"))
    if (!mount(directory)) throw new Error(`${directory} could not be mounted`)
    const filler = join(directory, "filler")
    return {
      directory,
      fill: (leave) => Effect.sync(() => fill(filler, directory, leave)),
      free: Effect.sync(() => rmSync(filler, { force: true })),
      readOnly: (on) => Effect.sync(() => run("mount", "-o", `remount,${on ? "ro" : "rw"}`, directory))
    }
  }),
  ({ directory }) =>
    Effect.sync(() => {
      // A file that is still open keeps the file system busy: lazily, it goes with its last user.
      run("umount", "-l", directory)
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
    })
)

const page = Buffer.alloc(4_096)

const fill = (file: string, directory: string, leave: number) => {
  const handle = openSync(file, "a")
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(directory)
      if (bavail * bsize <= leave) return
      writeSync(handle, page)
    }
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "ENOSPC")) throw cause
  } finally {
    closeSync(handle)
  }
}
