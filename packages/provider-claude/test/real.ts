/**
 * The real program against the fake model on loopback: what the tests that need it share.
 *
 * They run where TURNKEEPER_CLAUDE_SDK names a Claude Agent SDK, and are skipped, visibly, where it does not.
 */
import { ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import type { OpenOptions } from "@turnkeeper/provider-kit/Provider"
import { claudeEnvironment } from "@turnkeeper/testkit/claudeHome"
import type { RunningFakeModel } from "@turnkeeper/testkit/fakeModel/server"
import { start } from "@turnkeeper/testkit/fakeModel/server"
import { Effect } from "effect"
import type { Scope } from "effect"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type * as Claude from "../src/Claude.ts"

export const sdk = process.env["TURNKEEPER_CLAUDE_SDK"]

export interface World {
  readonly model: RunningFakeModel
  readonly directory: string
  readonly project: string
  readonly ledgerDirectory: string
  readonly options: Claude.ClaudeOptions
}

/** A home, a project and a model of their own; gone with the scope. */
export const makeWorld = (
  changes: Partial<Claude.ClaudeOptions> = {}
): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "claude-real-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
    )
    const model = yield* Effect.acquireRelease(
      Effect.promise(() => start({ pace })),
      (running) => Effect.promise(() => running.close())
    )
    const project = mkdtempSync(join(directory, "project-"))
    const ledgerDirectory = join(directory, "processes")
    const options: Claude.ClaudeOptions = {
      instanceId: ProviderInstanceId.make("claude"),
      ...(sdk === undefined ? {} : { sdk }),
      env: { ...claudeEnvironment(join(directory, "home"), { modelUrl: model.url }), [runMark]: directory },
      ledgerDirectory,
      stateDirectory: join(directory, "state"),
      ...changes
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

/** What Claude started and what is still alive: found by a mark that every child inherits. */
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

/** A command that runs for longer than any test, and that no rule lets through unasked. */
export const longCommand = "for i in $(seq 600); do echo tick; sleep 0.1; done"

export const openOptions = (world: World, changes: Partial<OpenOptions> = {}): OpenOptions => ({
  threadId: ThreadId.make("thread-1"),
  generation: 1,
  cwd: world.project,
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  resume: null,
  ...changes
})
