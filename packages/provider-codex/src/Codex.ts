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
  LiveSession,
  OpenOptions,
  Provider,
  ProviderSession
} from "@turnkeeper/provider-kit/Provider"
import type { Environment, Gone } from "@turnkeeper/provider-kit/Child"
import * as Child from "@turnkeeper/provider-kit/Child"
import { unhealthy, within } from "@turnkeeper/provider-kit/health"
import { codes } from "@turnkeeper/provider-kit/JsonRpc"
import type { CallFailed, Notification, PeerRequest } from "@turnkeeper/provider-kit/JsonRpc"
import * as ProcessLedger from "@turnkeeper/provider-kit/ProcessLedger"
import type { Fail, Operation } from "@turnkeeper/provider-kit/ProviderError"
import { failWith, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import * as Outliving from "@turnkeeper/provider-kit/Outliving"
import * as SessionBook from "@turnkeeper/provider-kit/SessionBook"
import * as SharedProcess from "@turnkeeper/provider-kit/SharedProcess"
import { overChild } from "@turnkeeper/provider-kit/Transport"
import type { Transport } from "@turnkeeper/provider-kit/Transport"
import { Context, Deferred, Duration, Effect, Exit, Layer, Schedule, Schema } from "effect"
import type { Scope } from "effect"
import { createHash } from "node:crypto"
import packageJson from "../package.json" with { type: "json" }
import type * as Protocol from "./_generated/protocol.ts"
import * as Connection from "./Connection.ts"
import type { Wrap } from "./faults.ts"
import { wrapWith } from "./faults.ts"
import * as HealthCheck from "./health.ts"
import * as History from "./history.ts"
import * as Lasting from "./Lasting.ts"
import * as Listening from "./Listening.ts"
import { understand } from "./requests.ts"
import * as Session from "./Session.ts"
import type { Deadlines } from "./SessionContext.ts"
import { policyOf } from "./settings.ts"
import type { Turn } from "./Turn.ts"

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
  /**
   * It goes on working when this server is killed, and the next one joins it; an orderly stop ends it. Needs
   * Linux, and is ignored elsewhere.
   */
  readonly outlive?: boolean
  /** How long it then goes on without any server. Minutes; an hour when absent. */
  readonly abandonAfterMinutes?: number
  /** Sees every line, for the native log. */
  readonly tap?: (direction: "sent" | "received", line: string) => void
  /** In place of a child process: a recorded program. */
  readonly transport?: Effect.Effect<Transport, Child.StartFailed, Scope.Scope>
}

export interface Timeouts extends Deadlines {
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
  standstill: "30 seconds",
  start: "15 seconds",
  open: "30 seconds",
  evidence: "60 seconds",
  probe: "10 seconds",
  idle: "60 seconds",
  close: "5 seconds"
}

const outlives = ({ outlive, transport }: CodexOptions): boolean =>
  outlive === true && transport === undefined && Outliving.isPossible

export const capabilitiesOf = (options: CodexOptions): Capabilities => ({
  ...capabilities,
  outlivesServer: outlives(options),
  reasksRequests: outlives(options)
})

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
  /** Whose conversations are whose, for the next server. */
  readonly book: SessionBook.SessionBook
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
  const capabilities = capabilitiesOf(options)
  const processes = yield* SharedProcess.make({
    idle: timeouts.idle,
    start: start(options, env, ledger, timeouts),
    isOver: ({ connection }) => connection.isClosed()
  })
  /** A program that lives on: null where there is none to be had. */
  const lasting = () =>
    capabilities.outlivesServer ? outlivingOptions(options, env, ledger, timeouts) : null
  const wanted = lasting()
  const left = yield* wanted === null ? Child.endLeftovers(ledger, markOf(options)) : Outliving.reap(wanted)
  yield* Child.warnOfLeftovers("Codex", left)

  /** Runs with a process that is ready, started if need be. */
  const withProcess = <A, E>(operation: Operation, use: (running: Running) => Effect.Effect<A, E>) =>
    Effect.scoped(processes.get.pipe(Effect.mapError(wrap(operation)), Effect.flatMap(use)))

  const open = Effect.fn("Codex.open")(function* (
    wanted: OpenOptions
  ): Effect.fn.Return<ProviderSession, ProviderError, Scope.Scope> {
    const scope = yield* Effect.scope
    const running = yield* processes.get.pipe(Effect.mapError(wrap("open")))
    return yield* openSession({ wanted, running, timeouts, scope, fail, wrap }).pipe(
      Effect.mapError((error) => (error instanceof ProviderError ? error : wrap("open")(error)))
    )
  })

  const listLive = Effect.suspend(() => {
    // Without a process there is no session; none is started to find that out.
    const options = processes.current() === null ? lasting() : null
    if (processes.current() === null && (options === null || Outliving.find(options) === null)) {
      return Effect.succeed<ReadonlyArray<LiveSession>>([])
    }
    return withProcess("list", (running) =>
      running.book.entries().length === 0
        ? Effect.succeed<ReadonlyArray<LiveSession>>([])
        : live(running, timeouts.call).pipe(Effect.mapError(wrap("list")))
    )
  })

  const evidence = (query: EvidenceQuery): Effect.Effect<Evidence, ProviderError> => {
    // No conversation was ever begun: nothing can have been said in one.
    if (query.resume === null) return Effect.succeed({ type: "absent" })
    const { codexThread, hasRecord } = readCursor(query.resume)
    return withProcess("evidence", ({ book, connection }) =>
      proofOf(
        messageEvidence({ connection, deadline: timeouts.call }, codexThread, hasRecord, query.turnId),
        book.inherited.has(query.turnId)
      ).pipe(Effect.mapError(wrap("evidence")))
    ).pipe(
      Effect.timeoutOrElse({
        duration: timeouts.evidence,
        orElse: () => Effect.fail(fail("evidence", "Unknown", "Codex's record could not be read in time."))
      })
    )
  }

  const probe = Effect.suspend(() => {
    const binary = HealthCheck.findBinary(options.binary, env)
    if (binary === null) return Effect.succeed(HealthCheck.notInstalled)
    const asked = Effect.flatMap(HealthCheck.versionOf(binary, env), (version) =>
      withProcess("probe", ({ connection }) => HealthCheck.ask(connection, version, timeouts.probe)).pipe(
        Effect.catch(({ message }) => Effect.succeed(unhealthy("failed", message, version)))
      )
    )
    return within(asked, timeouts.probe, "Codex")
  })

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
  readonly fail: Fail
  readonly wrap: Wrap
}

const openSession = Effect.fnUntraced(function* (
  opening: Opening
): Effect.fn.Return<ProviderSession, CallFailed | ProviderError> {
  const { wanted, running, timeouts } = opening
  const cursor = wanted.resume === null ? null : readCursor(wanted.resume)
  const opened = cursor === null ? null : yield* resumeThread(opening, cursor.codexThread, cursor.hasRecord)
  if (opened !== null) {
    const { session } = opened
    const isActive = opened.response.thread.status.type === "active"
    if (wanted.rejoin !== undefined) {
      const missed = yield* session.rejoin(wanted.rejoin.heard, isActive)
      return { ...session, missed }
    }
    if (isActive) yield* adoptRunning(session, running, timeouts.call)
    return session
  }
  if (wanted.rejoin !== undefined) {
    return yield* opening.fail("open", "SessionGone", "Codex no longer has this conversation.")
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
    onSend: (turnId) => running.book.sends(codexThread, turnId),
    onExit: () => running.book.closed(codexThread, wanted.generation),
    rejoins: wanted.rejoin !== undefined,
    killProcess: running.connection.kill
  })
  running.sessions.set(codexThread, session)
  running.book.opened(codexThread, wanted)
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

const live = Effect.fnUntraced(function* ({ book, connection, sessions }: Running, deadline: Duration.Input) {
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
  const here = book
    .entries()
    .filter(({ name }) => loaded.has(name))
    .map((entry) => ({ ...entry, ours: sessions.get(entry.name)?.active() ?? null }))
  return yield* Effect.forEach(here, (session) => liveSession({ connection, deadline }, session), {
    concurrency: 8
  })
})

const liveSession = Effect.fnUntraced(function* (
  asking: History.Asking,
  { generation, name, ours, threadId }: SessionBook.Entry & { readonly ours: Turn | null }
): Effect.fn.Return<LiveSession, CallFailed> {
  const { thread } = yield* asking.connection.call(
    "thread/read",
    { threadId: name },
    { deadline: asking.deadline }
  )
  if (thread.status.type !== "active") {
    return { threadId, generation, activeProviderTurnId: null, activeTurnId: null }
  }
  // In a turn's first moments there is no record of it; then what Codex answered us is its word.
  const turn = yield* History.newestTurn(asking, name).pipe(
    Effect.catchTag("Refused", () => Effect.succeed(null))
  )
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

/**
 * An earlier server may have been cut off while it wrote this message: it may still be on its way, so that
 * its absence proves nothing. It would be there soon.
 */
const proofOf = (evidence: Effect.Effect<Evidence, CallFailed>, mayBeOnItsWay: boolean) =>
  mayBeOnItsWay
    ? evidence.pipe(
        Effect.repeat({ ...untilThere, until: ({ type }) => type === "found" }),
        Effect.map((found): Evidence =>
          found.type === "absent"
            ? { type: "none", message: "The message may still be on its way to Codex." }
            : found
        )
      )
    : evidence

/** About five seconds. */
const untilThere = { schedule: Schedule.spaced("250 millis"), times: 20 } as const

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
  env: Environment,
  ledger: ProcessLedger.ProcessLedger,
  timeouts: Timeouts
): Effect.Effect<Running, Child.StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const listeners: Listeners = { sessions: new Map(), children: new Map() }
    const { sessionsFile, connection } = yield* outlives(options)
      ? lastingWire(options, env, ledger, timeouts, listeners)
      : childWire(options, env, ledger, timeouts, listeners)
    const endSessions = (end: Gone) =>
      Effect.sync(() => {
        for (const session of listeners.sessions.values()) session.exit(end.how === "closed", end.message)
        listeners.sessions.clear()
        listeners.children.clear()
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
    return { connection, ...listeners, book: SessionBook.make(sessionsFile) }
  }).pipe(
    // Nothing of anybody's has been delivered to a program that never became ready.
    Effect.mapError((error) =>
      error._tag === "StartFailed" ? error : new Child.StartFailed({ missing: false, text: error.message })
    )
  )

interface Wire {
  readonly connection: Connection.Connection
  readonly sessionsFile: string | null
}

const childWire = Effect.fnUntraced(function* (
  options: CodexOptions,
  env: Environment,
  ledger: ProcessLedger.ProcessLedger,
  timeouts: Timeouts,
  listeners: Listeners
): Effect.fn.Return<Wire, Child.StartFailed | CallFailed, Scope.Scope> {
  const transport = yield* options.transport ?? spawn(options, env, ledger)
  const connection = yield* ready(transport, listeners, options, timeouts)
  return { connection, sessionsFile: null }
})

const lastingWire = Effect.fnUntraced(function* (
  options: CodexOptions,
  env: Environment,
  ledger: ProcessLedger.ProcessLedger,
  timeouts: Timeouts,
  listeners: Listeners
): Effect.fn.Return<Wire, Child.StartFailed | CallFailed, Scope.Scope> {
  const wanted = outlivingOptions(options, env, ledger, timeouts)
  if (wanted === null) return yield* notInstalled
  const program = yield* Outliving.acquire(wanted)
  const connection = yield* Lasting.make({
    program,
    connect: Listening.connect(program, timeouts.start).pipe(
      Effect.flatMap((transport) => ready(transport, listeners, options, timeouts))
    ),
    again: Effect.suspend(() =>
      Effect.forEach([...listeners.sessions.values()], reconnected, { concurrency: 8, discard: true })
    )
  }).pipe(
    // It is ours and cannot be spoken to.
    Effect.tapError(() => program.kill)
  )
  return { connection, sessionsFile: program.sessionsFile }
})

const reconnected = (session: Session.Session) =>
  session.reconnect.pipe(
    Effect.catch((error) =>
      Effect.sync(() => session.exit(false, `This conversation could not be joined again: ${error.message}`))
    )
  )

/** A connection on which Codex has been told who we are. */
const ready = Effect.fnUntraced(function* (
  transport: Transport,
  listeners: Listeners,
  { tap }: CodexOptions,
  timeouts: Timeouts
): Effect.fn.Return<Connection.Connection, CallFailed, Scope.Scope> {
  // The handlers need the connection to refuse what nobody takes, and are needed to make it.
  const made = yield* Deferred.make<Connection.Connection>()
  const connection = yield* Connection.make(
    transport,
    {
      notification: (notification) => route(listeners, notification),
      request: (request) => Effect.flatMap(Deferred.await(made), (wire) => take(listeners, wire, request))
    },
    tap === undefined ? {} : { tap }
  )
  yield* Deferred.succeed(made, connection)
  yield* connection.call(
    "initialize",
    {
      clientInfo: { name: "turnkeeper", title: "Turnkeeper", version: packageJson.version },
      capabilities: { experimentalApi: true, requestAttestation: false }
    },
    { deadline: timeouts.start }
  )
  yield* connection.notify("initialized")
  return connection
})

const notInstalled = Effect.suspend(() =>
  Effect.fail(new Child.StartFailed({ missing: true, text: HealthCheck.notInstalled.advice ?? "" }))
)

const spawn = (options: CodexOptions, env: Environment, ledger: ProcessLedger.ProcessLedger) =>
  Effect.suspend(() => {
    const binary = HealthCheck.findBinary(options.binary, env)
    if (binary === null) return notInstalled
    return Effect.map(
      Child.start({
        name: "Codex",
        program: binary,
        arguments: ["app-server", ...overridesOf(options)],
        env,
        ledger,
        mark: markOf(options),
        reads: true
      }),
      (child) => overChild(child, "Codex")
    )
  })

const overridesOf = ({ configOverrides = {} }: CodexOptions) =>
  Object.entries(configOverrides).flatMap(([key, value]) => ["-c", `${key}=${value}`])

const markOf = ({ instanceId, ledgerDirectory }: CodexOptions): Child.Mark => ({
  name: "TURNKEEPER_CODEX_RUN",
  owner: Child.ownerMark(ledgerDirectory, instanceId)
})

/** Null: there is no such program. */
const outlivingOptions = (
  options: CodexOptions,
  env: Environment,
  ledger: ProcessLedger.ProcessLedger,
  timeouts: Timeouts
): Outliving.OutlivingOptions | null => {
  const binary = HealthCheck.findBinary(options.binary, env)
  if (binary === null) return null
  const { abandonAfterMinutes = 60, configOverrides, env: added, ledgerDirectory } = options
  const mark = markOf(options)
  return {
    binary,
    ledger,
    ledgerDirectory,
    owner: mark.owner,
    markName: mark.name,
    arguments: (secret) => [
      "app-server",
      "--listen",
      "ws://127.0.0.1:0",
      "--ws-auth",
      "capability-token",
      "--ws-token-sha256",
      createHash("sha256").update(secret).digest("hex"),
      ...overridesOf(options)
    ],
    env: () => env,
    settings: { configOverrides, added, home: env["CODEX_HOME"], abandonAfterMinutes },
    addressIn: (printed) => /\bws:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0] ?? null,
    deadline: timeouts.start,
    abandonAfter: Duration.minutes(abandonAfterMinutes)
  }
}

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
  request: PeerRequest
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
    .refuse(request.id, codes.methodNotFound, "This client cannot answer that.")
    .pipe(Effect.ignore, Effect.forkChild)
})
