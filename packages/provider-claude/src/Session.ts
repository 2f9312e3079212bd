/**
 * One session: a process of Claude's with one conversation.
 *
 * What it asks of Claude goes through the SDK's query; what Claude says goes through the conversation into
 * the outbox, and while the outbox has no room the gate before Claude's output is closed. It ends once, with
 * `session.exited`, and refuses everything afterwards.
 */
import type { Generation, ThreadId } from "@turnkeeper/domain/ids"
import * as Life from "@turnkeeper/provider-kit/Life"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Asked from "./Asked.ts"
import * as Calls from "./Calls.ts"
import type { Child } from "./Child.ts"
import * as Conversation from "./Conversation.ts"
import type { CallFailed, Wrap } from "./faults.ts"
import * as CurrentFreedom from "./CurrentFreedom.ts"
import type { How } from "./Handed.ts"
import * as Hearing from "./hearing.ts"
import * as Idle from "./Idle.ts"
import * as Inbox from "./Inbox.ts"
import * as Leaving from "./leaving.ts"
import type { CanUseTool, Initialized, Query, UserMessage } from "./sdk.ts"
import * as Sending from "./Sending.ts"
import type { Deadlines, SessionContext } from "./SessionContext.ts"
import type { Freedom } from "./settings.ts"
import type { Turn } from "./Turn.ts"
import * as Turns from "./turns.ts"

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
  const { child, deadlines, fail, scope, wrap } = options
  const outbox = Outbox.make()
  const conversation = Conversation.make(options)
  const inbox = Inbox.make()
  const calls = Calls.make(child, deadlines.call)
  const life = Life.make({
    name: "Claude",
    fail,
    outbox,
    ways: {
      stop: Effect.suspend(() => Leaving.stop(context)),
      kill: Effect.suspend(() => Leaving.kill(context))
    },
    onExit: () => {
      conversation.end()
      inbox.end()
      asked.giveUp()
    },
    isLeaving: () => idle.isLeaving()
  })
  const context: SessionContext = {
    child,
    calls,
    conversation,
    outbox,
    life,
    deadlines,
    fail,
    wrap,
    scope
  }
  const freedom = CurrentFreedom.make({ freedom: options.freedom, calls, conversation })
  const asked = Asked.make(context, freedom)
  const idle = Idle.make(context)
  const onHeard = (native: unknown) => {
    idle.stir()
    options.tap?.(native)
  }

  return {
    threadId: options.threadId,
    generation: options.generation,
    name: conversation.name,
    resume: options.sessionId,
    notice: options.notice,
    events: outbox.events,
    active: () => (life.isOver() ? null : conversation.active()),
    isOver: life.isOver,
    input: inbox,
    canUseTool: asked.canUseTool,
    begin: (query) =>
      Effect.gen(function* () {
        calls.begin(query)
        yield* Hearing.begin(context, query, onHeard)
        const initialized = yield* calls.ask((begun) => begun.initializationResult(), deadlines.send)
        yield* Effect.forkIn(idle.leaveWhenIdle, scope)
        return initialized
      }),
    giveWay: Effect.andThen(
      child.kill,
      Effect.sync(() => life.exit(true, "This conversation was opened again."))
    ),
    abandon: outbox.abandon,
    exit: life.exit,
    send: Sending.make(context, { model: options.model, freedom, inbox, note: options.note }),
    steer: () =>
      life.whileOpen("steer", () =>
        Effect.fail(fail("steer", "Unsupported", "Claude cannot be given a message into a running turn."))
      ),
    interrupt: (named) => Turns.interrupt(context, named),
    answer: asked.answer,
    probe: (named) => Turns.probe(context, named),
    stop: life.stop
  }
}
