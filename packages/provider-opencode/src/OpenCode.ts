/**
 * OpenCode as a provider: one `opencode serve` for all threads of a provider instance, or a server that
 * somebody else runs, by its address.
 *
 * A server of ours is started when it is first needed, ended when nothing has needed it for a while, and
 * started anew after it died; when it dies, every session on it ends at once. Before anything else, whatever
 * an earlier, killed server of ours left behind is ended: two programs must never work on one conversation.
 */
import type { ProviderInstanceId, TurnId } from "@turnkeeper/domain/ids"
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import type { Environment, Mark } from "@turnkeeper/provider-kit/Child"
import { endLeftovers, ownerMark, StartFailed, warnOfLeftovers } from "@turnkeeper/provider-kit/Child"
import { unhealthy, within } from "@turnkeeper/provider-kit/health"
import * as ProcessLedger from "@turnkeeper/provider-kit/ProcessLedger"
import { argumentsOf, descendantsOf, ensureGone, findProgram } from "@turnkeeper/provider-kit/processes"
import type {
  Capabilities,
  EvidenceQuery,
  LiveSession,
  OpenOptions,
  Provider,
  ProviderSession
} from "@turnkeeper/provider-kit/Provider"
import type { Fail, Operation, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { failWith } from "@turnkeeper/provider-kit/ProviderError"
import * as Outliving from "@turnkeeper/provider-kit/Outliving"
import * as SessionBook from "@turnkeeper/provider-kit/SessionBook"
import * as SharedProcess from "@turnkeeper/provider-kit/SharedProcess"
import { Context, Deferred, Duration, Effect, Layer, RcMap, Schedule, Stream } from "effect"
import type { Scope } from "effect"
import { createHash } from "node:crypto"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import * as Api from "./Api.ts"
import type { Wrap } from "./faults.ts"
import { wrapWith } from "./faults.ts"
import * as HealthCheck from "./health.ts"
import * as History from "./history.ts"
import type { Native, SessionInfo } from "./protocol.ts"
import * as Serve from "./Serve.ts"
import * as Session from "./Session.ts"
import type { Deadlines } from "./SessionContext.ts"
import { modelOf, rulesOf } from "./settings.ts"

export interface OpenCodeOptions {
  readonly instanceId: ProviderInstanceId
  readonly displayName?: string
  /** The program. Else TURNKEEPER_OPENCODE_BIN, else `opencode` on the path. */
  readonly binary?: string
  /** A server that runs already, in place of one of our own. */
  readonly server?: { readonly url: string; readonly username?: string; readonly password?: string }
  /**
   * A server of our own goes on working when we are killed, and the next one of us joins it; an orderly stop
   * ends it. Needs Linux, and is ignored elsewhere.
   */
  readonly outlive?: boolean
  /** How long it then goes on without any of us. Minutes; an hour when absent. */
  readonly abandonAfterMinutes?: number
  /** Where the processes that run are on record. */
  readonly ledgerDirectory: string
  /** Added to the server's own environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly timeouts?: Partial<Timeouts>
  /** Sees every call and every event, for the native log. */
  readonly tap?: (direction: "sent" | "received", line: string) => void
}

export interface Timeouts extends Deadlines {
  /** From the start of the process to its readiness. */
  readonly start: Duration.Input
  readonly open: Duration.Input
  readonly evidence: Duration.Input
  readonly probe: Duration.Input
  /** How long a process that nobody needs is kept. */
  readonly idle: Duration.Input
  /** The orderly end of a session whose scope closes; then the process is killed. */
  readonly close: Duration.Input
  /** Silence of the events, whose heartbeat comes every 10 seconds, after which they are asked for anew. */
  readonly silence: Duration.Input
}

const defaultTimeouts: Timeouts = {
  call: "10 seconds",
  send: "30 seconds",
  turn: "10 seconds",
  standstill: "30 seconds",
  start: "30 seconds",
  open: "30 seconds",
  evidence: "60 seconds",
  probe: "40 seconds",
  idle: "60 seconds",
  close: "5 seconds",
  silence: "45 seconds"
}

const outlives = ({ outlive, server }: Pick<OpenCodeOptions, "outlive" | "server">): boolean =>
  server !== undefined || (outlive === true && Outliving.isPossible)

export const capabilitiesOf = (options: Pick<OpenCodeOptions, "outlive" | "server">): Capabilities => ({
  steer: false,
  resume: true,
  history: true,
  // It works on while we are away, and what it asked is read again.
  outlivesServer: outlives(options),
  reasksRequests: outlives(options),
  modelSwitch: "in_session",
  approvals: true,
  questions: true,
  attachments: true,
  planMode: true,
  usage: true,
  rollback: false,
  fork: false
})

/** The adapter as a service, for an application that knows one OpenCode. */
export class OpenCode extends Context.Service<OpenCode, Provider>()("provider-opencode/OpenCode") {
  static readonly layer = (options: OpenCodeOptions) => Layer.effect(OpenCode, make(options))
}

/** A server that is ready, and who is on it. */
interface Running {
  readonly api: Api.Api
  /** Null where the process is not ours. */
  readonly process: Serve.Serving | null
  /** By OpenCode's session id. */
  readonly sessions: Map<string, Session.Session>
  /** Sessions that OpenCode made inside a turn: who has to answer what they ask. */
  readonly children: Map<string, Session.Session>
  /** Turns of which it is not known whether this server has taken their message. */
  readonly doubtful: Set<TurnId>
  /** Whose conversations are whose, for the next one of us. */
  readonly book: SessionBook.SessionBook
  /** What happens in this directory is heard for as long as the scope is open. */
  hear: (directory: string) => Effect.Effect<void, StartFailed, Scope.Scope>
  over: boolean
}

const childrenMax = 1_000

export const make = Effect.fn("OpenCode.make")(function* (
  options: OpenCodeOptions
): Effect.fn.Return<Provider, never, Scope.Scope> {
  const timeouts: Timeouts = { ...defaultTimeouts, ...options.timeouts }
  const fail = failWith(options.instanceId)
  const wrap = wrapWith(options.instanceId)
  const env = { ...process.env, ...options.env }
  const capabilities = capabilitiesOf(options)
  const ledger = ProcessLedger.make({ directory: options.ledgerDirectory, owner: options.instanceId })
  const server = yield* SharedProcess.make({
    idle: timeouts.idle,
    start: start(options, env, ledger, timeouts),
    isOver: (running: Running) => running.over
  })
  /** Null: ours does not live on. */
  const lasting = () =>
    outlives(options) && options.server === undefined
      ? outlivingOptions(options, env, ledger, timeouts)
      : null
  const wanted = lasting()
  const left = yield* wanted === null ? endLeftovers(ledger, markOf(options)) : Outliving.reap(wanted)
  yield* warnOfLeftovers("OpenCode", left)

  /** Runs with a server that is ready, started if need be. */
  const withServer = <A, E>(operation: Operation, use: (running: Running) => Effect.Effect<A, E>) =>
    Effect.scoped(server.get.pipe(Effect.mapError(wrap(operation)), Effect.flatMap(use)))

  const open = Effect.fn("OpenCode.open")(function* (
    wanted: OpenOptions
  ): Effect.fn.Return<ProviderSession, ProviderError, Scope.Scope> {
    if (wanted.model !== null && modelOf(wanted.model) === null) {
      return yield* fail("open", "Rejected", "OpenCode names a model as provider/model.")
    }
    const scope = yield* Effect.scope
    const running = yield* server.get.pipe(Effect.mapError(wrap("open")))
    const opening: Opening = { wanted, running, timeouts, scope, fail, wrap }
    const info = yield* wanted.resume === null
      ? create(opening).pipe(Effect.mapError(wrap("open")))
      : resume(opening, wanted.resume)
    yield* running.hear(info.directory).pipe(Effect.mapError(wrap("open")))
    const session = yield* Effect.uninterruptible(
      Effect.tap(
        Effect.sync(() => register(opening, info)),
        (one) => SharedProcess.endWithScope(scope, one, one.sessionID, running, timeouts.close)
      )
    )
    if (wanted.rejoin !== undefined) {
      const missed = yield* rejoin(session, running, timeouts.open).pipe(Effect.mapError(wrap("open")))
      return { ...session, missed }
    }
    if (wanted.resume !== null)
      yield* joined(session, running, timeouts.open).pipe(Effect.mapError(wrap("open")))
    return session
  })

  /** Whether a server may be at work that was at work before us. */
  const mayBeLeft = () => {
    if (options.server !== undefined) return SessionBook.make(sessionsFileOf(options)).entries().length > 0
    const wanted = lasting()
    return wanted !== null && Outliving.find(wanted) !== null
  }

  const listLive = Effect.suspend(() =>
    // Without a server there is no session; none is started to find that out.
    server.current() === null && !mayBeLeft()
      ? Effect.succeed<ReadonlyArray<LiveSession>>([])
      : withServer("list", (running) => live(running, timeouts.call).pipe(Effect.mapError(wrap("list"))))
  )

  const evidence = (query: EvidenceQuery): Effect.Effect<Evidence, ProviderError> => {
    const { resume } = query
    // No conversation was ever begun: nothing can have been said in one.
    if (resume === null) return Effect.succeed({ type: "absent" })
    return withServer("evidence", (running) =>
      recorded(running, resume, query.turnId, timeouts.call).pipe(Effect.mapError(wrap("evidence")))
    ).pipe(
      Effect.timeoutOrElse({
        duration: timeouts.evidence,
        orElse: () => Effect.fail(fail("evidence", "Unknown", "OpenCode's record could not be read in time."))
      })
    )
  }

  const probe = Effect.suspend(() => {
    if (options.server === undefined && binaryOf(options, env) === null)
      return Effect.succeed(HealthCheck.notInstalled)
    const asked = withServer("probe", ({ api }) => HealthCheck.ask(api, timeouts.probe)).pipe(
      Effect.catch(({ message }) => Effect.succeed(unhealthy("failed", message)))
    )
    return within(asked, timeouts.probe, "OpenCode")
  })

  return {
    instanceId: options.instanceId,
    kind: "opencode",
    displayName: options.displayName ?? "OpenCode",
    capabilities,
    probe,
    open,
    listLive,
    evidence
  }
})

/** The book of a server that is not ours. */
const sessionsFileOf = ({ ledgerDirectory, server }: OpenCodeOptions): string | null =>
  server === undefined
    ? null
    : join(ledgerDirectory, `${createHash("sha256").update(server.url).digest("hex").slice(0, 24)}.sessions`)

const binaryOf = (options: OpenCodeOptions, env: Environment) =>
  findProgram(options.binary ?? (env["TURNKEEPER_OPENCODE_BIN"] || "opencode"), env)

const markOf = ({ ledgerDirectory, instanceId }: OpenCodeOptions): Mark => ({
  name: "TURNKEEPER_OPENCODE_RUN",
  owner: ownerMark(ledgerDirectory, instanceId)
})

// Sessions

interface Opening {
  readonly wanted: OpenOptions
  readonly running: Running
  readonly timeouts: Timeouts
  readonly scope: Scope.Scope
  readonly fail: Fail
  readonly wrap: Wrap
}

/** With a title OpenCode asks no model for one. */
const create = ({ wanted, running, timeouts }: Opening) =>
  running.api.post<SessionInfo>("/session", {
    directory: wanted.cwd,
    deadline: timeouts.open,
    body: { title: `Turnkeeper ${wanted.threadId}`, permission: rulesOf(wanted) }
  })

const resume = Effect.fnUntraced(function* (
  { running, timeouts, wanted, fail, wrap }: Opening,
  cursor: string
) {
  const asking = { api: running.api, deadline: timeouts.open }
  const info = isSessionId(cursor)
    ? yield* History.sessionInfo(asking, cursor).pipe(Effect.mapError(wrap("open")))
    : null
  if (info === null) return yield* fail("open", "SessionGone", "OpenCode no longer has this conversation.")
  return yield* running.api
    .patch<SessionInfo>(`/session/${info.id}`, {
      directory: info.directory,
      deadline: timeouts.open,
      body: { permission: rulesOf(wanted) }
    })
    .pipe(Effect.mapError(wrap("open")))
})

const isSessionId = (cursor: string): boolean => /^ses_?[A-Za-z0-9]+$/.test(cursor)

const register = (
  { wanted, running, timeouts, scope, fail, wrap }: Opening,
  info: SessionInfo
): Session.Session => {
  // A session of an earlier generation on the same conversation: its end is overdue.
  running.sessions.get(info.id)?.exit(true, "This conversation was opened again.")
  const session = Session.make({
    threadId: wanted.threadId,
    generation: wanted.generation,
    sessionID: info.id,
    directory: info.directory,
    freedom: { runtimeMode: wanted.runtimeMode, interactionMode: wanted.interactionMode },
    model: wanted.model,
    api: running.api,
    deadlines: timeouts,
    fail,
    wrap,
    scope,
    endCommands: (commands) => endCommands(running.process, commands),
    killProcess: running.process?.kill ?? null,
    doubt: (turnId) => {
      running.doubtful.add(turnId)
      running.book.sends(info.id, turnId)
    },
    settled: (turnId) => void running.doubtful.delete(turnId),
    onExit: () => running.book.closed(info.id, wanted.generation),
    worksForUs: (sessionID) => running.children.get(sessionID) === session,
    ...(wanted.rejoin === undefined ? {} : { rejoin: wanted.rejoin })
  })
  running.sessions.set(info.id, session)
  running.book.opened(info.id, { ...wanted, directory: info.directory })
  return session
}

/**
 * Commands run in groups of their own, below OpenCode: found by what they were called with, and ended with
 * all that they started. Where the process is not ours they are OpenCode's to end.
 */
const endCommands = (process: Serve.Serving | null, commands: ReadonlyArray<string>) =>
  Effect.suspend(() => {
    if (process === null || commands.length === 0) return Effect.succeed<ReadonlyArray<string>>([])
    const found = descendantsOf(process.pid).filter((one) => {
      const said = argumentsOf(one)
      return (
        !Outliving.isWatcher(said) &&
        said.some((argument) => commands.some((command) => argument.includes(command)))
      )
    })
    return Effect.map(
      ensureGone([...found, ...found.flatMap(({ pid }) => descendantsOf(pid))]),
      (left): ReadonlyArray<string> => left.map((one) => argumentsOf(one).join(" "))
    )
  })

/** What it did without us, with the sessions that work for it. */
const rejoin = Effect.fnUntraced(function* (
  session: Session.Session,
  { api, children }: Running,
  deadline: Duration.Input
) {
  const asking = { api, directory: session.directory, deadline }
  for (const child of yield* History.descendantsOf(asking, session.sessionID, childrenMax)) {
    if (children.size < childrenMax) children.set(child, session)
  }
  return yield* session.rejoin
})

/** What is in the record already is no news; a turn that runs is joined. */
const joined = Effect.fnUntraced(function* (
  session: Session.Session,
  { api }: Running,
  deadline: Duration.Input
) {
  const { messages, status } = yield* History.seen(
    { api, directory: session.directory, deadline },
    session.sessionID
  )
  const newest = History.newestTurn(messages)
  const runs = status.type !== "idle" && newest !== null
  session.past(
    messages.flatMap(({ info }) =>
      info.role === "user" && !(runs && info.id === newest.id) ? [info.id] : []
    )
  )
  if (runs) yield* session.adopt(newest)
})

const live = Effect.fnUntraced(function* ({ api, book, sessions }: Running, deadline: Duration.Input) {
  const entries = book.entries()
  const directories = [...new Set(entries.flatMap(({ directory }) => directory ?? []))]
  const statuses = yield* Effect.forEach(
    directories,
    (directory) => History.statuses({ api, directory, deadline }),
    { concurrency: 4 }
  )
  const busy = new Set(statuses.flatMap((all) => Object.keys(all).filter((id) => all[id]?.type !== "idle")))
  const found = yield* Effect.forEach(
    entries,
    (entry) => {
      const session = sessions.get(entry.name)
      return session === undefined
        ? unheld({ api, deadline }, entry, busy)
        : Effect.succeed(session.isOver() ? null : held(session, busy))
    },
    { concurrency: 8 }
  )
  return found.filter((one) => one !== null)
})

const held = (session: Session.Session, busy: ReadonlySet<string>): LiveSession => {
  const turn = session.active()
  // In a turn's first moments OpenCode does not call the session busy yet; it has the message.
  const works = turn !== null && (busy.has(session.sessionID) || !turn.busy)
  return {
    threadId: session.threadId,
    generation: session.generation,
    activeProviderTurnId: works ? ProviderTurnId.make(turn.id) : null,
    activeTurnId: works ? turn.turnId : null
  }
}

/** One of an earlier server's: what it does is told by its record. */
const unheld = Effect.fnUntraced(function* (
  asking: Pick<History.Asking, "api" | "deadline">,
  { generation, name, threadId }: SessionBook.Entry,
  busy: ReadonlySet<string>
): Effect.fn.Return<LiveSession | null, Api.CallFailed> {
  const info = yield* History.sessionInfo(asking, name)
  if (info === null) return null
  const resting = { threadId, generation, activeProviderTurnId: null, activeTurnId: null }
  if (!busy.has(name)) return resting
  const { messages } = yield* History.seen({ ...asking, directory: info.directory }, name)
  const newest = History.newestTurn(messages)
  return newest === null
    ? resting
    : { ...resting, activeProviderTurnId: ProviderTurnId.make(newest.id), activeTurnId: newest.turnId }
})

const recorded = Effect.fnUntraced(function* (
  { api, book, doubtful }: Running,
  sessionID: string,
  turnId: TurnId,
  deadline: Duration.Input
): Effect.fn.Return<Evidence, Api.CallFailed> {
  const info = isSessionId(sessionID) ? yield* History.sessionInfo({ api, deadline }, sessionID) : null
  if (info === null)
    return { type: "none", message: "OpenCode no longer has the record of this conversation." }
  const asking = { api, directory: info.directory, deadline }
  const reading = History.messageTruth(asking, sessionID, turnId)
  // An earlier one of us may have been cut off while it wrote the message: then it would be there soon.
  const isInherited = book.inherited.has(turnId)
  const truth = yield* isInherited
    ? Effect.repeat(reading, { ...untilThere, until: ({ type }) => type === "found" })
    : reading
  return truth.type === "absent" && (doubtful.has(turnId) || isInherited)
    ? { type: "none", message: "The message may still be on its way inside OpenCode." }
    : truth
})

/** About five seconds. */
const untilThere = { schedule: Schedule.spaced("250 millis"), times: 20 } as const

// The server

const start = (
  options: OpenCodeOptions,
  env: Environment,
  ledger: ProcessLedger.ProcessLedger,
  timeouts: Timeouts
): Effect.Effect<Running, StartFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const lasting =
      outlives(options) && options.server === undefined
        ? yield* lastingProcess(options, env, ledger, timeouts)
        : null
    const process =
      options.server !== undefined
        ? null
        : (lasting?.process ?? (yield* spawn(options, env, ledger, timeouts)))
    const api = Api.make({
      url: options.server?.url ?? process?.url ?? "",
      password:
        options.server === undefined ? (process?.password ?? null) : (options.server.password ?? null),
      ...(options.server?.username === undefined ? {} : { username: options.server.username }),
      ...(options.tap === undefined ? {} : { tap: options.tap })
    })
    const running: Running = {
      api,
      process,
      // All that happens is heard already, where the server tells it.
      hear: () => Effect.void,
      sessions: new Map(),
      children: new Map(),
      doubtful: new Set(),
      book: SessionBook.make(lasting?.sessionsFile ?? sessionsFileOf(options)),
      over: false
    }
    const end = (clean: boolean, message: string) =>
      Effect.sync(() => {
        running.over = true
        for (const session of running.sessions.values()) session.exit(clean, message)
        running.sessions.clear()
        running.children.clear()
      })
    if (process !== null) {
      yield* process.gone.pipe(
        Effect.flatMap(({ how, message }) => end(how === "closed", message)),
        Effect.forkScoped
      )
    }
    // The first thing to happen when the scope closes.
    yield* Effect.addFinalizer(() =>
      Effect.andThen(process?.close ?? Effect.void, end(true, "The connection to OpenCode was closed."))
    )
    // Whether it can be reached at all, lets us in and speaks our API, is known at once.
    yield* HealthCheck.version(api, timeouts.start)
    // A process of ours that lives and cannot be heard is of no use to anybody.
    const lost = Effect.andThen(
      process?.kill ?? Effect.void,
      end(false, "OpenCode can no longer be reached.")
    )
    const hearing = (ear: Ear, deadline: Duration.Input) =>
      keepHearing(ear, { deadline, silence: timeouts.silence, lost })
    yield* hearing({ running, directory: null, events: api.events }, timeouts.start).pipe(
      // An older server tells what happens by directory only.
      Effect.catchTag("NotOffered", () =>
        Effect.map(
          hearByDirectory((directory) =>
            hearing({ running, directory, events: api.eventsIn(directory) }, timeouts.open)
          ),
          (byDirectory) => void (running.hear = byDirectory)
        )
      )
    )
    return running
  }).pipe(
    // Nothing of anybody's has been delivered to a server that never became ready.
    Effect.mapError((error) =>
      error._tag === "StartFailed" ? error : new StartFailed({ missing: false, text: error.message })
    )
  )

const notInstalled = Effect.suspend(() =>
  Effect.fail(new StartFailed({ missing: true, text: HealthCheck.notInstalled.advice ?? "" }))
)

const lastingProcess = Effect.fnUntraced(function* (
  options: OpenCodeOptions,
  env: Environment,
  ledger: ProcessLedger.ProcessLedger,
  timeouts: Timeouts
) {
  const wanted = outlivingOptions(options, env, ledger, timeouts)
  if (wanted === null) return yield* notInstalled
  const program = yield* Outliving.acquire(wanted)
  const process: Serve.Serving = {
    ...program,
    url: program.address,
    password: program.secret,
    gone: Effect.map(program.gone, ({ how, printed }) => ({
      how,
      message: `OpenCode ended: ${Outliving.lastLineOf(printed)}`
    }))
  }
  return { process, sessionsFile: program.sessionsFile }
})

/** Null: there is no such program. */
const outlivingOptions = (
  options: OpenCodeOptions,
  env: Environment,
  ledger: ProcessLedger.ProcessLedger,
  timeouts: Timeouts
): Outliving.OutlivingOptions | null => {
  const binary = binaryOf(options, env)
  if (binary === null) return null
  const { abandonAfterMinutes = 60, env: added, ledgerDirectory } = options
  const mark = markOf(options)
  return {
    binary,
    ledger,
    ledgerDirectory,
    owner: mark.owner,
    markName: mark.name,
    arguments: () => Serve.commandLine,
    env: (password) => Serve.environment(env, password),
    settings: { added, abandonAfterMinutes },
    addressIn: Serve.addressIn,
    deadline: timeouts.start,
    abandonAfter: Duration.minutes(abandonAfterMinutes)
  }
}

const spawn = (
  options: OpenCodeOptions,
  env: Environment,
  ledger: ProcessLedger.ProcessLedger,
  timeouts: Timeouts
) =>
  Effect.suspend(() => {
    const binary = binaryOf(options, env)
    if (binary === null) return notInstalled
    // Not in a project: what is asked without a directory is asked of no project.
    mkdirSync(options.ledgerDirectory, { recursive: true })
    return Serve.serve({
      binary,
      cwd: options.ledgerDirectory,
      env,
      ledger,
      mark: markOf(options),
      deadline: timeouts.start
    })
  })

/** Tries to hear a server again: 0.1, 0.2, 0.4 … seconds, about 50 seconds in all. */
const reconnecting = { schedule: Schedule.exponential("100 millis"), times: 8 } as const

/** One stream of events: all that happen, or those of one directory. */
interface Ear {
  readonly running: Running
  readonly directory: string | null
  readonly events: Stream.Stream<Native, Api.Unreachable | Api.NotOffered>
}

/** At most so many streams at a time, each a connection of its own. */
const directoriesMax = 100

/** One stream for all sessions of a directory, for as long as there is one. */
const hearByDirectory = (hearing: (directory: string) => Effect.Effect<void, Error, Scope.Scope>) =>
  Effect.map(
    RcMap.make({ lookup: hearing, capacity: directoriesMax }),
    (streams): Running["hear"] =>
      (directory) =>
        RcMap.get(streams, directory).pipe(
          Effect.mapError(({ message }) => new StartFailed({ missing: false, text: message }))
        )
  )

/** Returns when the events are heard, and hears them until the scope closes or the server is `lost`. */
const keepHearing = Effect.fnUntraced(function* (
  ear: Ear,
  {
    deadline,
    silence,
    lost
  }: {
    readonly deadline: Duration.Input
    readonly silence: Duration.Input
    readonly lost: Effect.Effect<void>
  }
) {
  const connected = yield* Deferred.make<void, Api.NotOffered>()
  yield* listening(ear, connected, silence).pipe(
    Effect.andThen(lost),
    Effect.catch((none) => Deferred.fail(connected, none)),
    Effect.forkScoped
  )
  yield* Deferred.await(connected).pipe(
    Effect.timeoutOrElse({
      duration: deadline,
      orElse: () =>
        Effect.fail(new Api.NoAnswer({ path: ear.directory === null ? "/global/event" : "/event" }))
    })
  )
})

/**
 * Hears the events for as long as the server can be reached. The stream has no memory: after it broke, what
 * happened meanwhile is read from the record. Fails only where there never was a stream.
 */
const listening = (
  ear: Ear,
  connected: Deferred.Deferred<void, Api.NotOffered>,
  silence: Duration.Input
): Effect.Effect<void, Api.NotOffered> => {
  const { running, events } = ear
  const once = Effect.suspend(() => {
    let heard = false
    return events.pipe(
      Stream.timeoutOrElse({
        duration: silence,
        orElse: () =>
          Stream.fail(new Api.Unreachable({ delivered: "unknown", text: "OpenCode has fallen silent." }))
      }),
      Stream.runForEach((native) => {
        if (native.type !== "server.connected" || heard) return route(ear, native)
        heard = true
        const first = Deferred.doneUnsafe(connected, Effect.void)
        return first ? Effect.void : catchUp(ear)
      }),
      // A stream that ended is as good as one that broke; one that had been heard is tried anew from the start.
      Effect.catch((error) =>
        error._tag === "NotOffered" && !Deferred.isDoneUnsafe(connected) ? Effect.fail(error) : Effect.void
      ),
      Effect.andThen(Effect.suspend(() => (heard ? Effect.void : Effect.fail("not heard" as const))))
    )
  })
  return once.pipe(
    Effect.retry({ ...reconnecting, while: (error) => error === "not heard" }),
    Effect.repeat({ while: () => !running.over }),
    Effect.catch((error) => (error === "not heard" ? Effect.void : Effect.fail(error)))
  )
}

/** Of a directory's stream only its own: whatever a server tells there, nobody hears it twice. */
const hears = ({ directory }: Ear, session: Session.Session): boolean =>
  directory === null || session.directory === directory

const catchUp = (ear: Ear) =>
  Effect.forEach(
    [...ear.running.sessions.values()].filter((session) => hears(ear, session)),
    (session) => session.catchUp,
    { discard: true }
  )

/** Sessions that are not ours say nothing here; those that work for ours ask what they ask in our turn. */
const route = (ear: Ear, { type, properties }: Native): Effect.Effect<void> => {
  const { sessions, children } = ear.running
  if (type === "sync") {
    const { aggregateID, seq } = Object(properties) as { aggregateID?: unknown; seq?: unknown }
    const session = typeof aggregateID === "string" ? sessions.get(aggregateID) : undefined
    return session === undefined || typeof seq !== "number" ? Effect.void : session.count(seq)
  }
  // The directory's whole state was thrown away, and with it whatever was being worked on.
  if (type === "server.instance.disposed" || type === "global.disposed") return catchUp(ear)
  const { sessionID, info } = Object(properties) as { sessionID?: unknown; info?: { parentID?: unknown } }
  if (typeof sessionID !== "string") return Effect.void
  const session = sessions.get(sessionID)
  if (session !== undefined) return hears(ear, session) ? session.hear({ type, properties }) : Effect.void
  if (type === "session.created" && typeof info?.parentID === "string") {
    const parent = sessions.get(info.parentID) ?? children.get(info.parentID)
    if (parent !== undefined && children.size < childrenMax) children.set(sessionID, parent)
    return Effect.void
  }
  const parent = children.get(sessionID)
  return parent !== undefined && hears(ear, parent) ? parent.hearChild({ type, properties }) : Effect.void
}
