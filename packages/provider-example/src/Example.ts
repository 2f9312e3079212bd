/**
 * The example agent as a provider: one process per session, its record in a directory of its own.
 *
 * Read it as a template: what stands here every adapter has, in this order.
 */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { endLeftovers, ownerMark, warnOfLeftovers } from "@turnkeeper/provider-kit/Child"
import * as ProcessLedger from "@turnkeeper/provider-kit/ProcessLedger"
import { findProgram } from "@turnkeeper/provider-kit/processes"
import type { Capabilities, Health, OpenOptions, Provider } from "@turnkeeper/provider-kit/Provider"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Effect } from "effect"
import type { Scope } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { evidence } from "./record.ts"
import * as Session from "./Session.ts"

export interface ExampleOptions {
  readonly instanceId: ProviderInstanceId
  readonly displayName?: string
  /** The program. Else the one of this package. */
  readonly binary?: string
  /** Where the processes that run are on record. */
  readonly ledgerDirectory: string
  /** Where the agent keeps its record. */
  readonly stateDirectory: string
  readonly env?: Readonly<Record<string, string>>
  /** Sees every line, for recordings. */
  readonly tap?: Tap
}

type Tap = (direction: "sent" | "received", line: string) => void

/** What it can do. Say no more than is true: the suite holds it against you. */
export const capabilities: Capabilities = {
  steer: false,
  resume: true,
  history: true,
  outlivesServer: false,
  reasksRequests: false,
  modelSwitch: "new_session",
  approvals: true,
  questions: false,
  attachments: false,
  planMode: false,
  usage: false,
  rollback: false,
  fork: false
}

export const make = Effect.fn("Example.make")(function* (
  options: ExampleOptions
): Effect.fn.Return<Provider, never, Scope.Scope> {
  const env = { ...process.env, EXAMPLE_HOME: options.stateDirectory, ...options.env }
  const wanted = options.binary ?? fileURLToPath(new URL("../agent/agent.mjs", import.meta.url))
  const ledger = ProcessLedger.make({ directory: options.ledgerDirectory, owner: options.instanceId })
  const sessions = new Map<Session.Session, Pick<OpenOptions, "threadId" | "generation">>()
  // What a killed server left running ends first: two programs must never work on one conversation.
  const mark = {
    name: "TURNKEEPER_EXAMPLE_RUN",
    owner: ownerMark(options.ledgerDirectory, options.instanceId)
  }
  yield* warnOfLeftovers("Example", yield* endLeftovers(ledger, mark))

  const open = Effect.fn("Example.open")(function* (asked: OpenOptions) {
    const program = findProgram(wanted, env)
    if (program === null) return yield* missing(options.instanceId)
    const started = { program, arguments: [], env, ledger, mark }
    const session = yield* Session.open(options, started, asked)
    const { threadId, generation } = asked
    sessions.set(session, { threadId, generation })
    yield* Effect.addFinalizer(() => Effect.sync(() => sessions.delete(session)))
    return session
  })

  return {
    instanceId: options.instanceId,
    kind: "example",
    displayName: options.displayName ?? "Example",
    capabilities,
    examples: [
      { title: "Run a command", prompt: "run ls" },
      { title: "Count", prompt: "count 100" }
    ],
    probe: Effect.suspend(() => {
      const program = findProgram(wanted, env)
      return program === null ? Effect.succeed(notInstalled) : asksVersion(program)
    }),
    open,
    // One process per session: a session is alive as long as its process is.
    listLive: Effect.sync(() =>
      [...sessions]
        .filter(([session]) => !session.isOver())
        .map(([session, about]) => ({ ...about, activeProviderTurnId: session.active(), activeTurnId: null }))
    ),
    evidence: (query) =>
      evidence(options.stateDirectory, query, (conversation) =>
        [...sessions.keys()].some((session) => session.resume === conversation && !session.isOver())
      )
  }
})

const advice = "The agent's program was not found. Name it under `binary` in the provider's settings."

const notInstalled: Health = { status: "not_installed", version: null, models: [], advice }

const missing = (provider: ProviderInstanceId) =>
  new ProviderError({ provider, operation: "open", fault: { reason: "NotInstalled", message: advice } })

/** Never fails, and has a deadline of its own. */
const asksVersion = (program: string): Effect.Effect<Health> =>
  Effect.callback<Health>((resume) => {
    const child = execFile(program, ["--version"], { encoding: "utf8", timeout: 10_000 }, (error, stdout) =>
      resume(
        Effect.succeed(
          error === null
            ? { status: "ready", version: stdout.trim(), models: [], advice: null }
            : { status: "failed", version: null, models: [], advice: "The agent's program cannot be run." }
        )
      )
    )
    return Effect.sync(() => void child.kill("SIGKILL"))
  })
