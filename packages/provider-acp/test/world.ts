/** The fixture agent as a real process: what the tests that need it share. */
import { ProviderInstanceId, MessageId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { OpenOptions, Prompt, Provider } from "@turnkeeper/provider-kit/Provider"
import { listen } from "@turnkeeper/provider-kit/testing/Listener"
import { Effect, Exit, Scope } from "effect"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Acp from "../src/Acp.ts"
import type { Manners } from "./fixtures/agent.ts"

export const patience = { clock: "real", deadlineMs: 30_000 } as const

export interface World {
  /** Where sessions work. */
  readonly directory: string
  /** Everything of this world is in here, and all its processes carry it as a mark. */
  readonly root: string
  readonly options: Acp.AcpOptions
  readonly provider: Provider
}

export const runMark = "TURNKEEPER_TEST_RUN"

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "acp-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
)

const program = fileURLToPath(new URL("fixtures/agent.ts", import.meta.url))

export const makeWorld = (
  manners: Manners = {},
  changes: Partial<Acp.AcpOptions> = {}
): Effect.Effect<World, never, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* temporary
    const options: Acp.AcpOptions = {
      instanceId: ProviderInstanceId.make("agent"),
      command: process.execPath,
      args: [program],
      env: {
        ACP_AGENT: JSON.stringify(manners),
        ACP_DIRECTORY: join(directory, "agent"),
        [runMark]: directory
      },
      ledgerDirectory: join(directory, "processes"),
      ...changes,
      timeouts: { taken: "500 millis", turn: "1 second", ...changes.timeouts }
    }
    return { directory, root: directory, options, provider: yield* Acp.make(options) }
  })

/** The processes on the ledger: those that run. */
export const pids = (ledgerDirectory: string): ReadonlyArray<number> =>
  existsSync(ledgerDirectory)
    ? readdirSync(ledgerDirectory)
        .filter((name) => name.endsWith(".json"))
        .map((name) => (JSON.parse(readFileSync(join(ledgerDirectory, name), "utf8")) as { pid: number }).pid)
    : []

/** What agents started and what is still alive: found by a mark that every child inherits. */
export const survivors = ({ root, options }: World): ReadonlyArray<string> => {
  const agents = pids(options.ledgerDirectory)
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && !agents.includes(Number(name)))
    .flatMap((name) => {
      try {
        const marked = readFileSync(`/proc/${name}/environ`, "latin1").includes(`${runMark}=${root}`)
        const command = readFileSync(`/proc/${name}/cmdline`, "latin1").replaceAll("\0", " ").trim()
        return marked && command !== "" ? [`${name} ${command}`] : []
      } catch {
        return []
      }
    })
}

/** What the agent was called with, in order. */
export const called = ({ directory }: World, method: string): ReadonlyArray<Record<string, unknown>> => {
  const file = join(directory, "agent", "calls.log")
  if (!existsSync(file)) return []
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.startsWith(`${method} `))
    .map((line) => JSON.parse(line.slice(method.length + 1)) as Record<string, unknown>)
}

/** What the agent's own record says of a conversation. */
export const recorded = ({ directory }: World, resume: string): string =>
  readFileSync(join(directory, "agent", `${resume.replace("new:", "")}.jsonl`), "utf8")

let turns = 0

export const prompt = (text: string, changes: Partial<Prompt> = {}): Prompt => ({
  turnId: TurnId.make(`turn-${++turns}`),
  messageId: MessageId.make(`message-${turns}`),
  text,
  attachments: [],
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  ...changes
})

/** A session that can be closed by itself, with an ear. */
export const session = Effect.fnUntraced(function* (
  { provider, directory }: Pick<World, "provider" | "directory">,
  changes: Partial<OpenOptions> = {}
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const opened = yield* provider
    .open({
      threadId: ThreadId.make("thread-1"),
      generation: 1,
      cwd: directory,
      model: null,
      runtimeMode: "approval_required",
      interactionMode: "default",
      resume: null,
      ...changes
    })
    .pipe(Scope.provide(scope))
  const ear = yield* listen(opened, patience)
  const begin = (what: Prompt) => opened.send(what)
  const endOf = (id: string) => ear.of("turn.completed").find((event) => event.providerTurnId === id)
  const run = (what: Prompt) =>
    Effect.gen(function* () {
      const { providerTurnId } = yield* opened.send(what)
      yield* ear.until(`the end of ${what.text}`, () => endOf(providerTurnId) !== undefined)
      return endOf(providerTurnId)!
    })
  const asked = (nth = 0) =>
    Effect.map(
      ear.until("a request", () => ear.of("request.opened").length > nth),
      () => ear.of("request.opened")[nth]!
    )
  const resume = () => ear.of("resume.changed").at(-1)?.resume ?? opened.resume
  return { ...opened, ear, begin, run, asked, newestResume: resume, close: Scope.close(scope, Exit.void) }
})
