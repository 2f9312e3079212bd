/**
 * What the tests of an adapter on its real program share: a world with a fake model, what runs in it, and a
 * server to be killed.
 */
import { MessageId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { OpenOptions, Provider } from "@turnkeeper/provider-kit/Provider"
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { RunningFakeModel, Word } from "./fakeModel/server.ts"
import { start } from "./fakeModel/server.ts"

export interface ProviderWorld<Options> {
  readonly model: RunningFakeModel
  readonly directory: string
  readonly project: string
  readonly ledgerDirectory: string
  readonly options: Options
}

export interface Places {
  readonly directory: string
  readonly ledgerDirectory: string
  readonly modelUrl: string
  /** To be put into the program's environment: all that it starts is found by it. */
  readonly mark: Readonly<Record<string, string>>
}

/** A directory, a project and a model of their own; gone with the scope. */
export const makeProviderWorld = <Options>(
  name: string,
  optionsOf: (places: Places) => Promise<Options>
): Effect.Effect<ProviderWorld<Options>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), `${name}-real-`))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
    )
    const model = yield* Effect.acquireRelease(
      Effect.promise(() => start({ pace })),
      (running) => Effect.promise(() => running.close())
    )
    const project = mkdtempSync(join(directory, "project-"))
    const ledgerDirectory = join(directory, "processes")
    const mark = { [runMark]: directory }
    const options = yield* Effect.promise(() =>
      optionsOf({ directory, ledgerDirectory, modelUrl: model.url, mark })
    )
    return { model, directory, project, ledgerDirectory, options }
  })

export const floodMark = "[[id:flood]]"

/** Words come at a pace that a test can act in, except where a flood is wanted. */
const pace = ({ request, slow }: Word) =>
  request.prompt?.includes(floodMark) === true
    ? Promise.resolve()
    : new Promise<void>((resolve) => setTimeout(resolve, slow ? 30 : 2))

/** The processes on the ledger: those that run. */
export const pids = ({
  ledgerDirectory
}: Pick<ProviderWorld<unknown>, "ledgerDirectory">): ReadonlyArray<number> => {
  try {
    return readdirSync(ledgerDirectory)
      .filter((name) => name.endsWith(".json"))
      .map((name) => (JSON.parse(readFileSync(join(ledgerDirectory, name), "utf8")) as { pid: number }).pid)
  } catch {
    return []
  }
}

const runMark = "TURNKEEPER_TEST_RUN"

/** What the program started and what is still alive: found by a mark that every child inherits. */
export const survivors = (
  world: Pick<ProviderWorld<unknown>, "directory" | "ledgerDirectory">
): ReadonlyArray<string> =>
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
  world: Pick<ProviderWorld<unknown>, "project">,
  changes: Partial<OpenOptions> = {}
): OpenOptions => ({
  threadId: ThreadId.make("thread-1"),
  generation: 1,
  cwd: world.project,
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  resume: null,
  ...changes
})

/**
 * A server to be killed: opens a session, sends the prompt, says so on standard output when it has said or
 * printed something, and waits for its end. Its arguments: options as JSON, with `cwd`, and the prompt.
 */
export const serveToBeKilled = <Options>(
  make: (options: Options) => Effect.Effect<Provider, never, Scope.Scope>
): Promise<never> => {
  const [json, text] = process.argv.slice(2) as [string, string]
  const { cwd, ...options } = JSON.parse(json) as Options & { readonly cwd: string }
  const mode = { model: null, runtimeMode: "full_access", interactionMode: "default" } as const
  const turnId = TurnId.make("turn-1")
  return Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const provider = yield* make(options as unknown as Options)
        const session = yield* provider.open({ ...openOptions({ project: cwd }), ...mode })
        yield* session.send({ turnId, messageId: MessageId.make("m"), text, attachments: [], ...mode })
        yield* session.events.pipe(
          Stream.filter((event) => event.type === "text.delta"),
          Stream.take(1),
          Stream.runDrain
        )
        process.stdout.write(`${JSON.stringify({ resume: session.resume, turnId })}\n`)
        return yield* Effect.never
      }).pipe(Effect.orDie)
    )
  )
}
