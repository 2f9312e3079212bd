/**
 * Claude as a provider, through the Claude Agent SDK: one process per session.
 *
 * The SDK is not a dependency; it is loaded from where the user has it. Before anything else, whatever an
 * earlier, killed server of ours left behind is ended: two programs must never work on one conversation.
 */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import { endLeftovers, ownerMark, StartFailed, warnOfLeftovers } from "@turnkeeper/provider-kit/Child"
import type { Environment, Mark } from "@turnkeeper/provider-kit/Child"
import { unhealthy, within } from "@turnkeeper/provider-kit/health"
import * as ProcessLedger from "@turnkeeper/provider-kit/ProcessLedger"
import { findProgram } from "@turnkeeper/provider-kit/processes"
import type {
  Capabilities,
  EvidenceQuery,
  Health,
  LiveSession,
  OpenOptions,
  Provider,
  ProviderSession
} from "@turnkeeper/provider-kit/Provider"
import type { Fail, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { failWith } from "@turnkeeper/provider-kit/ProviderError"
import * as SharedProcess from "@turnkeeper/provider-kit/SharedProcess"
import { Context, Effect, Layer, Scope } from "effect"
import type { Duration } from "effect"
import { randomUUID } from "node:crypto"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import * as Child from "./Child.ts"
import type { Wrap } from "./faults.ts"
import { wrapWith } from "./faults.ts"
import * as Handed from "./Handed.ts"
import * as HealthCheck from "./health.ts"
import * as Inbox from "./Inbox.ts"
import * as Record from "./record.ts"
import * as Sdk from "./sdk.ts"
import * as Session from "./Session.ts"
import type { Deadlines } from "./SessionContext.ts"
import { flagsOf, permissionModeOf, uuidOf } from "./settings.ts"

export interface ClaudeOptions {
  readonly instanceId: ProviderInstanceId
  readonly displayName?: string
  /** The SDK's folder, or its module. Else TURNKEEPER_CLAUDE_SDK, else where it is found. */
  readonly sdk?: string
  /** The program, by its path or by its name; the SDK's own when absent. */
  readonly binary?: string
  /** Where the processes that run are on record. */
  readonly ledgerDirectory: string
  /** Where it is noted what was handed to Claude. */
  readonly stateDirectory: string
  /** Added to the server's own environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly timeouts?: Partial<Timeouts>
  /** Sees every message, for the native log. */
  readonly tap?: (native: unknown) => void
}

export interface Timeouts extends Deadlines {
  readonly evidence: Duration.Input
  readonly probe: Duration.Input
  /** The orderly end of a session whose scope closes; then the process is killed. */
  readonly close: Duration.Input
}

const defaultTimeouts: Timeouts = {
  call: "8 seconds",
  send: "30 seconds",
  turn: "5 seconds",
  lastWords: "500 millis",
  idle: "15 minutes",
  evidence: "60 seconds",
  probe: "30 seconds",
  close: "8 seconds"
}

export const capabilities: Capabilities = {
  // A second message waits behind the turn, or is put into it at a moment of Claude's choosing.
  steer: false,
  resume: true,
  history: true,
  outlivesServer: false,
  reasksRequests: false,
  modelSwitch: "in_session",
  approvals: true,
  questions: true,
  attachments: true,
  planMode: true,
  usage: true,
  rollback: false,
  fork: false
}

/** The adapter as a service, for an application that knows one Claude. */
export class Claude extends Context.Service<Claude, Provider>()("provider-claude/Claude") {
  static readonly layer = (options: ClaudeOptions) => Layer.effect(Claude, make(options))
}

export const make = Effect.fn("Claude.make")(function* (
  options: ClaudeOptions
): Effect.fn.Return<Provider, never, Scope.Scope> {
  const timeouts: Timeouts = { ...defaultTimeouts, ...options.timeouts }
  const fail = failWith(options.instanceId)
  const wrap = wrapWith(options.instanceId)
  const ledger = ProcessLedger.make({ directory: options.ledgerDirectory, owner: options.instanceId })
  const means: Means = {
    options,
    timeouts,
    env: environmentOf(options),
    fail,
    wrap,
    ledger,
    handed: Handed.make(join(options.stateDirectory, "handed")),
    sessions: new Map(),
    owner: yield* Effect.scope
  }
  yield* warnOfLeftovers("Claude", yield* endLeftovers(ledger, markOf(options)))
  return {
    instanceId: options.instanceId,
    kind: "claude",
    displayName: options.displayName ?? "Claude",
    capabilities,
    probe: probe(means),
    open: (wanted) => open(means, wanted),
    listLive: Effect.sync(() => live(means)),
    evidence: (query) =>
      recorded(means, query).pipe(
        Effect.timeoutOrElse({
          duration: timeouts.evidence,
          orElse: () => Effect.fail(fail("evidence", "Unknown", "Claude's record could not be read in time."))
        })
      )
  }
})

interface Means {
  readonly options: ClaudeOptions
  readonly timeouts: Timeouts
  readonly env: Environment
  readonly fail: Fail
  readonly wrap: Wrap
  readonly ledger: ProcessLedger.ProcessLedger
  readonly handed: Handed.Handed
  /** By the name under which the conversation was opened. */
  readonly sessions: Map<string, Session.Session>
  readonly owner: Scope.Scope
}

const environmentOf = ({ env }: ClaudeOptions): Environment => ({
  ...process.env,
  ...env,
  // A program that is started by another one of its kind behaves otherwise.
  CLAUDECODE: undefined,
  CLAUDE_CODE_ENTRYPOINT: undefined,
  // A cut turn is never run again by itself: the user says so, or not (L12).
  CLAUDE_CODE_RESUME_INTERRUPTED_TURN: undefined,
  CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1",
  CLAUDE_AGENT_SDK_CLIENT_APP: "turnkeeper",
  DISABLE_AUTOUPDATER: "1"
})

const markOf = ({ ledgerDirectory, instanceId }: ClaudeOptions): Mark => ({
  name: "TURNKEEPER_CLAUDE_RUN",
  owner: ownerMark(ledgerDirectory, instanceId)
})

const loaded = ({ options, env }: Means) =>
  Effect.suspend(() => {
    const found = Sdk.find(options.sdk, env)
    return found === null
      ? Effect.fail(new Sdk.SdkMissing({ text: HealthCheck.notInstalled.advice ?? "" }))
      : Effect.map(Sdk.load(found), (sdk) => ({ sdk, version: found.version }))
  })

/** The program's own path: what is not found by the SDK could not be told from what broke. */
const programOf = ({ options, env }: Means): Effect.Effect<string | null, StartFailed> => {
  if (options.binary === undefined) return Effect.succeed(null)
  const program = findProgram(options.binary, env)
  return program === null
    ? Effect.fail(new StartFailed({ missing: true, text: `There is no program ${options.binary}.` }))
    : Effect.succeed(program)
}

// Opening

/** Which conversation is opened, and how. */
interface Opening {
  readonly sessionId: string
  readonly isNew: boolean
  readonly notice: string | null
  readonly costBefore: number | null
}

const open = Effect.fn("Claude.open")(function* (
  means: Means,
  wanted: OpenOptions
): Effect.fn.Return<ProviderSession, ProviderError, Scope.Scope> {
  const { fail, wrap, sessions, timeouts } = means
  const opening = yield* openingOf(means, wanted.resume).pipe(
    Effect.mapError((error) =>
      fail("open", "Unavailable", `Claude's record could not be read: ${String(error)}`)
    )
  )
  if (opening === null) return yield* fail("open", "SessionGone", "Claude no longer has this conversation.")
  const { sdk } = yield* loaded(means).pipe(Effect.mapError(wrap("open")))
  const program = yield* programOf(means).pipe(Effect.mapError(wrap("open")))
  const scope = yield* Effect.scope
  // A session of an earlier generation on the same conversation: its end is overdue.
  yield* sessions.get(opening.sessionId)?.giveWay ?? Effect.void
  const child = Child.make({ ledger: means.ledger, mark: markOf(means.options) })
  const session = yield* Effect.uninterruptible(
    Effect.gen(function* () {
      const made = yield* Effect.try({
        try: () => {
          if (opening.isNew) means.handed.begin(opening.sessionId)
          return sessionOf(means, wanted, opening, child)
        },
        catch: (error) => fail("open", "Unavailable", `The conversation could not be noted: ${String(error)}`)
      })
      sessions.set(opening.sessionId, made)
      // Whatever becomes of the session, its process does not outlive its scope.
      yield* Scope.addFinalizer(scope, child.kill)
      yield* SharedProcess.endWithScope(
        scope,
        made,
        opening.sessionId,
        { sessions, children: new Map() },
        timeouts.close
      )
      return made
    })
  )
  yield* begin(means, wanted, opening, { sdk, program, child, session }).pipe(Effect.mapError(wrap("open")))
  return session
})

/** Null for a conversation that Claude does not have, and that we have not begun. */
const openingOf = Effect.fnUntraced(function* (
  { env, handed }: Means,
  resume: string | null
): Effect.fn.Return<Opening | null, unknown> {
  const fresh = { isNew: true, notice: null, costBefore: 0 }
  if (resume === null) return { ...fresh, sessionId: randomUUID() }
  const file = Record.fileOf(env, resume)
  if (file !== null && (yield* Record.hasMessages(file)))
    return { sessionId: resume, isNew: false, notice: null, costBefore: Record.costIn(file) }
  const noted = Record.isSessionId(resume) ? handed.read(resume) : null
  if (noted === null) return null
  // Begun by us, and nothing is written down: at most a message that is in doubt was lost with it.
  const notice = noted.size === 0 ? null : "Claude has no record of this conversation: it begins anew."
  // A record without a conversation can be neither resumed nor begun again: that name is spent.
  return { ...fresh, sessionId: file === null ? resume : randomUUID(), notice }
})

const sessionOf = (
  { fail, wrap, timeouts, handed, owner, options }: Means,
  wanted: OpenOptions,
  { sessionId, notice, costBefore }: Opening,
  child: Child.Child
): Session.Session =>
  Session.make({
    threadId: wanted.threadId,
    generation: wanted.generation,
    sessionId,
    notice,
    costBefore,
    model: wanted.model,
    freedom: { runtimeMode: wanted.runtimeMode, interactionMode: wanted.interactionMode },
    child,
    deadlines: timeouts,
    fail,
    wrap,
    // Not the session's own: what it says on its way out is still heard.
    scope: owner,
    note: handed.note,
    tap: options.tap
  })

interface Parts {
  readonly sdk: Sdk.Sdk
  readonly program: string | null
  readonly child: Child.Child
  readonly session: Session.Session
}

const begin = (
  { env }: Means,
  wanted: OpenOptions,
  { sessionId, isNew }: Opening,
  { sdk, program, child, session }: Parts
) =>
  Effect.try({
    try: () =>
      sdk.query({
        prompt: session.input,
        options: {
          cwd: wanted.cwd,
          env,
          ...(wanted.model === null ? {} : { model: wanted.model }),
          permissionMode: permissionModeOf(wanted),
          settings: flagsOf(wanted),
          // With a title Claude asks no model for one.
          ...(isNew ? { sessionId, title: `Turnkeeper ${wanted.threadId}` } : { resume: sessionId }),
          includePartialMessages: true,
          systemPrompt: { type: "preset", preset: "claude_code" },
          ...(program === null ? {} : { pathToClaudeCodeExecutable: program }),
          canUseTool: session.canUseTool,
          spawnClaudeCodeProcess: child.spawn
        }
      }),
    catch: (error) => new StartFailed({ missing: false, text: String(error) })
  }).pipe(
    Effect.flatMap((query) => session.begin(query)),
    // Nothing of anybody's has been delivered to a program that never became ready.
    Effect.mapError(
      (error) =>
        child.startFailed() ??
        (error._tag === "StartFailed" ? error : new StartFailed({ missing: false, text: error.message }))
    )
  )

// The truth

/** A session is alive as long as its process is, and nobody else can work on its conversation. */
const live = ({ sessions }: Means): ReadonlyArray<LiveSession> =>
  [...sessions.values()]
    .filter((session) => !session.isOver())
    .map((session) => {
      const turn = session.active()
      return {
        threadId: session.threadId,
        generation: session.generation,
        activeProviderTurnId: turn === null ? null : ProviderTurnId.make(turn.id),
        activeTurnId: turn?.turnId ?? null
      }
    })

const recorded = (
  { env, handed, sessions, wrap, fail }: Means,
  { resume, messageId }: EvidenceQuery
): Effect.Effect<Evidence, ProviderError> =>
  Effect.gen(function* () {
    // No conversation was ever begun: nothing can have been said in one.
    if (resume === null) return { type: "absent" } as const
    const uuid = uuidOf(messageId)
    if ([...sessions.values()].some((session) => session.name() === resume && session.active()?.id === uuid))
      return { type: "found", providerTurnId: ProviderTurnId.make(uuid), running: true } as const
    const file = Record.fileOf(env, resume)
    const turn = file === null ? null : yield* Record.readTurn(file, uuid)
    if (turn !== null) return Record.evidenceOf(uuid, turn)
    return unrecorded(uuid, handed.read(resume))
  }).pipe(
    Effect.mapError((error) =>
      wrap("evidence")(fail("evidence", "Unknown", `Claude's record could not be read: ${String(error)}`))
    )
  )

/** Of what is not in the record: the model may have been asked, for it is asked before the record is written. */
const unrecorded = (uuid: string, noted: ReturnType<Handed.Handed["read"]>): Evidence => {
  const how = noted?.get(uuid)
  if (noted === null || how === "handed")
    return { type: "none", message: "The message may have reached Claude before it was recorded." }
  if (how === undefined) return { type: "absent" }
  const message = "Claude ended before it recorded this turn."
  return Record.evidenceOf(uuid, { outcome: "interrupted", message, texts: [] })
}

/** A process of its own, which says what there is and is ended again; no model is asked. */
const probe = (means: Means): Effect.Effect<Health> => {
  const { options, env, ledger, timeouts } = means
  const asked = Effect.gen(function* () {
    const { sdk, version } = yield* loaded(means)
    const program = yield* programOf(means)
    const child = Child.make({ ledger, mark: markOf(options) })
    const inbox = Inbox.make()
    mkdirSync(options.ledgerDirectory, { recursive: true })
    return yield* Effect.acquireUseRelease(
      Effect.sync(() =>
        sdk.query({
          prompt: inbox,
          options: {
            // Not in a project: what is asked there is asked of no project.
            cwd: options.ledgerDirectory,
            env,
            permissionMode: "default",
            settings: flagsOf(untouched),
            includePartialMessages: false,
            systemPrompt: { type: "preset", preset: "claude_code" },
            ...(program === null ? {} : { pathToClaudeCodeExecutable: program }),
            canUseTool: () => Promise.resolve({ behavior: "deny", message: "" }),
            spawnClaudeCodeProcess: child.spawn
          }
        })
      ),
      (query) =>
        Effect.raceFirst(
          Effect.tryPromise(() => query.initializationResult()),
          Effect.flatMap(child.gone, ({ message }) => Effect.fail(new Error(message)))
        ),
      () => Effect.ensuring(child.close, Effect.sync(inbox.end))
    ).pipe(Effect.map((initialized) => HealthCheck.healthOf(initialized, version)))
  }).pipe(
    Effect.catch((error) =>
      Effect.succeed(
        error instanceof Sdk.SdkMissing || (error instanceof StartFailed && error.missing)
          ? { ...HealthCheck.notInstalled, advice: error.message }
          : unhealthy("failed", messageOf(error))
      )
    )
  )
  return Effect.scoped(within(asked, timeouts.probe, "Claude"))
}

const untouched = { runtimeMode: "read_only", interactionMode: "default" } as const

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
