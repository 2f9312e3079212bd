/**
 * One session: one agent process that works on one conversation.
 *
 * What is asked of the agent goes through the connection; what it says goes through the conversation into the
 * outbox. It ends once, with `session.exited`, and refuses everything afterwards.
 */
import type { Generation, ThreadId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Notification, PeerRequest } from "@turnkeeper/provider-kit/JsonRpc"
import * as Life from "@turnkeeper/provider-kit/Life"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { Model, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Asked from "./asked.ts"
import type { Connection } from "./Connection.ts"
import type * as Controls from "./controls.ts"
import * as Conversation from "./Conversation.ts"
import type { Turn } from "./Conversation.ts"
import * as CurrentControls from "./CurrentControls.ts"
import type { Wrap } from "./faults.ts"
import * as Leaving from "./leaving.ts"
import { record } from "./protocol.ts"
import * as Sending from "./Sending.ts"
import type { Deadlines, SessionContext } from "./SessionContext.ts"
import * as Turns from "./turns.ts"

export interface SessionOptions {
  readonly threadId: ThreadId
  readonly generation: Generation
  /** The agent's name for the conversation. */
  readonly sessionId: string
  readonly resume: string
  /** The conversation was just made. */
  readonly fresh: boolean
  readonly controls: Controls.Controls
  readonly modeNames: Controls.ModeNames
  readonly takesImages: boolean
  readonly closes: boolean
  readonly connection: Connection
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: Wrap
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
  /** Said once, when the first prompt was taken. */
  readonly onFirstMessage: () => ReadonlyArray<ProviderEvent>
}

export interface Session extends Omit<ProviderSession, "notice"> {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly sessionId: string
  readonly active: () => Turn | null
  readonly models: () => ReadonlyArray<Model>
  readonly isOver: () => boolean
  readonly hear: (notification: Notification) => Effect.Effect<void>
  readonly ask: (request: PeerRequest) => Effect.Effect<void>
  readonly apply: CurrentControls.CurrentControls["apply"]
  /** Nobody reads the events any more: they are dropped, so that the process is not held up. */
  readonly abandon: () => void
  /** The last event. Does nothing the second time. */
  readonly exit: (clean: boolean, message: string | null) => void
}

export const make = (options: SessionOptions): Session => {
  const { sessionId, connection, deadlines, fail, scope, wrap } = options
  const outbox = Outbox.make()
  const conversation = Conversation.make(options)
  const life = Life.make({
    name: "agent's",
    fail,
    outbox,
    ways: {
      stop: Effect.suspend(() => Leaving.stop(context, options.closes)),
      kill: Effect.suspend(() => Leaving.kill(context))
    },
    onExit: conversation.end
  })
  const context: SessionContext = {
    sessionId,
    connection,
    conversation,
    outbox,
    life,
    deadlines,
    fail,
    wrap,
    scope
  }
  const controls = CurrentControls.make(context, options)

  return {
    threadId: options.threadId,
    generation: options.generation,
    sessionId,
    resume: options.resume,
    events: outbox.events,
    active: conversation.active,
    models: controls.models,
    isOver: life.isOver,
    exit: life.exit,
    abandon: outbox.abandon,
    hear: (notification) => hear(context, controls, notification),
    ask: (request) => Asked.ask(context, controls, request),
    apply: controls.apply,
    send: Sending.make(context, { controls, takesImages: options.takesImages }),
    steer: () =>
      life.whileOpen("steer", () =>
        Effect.fail(fail("steer", "Unsupported", "The protocol has no way to add to a running turn."))
      ),
    interrupt: (named) => Turns.interrupt(context, named),
    answer: (requestKey, given) => Asked.answer(context, requestKey, given),
    probe: (named) => Turns.probe(context, named),
    stop: life.stop
  }
}

const hear = (
  context: SessionContext,
  controls: CurrentControls.CurrentControls,
  { method, params }: Notification
) =>
  Effect.suspend(() => {
    const { conversation, life, outbox, sessionId } = context
    if (life.isOver()) return Effect.void
    const { sessionId: named, update, requestId } = record(params)
    switch (method) {
      case "session/update":
        // An agent may have conversations of its own beside ours: they say nothing here.
        if (named !== sessionId) return Effect.void
        controls.note(record(update))
        return outbox.put(conversation.hear(update))
      case "$/cancel_request":
        return Asked.takeBack(context, requestId)
      case "elicitation/complete":
        return Effect.void
      default:
        return outbox.put([{ type: "unknown", method: method.slice(0, 100) }])
    }
  })
