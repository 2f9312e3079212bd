/**
 * Any agent that speaks the Agent Client Protocol on its standard input and output, as a provider: one process
 * per session. What it is called and what it can do is found out by asking it, never by its name.
 *
 * Before anything else, processes that an earlier, killed server left behind are ended: two programs must
 * never work on one conversation.
 */
import type { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import type {
  Capabilities,
  EvidenceQuery,
  Health,
  LiveSession,
  Model,
  OpenOptions,
  Provider,
  ProviderSession
} from "@turnkeeper/provider-kit/Provider"
import * as Child from "@turnkeeper/provider-kit/Child"
import { unhealthy, within } from "@turnkeeper/provider-kit/health"
import { Refused } from "@turnkeeper/provider-kit/JsonRpc"
import type { CallFailed } from "@turnkeeper/provider-kit/JsonRpc"
import * as ProcessLedger from "@turnkeeper/provider-kit/ProcessLedger"
import { findProgram } from "@turnkeeper/provider-kit/processes"
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import { failWith, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { endWithScope } from "@turnkeeper/provider-kit/SharedProcess"
import { overChild } from "@turnkeeper/provider-kit/Transport"
import type { Transport } from "@turnkeeper/provider-kit/Transport"
import { Context, Deferred, Effect, Exit, Layer, Option, Scope, Semaphore } from "effect"
import type { Duration } from "effect"
import * as Agent from "./Agent.ts"
import * as Controls from "./controls.ts"
import { wrapWith } from "./faults.ts"
import type { Wrap } from "./faults.ts"
import { codes, textOf } from "./protocol.ts"
import type { Opened } from "./protocol.ts"
import * as Session from "./Session.ts"
import type { Deadlines } from "./SessionContext.ts"

export interface AcpOptions {
  readonly instanceId: ProviderInstanceId
  readonly displayName?: string
  /** The agent's program: a path, or a name on the path. Without one there is no agent. */
  readonly command?: string
  readonly args?: ReadonlyArray<string>
  /** Added to the server's own environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** One of the agent's ways to sign in, for an agent that wants to be told before it works. */
  readonly authMethod?: string
  /** The agent's modes where their names do not say what they are. */
  readonly modes?: Controls.ModeNames
  /** Where the processes that run are on record. */
  readonly ledgerDirectory: string
  readonly timeouts?: Partial<Timeouts>
  /** Sees every line, for the native log. */
  readonly tap?: (direction: "sent" | "received", line: string) => void
  /** In place of a child process: a recorded program. */
  readonly transport?: Effect.Effect<Transport, Child.StartFailed, Scope.Scope>
}

export interface Timeouts extends Deadlines {
  /** From the start of the process to its readiness. */
  readonly start: Duration.Input
  /** A conversation's start, or its resumption, which may replay all of it. */
  readonly open: Duration.Input
  readonly probe: Duration.Input
  /** The orderly end of a session whose scope closes; then the process is killed. */
  readonly close: Duration.Input
}

const defaultTimeouts: Timeouts = {
  call: "10 seconds",
  send: "30 seconds",
  taken: "2 seconds",
  turn: "3 seconds",
  start: "40 seconds",
  open: "30 seconds",
  probe: "12 seconds",
  close: "8 seconds"
}

/** Of the protocol. What one agent cannot do of it is found out when it is asked, and said then. */
export const capabilities: Capabilities = {
  steer: false,
  resume: true,
  history: false,
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

/** The adapter as a service, for an application that knows one agent. */
export class Acp extends Context.Service<Acp, Provider>()("provider-acp/Acp") {
  static readonly layer = (options: AcpOptions) => Layer.effect(Acp, make(options))
}

/** What is known of the agent beside its sessions. */
interface Known {
  /** By our thread: two processes of one agent may give their conversations the same name. */
  readonly sessions: Map<string, Session.Session>
  about: Agent.About | null
  models: ReadonlyArray<Model>
  /** It wanted somebody to sign in when it was asked last. */
  signedOut: boolean
}

export const make = Effect.fn("Acp.make")(function* (
  options: AcpOptions
): Effect.fn.Return<Provider, never, Scope.Scope> {
  const timeouts: Timeouts = { ...defaultTimeouts, ...options.timeouts }
  const fail = failWith(options.instanceId)
  const wrap = wrapWith(options.instanceId)
  const env = { ...process.env, ...options.env }
  const ledger = ProcessLedger.make({ directory: options.ledgerDirectory, owner: options.instanceId })
  const known: Known = { sessions: new Map(), about: null, models: [], signedOut: false }
  yield* Child.warnOfLeftovers(options.instanceId, yield* Child.endLeftovers(ledger, markOf(options)))

  // Until one has come up they are started one after another: each may make the agent's files first, and two at
  // once get into each other's way (seen: two agents that made one database).
  const first = Semaphore.makeUnsafe(1)
  const start = (cwd: string, deadline: Duration.Input) =>
    Effect.suspend(() => {
      const started = Agent.start({
        transport: options.transport ?? transportTo(options, { cwd, env, ledger }),
        deadline,
        authMethod: options.authMethod,
        tap: options.tap
      }).pipe(Effect.tap(({ about }) => Effect.sync(() => void (known.about = about))))
      return known.about === null ? first.withPermit(started) : started
    })

  const open = Effect.fn("Acp.open")(function* (
    wanted: OpenOptions
  ): Effect.fn.Return<ProviderSession, ProviderError, Scope.Scope> {
    const outer = yield* Effect.scope
    // What could not be opened leaves no process behind, however long its owner lives.
    const scope = yield* Scope.fork(outer)
    return yield* start(wanted.cwd, timeouts.start).pipe(
      // Nothing of anybody's has been delivered to a program that never became ready.
      Effect.mapError((error) =>
        error._tag === "NoAnswer" || error._tag === "TransportBroke"
          ? fail("open", "Unavailable", error.message)
          : wrap("open")(error)
      ),
      Effect.flatMap((agent) => openSession({ options, wanted, agent, known, timeouts, scope, fail, wrap })),
      Effect.tap(() => Effect.sync(() => void (known.signedOut = false))),
      Effect.mapError((error) => {
        if (error.fault.reason !== "NotSignedIn") return error
        known.signedOut = true
        return fail("open", "NotSignedIn", `${error.fault.message} ${signInAdvice(known.about)}`)
      }),
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
      Scope.provide(scope)
    )
  })

  const listLive = Effect.sync((): ReadonlyArray<LiveSession> =>
    [...known.sessions.values()]
      .filter((session) => !session.isOver())
      .map((session) => ({
        threadId: session.threadId,
        generation: session.generation,
        activeProviderTurnId: session.active()?.id ?? null,
        activeTurnId: session.active()?.turnId ?? null
      }))
  )

  const probe = Effect.suspend(() => {
    if (options.transport === undefined && findCommand(options, env) === null)
      return Effect.succeed(notInstalled(options.command))
    if ([...known.sessions.values()].some((session) => !session.isOver()))
      return Effect.succeed(health(known))
    const asked = Effect.scoped(start(process.cwd(), timeouts.probe)).pipe(
      Effect.map(() => health(known)),
      Effect.catch((error) => Effect.succeed(healthWithout(error, known)))
    )
    return within(asked, timeouts.probe, "The agent")
  })

  return {
    instanceId: options.instanceId,
    kind: "acp",
    displayName: options.displayName ?? options.instanceId,
    capabilities,
    probe,
    open,
    listLive,
    evidence
  }
})

/** The protocol names no messages: only where no conversation was ever begun, nothing can have been said in one. */
const evidence = ({ resume }: EvidenceQuery): Effect.Effect<Evidence> =>
  Effect.succeed(
    resume === null
      ? { type: "absent" }
      : {
          type: "none",
          message: "This agent's record does not name messages: whether one arrived cannot be told."
        }
  )

const markOf = ({ ledgerDirectory, instanceId }: AcpOptions): Child.Mark => ({
  name: "TURNKEEPER_ACP_RUN",
  owner: Child.ownerMark(ledgerDirectory, instanceId)
})

const findCommand = ({ command = "" }: AcpOptions, env: Child.Environment): string | null =>
  command === "" ? null : findProgram(command, env)

/** The agent's process, found when it is wanted. */
const transportTo = (
  options: AcpOptions,
  process: Pick<Child.ChildOptions, "env" | "ledger"> & { readonly cwd: string }
): Effect.Effect<Transport, Child.StartFailed, Scope.Scope> =>
  Effect.suspend(() => {
    const program = findCommand(options, process.env)
    if (program === null) {
      const text = notInstalled(options.command).advice ?? ""
      return Effect.fail(new Child.StartFailed({ missing: true, text }))
    }
    const name = "The agent"
    return Effect.map(
      Child.start({
        ...process,
        name,
        program,
        arguments: options.args ?? [],
        mark: markOf(options),
        reads: true,
        patience: "1 second"
      }),
      (child) => overChild(child, name)
    )
  })

// Health

const notInstalled = (command: string | undefined): Health =>
  unhealthy(
    "not_installed",
    command === undefined
      ? "Name the agent's program in its settings, as `command`."
      : `No program "${command}" was found. Install the agent, or correct the command in its settings.`
  )

const signInAdvice = (about: Agent.About | null): string =>
  about === null || about.signIn === null
    ? "Sign in with the agent's own program."
    : `Sign in with the agent's own program: ${about.signIn}.`

/**
 * Whether somebody is signed in is not asked by the protocol: an agent says so when it is to begin a
 * conversation. The models, too, are told then.
 */
const health = ({ about, models, signedOut }: Known): Health => ({
  status: signedOut ? "not_signed_in" : "ready",
  version: about?.version ?? null,
  models,
  advice: signedOut ? signInAdvice(about) : null
})

const healthWithout = (error: CallFailed | Child.StartFailed, { about }: Known): Health =>
  error._tag === "Refused" && error.code === codes.authRequired
    ? unhealthy("not_signed_in", signInAdvice(about))
    : unhealthy("failed", error.message)

// Sessions

interface Opening {
  readonly options: AcpOptions
  readonly wanted: OpenOptions
  readonly agent: Agent.Agent
  readonly known: Known
  readonly timeouts: Timeouts
  readonly scope: Scope.Scope
  readonly fail: Fail
  readonly wrap: Wrap
}

/**
 * An agent records a conversation with its first message, if at all. Until then the cursor says so: nothing
 * was lost with a conversation in which nothing was said.
 */
const freshMark = "new:"

interface Cursor {
  readonly sessionId: string
  readonly hasRecord: boolean
}

const readCursor = (cursor: string): Cursor =>
  cursor.startsWith(freshMark)
    ? { sessionId: cursor.slice(freshMark.length), hasRecord: false }
    : { sessionId: cursor, hasRecord: true }

const contextLost =
  "This agent cannot take up an earlier conversation. A new one was begun; what was said before is not known to it."

const openSession = Effect.fnUntraced(function* (
  opening: Opening
): Effect.fn.Return<ProviderSession, ProviderError> {
  const { wanted, agent, known, wrap } = opening
  const cursor = wanted.resume === null ? null : readCursor(wanted.resume)
  const canGoOn = agent.about.resumes || agent.about.loads
  const resumed = cursor === null || !canGoOn ? null : yield* takeUp(opening, cursor)
  const session = resumed ?? (yield* begin(opening).pipe(Effect.mapError(wrap("open"))))
  const missing = yield* session.apply("open", wanted)
  known.models = session.models()
  const lost = cursor?.hasRecord === true && !canGoOn ? [contextLost] : []
  // What an agent cannot do is said when the conversation begins, not each time that it is taken up.
  const notices = resumed === null ? [...lost, ...missing] : []
  return { ...session, notice: notices.length === 0 ? null : notices.join("\n") }
})

const begin = (opening: Opening) =>
  opened(opening, (onAnswer: OnOpened<Opened & { readonly sessionId: string }>) =>
    opening.agent.connection.call(
      "session/new",
      { cwd: opening.wanted.cwd, mcpServers: [] },
      {
        deadline: opening.timeouts.open,
        onAnswer: onAnswer(({ sessionId }) =>
          textOf(sessionId) === null ? null : { sessionId, hasRecord: false }
        )
      }
    )
  )

/** Null: the conversation is gone, and nothing is lost with it. */
const takeUp = Effect.fnUntraced(function* (opening: Opening, cursor: Cursor) {
  const { agent, fail, wrap } = opening
  const asked = agent.about.resumes
    ? resume(opening, cursor).pipe(
        // A capability may be told and not be there.
        Effect.catchTag("Refused", (refused) =>
          refused.code === codes.methodNotFound && agent.about.loads
            ? load(opening, cursor)
            : Effect.fail(refused)
        )
      )
    : load(opening, cursor)
  return yield* asked.pipe(
    Effect.catchTag("Refused", (refused) =>
      isGone(opening, cursor, refused).pipe(
        Effect.flatMap((gone) => {
          if (!gone) return Effect.fail(wrap("open")(refused))
          return cursor.hasRecord
            ? Effect.fail(fail("open", "SessionGone", "The agent no longer has this conversation."))
            : Effect.succeed(null)
        })
      )
    ),
    Effect.mapError((error) => (error instanceof ProviderError ? error : wrap("open")(error)))
  )
})

const resume = (opening: Opening, cursor: Cursor) =>
  opened(opening, (onAnswer: OnOpened<Opened | null>) =>
    opening.agent.connection.call(
      "session/resume",
      { sessionId: cursor.sessionId, cwd: opening.wanted.cwd, mcpServers: [] },
      { deadline: opening.timeouts.open, onAnswer: onAnswer(() => cursor) }
    )
  )

/** Replays the conversation before it answers. That is history: nobody listens until it has answered. */
const load = (opening: Opening, cursor: Cursor) =>
  opened(opening, (onAnswer: OnOpened<Opened | null>) =>
    opening.agent.connection.call(
      "session/load",
      { sessionId: cursor.sessionId, cwd: opening.wanted.cwd, mcpServers: [] },
      { deadline: opening.timeouts.open, onAnswer: onAnswer(() => cursor) }
    )
  )

const listPagesMax = 50

/**
 * Agents refuse a conversation that they do not know with different codes. Where the code does not say it, the
 * agent's own list does; without either the refusal stands as it is.
 */
const isGone = Effect.fnUntraced(function* (
  { agent, wanted, timeouts }: Opening,
  { sessionId, hasRecord }: Cursor,
  refused: Refused
) {
  if (refused.code === codes.resourceNotFound || !hasRecord) return true
  if (refused.code === codes.authRequired) return false
  if (!agent.about.lists) return refused.code === codes.invalidParams
  let cursor: string | null | undefined
  for (let page = 0; page < listPagesMax; page++) {
    const asked = { cwd: wanted.cwd, ...(typeof cursor === "string" && { cursor }) }
    const listed = yield* agent.connection
      .call("session/list", asked, { deadline: timeouts.call })
      .pipe(Effect.option)
    if (Option.isNone(listed) || !Array.isArray(listed.value?.sessions)) return false
    if (listed.value.sessions.some((one) => one?.sessionId === sessionId)) return false
    cursor = listed.value.nextCursor
    if (typeof cursor !== "string") return true
  }
  return false
})

type OnOpened<Response> = (
  cursorOf: (response: Response) => Cursor | null
) => (answer: Exit.Exit<Response, unknown>) => Effect.Effect<void>

/**
 * The session is there before the next line is read, so that what comes behind the answer finds it, and
 * belongs to the scope before anybody can interrupt.
 */
const opened = <Response>(
  opening: Opening,
  call: (onOpened: OnOpened<Response>) => Effect.Effect<Response, CallFailed>
): Effect.Effect<Session.Session, CallFailed> =>
  Effect.suspend(() => {
    const { agent, known, scope, timeouts } = opening
    const made = Deferred.makeUnsafe<Session.Session, Refused>()
    const onOpened: OnOpened<Response> = (cursorOf) => (answer) =>
      Effect.sync(() => {
        if (Exit.isFailure(answer)) return
        const cursor = cursorOf(answer.value)
        const session = cursor === null ? null : register(opening, answer.value, cursor)
        Deferred.doneUnsafe(made, session === null ? Effect.fail(nameless) : Effect.succeed(session))
      })
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        yield* restore(call(onOpened))
        const session = yield* Deferred.await(made)
        yield* agent.connection.closed.pipe(
          Effect.flatMap(({ how, message }) => Effect.sync(() => session.exit(how === "closed", message))),
          Effect.forkIn(scope)
        )
        yield* endWithScope(
          scope,
          session,
          session.threadId,
          { sessions: known.sessions, children: new Map() },
          timeouts.close
        )
        return session
      })
    )
  })

const nameless = new Refused({
  method: "session/new",
  code: codes.internalError,
  text: "The agent began a conversation without a name."
})

const register = (opening: Opening, response: unknown, cursor: Cursor): Session.Session => {
  const { agent, known, wanted, options, scope } = opening
  const { sessionId, hasRecord } = cursor
  // A session of an earlier generation of this thread: its end is overdue.
  known.sessions.get(wanted.threadId)?.exit(true, "This conversation was opened again.")
  const session = Session.make({
    threadId: wanted.threadId,
    generation: wanted.generation,
    sessionId,
    resume: hasRecord ? sessionId : freshMark + sessionId,
    fresh: !hasRecord,
    controls: Controls.controlsOf(response),
    modeNames: options.modes ?? {},
    takesImages: agent.about.takesImages,
    closes: agent.about.closes,
    connection: agent.connection,
    deadlines: opening.timeouts,
    fail: opening.fail,
    wrap: opening.wrap,
    scope,
    onFirstMessage: () => (hasRecord ? [] : [{ type: "resume.changed", resume: sessionId }])
  })
  known.sessions.set(wanted.threadId, session)
  agent.listen(session)
  return session
}
