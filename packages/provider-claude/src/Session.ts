/**
 * One session: a process of Claude's with one conversation.
 *
 * What it asks of Claude goes through the SDK's query; what Claude says goes through the conversation into
 * the outbox, and while the outbox has no room the gate before Claude's output is closed. It ends once, with
 * `session.exited`, and refuses everything afterwards.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Generation, ThreadId } from "@turnkeeper/domain/ids"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import * as Life from "@turnkeeper/provider-kit/Life"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { Prompt, ProviderSession, TurnTruth } from "@turnkeeper/provider-kit/Provider"
import type { Fail, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Deferred, Effect, Fiber, Stream } from "effect"
import type { Duration, Scope } from "effect"
import type { Child } from "./Child.ts"
import * as Conversation from "./Conversation.ts"
import type { Turn } from "./Conversation.ts"
import type { Wrap } from "./faults.ts"
import { CallFailed } from "./faults.ts"
import type { How } from "./Handed.ts"
import * as Inbox from "./Inbox.ts"
import { understand } from "./requests.ts"
import type { AskContext, CanUseTool, Initialized, PermissionResult, Query, UserMessage } from "./sdk.ts"
import type { Freedom } from "./settings.ts"
import { flagsOf, messageOf, permissionModeOf, policyOf, sameFreedom } from "./settings.ts"
import { leavesPlan } from "./tools.ts"

export interface Deadlines {
  /** A call that Claude answers at once when it is well. */
  readonly call: Duration.Input
  /** A prompt, until Claude works on it. */
  readonly send: Duration.Input
  /** A turn's end, after it was asked for. */
  readonly turn: Duration.Input
  /** Claude's last words, after its process has ended. */
  readonly lastWords: Duration.Input
  /** How long a process that has nothing to do is kept: it has a conversation of its own, and 200 MB. */
  readonly idle: Duration.Input
}

export interface SessionOptions {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly sessionId: string
  readonly notice: string | null
  readonly costBefore: number | null
  /** For prompts that name none. */
  readonly model: string | null
  readonly freedom: Freedom
  readonly child: Child
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: Wrap
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
  /** Notes, durably, what becomes of a message before it is done, or as soon as it is known. */
  readonly note: (sessionId: string, uuid: string, how: How) => void
  /** Sees every message, for the native log. */
  readonly tap: ((native: unknown) => void) | undefined
}

export interface Session extends ProviderSession {
  readonly threadId: ThreadId
  readonly generation: Generation
  /** Claude's name of the conversation, as it is now. */
  readonly name: () => string
  /** The turn that runs; null when the session has ended. */
  readonly active: () => Turn | null
  readonly isOver: () => boolean
  /** What Claude is told: the SDK reads it as long as the session lives. */
  readonly input: AsyncIterable<UserMessage>
  readonly canUseTool: CanUseTool
  /** Begins to hear the query, and waits until Claude is ready. */
  readonly begin: (query: Query) => Effect.Effect<Initialized, CallFailed>
  /** Whatever it is at: its process is ended, and it with it. Another one may then go on with the conversation. */
  readonly giveWay: Effect.Effect<void>
  readonly abandon: () => void
  readonly exit: (clean: boolean, message: string | null) => void
}

export const make = (options: SessionOptions): Session => {
  const { child, deadlines, fail, wrap } = options
  const { gate } = child
  const outbox = Outbox.make()
  const conversation = Conversation.make(options)
  const inbox = Inbox.make()
  const waiting = new Map<string, (result: PermissionResult) => void>()
  let query: Query | null = null
  /** What Claude was last told to obey. */
  let freedom = options.freedom
  let model = options.model
  /** It was idle for long: its process is being ended, and the next message opens it again. */
  let leaving = false
  /** Counts what makes it busy, so that an idle wait knows whether something came between. */
  let stirred = 0

  const ended = (effect: Effect.Effect<void>) =>
    Effect.andThen(
      effect,
      Effect.suspend(() =>
        child.isGone() ? Effect.void : Effect.fail(fail("stop", "Unknown", "Claude's process did not end."))
      )
    )

  const life = Life.make({
    name: "Claude",
    fail,
    outbox,
    ways: { stop: Effect.suspend(() => ended(leave)), kill: ended(child.kill) },
    onExit: () => {
      conversation.end()
      inbox.end()
      for (const key of waiting.keys()) giveUp(key)
    },
    isLeaving: () => leaving
  })
  const { exit, isOver, whileOpen } = life

  // What Claude says

  const hear = (native: unknown) =>
    Effect.suspend(() => {
      if (isOver()) return Effect.void
      stirred += 1
      options.tap?.(native)
      const events = conversation.hear(native)
      // Nothing more is read until what was said has its place.
      gate.close()
      return Effect.ensuring(outbox.put(events), Effect.sync(gate.open))
    })

  const begin = (started: Query) =>
    Effect.gen(function* () {
      query = started
      const reader = yield* Stream.fromAsyncIterable(started, (error) => error).pipe(
        Stream.runForEach(hear),
        // A stream that broke is as good as one that ended: the process says how.
        Effect.ignore,
        Effect.forkIn(options.scope)
      )
      yield* Effect.exit(child.gone).pipe(
        Effect.flatMap((gone) =>
          Fiber.await(reader).pipe(
            Effect.timeoutOption(deadlines.lastWords),
            Effect.andThen(
              Effect.sync(() =>
                gone._tag === "Success"
                  ? exit(gone.value.how === "closed", gone.value.message)
                  : exit(false, child.startFailed()?.message ?? "Claude could not be started.")
              )
            ),
            // Last: the end does not wait for what the SDK does about it.
            Effect.andThen(Fiber.interrupt(reader))
          )
        ),
        Effect.forkIn(options.scope)
      )
      const initialized = yield* called(started.initializationResult(), deadlines.send)
      yield* Effect.forkIn(leaveWhenIdle, options.scope)
      return initialized
    })

  // What is asked of Claude

  /** A call ends: with its answer, at its deadline, or with the process. */
  const called = <A>(promise: Promise<A>, deadline: Duration.Input): Effect.Effect<A, CallFailed> =>
    gate.readAhead(
      Effect.tryPromise({
        try: () => promise,
        catch: (error) =>
          new CallFailed({
            how: child.isGone() ? "no answer" : "refused",
            text: error instanceof Error ? error.message : String(error)
          })
      }).pipe(
        Effect.raceFirst(
          child.gone.pipe(
            Effect.catch((failed) => Effect.succeed(failed)),
            Effect.flatMap(({ message }) => Effect.fail(new CallFailed({ how: "no answer", text: message })))
          )
        ),
        Effect.timeoutOrElse({
          duration: deadline,
          orElse: () =>
            Effect.fail(new CallFailed({ how: "no answer", text: "Claude did not answer in time." }))
        })
      )
    )

  const ask = <A>(call: (query: Query) => Promise<A>) =>
    Effect.suspend(() =>
      query === null
        ? Effect.fail(new CallFailed({ how: "refused", text: "Claude has not begun." }))
        : called(call(query), deadlines.call)
    )

  const send = (prompt: Prompt) =>
    life.whileNotStopping("send", () => {
      // Claude would take it and answer it behind the running turn, or put it into that.
      if (conversation.active() !== null || conversation.sending() !== null)
        return Effect.fail(fail("send", "Rejected", "Claude is at work on another turn of this thread."))
      const message = messageOf(prompt)
      if (message === null)
        return Effect.fail(fail("send", "Rejected", "An attachment could not be read, or is too large."))
      const sending = conversation.sendBegan(message.uuid, prompt.turnId)
      return prepare(prompt).pipe(
        // Refused, or not waited for any more: the next one is not held up by it.
        Effect.onError(() => Effect.sync(conversation.sendFailed)),
        // The prompt itself was not handed over yet.
        Effect.mapError(({ how, text }) =>
          fail("send", how === "refused" ? "Rejected" : "Unavailable", text)
        ),
        Effect.andThen(handOver(message)),
        Effect.andThen(taken(sending))
      )
    })

  const prepare = (prompt: Prompt) =>
    Effect.gen(function* () {
      yield* setFreedom(prompt)
      const wanted = prompt.model ?? options.model
      if (wanted === model) return
      yield* ask((query) => query.setModel(wanted ?? undefined))
      model = wanted
    })

  const handOver = (message: UserMessage) =>
    Effect.try({
      try: () => {
        options.note(conversation.name(), message.uuid, "handed")
        inbox.push(message)
      },
      catch: (error) => {
        conversation.sendFailed()
        return fail("send", "Unavailable", `The message could not be noted: ${String(error)}`)
      }
    })

  const taken = (sending: Conversation.Sending) =>
    Deferred.await(sending.taken).pipe(
      Effect.timeoutOrElse({
        duration: deadlines.send,
        orElse: () => Effect.fail(fail("send", "Unknown", "Claude did not confirm the message in time."))
      }),
      Effect.flatMap((isTaken) => {
        if (isTaken) return confirmed(sending.id)
        return Effect.fail(
          isOver()
            ? fail("send", "Unknown", "Claude ended while it took the message.")
            : fail("send", "Rejected", "Claude did not take the message.")
        )
      })
    )

  /** A note that fails takes nothing back: the message is delivered. */
  const confirmed = (uuid: string) =>
    Effect.try({ try: () => options.note(conversation.name(), uuid, "taken"), catch: (error) => error }).pipe(
      Effect.ignore,
      Effect.as({ providerTurnId: ProviderTurnId.make(uuid) })
    )

  /** What the user allows may change from turn to turn. */
  const setFreedom = (wanted: Freedom) =>
    Effect.gen(function* () {
      const next: Freedom = { runtimeMode: wanted.runtimeMode, interactionMode: wanted.interactionMode }
      const mode = permissionModeOf(next)
      if (next.runtimeMode !== freedom.runtimeMode)
        yield* ask((query) => query.applyFlagSettings({ permissions: flagsOf(next).permissions }))
      // Claude changes its mode by itself when a plan is agreed to, and when changes are for the session.
      const now = conversation.permissionMode() ?? permissionModeOf(freedom)
      if (now !== mode && !(sameFreedom(freedom, next) && now === "acceptEdits"))
        yield* ask((query) => query.setPermissionMode(mode))
      freedom = next
    })

  const steer = () =>
    whileOpen("steer", () =>
      Effect.fail(fail("steer", "Unsupported", "Claude cannot be given a message into a running turn."))
    )

  const interrupt = (named: ProviderTurnId | null) =>
    whileOpen("interrupt", () => {
      const turn = conversation.active()
      if (turn === null || (named !== null && turn.id !== named))
        return Effect.fail(fail("interrupt", "TurnMismatch", "That turn does not run."))
      return abort(turn).pipe(Effect.mapError(wrap("interrupt")))
    })

  const abort = (turn: Turn) =>
    Effect.suspend(() => {
      turn.interruptAsked = true
      return Effect.asVoid(ask((query) => query.interrupt()))
    })

  const probe = (named: ProviderTurnId | null): Effect.Effect<TurnTruth, ProviderError> =>
    Effect.suspend(() => {
      const id = named ?? conversation.active()?.id ?? null
      if (isOver() || id === null) return Effect.succeed<TurnTruth>({ type: "gone" })
      // Its answer comes behind all that Claude has said before: what was said of the turn is known then.
      return ask((query) => query.mcpServerStatus()).pipe(
        Effect.map((): TurnTruth => {
          if (conversation.active()?.id === id) return { type: "running" }
          const ended = conversation.ended(id)
          return ended === null ? { type: "gone" } : { type: "ended", ...ended }
        }),
        Effect.mapError(wrap("probe"))
      )
    })

  // What Claude asks

  const canUseTool: CanUseTool = (tool, input, { signal, ...context }) => {
    const decided = policyOf(freedom, tool)
    if (decided === "allow") return Promise.resolve({ behavior: "allow", updatedInput: input })
    if (decided === "deny" || signal.aborted) {
      conversation.declined(context.toolUseID)
      return Promise.resolve({ behavior: "deny", message: "This thread may not change files." })
    }
    return new Promise((resolve) => {
      // After what was printed before it: the call is shown before its question.
      setImmediate(() => askUser(tool, input, context, signal, resolve))
    })
  }

  const askUser = (
    tool: string,
    input: Readonly<Record<string, unknown>>,
    context: Omit<AskContext, "signal">,
    signal: AbortSignal,
    resolve: (result: PermissionResult) => void
  ) => {
    const held = understand(tool, input, context)
    const events = held === null || signal.aborted || isOver() ? [] : conversation.asked(held)
    // What cannot be asked is not allowed; Claude would wait for ever.
    if (held === null || events.length === 0) return resolve(unasked)
    const { key } = held
    waiting.set(key, resolve)
    signal.addEventListener("abort", () => {
      giveUp(key)
      tell(conversation.withdrawn(key))
    })
    tell(events)
  }

  const tell = (events: Parameters<typeof outbox.put>[0]) => {
    if (events.length > 0) Effect.runFork(Effect.forkIn(outbox.put(events), options.scope))
  }

  const settleRequest = (key: string, result: PermissionResult) => {
    waiting.get(key)?.(result)
    waiting.delete(key)
  }

  const giveUp = (key: string) => settleRequest(key, unasked)

  const answer = (requestKey: string, given: Answer) =>
    Effect.suspend(() => {
      const held = conversation.held(requestKey)
      if (isOver() || held === null || !waiting.has(requestKey))
        return Effect.fail(fail("answer", "RequestGone", "Claude no longer waits for this."))
      const result = held.reply(given)
      conversation.release(requestKey, result.behavior === "deny")
      const turn = conversation.active()
      if (result.behavior === "deny" && result.interrupt === true && turn !== null) turn.interruptAsked = true
      if (result.behavior === "allow" && held.ask.detail["tool"] === leavesPlan)
        freedom = { ...freedom, interactionMode: "default" }
      settleRequest(requestKey, result)
      return Effect.void
    })

  // The end

  /** The conversation is kept, and the next message opens it again. */
  const leaveWhenIdle: Effect.Effect<void> = Effect.gen(function* () {
    while (!child.isGone()) {
      const before = stirred
      yield* Effect.raceFirst(Effect.sleep(deadlines.idle), Effect.exit(child.gone))
      const isBusy = life.isStopping() || stirred !== before || !conversation.rests()
      if (child.isGone() || isOver() || leaving || isBusy) continue
      leaving = true
      yield* child.close
      exit(true, null)
    }
  })

  const leave = Effect.gen(function* () {
    const turn = conversation.active()
    if (turn !== null) {
      // Closing the input alone would let the turn run on; a refusal here is no obstacle to closing it.
      yield* abort(turn).pipe(
        Effect.andThen(Deferred.await(turn.over)),
        Effect.timeoutOption(deadlines.turn),
        Effect.ignore
      )
    }
    yield* child.close
  })

  return {
    threadId: options.threadId,
    generation: options.generation,
    name: conversation.name,
    resume: options.sessionId,
    notice: options.notice,
    events: outbox.events,
    active: () => (isOver() ? null : conversation.active()),
    isOver,
    input: inbox,
    canUseTool,
    begin,
    giveWay: Effect.andThen(
      child.kill,
      Effect.sync(() => exit(true, "This conversation was opened again."))
    ),
    abandon: outbox.abandon,
    exit,
    send,
    steer,
    interrupt,
    answer,
    probe,
    stop: life.stop
  }
}

const unasked: PermissionResult = { behavior: "deny", message: "Nobody can be asked about this." }
