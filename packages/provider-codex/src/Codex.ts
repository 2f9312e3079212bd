/**
 * Codex as a provider: one `codex app-server` for all threads of a provider instance.
 *
 * The process is started when it is first needed, ended when nothing has needed it for a while, and
 * started anew after it died. When it dies, every session on it ends at once. Before anything else, a
 * process that an earlier, killed server left behind is ended: two programs must never work on one
 * conversation.
 */
import type { ProviderInstanceId, TurnId } from "@turnkeeper/domain/ids"
import { ProviderTurnId, TurnId as OurTurnId } from "@turnkeeper/domain/ids"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import type {
  Capabilities,
  EvidenceQuery,
  Health,
  LiveSession,
  OpenOptions,
  Provider,
  ProviderSession
} from "@turnkeeper/provider-kit/Provider"
import * as ProcessLedger from "@turnkeeper/provider-kit/ProcessLedger"
import type { Operation } from "@turnkeeper/provider-kit/ProviderError"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import * as SharedProcess from "@turnkeeper/provider-kit/SharedProcess"
import { Context, Deferred, Effect, Exit, Layer, Schema } from "effect"
import type { Duration, Scope } from "effect"
import packageJson from "../package.json" with { type: "json" }
import type * as Protocol from "./_generated/protocol.ts"
import * as Child from "./Child.ts"
import type { CallFailed, Gone, Notification, ServerRequest, Transport } from "./Connection.ts"
import * as Connection from "./Connection.ts"
import { failWith, wrapWith } from "./faults.ts"
import * as HealthCheck from "./health.ts"
import * as History from "./history.ts"
import { understand } from "./requests.ts"
import * as Session from "./Session.ts"
import { policyOf } from "./settings.ts"

export interface CodexOptions {
  readonly instanceId: ProviderInstanceId
  readonly displayName?: string
  /** The program. Else TURNKEEPER_CODEX_BIN, else `codex` on the path. */
  readonly binary?: string
  /** CODEX_HOME; the user's own when absent. */
  readonly home?: string
  /** Where the processes that run are on record. */
  readonly ledgerDirectory: string
  /** Added to the server's own environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Codex's `-c key=value`. */
  readonly configOverrides?: Readonly<Record<string, string>>
  readonly timeouts?: Partial<Timeouts>
  /** Sees every line, for the native log. */
  readonly tap?: (direction: "sent" | "received", line: string) => void
  /** In place of a child process: a recorded program. */
  readonly transport?: Effect.Effect<Transport, Child.SpawnFailed, Scope.Scope>
}

export interface Timeouts extends Session.Deadlines {
  /** From the start of the process to its readiness. */
  readonly start: Duration.Input
  /** A conversation's start or its resumption. */
  readonly open: Duration.Input
  readonly evidence: Duration.Input
  readonly probe: Duration.Input
  /** How long a process that nobody needs is kept. */
  readonly idle: Duration.Input
  /** The orderly end of a session whose scope closes; then the process is killed. */
  readonly close: Duration.Input
}

const defaultTimeouts: Timeouts = {
  call: "10 seconds",
  send: "30 seconds",
  turn: "10 seconds",
  start: "15 seconds",
  open: "30 seconds",
  evidence: "60 seconds",
  probe: "10 seconds",
  idle: "60 seconds",
  close: "5 seconds"
}

export const capabilities: Capabilities = {
  steer: true,
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

/** The adapter as a service, for an application that knows one Codex. */
export class Codex extends Context.Service<Codex, Provider>()("provider-codex/Codex") {
  static readonly layer = (options: CodexOptions) => Layer.effect(Codex, make(options))
}

/** A process that is ready, and who is on it. */
interface Running {
  readonly connection: Connection.Connection
  /** By Codex's thread id. */
  readonly sessions: Map<string, Session.Session>
  /** Threads that Codex started inside a turn: who has to answer what they ask. */
  readonly children: Map<string, Session.Session>
}

const childrenMax = 1_000

export const make = Effect.fn("Codex.make")(function* (
  options: CodexOptions
): Effect.fn.Return<Provider, never, Scope.Scope> {
  const timeouts: Timeouts = { ...defaultTimeouts, ...options.timeouts }
  const fail = failWith(options.instanceId)
  const wrap = wrapWith(options.instanceId)
  const env = {
    ...process.env,
    ...(options.home === undefined ? {} : { CODEX_HOME: options.home }),
    ...options.env
  }
  const ledger = ProcessLedger.make({ directory: options.ledgerDirectory, owner: options.instanceId })
  const processes = yield* SharedProcess.make({
    idle: timeouts.idle,
    start: start(options, env, ledger, timeouts),
    isOver: ({ connection }) => connection.isClosed()
  })
  const { survived } = yield* ledger.reap

  /** Runs with a process that is ready, started if need be. */
  const withProcess = <A, E>(operation: Operation, use: (running: Running) => Effect.Effect<A, E>) =>
    Effect.scoped(processes.get.pipe(Effect.mapError(wrap(operation)), Effect.flatMap(use)))

  const open = Effect.fn("Codex.open")(function* (
    wanted: OpenOptions
  ): Effect.fn.Return<ProviderSession, ProviderError, Scope.Scope> {
    const scope = yield* Effect.scope
    const running = yield* processes.get.pipe(Effect.mapError(wrap("open")))
    const session = yield* openSession({ wanted, running, timeouts, scope, fail, wrap }).pipe(
      Effect.mapError((error) => (error instanceof ProviderError ? error : wrap("open")(error)))
    )
    return session
  })

  const listLive = Effect.suspend(() => {
    const running = processes.current()
    // Without a process there is no session; none is started to find that out.
    if (running === null || running.sessions.size === 0) return Effect.succeed<ReadonlyArray<LiveSession>>([])
    return live(running, timeouts.call).pipe(Effect.mapError(wrap("list")))
  })

  const evidence = (query: EvidenceQuery): Effect.Effect<Evidence, ProviderError> => {
    // No conversation was ever begun: nothing can have been said in one.
    if (query.resume === null) return Effect.succeed({ type: "absent" })
    const { codexThread, hasRecord } = readCursor(query.resume)
    return withProcess("evidence", ({ connection }) =>
      messageEvidence({ connection, deadline: timeouts.call }, codexThread, hasRecord, query.turnId).pipe(
        Effect.mapError(wrap("evidence"))
      )
    ).pipe(
      Effect.timeoutOrElse({
        duration: timeouts.evidence,
        orElse: () => Effect.fail(fail("evidence", "Unknown", "Codex's record could not be read in time."))
      })
    )
  }

  const probe = Effect.suspend(() => {
    const binary = Child.findBinary(options.binary, env)
    if (binary === null) return Effect.succeed(HealthCheck.notInstalled)
    return HealthCheck.versionOf(binary, env).pipe(
      Effect.flatMap((version) =>
        withProcess("probe", ({ connection }) => HealthCheck.ask(connection, version, timeouts.probe)).pipe(
          Effect.catch((error) =>
            Effect.succeed<Health>({ status: "failed", version, models: [], advice: error.message })
          )
        )
      ),
      Effect.timeoutOrElse({
        duration: timeouts.probe,
        orElse: () =>
          Effect.succeed<Health>({
            status: "unknown",
            version: null,
            models: [],
            advice: "Codex did not answer in time."
          })
      })
    )
  })

  if (survived.length > 0) {
    yield* Effect.logWarning("a Codex process of an earlier run could not be ended", { pids: survived })
  }

  return {
    instanceId: options.instanceId,
    kind: "codex",
    displayName: options.displayName ?? "Codex",
    capabilities,
    probe,
    open,
    listLive,
    evidence
  }
})

// The cursor

/**
 * Codex writes a thread's record with its first message. Until then the cursor says so: a thread that is
 * gone has lost nothing, and a message that it does not know was never delivered.
 */
const freshMark = "new:"

const cursorOf = (codexThread: string, hasRecord: boolean) =>
  hasRecord ? codexThread : freshMark + codexThread

const readCursor = (cursor: string): { readonly codexThread: string; readonly hasRecord: boolean } =>
  cursor.startsWith(freshMark)
    ? { codexThread: cursor.slice(freshMark.length), hasRecord: false }
    : { codexThread: cursor, hasRecord: true }

// Sessions

interface Opening {
  readonly wanted: OpenOptions
  readonly running: Running
  readonly timeouts: Timeouts
  readonly scope: Scope.Scope
  readonly fail: ReturnType<typeof failWith>
  readonly wrap: ReturnType<typeof wrapWith>
}

const openSession = Effect.fnUntraced(function* (opening: Opening) {
  const { wanted, running, timeouts } = opening
  const cursor = wanted.resume === null ? null : readCursor(wanted.resume)
  const opened = cursor === null ? null : yield* resumeThread(opening, cursor.codexThread, cursor.hasRecord)
  if (opened !== null) {
    if (opened.response.thread.status.type === "active")
      yield* adoptRunning(opened.session, running, timeouts.call)
    return opened.session
  }
  return yield* startThread(
    opening,
    cursor?.hasRecord === true
      ? "Codex no longer has the earlier conversation of this thread. A new one was begun; what was said before is not known to it."
      : null
  )
})

const startThread = Effect.fnUntraced(function* (opening: Opening, notice: string | null) {
  const { wanted, running, timeouts } = opening
  const { session } = yield* registering(opening, (onAnswer: OnOpened<Protocol.ThreadStartResponse>) =>
    running.connection.call("thread/start", threadSettings(wanted), {
      deadline: timeouts.open,
      onAnswer: onAnswer((response) => register(opening, response, "default", false, notice))
    })
  )
  return session
})

/** Null: there is no such conversation any more. */
const resumeThread = Effect.fnUntraced(function* (opening: Opening, codexThread: string, hasRecord: boolean) {
  const { wanted, running, timeouts } = opening
  return yield* registering(opening, (onAnswer: OnOpened<Protocol.ThreadResumeResponse>) =>
    running.connection.call(
      "thread/resume",
      { threadId: codexThread, ...threadSettings(wanted), excludeTurns: true },
      {
        deadline: timeouts.open,
        onAnswer: onAnswer((response) =>
          register(opening, response, response.collaborationMode?.mode ?? "default", hasRecord, null)
        )
      }
    )
  ).pipe(
    Effect.catchTag("Refused", (refused) =>
      // Refused for another reason than that it is gone: an error, for the conversation is still there.
      History.exists({ connection: running.connection, deadline: timeouts.call }, codexThread).pipe(
        Effect.flatMap((exists) => (exists ? Effect.fail(refused) : Effect.succeed(null)))
      )
    )
  )
})

type OnOpened<Response> = (
  register: (response: Response) => Session.Session
) => (answer: Exit.Exit<Response, unknown>) => Effect.Effect<void>

/**
 * Opens a conversation: its session is known before the next line is read, so that what comes behind the
 * answer finds it, and belongs to the scope before anybody can interrupt. An answer that comes when nobody
 * waits for it any more registers nothing.
 */
const registering = <Response, E>(
  opening: Opening,
  call: (onOpened: OnOpened<Response>) => Effect.Effect<Response, E>
): Effect.Effect<{ readonly response: Response; readonly session: Session.Session }, E> =>
  Effect.suspend(() => {
    const opened = Deferred.makeUnsafe<Session.Session>()
    let waiting = true
    const onOpened: OnOpened<Response> = (register) => (answer) =>
      Exit.isSuccess(answer) && waiting
        ? Effect.asVoid(Deferred.succeed(opened, register(answer.value)))
        : Effect.void
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const response = yield* restore(call(onOpened)).pipe(
          Effect.onError(() => Effect.sync(() => void (waiting = false)))
        )
        const session = yield* Deferred.await(opened)
        yield* SharedProcess.endWithScope(
          opening.scope,
          session,
          session.codexThread,
          opening.running,
          opening.timeouts.close
        )
        return { response, session }
      })
    )
  })

const threadSettings = ({ cwd, model, runtimeMode }: OpenOptions) => ({
  cwd,
  ...policyOf(runtimeMode),
  ...(model === null ? {} : { model })
})

const register = (
  { wanted, running, timeouts, scope, fail, wrap }: Opening,
  response: Protocol.ThreadStartResponse | Protocol.ThreadResumeResponse,
  interactionMode: OpenOptions["interactionMode"],
  hasRecord: boolean,
  notice: string | null
): Session.Session => {
  const codexThread = response.thread.id
  // A session of an earlier generation on the same conversation: its end is overdue.
  running.sessions.get(codexThread)?.exit(true, "This conversation was opened again.")
  const session = Session.make({
    threadId: wanted.threadId,
    generation: wanted.generation,
    codexThread,
    resume: cursorOf(codexThread, hasRecord),
    notice,
    settings: {
      model: response.model,
      effort: response.reasoningEffort,
      runtimeMode: wanted.runtimeMode,
      interactionMode
    },
    connection: running.connection,
    deadlines: timeouts,
    fail,
    wrap,
    scope,
    onFirstMessage: () =>
      hasRecord ? [] : [{ type: "resume.changed", resume: cursorOf(codexThread, true) }],
    killProcess: running.connection.kill
  })
  running.sessions.set(codexThread, session)
  return session
}

/** A turn was running in the conversation when it was opened. */
const adoptRunning = Effect.fnUntraced(function* (
  session: Session.Session,
  { connection }: Running,
  deadline: Duration.Input
) {
  const turn = yield* History.newestTurn({ connection, deadline }, session.codexThread)
  if (turn?.status === "inProgress") yield* session.adopt(turn.id, messageOf(turn))
})

const isTurnId = Schema.is(OurTurnId)

/** Our turn whose message a turn of Codex carries. */
const messageOf = (turn: Protocol.Turn): TurnId | null => {
  const clientId = turn.items.flatMap((item) => (item.type === "userMessage" ? [item.clientId] : []))[0]
  return isTurnId(clientId) ? clientId : null
}

const loadedPagesMax = 100

const live = Effect.fnUntraced(function* ({ connection, sessions }: Running, deadline: Duration.Input) {
  const loaded = new Set<string>()
  let cursor: string | null = null
  for (let page = 0; page === 0 || (cursor !== null && page < loadedPagesMax); page++) {
    const list: Protocol.ThreadLoadedListResponse = yield* connection.call(
      "thread/loaded/list",
      { cursor },
      { deadline }
    )
    for (const id of list.data) loaded.add(id)
    cursor = list.nextCursor
  }
  const here = [...sessions.values()].filter(
    (session) => !session.isOver() && loaded.has(session.codexThread)
  )
  return yield* Effect.forEach(here, (session) => liveSession({ connection, deadline }, session), {
    concurrency: 8
  })
})

const liveSession = Effect.fnUntraced(function* (
  asking: History.Asking,
  session: Session.Session
): Effect.fn.Return<LiveSession, CallFailed> {
  const { threadId, generation, codexThread } = session
  const { thread } = yield* asking.connection.call(
    "thread/read",
    { threadId: codexThread },
    { deadline: asking.deadline }
  )
  if (thread.status.type !== "active") {
    return { threadId, generation, activeProviderTurnId: null, activeTurnId: null }
  }
  // In a turn's first moments there is no record of it; then what Codex answered us is its word.
  const turn = yield* History.newestTurn(asking, codexThread).pipe(
    Effect.catchTag("Refused", () => Effect.succeed(null))
  )
  const ours = session.active()
  if (turn?.status === "inProgress") {
    return {
      threadId,
      generation,
      activeProviderTurnId: ProviderTurnId.make(turn.id),
      activeTurnId: messageOf(turn) ?? (ours?.id === turn.id ? ours.turnId : null)
    }
  }
  return {
    threadId,
    generation,
    activeProviderTurnId: ours === null ? null : ProviderTurnId.make(ours.id),
    activeTurnId: ours?.turnId ?? null
  }
})

const messageEvidence = Effect.fnUntraced(function* (
  asking: History.Asking,
  codexThread: string,
  hasRecord: boolean,
  turnId: TurnId
): Effect.fn.Return<Evidence, CallFailed> {
  return yield* History.messageTruth(asking, codexThread, turnId).pipe(
    Effect.catchTag("Refused", () => noRecord(asking, codexThread, hasRecord))
  )
})

/** There are no items to read. That proves something only where there never was anything to lose. */
const noRecord = Effect.fnUntraced(function* (
  asking: History.Asking,
  codexThread: string,
  hasRecord: boolean
): Effect.fn.Return<Evidence, CallFailed> {
  if (hasRecord) return { type: "none", message: "Codex no longer has the record of this conversation." }
  const status = yield* asking.connection
    .call("thread/read", { threadId: codexThread }, { deadline: asking.deadline })
    .pipe(
      Effect.map(({ thread }) => thread.status.type),
      Effect.catchTag("Refused", () => Effect.succeed("unknown" as const))
    )
  return status === "active"
    ? { type: "none", message: "Codex has begun a turn and not recorded its message yet." }
    : { type: "absent" }
})

// The process

/** Longer than its input's closing, its termination and its killing may take together. */
const endOfProcess = "15 seconds"

const start = (
  options: CodexOptions,
  env: Readonly<Record<string, string | undefined>>,
  ledger: ProcessLedger.ProcessLedger,
  timeouts: Timeouts
): Effect.Effect<Running, Child.SpawnFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const transport = yield* options.transport ?? spawn(options, env, ledger)
    const sessions = new Map<string, Session.Session>()
    const children = new Map<string, Session.Session>()
    // The handlers need the connection to refuse what nobody takes, and are needed to make it.
    const ready = yield* Deferred.make<Connection.Connection>()
    const connection = yield* Connection.make(
      transport,
      {
        notification: (notification) => route({ sessions, children }, notification),
        request: (request) =>
          Effect.flatMap(Deferred.await(ready), (wire) => take({ sessions, children }, wire, request))
      },
      options.tap === undefined ? {} : { tap: options.tap }
    )
    yield* Deferred.succeed(ready, connection)
    const endSessions = (end: Gone) =>
      Effect.sync(() => {
        for (const session of sessions.values()) session.exit(end.how === "closed", end.message)
        sessions.clear()
        children.clear()
      })
    yield* connection.closed.pipe(Effect.flatMap(endSessions), Effect.forkScoped)
    // The first thing to happen when the scope closes, while there is still somebody to read the last words.
    yield* Effect.addFinalizer(() =>
      connection.close.pipe(
        Effect.andThen(connection.closed),
        Effect.flatMap(endSessions),
        Effect.timeoutOption(endOfProcess)
      )
    )
    yield* connection.call(
      "initialize",
      {
        clientInfo: { name: "turnkeeper", title: "Turnkeeper", version: packageJson.version },
        capabilities: { experimentalApi: true, requestAttestation: false }
      },
      { deadline: timeouts.start }
    )
    yield* connection.notify("initialized")
    return { connection, sessions, children }
  }).pipe(
    // Nothing of anybody's has been delivered to a program that never became ready.
    Effect.mapError((error) =>
      error._tag === "SpawnFailed" ? error : new Child.SpawnFailed({ missing: false, text: error.message })
    )
  )

const spawn = (
  options: CodexOptions,
  env: Readonly<Record<string, string | undefined>>,
  ledger: ProcessLedger.ProcessLedger
) =>
  Effect.suspend(() => {
    const binary = Child.findBinary(options.binary, env)
    if (binary === null) {
      return Effect.fail(
        new Child.SpawnFailed({ missing: true, text: HealthCheck.notInstalled.advice ?? "" })
      )
    }
    const overrides = Object.entries(options.configOverrides ?? {}).flatMap(([key, value]) => [
      "-c",
      `${key}=${value}`
    ])
    return Child.spawn({ binary, arguments: ["app-server", ...overrides], env, ledger })
  })

type Listeners = Pick<Running, "sessions" | "children">

/** Threads that are not ours say nothing here: an auxiliary thread's turn is not a turn of the user's. */
const route = ({ sessions, children }: Listeners, notification: Notification): Effect.Effect<void> => {
  const { threadId, thread } = Object(notification.params) as {
    threadId?: unknown
    thread?: { id?: unknown; parentThreadId?: unknown } | null
  }
  if (notification.method === "thread/started") {
    const parent = ownerOf({ sessions, children }, thread?.parentThreadId)
    const known = typeof thread?.id === "string" && !sessions.has(thread.id)
    if (parent !== undefined && known && children.size < childrenMax)
      children.set(thread.id as string, parent)
    return Effect.void
  }
  const session = typeof threadId === "string" ? sessions.get(threadId) : undefined
  if (session !== undefined) return session.hear(notification)
  // An answered request of an auxiliary thread is the session's; nothing else of that thread is.
  const parent =
    notification.method === "serverRequest/resolved" ? ownerOf({ sessions, children }, threadId) : undefined
  return parent === undefined ? Effect.void : parent.hear(notification)
}

const ownerOf = ({ sessions, children }: Listeners, threadId: unknown): Session.Session | undefined =>
  typeof threadId === "string" ? (sessions.get(threadId) ?? children.get(threadId)) : undefined

/** What an auxiliary thread asks is asked in the turn that it works for. */
const take = Effect.fnUntraced(function* (
  { sessions, children }: Listeners,
  connection: Connection.Connection,
  request: ServerRequest
) {
  const held = understand(request)
  const session = held === null ? undefined : ownerOf({ sessions, children }, held.threadId)
  if (held !== null && session !== undefined) {
    const own = session.codexThread === held.threadId ? held : { ...held, turnId: null }
    if (yield* session.ask(own)) return
  }
  const { threadId } = Object(request.params) as { threadId?: unknown }
  if (held === null) yield* ownerOf({ sessions, children }, threadId)?.hear(request) ?? Effect.void
  // Not waited for: a program that does not read must not stop us from reading.
  yield* connection
    .refuse(request.id, "This client cannot answer that.")
    .pipe(Effect.ignore, Effect.forkChild)
})
