/**
 * What the tests of an adapter on its real program share: a world with a fake model, what runs in it, and a
 * server to be killed.
 */
import { MessageId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import type { OpenOptions, Prompt, Provider } from "@turnkeeper/provider-kit/Provider"
import { listen } from "@turnkeeper/provider-kit/testing/Listener"
import { Effect, Exit, Schedule, Scope, Stream } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
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

/** One world and one provider for all tests that need none of their own, until it is released. */
export const hold = <Options>(
  makeWorld: Effect.Effect<ProviderWorld<Options>, never, Scope.Scope>,
  make: (options: Options) => Effect.Effect<Provider, never, Scope.Scope>
) =>
  Effect.runPromise(
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const world = yield* makeWorld.pipe(Scope.provide(scope))
      const provider = yield* make(world.options).pipe(Scope.provide(scope))
      return { world, provider, release: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
    })
  )

/** A command that runs for longer than any test, and says so again and again: no rule lets it through unasked. */
export const longCommand = "for i in $(seq 600); do echo tick; sleep 0.1; done"

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

export const killAll = (world: Pick<ProviderWorld<unknown>, "ledgerDirectory">): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const pid of pids(world)) process.kill(pid, "SIGKILL")
  })

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

let prompts = 0

export const prompt = (text: string, changes: Partial<Prompt> = {}): Prompt => {
  prompts += 1
  return {
    turnId: TurnId.make(`turn-${prompts}`),
    messageId: MessageId.make(`message-${prompts}`),
    text,
    attachments: [],
    model: null,
    runtimeMode: "approval_required",
    interactionMode: "default",
    ...changes
  }
}

let threads = 0

/** A session of a thread of its own, with an ear, that can be closed by itself. */
export const session = Effect.fnUntraced(function* (
  world: Pick<ProviderWorld<unknown>, "project">,
  provider: Provider,
  changes: Partial<OpenOptions> = {}
) {
  threads += 1
  const scope = yield* Scope.fork(yield* Effect.scope)
  const options = openOptions(world, { threadId: ThreadId.make(`thread-${threads}`), ...changes })
  const opened = yield* provider.open(options).pipe(Scope.provide(scope))
  const ear = yield* listen(opened, patience)
  const run = (what: Prompt) =>
    Effect.gen(function* () {
      const before = ear.of("turn.completed").length
      yield* opened.send(what)
      yield* ear.until(`the end of ${what.text}`, () => ear.of("turn.completed").length > before)
      return ear.of("turn.completed")[before]!
    })
  return { ...opened, ear, run, close: Scope.close(scope, Exit.void) }
})

/** Resolves as soon as it is so; fails after ten seconds. */
export const observed = (holds: () => boolean): Effect.Effect<void, string> =>
  Effect.suspend(() => (holds() ? Effect.void : Effect.fail("It did not happen."))).pipe(
    Effect.retry({ times: 500, schedule: Schedule.spaced("20 millis") })
  )

/** The provider's own record has the message, and its turn was cut. */
export const wasInterrupted = (evidence: Evidence): boolean =>
  evidence.type === "found" && !evidence.running && evidence.outcome === "interrupted"

/** Real programs are slow to start, more so where many run. */
export const patience = { clock: "real", deadlineMs: 60_000 } as const

/**
 * Starts the script, which calls `serveToBeKilled`, on this world, and waits until its turn has begun. Its end is
 * a kill, with the scope at the latest.
 */
export const startToBeKilled = Effect.fnUntraced(function* (
  script: URL,
  { options, project }: Pick<ProviderWorld<object>, "options" | "project">,
  text: string
) {
  const args = [fileURLToPath(script), JSON.stringify({ ...options, cwd: project }), text]
  const server = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
  const kill = () => server.kill("SIGKILL")
  yield* Effect.addFinalizer(() => Effect.sync(kill))
  const [line] = yield* Effect.promise(() => once(createInterface({ input: server.stdout }), "line"))
  const { resume, turnId } = JSON.parse(String(line)) as { readonly resume: string; readonly turnId: string }
  return { sent: { resume, turnId: TurnId.make(turnId), messageId: killedMessage }, kill }
})

const killedMessage = MessageId.make("m")

/**
 * A server to be killed: opens a session, sends the prompt, says so on standard output when it has said or
 * printed something, and waits for its end. Its arguments: options as JSON, with `cwd`, and the prompt.
 */
export const serveToBeKilled = <Options>(
  make: (options: Options) => Effect.Effect<Provider, never, Scope.Scope>,
  hasBegun: (event: ProviderEvent) => boolean = ({ type }) => type === "text.delta"
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
        yield* session.send({ turnId, messageId: killedMessage, text, attachments: [], ...mode })
        yield* session.events.pipe(Stream.filter(hasBegun), Stream.take(1), Stream.runDrain)
        process.stdout.write(`${JSON.stringify({ resume: session.resume, turnId })}\n`)
        return yield* Effect.never
      }).pipe(Effect.orDie)
    )
  )
}
