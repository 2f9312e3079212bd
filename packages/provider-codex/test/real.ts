/**
 * The real program against the fake model on loopback: what the tests that need it share.
 *
 * They run where TURNKEEPER_CODEX_BIN names a `codex`, and are skipped, visibly, where it does not.
 */
import { ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import { Effect } from "effect"
import type { Scope } from "effect"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { writeCodexHome } from "@turnkeeper/testkit/codexHome"
import type { RunningFakeModel } from "@turnkeeper/testkit/fakeModel/server"
import { start } from "@turnkeeper/testkit/fakeModel/server"
import type * as Codex from "../src/Codex.ts"

export const binary = process.env["TURNKEEPER_CODEX_BIN"]

export interface World {
  readonly model: RunningFakeModel
  readonly directory: string
  readonly project: string
  readonly ledgerDirectory: string
  readonly options: Codex.CodexOptions
}

/** A home, a project and a model of their own; gone with the scope. */
export const makeWorld = (
  timeouts: Codex.CodexOptions["timeouts"] = {}
): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "codex-real-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
    )
    const model = yield* Effect.acquireRelease(
      Effect.promise(() => start({ pace })),
      (running) => Effect.promise(() => running.close())
    )
    const home = yield* Effect.promise(() => writeCodexHome(join(directory, "home"), { modelUrl: model.url }))
    const project = mkdtempSync(join(directory, "project-"))
    const ledgerDirectory = join(directory, "processes")
    const options: Codex.CodexOptions = {
      instanceId: ProviderInstanceId.make("codex"),
      binary: binary ?? "codex",
      home: home.directory,
      env: { ...home.env, [runMark]: directory },
      ledgerDirectory,
      timeouts: { idle: "1 second", ...timeouts }
    }
    return { model, directory, project, ledgerDirectory, options }
  })

export const floodMark = "[[id:flood]]"

/** Words come at a pace that a test can act in, except where a flood is wanted. */
const pace = ({
  request,
  slow
}: {
  readonly request: { readonly prompt: string | null }
  readonly slow: boolean
}) =>
  request.prompt?.includes(floodMark) === true
    ? Promise.resolve()
    : new Promise<void>((resolve) => setTimeout(resolve, slow ? 30 : 2))

/** The processes on the ledger: those that run. */
export const pids = ({ ledgerDirectory }: World): ReadonlyArray<number> => {
  try {
    return readdirSync(ledgerDirectory)
      .filter((name) => name.endsWith(".json"))
      .map((name) => (JSON.parse(readFileSync(join(ledgerDirectory, name), "utf8")) as { pid: number }).pid)
  } catch {
    return []
  }
}

const runMark = "TURNKEEPER_TEST_RUN"

/** What Codex started and what is still alive: found by a mark that every child inherits. */
export const survivors = (world: World): ReadonlyArray<string> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && !pids(world).includes(Number(name)))
    .flatMap((name) => {
      try {
        const marked = readFileSync(`/proc/${name}/environ`, "latin1").includes(
          `${runMark}=${world.directory}`
        )
        const command = readFileSync(`/proc/${name}/cmdline`, "latin1").replaceAll("\0", " ").trim()
        return marked && command !== "" ? [`${name} ${command}`] : []
      } catch {
        return []
      }
    })

export const openOptions = (
  world: World,
  changes: Partial<Parameters<Codex.Codex["Service"]["open"]>[0]> = {}
) => ({
  threadId: ThreadId.make("thread-1"),
  generation: 1,
  cwd: world.project,
  model: null,
  runtimeMode: "approval_required" as const,
  interactionMode: "default" as const,
  resume: null,
  ...changes
})
