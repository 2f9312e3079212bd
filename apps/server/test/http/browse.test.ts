/** Looking through the folders of the server's machine, over the socket. */
import { describe, expect, it } from "@effect/vitest"
import { foldersMax } from "@turnkeeper/contracts/Workspace"
import { Effect } from "effect"
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { join } from "node:path"
import { browse } from "../../src/rpc/browse.ts"
import { client, server } from "../rpc/harness.ts"

const inDirectory = <A, E, R>(use: (directory: string) => Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "turnkeeper-browse-")))),
    use,
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  )

describe("a folder", () => {
  it.effect("shows its folders in the order of people, hidden ones last, and no file", () =>
    inDirectory((directory) =>
      Effect.gen(function* () {
        for (const name of ["b10", "b9", "Alpha", ".hidden", "repository/.git"]) {
          mkdirSync(join(directory, name), { recursive: true })
        }
        writeFileSync(join(directory, "a-file"), "secret")
        symlinkSync(join(directory, "b9"), join(directory, "link"))
        symlinkSync(join(directory, "nowhere"), join(directory, "dangling"))
        const folder = yield* browse({ path: directory }, join(directory, ".hidden", "playground"))
        expect(folder).toMatchObject({
          path: directory,
          parent: join(directory, ".."),
          home: homedir(),
          isGit: false,
          truncated: false
        })
        expect(folder.directories.map(({ name }) => name)).toEqual([
          "Alpha",
          "b9",
          "b10",
          "link",
          "repository",
          ".hidden"
        ])
        const repository = folder.directories.find(({ name }) => name === "repository")
        expect(repository).toEqual({
          name: "repository",
          path: join(directory, "repository"),
          isGit: true
        })
        const inside = yield* browse({ path: join(directory, "repository") }, folder.playground)
        expect(inside.isGit).toBe(true)
        // The playground is there to be used at once.
        expect((yield* browse({ path: folder.playground }, folder.playground)).directories).toEqual([])
      })
    )
  )

  it.effect(
    "with very many folders is shown in part, and says so",
    () =>
      inDirectory((directory) =>
        Effect.gen(function* () {
          for (let n = 0; n < foldersMax + 5; n++) mkdirSync(join(directory, `folder-${n}`))
          const folder = yield* browse({ path: directory }, join(directory, "folder-1"))
          expect(folder.directories).toHaveLength(foldersMax)
          expect(folder.truncated).toBe(true)
        })
      ),
    30_000
  )

  it.effect("that is not one, is not there or is closed is told by its reason", () =>
    inDirectory((directory) =>
      Effect.gen(function* () {
        const playground = join(directory, "playground")
        const reasonOf = (path: string) =>
          Effect.map(Effect.flip(browse({ path }, playground)), ({ reason }) => reason)
        writeFileSync(join(directory, "file"), "")
        expect(yield* reasonOf(join(directory, "gone"))).toBe("missing")
        expect(yield* reasonOf(join(directory, "file"))).toBe("not_a_directory")
        mkdirSync(join(directory, "closed"))
        chmodSync(join(directory, "closed"), 0)
        // The superuser is let in everywhere.
        if (process.getuid?.() !== 0) {
          expect(yield* reasonOf(join(directory, "closed"))).toBe("not_allowed")
        }
      })
    )
  )

  it.effect("is the home directory where none is named, and is asked for over the socket", () =>
    inDirectory((directory) =>
      Effect.gen(function* () {
        const connected = yield* client
        const home = yield* connected["workspace.browse"]({})
        expect(home.path).toBe(realpathSync(homedir()))
        expect(home.playground).toBe(join(directory, "playground"))
        const refused = yield* Effect.flip(connected["workspace.browse"]({ path: join(directory, "gone") }))
        expect(refused).toMatchObject({ _tag: "DirectoryUnreadable", reason: "missing" })
        const root = yield* connected["workspace.browse"]({ path: "/" })
        expect(root.parent).toBeNull()
      }).pipe(Effect.scoped, Effect.provide(server({ dataDirectory: directory })))
    )
  )
})
