/**
 * One session: a conversation of ours on a Codex process that others may share.
 *
 * What it asks of Codex goes through the connection; what Codex says of the thread goes through the
 * conversation into the outbox. It ends once, with `session.exited`, and refuses everything afterwards.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { Generation, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import type { HeardTurn, Missed, Prompt, ProviderSession, TurnTruth } from "@turnkeeper/provider-kit/Provider"
import type { Operation, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Deferred, Effect, Exit, Option, Semaphore } from "effect"
import type { Duration, Scope } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import type { CallFailed, Connection, Notification, Refused } from "./Connection.ts"
import { NoAnswer, TransportBroke } from "./Connection.ts"
import * as Conversation from "./Conversation.ts"
import type { Turn } from "./Conversation.ts"
import type { Fail } from "./faults.ts"
import * as History from "./history.ts"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { Held } from "./requests.ts"
import type { Current } from "./settings.ts"
import { afterTurn, changesOf, inputOf } from "./settings.ts"
import { notice } from "./translate.ts"

export interface Deadlines {
  /** A call that Codex answers at once when it is well. */
  readonly call: Duration.Input
  /** A prompt: Codex prepares the turn before it answers. */
  readonly send: Duration.Input
  /** A turn's start or its end, after it was asked for. */
  readonly turn: Duration.Input
  /** How long a listener that does not read may hold up those of the other sessions. */
  readonly standstill: Duration.Input
}

export interface SessionOptions {
  readonly threadId: ThreadId
  readonly generation: Generation
  /** Codex's name for the thread. */
  readonly codexThread: string
  readonly resume: string
  readonly notice: string | null
  readonly settings: Current
  readonly connection: Connection
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: (operation: Operation) => (cause: CallFailed) => ProviderError
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
  readonly onFirstMessage: () => ReadonlyArray<ProviderEvent>
  /** The prompt of this turn is about to be written. */
  readonly onSend: (turnId: TurnId) => void
  readonly onExit: () => void
  /** It went on without us: what is heard is kept until `rejoin` has read what was not. */
  readonly rejoins: boolean
  /** Ends the process, and with it every session on it. */
  readonly killProcess: Effect.Effect<void>
}

export interface Session extends ProviderSession {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly codexThread: string
  readonly active: () => Turn | null
  readonly isOver: () => boolean
  readonly hear: (notification: Notification) => Effect.Effect<void>
  /** False: the request is not taken and has to be refused. */
  readonly ask: (held: Held) => Effect.Effect<boolean>
  readonly adopt: (providerTurnId: string, turnId: TurnId | null) => Effect.Effect<void>
  /** Finds out what was not heard, from the record. `isActive`: Codex says that it works on this thread. */
  readonly rejoin: (heard: HeardTurn | null, isActive: boolean) => Effect.Effect<Missed, CallFailed>
  /** The connection is a new one: what was said between the two is told. */
  readonly reconnect: Effect.Effect<void, CallFailed>
  /** Nobody reads the events any more: they are dropped, so that the process is not held up. */
  readonly abandon: () => void
  /** The last event. Does nothing the second time. */
  readonly exit: (clean: boolean, message: string | null) => void
}

export const make = (options: SessionOptions): Session => {
  const { codexThread, connection, deadlines, fail, wrap } = options
  const outbox = Outbox.make()
  const asking: History.Asking = { connection, deadline: deadlines.call }
  const stopping = Semaphore.makeUnsafe(1)
  let settings = options.settings
  let state: "open" | "stopping" | "over" = "open"
  let killAsked = false
  /** Commands of a turn that was interrupted just now. */
  let leftRunning: ReadonlySet<string> | null = null
  /** Present while the record is read: what is heard meanwhile comes behind it. */
  let meanwhile: Array<Conversation.Heard> | null = options.rejoins ? [] : null
  /** Present while its listener stands still: what Codex asks meanwhile, and nothing else of what it says. */
  let deaf: Array<Conversation.Heard> | null = null

  const conversation = Conversation.make({
    onFirstMessage: options.onFirstMessage,
    onLeftRunning: (commands) => {
      leftRunning = commands
    }
  })

  /** Waits for the listener, and no longer than the others can bear: then nothing more is told until it reads again. */
  const tell = (events: ReadonlyArray<ProviderEvent>): Effect.Effect<void> =>
    Effect.suspend(() =>
      outbox.isFull() && deaf === null
        ? Effect.timeoutOrElse(outbox.put(events), {
            duration: deadlines.standstill,
            orElse: () => goDeaf(events)
          })
        : outbox.put(events)
    )

  const goDeaf = (untold: ReadonlyArray<ProviderEvent>) =>
    Effect.suspend(() => {
      deaf = []
      return outbox.put(untold).pipe(Effect.andThen(hearAgain), Effect.forkIn(options.scope), Effect.asVoid)
    })

  /** The listener reads again: what it has missed is in the record. */
  const hearAgain = Effect.suspend(() => {
    meanwhile = deaf ?? []
    deaf = null
    return connection.call("thread/read", { threadId: codexThread }, { deadline: deadlines.call }).pipe(
      Effect.flatMap(({ thread }) => rejoin(conversation.heard(), thread.status.type === "active", false)),
      Effect.flatMap(({ events }) => tell(events)),
      Effect.catch((error) =>
        Effect.sync(() => exit(false, `What Codex had said meanwhile could not be read: ${error.message}`))
      )
    )
  })

  const hear = (notification: Notification) =>
    Effect.suspend(() => {
      if (isOver()) return Effect.void
      if (notification.method === "thread/closed") {
        return Effect.sync(() => exit(state === "stopping", "Codex closed this thread."))
      }
      if (deaf !== null) return hearDeaf(deaf, notification)
      if (meanwhile !== null) return keep({ type: "notification", notification })
      const events = conversation.hear(notification)
      const commands = leftRunning
      leftRunning = null
      return commands === null ? tell(events) : Effect.andThen(tell(events), endLeftRunning(commands))
    })

  const keep = (heard: Conversation.Heard) =>
    Effect.sync(() => {
      if (meanwhile === null) return
      if (meanwhile.length < meanwhileMax) meanwhile.push(heard)
      else exit(false, "Codex said more than could be kept while its record was read.")
    })

  const rejoin = (
    heard: HeardTurn | null,
    isActive: boolean,
    reasked = true
  ): Effect.Effect<Missed, CallFailed> =>
    Effect.suspend(() => {
      meanwhile ??= []
      return Effect.map(History.away(asking, codexThread, heard), (away): Missed => {
        const events = conversation.rejoin({
          heard,
          away,
          active: isActive,
          reasked,
          meanwhile: meanwhile ?? []
        })
        meanwhile = null
        const turn = conversation.active()
        return {
          events,
          running:
            turn === null ? null : { providerTurnId: ProviderTurnId.make(turn.id), turnId: turn.turnId }
        }
      })
    })

  const reconnect = Effect.suspend(() => {
    if (isOver()) return Effect.void
    meanwhile ??= []
    return connection
      .call("thread/resume", { threadId: codexThread, excludeTurns: true }, { deadline: deadlines.call })
      .pipe(
        Effect.flatMap(({ thread }) => rejoin(conversation.heard(), thread.status.type === "active")),
        Effect.flatMap(({ events }) => tell(events))
      )
  })

  /** Not waited for: its calls are answered by the reader, which is what runs this. */
  const endLeftRunning = (commands: ReadonlySet<string>) =>
    endTerminals(commands).pipe(
      Effect.catch((error) =>
        tell([notice(`A command of the interrupted turn may still run: ${error.message}`)])
      ),
      Effect.forkIn(options.scope)
    )

  /**
   * Ends commands that Codex lets run on after their turn. `commands` names their items; null ends all of
   * the thread. Codex answers before the process is gone: the end of its item is the proof.
   */
  const endTerminals = Effect.fnUntraced(function* (commands: ReadonlySet<string> | null) {
    const { data } = yield* connection.call(
      "thread/backgroundTerminals/list",
      { threadId: codexThread, limit: terminalsMax },
      { deadline: deadlines.call }
    )
    const left = data.filter(({ itemId }) => commands === null || commands.has(itemId))
    yield* Effect.forEach(left, endTerminal, { discard: true, concurrency: 4 })
  })

  const endTerminal = Effect.fnUntraced(function* ({ itemId, processId }: Protocol.ThreadBackgroundTerminal) {
    const end = conversation.commandEnd(itemId)
    yield* connection.call(
      "thread/backgroundTerminals/terminate",
      { threadId: codexThread, processId },
      { deadline: deadlines.call }
    )
    if (end === null) return
    yield* Deferred.await(end).pipe(
      Effect.timeoutOrElse({
        duration: deadlines.call,
        orElse: () => new NoAnswer({ method: "thread/backgroundTerminals/terminate" })
      })
    )
  })

  const exit = (clean: boolean, message: string | null) => {
    if (state === "over") return
    state = "over"
    options.onExit()
    conversation.end()
    outbox.end({ type: "session.exited", clean: clean || killAsked, message: killAsked ? null : message })
  }

  const isOver = () => state === "over"

  /** Nothing is asked of Codex for a session that has ended. */
  const whileOpen = <A>(operation: Operation, effect: () => Effect.Effect<A, ProviderError>) =>
    Effect.suspend(() =>
      isOver() ? Effect.fail(fail(operation, "SessionGone", "This Codex session has ended.")) : effect()
    )

  const send = (prompt: Prompt) =>
    whileOpen("send", () => {
      if (state === "stopping")
        return Effect.fail(fail("send", "Rejected", "This Codex session is being stopped."))
      // Codex would put the message into the turn that runs, without saying so.
      if (conversation.active() !== null || conversation.unanswered() !== null) {
        return Effect.fail(fail("send", "Rejected", "Codex is at work on another turn of this thread."))
      }
      const input = inputOf(prompt)
      if (input === null) {
        return Effect.fail(
          fail("send", "Rejected", "An attachment is neither a file nor an address Codex can read.")
        )
      }
      conversation.sendBegan(prompt.turnId)
      options.onSend(prompt.turnId)
      return connection
        .call(
          "turn/start",
          {
            threadId: codexThread,
            clientUserMessageId: prompt.turnId,
            input,
            ...changesOf(settings, prompt)
          },
          {
            deadline: deadlines.send,
            onAnswer: (answer) =>
              tell(conversation.sendAnswered(Exit.isSuccess(answer) ? answer.value.turn.id : null))
          }
        )
        .pipe(
          Effect.tapError((error) =>
            error._tag === "TransportBroke" && error.delivered === "no"
              ? tell(conversation.sendAnswered(null))
              : Effect.void
          ),
          Effect.catchTag("Refused", refusedBecauseGone("send")),
          Effect.catchTag(["NoAnswer", "TransportBroke"], (error) => Effect.fail(wrap("send")(error))),
          Effect.map(({ turn }) => {
            settings = afterTurn(settings, prompt)
            return { providerTurnId: ProviderTurnId.make(turn.id) }
          })
        )
    })

  /** A thread that Codex has unloaded refuses every prompt: the session is over then, and says so. */
  const refusedBecauseGone = (operation: "send" | "stop") =>
    Effect.fnUntraced(function* (refused: Refused) {
      const loaded = yield* connection
        .call("thread/loaded/list", {}, { deadline: deadlines.call })
        .pipe(Effect.option)
      if (
        Option.isSome(loaded) &&
        loaded.value.nextCursor === null &&
        !loaded.value.data.includes(codexThread)
      ) {
        exit(false, "Codex has unloaded this thread.")
        return yield* fail(operation, "SessionGone", refused.message)
      }
      return yield* wrap(operation)(refused)
    })

  /** The running turn, once Codex can be told something about it; fails when it is not the one named. */
  const running = (operation: "steer" | "interrupt", named: string | null) =>
    Effect.gen(function* () {
      const turn = conversation.active()
      if (turn === null || (named !== null && turn.id !== named)) return yield* mismatch(operation)
      yield* begun(turn)
      if (conversation.active()?.id !== turn.id) return yield* mismatch(operation)
      return turn
    })

  const mismatch = (operation: Operation) => fail(operation, "TurnMismatch", "That turn does not run.")

  /** Codex refuses for several reasons with one code: whether the turn runs is asked separately. */
  const turnRefused = (operation: "steer" | "interrupt", turn: Turn) =>
    Effect.fnUntraced(function* (refused: Refused) {
      if (conversation.active()?.id !== turn.id) return yield* mismatch(operation)
      const truth = yield* probe(ProviderTurnId.make(turn.id))
      return yield* truth.type === "running" ? wrap(operation)(refused) : mismatch(operation)
    })

  const steer = (prompt: Prompt, into: ProviderTurnId | null) =>
    whileOpen("steer", () =>
      Effect.gen(function* () {
        const input = inputOf(prompt)
        if (input === null) {
          return yield* fail(
            "steer",
            "Rejected",
            "An attachment is neither a file nor an address Codex can read."
          )
        }
        const turn = yield* running("steer", into)
        turn.steers.add(prompt.turnId)
        options.onSend(prompt.turnId)
        yield* connection
          .call(
            "turn/steer",
            { threadId: codexThread, clientUserMessageId: prompt.turnId, input, expectedTurnId: turn.id },
            { deadline: deadlines.send }
          )
          .pipe(
            Effect.tapError(() => Effect.sync(() => turn.steers.delete(prompt.turnId))),
            Effect.catchTag("Refused", turnRefused("steer", turn)),
            Effect.catchTag(["NoAnswer", "TransportBroke"], (error) => Effect.fail(wrap("steer")(error)))
          )
      })
    )

  const interrupt = (named: ProviderTurnId | null) =>
    whileOpen("interrupt", () =>
      Effect.gen(function* () {
        const turn = yield* running("interrupt", named)
        yield* connection
          .call("turn/interrupt", { threadId: codexThread, turnId: turn.id }, { deadline: deadlines.call })
          .pipe(
            Effect.catchTag("Refused", turnRefused("interrupt", turn)),
            Effect.catchTag(["NoAnswer", "TransportBroke"], (error) => Effect.fail(wrap("interrupt")(error)))
          )
      })
    )

  const answer = (requestKey: string, given: Answer) =>
    Effect.suspend(() => {
      const held = conversation.release(
        requestKey,
        given.decision === "decline" || given.decision === "cancel"
      )
      if (held === null) return Effect.fail(fail("answer", "RequestGone", "Codex no longer waits for this."))
      return connection.reply(held.id, held.reply(given)).pipe(
        Effect.timeoutOrElse({
          duration: deadlines.call,
          orElse: () => Effect.fail(fail("answer", "Unknown", "Codex does not read its input."))
        }),
        Effect.catchTag("TransportBroke", (error) => Effect.fail(wrap("answer")(error)))
      )
    })

  const probe = (named: ProviderTurnId | null): Effect.Effect<TurnTruth, ProviderError> =>
    Effect.suspend(() => {
      if (isOver()) return Effect.succeed<TurnTruth>({ type: "gone" })
      const turn = conversation.active()
      const turnId = named ?? turn?.id ?? null
      if (turnId === null) return Effect.succeed<TurnTruth>({ type: "gone" })
      const ours = turn?.id === turnId ? turn : null
      return (ours === null ? Effect.void : begun(ours)).pipe(
        Effect.andThen(History.turnTruth(asking, codexThread, turnId)),
        Effect.catchTag("Refused", () => Effect.succeed<TurnTruth>({ type: "gone" })),
        // There is no record yet in a turn's first moments; then the thread's own status is the word.
        Effect.flatMap((truth) =>
          truth.type === "gone" && ours !== null ? statusTruth(asking, codexThread) : Effect.succeed(truth)
        ),
        Effect.mapError(wrap("probe"))
      )
    })

  /** Codex answers `turn/start` before the turn exists: until it says `turn/started`, it does not know it. */
  const begun = (turn: Turn) => Deferred.await(turn.started).pipe(Effect.timeoutOption(deadlines.turn))

  /** Interrupts what runs, ends what it started, and leaves the thread: each step proven. */
  const leave = Effect.gen(function* () {
    const unanswered = conversation.unanswered()
    if (unanswered !== null) {
      yield* inTime(Deferred.await(unanswered), "A message is still on its way to Codex.")
    }
    const turn = conversation.active()
    if (turn !== null) {
      yield* interrupt(null).pipe(
        Effect.catchIf(
          ({ fault }) => fault.reason === "TurnMismatch",
          () => Effect.void
        )
      )
      yield* inTime(Deferred.await(turn.over), "Codex did not end the turn.")
    }
    yield* endTerminals(null).pipe(
      Effect.andThen(
        connection.call("thread/unsubscribe", { threadId: codexThread }, { deadline: deadlines.call })
      ),
      Effect.catchTag("Refused", refusedBecauseGone("stop")),
      Effect.catchTag(["NoAnswer", "TransportBroke"], (error) => Effect.fail(wrap("stop")(error)))
    )
  })

  const inTime = <A>(effect: Effect.Effect<A>, otherwise: string) =>
    Effect.timeoutOrElse(effect, {
      duration: deadlines.turn,
      orElse: () => Effect.fail(fail("stop", "Unknown", otherwise))
    })

  /** A call fails before its session hears of the end: a broken wire is waited on until it is known to be over. */
  const endedMeanwhile = ({ cause }: ProviderError) => {
    if (isOver() || !(cause instanceof TransportBroke)) return Effect.succeed(isOver())
    return connection.closed.pipe(Effect.timeoutOption("2 seconds"), Effect.map(Option.isSome))
  }

  const stop = (step: "stop" | "kill") =>
    whileOpen("stop", () => {
      if (step === "kill") {
        state = "stopping"
        killAsked = true
        return options.killProcess.pipe(Effect.andThen(Effect.sync(() => exit(true, null))), (killed) =>
          inTime(killed, "Codex's process did not end.")
        )
      }
      state = "stopping"
      return leave.pipe(
        Effect.andThen(Effect.sync(() => exit(true, null))),
        // It ended by itself meanwhile: that is what was asked for.
        Effect.catch((error) =>
          Effect.flatMap(endedMeanwhile(error), (ended) =>
            Effect.fail(ended ? fail("stop", "SessionGone", error.fault.message) : error)
          )
        ),
        Effect.ensuring(Effect.sync(() => void (state === "stopping" && (state = "open"))))
      )
    })

  return {
    threadId: options.threadId,
    generation: options.generation,
    codexThread,
    resume: options.resume,
    notice: options.notice,
    events: outbox.events,
    active: conversation.active,
    isOver,
    exit,
    abandon: outbox.abandon,
    hear,
    ask: (held) =>
      Effect.suspend(() => {
        if (deaf !== null)
          return Effect.sync(() => deaf!.length < deafMax && deaf!.push({ type: "request", held }) > 0)
        if (meanwhile !== null && !isOver()) return Effect.as(keep({ type: "request", held }), true)
        const events = isOver() ? null : conversation.ask(held)
        return events === null ? Effect.succeed(false) : Effect.as(tell(events), true)
      }),
    adopt: (providerTurnId, turnId) => Effect.suspend(() => tell(conversation.adopt(providerTurnId, turnId))),
    rejoin,
    reconnect,
    send,
    steer,
    interrupt,
    answer,
    probe,
    // One stop at a time; a kill never waits for a stop that is under way.
    stop: (step) => (step === "kill" ? stop(step) : stopping.withPermit(stop(step)))
  }
}

/** Of requests there is no record. */
const hearDeaf = (kept: Array<Conversation.Heard>, notification: Notification) =>
  Effect.sync(() => {
    if (notification.method === "serverRequest/resolved" && kept.length < deafMax)
      kept.push({ type: "notification", notification })
  })

const statusTruth = ({ connection, deadline }: History.Asking, threadId: string) =>
  connection.call("thread/read", { threadId }, { deadline }).pipe(
    Effect.map(({ thread }): TurnTruth =>
      thread.status.type === "active" ? { type: "running" } : { type: "gone" }
    ),
    Effect.catchTag("Refused", () => Effect.succeed<TurnTruth>({ type: "gone" }))
  )

const terminalsMax = 200
/** Messages of Codex that are kept while the record is read. */
const meanwhileMax = 20_000
/** Requests that are kept while the listener stands still. */
const deafMax = 256
