/**
 * One session: a conversation of ours on a Codex process that others may share.
 *
 * What it asks of Codex goes through the connection; what Codex says of the thread goes through the
 * conversation into the outbox. It ends once, with `session.exited`, and refuses everything afterwards.
 */
import type { Generation, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Answer } from "@turnkeeper/domain/thread/Event"
import type { CallFailed, Notification } from "@turnkeeper/provider-kit/JsonRpc"
import * as Life from "@turnkeeper/provider-kit/Life"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { HeardTurn, Missed, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Connection } from "./Connection.ts"
import * as Conversation from "./Conversation.ts"
import type { Wrap } from "./faults.ts"
import * as Hearing from "./Hearing.ts"
import type { Asking } from "./history.ts"
import * as Leaving from "./leaving.ts"
import type { Held } from "./requests.ts"
import * as Sending from "./Sending.ts"
import type { Deadlines, SessionContext } from "./SessionContext.ts"
import type { Current } from "./settings.ts"
import * as Terminals from "./terminals.ts"
import type { Turn } from "./Turn.ts"
import * as Turns from "./turns.ts"

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
  const asking: Asking = { connection, deadline: deadlines.call }
  const conversation = Conversation.make({
    onFirstMessage: options.onFirstMessage,
    onLeftRunning: (commands) => leftRunning.note(commands)
  })
  const life = Life.make({
    name: "Codex",
    fail,
    outbox,
    ways: {
      stop: Effect.suspend(() => Leaving.stop(context)),
      kill: Effect.suspend(() => Leaving.kill(context, options.killProcess))
    },
    onExit: () => {
      options.onExit()
      conversation.end()
    }
  })
  const context: SessionContext = {
    codexThread,
    connection,
    asking,
    conversation,
    life,
    deadlines,
    fail,
    wrap
  }
  const hearing = Hearing.make({
    asking,
    codexThread,
    conversation,
    outbox,
    standstill: deadlines.standstill,
    rejoins: options.rejoins,
    scope: options.scope,
    isOver: life.isOver,
    lost: (message) => life.exit(false, message)
  })
  const { tell } = hearing
  const leftRunning = Terminals.leftRunning(context, { tell, scope: options.scope })
  const sending = Sending.make(context, { settings: options.settings, onSend: options.onSend, tell })

  return {
    threadId: options.threadId,
    generation: options.generation,
    codexThread,
    resume: options.resume,
    notice: options.notice,
    events: outbox.events,
    active: conversation.active,
    isOver: life.isOver,
    exit: life.exit,
    abandon: outbox.abandon,
    hear: (notification) => hear(notification, life, hearing, leftRunning),
    ask: hearing.ask,
    adopt: (providerTurnId, turnId) => Effect.suspend(() => tell(conversation.adopt(providerTurnId, turnId))),
    rejoin: hearing.rejoin,
    reconnect: hearing.reconnect,
    send: sending.send,
    steer: sending.steer,
    interrupt: (named) => Turns.interrupt(context, named),
    answer: (requestKey, given) => answer(context, requestKey, given),
    probe: (named) => Turns.probe(context, named),
    stop: life.stop
  }
}

const hear = (
  notification: Notification,
  life: Life.Life,
  hearing: Hearing.Hearing,
  leftRunning: Terminals.LeftRunning
) =>
  Effect.suspend(() => {
    if (life.isOver()) return Effect.void
    if (notification.method === "thread/closed") {
      return Effect.sync(() => life.exit(life.isStopping(), "Codex closed this thread."))
    }
    return Effect.andThen(hearing.hear(notification), leftRunning.end)
  })

const answer = (
  { connection, conversation, deadlines, fail, wrap }: SessionContext,
  requestKey: string,
  given: Answer
) =>
  Effect.suspend(() => {
    const held = conversation.release(requestKey, given.decision === "decline" || given.decision === "cancel")
    if (held === null) return Effect.fail(fail("answer", "RequestGone", "Codex no longer waits for this."))
    return connection.reply(held.id, held.reply(given)).pipe(
      Effect.timeoutOrElse({
        duration: deadlines.call,
        orElse: () => Effect.fail(fail("answer", "Unknown", "Codex does not read its input."))
      }),
      Effect.catchTag("TransportBroke", (error) => Effect.fail(wrap("answer")(error)))
    )
  })
