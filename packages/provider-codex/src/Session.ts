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
import type { CallFailed, Notification, Refused } from "@turnkeeper/provider-kit/JsonRpc"
import * as Life from "@turnkeeper/provider-kit/Life"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { HeardTurn, Missed, Prompt, ProviderSession, TurnTruth } from "@turnkeeper/provider-kit/Provider"
import type { Fail, Operation, ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { TransportBroke } from "@turnkeeper/provider-kit/Transport"
import { Deferred, Effect, Exit, Option } from "effect"
import type { Duration, Scope } from "effect"
import type { Connection } from "./Connection.ts"
import * as Conversation from "./Conversation.ts"
import type { Turn } from "./Conversation.ts"
import type { Wrap } from "./faults.ts"
import * as Hearing from "./Hearing.ts"
import * as History from "./history.ts"
import type { Held } from "./requests.ts"
import type { Current } from "./settings.ts"
import { afterTurn, changesOf, inputOf } from "./settings.ts"
import * as Terminals from "./terminals.ts"
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
  readonly wrap: Wrap
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
  let settings = options.settings
  /** Commands of a turn that was interrupted just now. */
  let leftRunning: ReadonlySet<string> | null = null

  const conversation = Conversation.make({
    onFirstMessage: options.onFirstMessage,
    onLeftRunning: (commands) => {
      leftRunning = commands
    }
  })

  const terminals: Terminals.Terminals = { asking, codexThread, conversation }
  const hearing = Hearing.make({
    asking,
    codexThread,
    conversation,
    outbox,
    standstill: deadlines.standstill,
    rejoins: options.rejoins,
    scope: options.scope,
    isOver: () => isOver(),
    lost: (message) => exit(false, message)
  })
  const { tell } = hearing

  const hear = (notification: Notification) =>
    Effect.suspend(() => {
      if (isOver()) return Effect.void
      if (notification.method === "thread/closed") {
        return Effect.sync(() => exit(life.isStopping(), "Codex closed this thread."))
      }
      return Effect.andThen(
        hearing.hear(notification),
        Effect.suspend(() => {
          const commands = leftRunning
          leftRunning = null
          return commands === null ? Effect.void : endLeftRunning(commands)
        })
      )
    })

  /** Not waited for: its calls are answered by the reader, which is what runs this. */
  const endLeftRunning = (commands: ReadonlySet<string>) =>
    Terminals.end(terminals, commands).pipe(
      Effect.catch((error) =>
        tell([notice(`A command of the interrupted turn may still run: ${error.message}`)])
      ),
      Effect.forkIn(options.scope)
    )

  const life = Life.make({
    name: "Codex",
    fail,
    outbox,
    ways: {
      stop: Effect.suspend(() => stopInOrder),
      kill: Effect.suspend(() => inTime(options.killProcess, "Codex's process did not end."))
    },
    onExit: () => {
      options.onExit()
      conversation.end()
    }
  })
  const { exit, isOver, whileOpen } = life

  const send = (prompt: Prompt) =>
    life.whileNotStopping("send", () => {
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
    yield* Terminals.end(terminals, null).pipe(
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

  const stopInOrder = leave.pipe(
    // It ended by itself meanwhile: that is what was asked for.
    Effect.catch((error) =>
      Effect.flatMap(endedMeanwhile(error), (ended) =>
        Effect.fail(ended ? fail("stop", "SessionGone", error.fault.message) : error)
      )
    )
  )

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
    ask: hearing.ask,
    adopt: (providerTurnId, turnId) => Effect.suspend(() => tell(conversation.adopt(providerTurnId, turnId))),
    rejoin: hearing.rejoin,
    reconnect: hearing.reconnect,
    send,
    steer,
    interrupt,
    answer,
    probe,
    stop: life.stop
  }
}

const statusTruth = ({ connection, deadline }: History.Asking, threadId: string) =>
  connection.call("thread/read", { threadId }, { deadline }).pipe(
    Effect.map(({ thread }): TurnTruth =>
      thread.status.type === "active" ? { type: "running" } : { type: "gone" }
    ),
    Effect.catchTag("Refused", () => Effect.succeed<TurnTruth>({ type: "gone" }))
  )
