/**
 * One session: a conversation of ours on an OpenCode server that others may share.
 *
 * What it asks of OpenCode goes through the API; what OpenCode says of the session goes through the
 * conversation into the outbox. Where what it says is not enough (idle without an end, an event that was
 * missed, a connection that broke) the record is read. It ends once, with `session.exited`, and refuses
 * everything afterwards.
 */
import type { Generation, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import * as Life from "@turnkeeper/provider-kit/Life"
import * as Outbox from "@turnkeeper/provider-kit/Outbox"
import type { HeardTurn, Missed, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { Fail } from "@turnkeeper/provider-kit/ProviderError"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Api, CallFailed } from "./Api.ts"
import * as Asked from "./asked.ts"
import * as Conversation from "./Conversation.ts"
import * as CurrentFreedom from "./CurrentFreedom.ts"
import type { Wrap } from "./faults.ts"
import * as Hearing from "./Hearing.ts"
import * as Leaving from "./leaving.ts"
import * as Looking from "./Looking.ts"
import { rejoin } from "./rejoining.ts"
import * as Sending from "./Sending.ts"
import type { Deadlines, SessionContext } from "./SessionContext.ts"
import type { Freedom } from "./settings.ts"
import * as Telling from "./Telling.ts"
import type { Turn } from "./Turn.ts"
import * as Turns from "./turns.ts"

export interface SessionOptions {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly sessionID: string
  readonly directory: string
  readonly freedom: Freedom
  /** For prompts that name none. */
  readonly model: string | null
  readonly api: Api
  readonly deadlines: Deadlines
  readonly fail: Fail
  readonly wrap: Wrap
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
  readonly endCommands: Leaving.EndCommands
  /** Ends the process, and with it every session on it; null where it is not ours. */
  readonly killProcess: Effect.Effect<unknown> | null
  /** From now on it is not known whether OpenCode has taken this turn's message. */
  readonly doubt: (turnId: TurnId) => void
  readonly settled: (turnId: TurnId) => void
  readonly onExit: () => void
  readonly worksForUs: Asked.WorksForUs
  /** Present where it went on without us. What is told until `rejoin` has been read is part of that. */
  readonly rejoin?: { readonly heard: HeardTurn | null }
}

export interface Session extends ProviderSession, Hearing.Hearing {
  readonly threadId: ThreadId
  readonly generation: Generation
  readonly sessionID: string
  readonly directory: string
  readonly active: () => Turn | null
  readonly isOver: () => boolean
  /** Nothing was heard for a while: what happened meanwhile is read. */
  readonly catchUp: Effect.Effect<void>
  readonly adopt: (turn: { readonly id: string; readonly turnId: TurnId | null }) => Effect.Effect<void>
  readonly past: (ids: ReadonlyArray<string>) => void
  /** Finds out what was not heard, from the record. */
  readonly rejoin: Effect.Effect<Missed, CallFailed>
  /** Nobody reads the events any more: they are dropped, so that the server is not held up. */
  readonly abandon: () => void
  /** The last event. Does nothing the second time. */
  readonly exit: (clean: boolean, message: string | null) => void
}

export const make = (options: SessionOptions): Session => {
  const { sessionID, directory, api, deadlines, fail, killProcess, scope, worksForUs, wrap } = options
  const outbox = Outbox.make()
  const heard = options.rejoin?.heard ?? null
  const conversation = Conversation.make(heard)
  const life = Life.make({
    name: "OpenCode",
    fail,
    outbox,
    ways: {
      stop: Effect.suspend(() => Leaving.stop(context, options.endCommands)),
      kill: killProcess === null ? null : Effect.suspend(() => Leaving.kill(context, killProcess))
    },
    onExit: () => {
      options.onExit()
      conversation.end()
    }
  })
  const context: SessionContext = {
    sessionID,
    directory,
    api,
    asking: { api, directory, deadline: deadlines.call },
    conversation,
    life,
    deadlines,
    fail,
    wrap,
    scope
  }
  const telling = Telling.make({
    outbox,
    standstill: deadlines.standstill,
    scope,
    rejoins: options.rejoin !== undefined,
    lost: (message) => life.exit(false, message),
    hearAgain: () => looking.catchUp
  })
  const { tell } = telling
  const looking = Looking.make(context, { tell, worksForUs })
  const { catchUp, look } = looking
  const freedom = CurrentFreedom.make(context, options.freedom)

  return {
    threadId: options.threadId,
    generation: options.generation,
    sessionID,
    directory,
    resume: sessionID,
    notice: null,
    events: outbox.events,
    active: conversation.active,
    isOver: life.isOver,
    exit: life.exit,
    abandon: outbox.abandon,
    ...Hearing.make(context, telling, looking),
    catchUp,
    past: conversation.past,
    rejoin: rejoin(context, { heard, telling, looking, worksForUs }),
    adopt: (turn) =>
      Effect.suspend(() => tell(conversation.adopt(turn.id, turn.turnId))).pipe(Effect.andThen(catchUp)),
    send: Sending.make(context, {
      model: options.model,
      freedom,
      tell,
      doubt: options.doubt,
      settled: options.settled
    }),
    steer: () =>
      life.whileOpen("steer", () =>
        Effect.fail(fail("steer", "Unsupported", "OpenCode cannot take a message into a running turn."))
      ),
    interrupt: (named) => Turns.interrupt(context, named, look),
    answer: (requestKey, given) => Asked.answer(context, freedom, requestKey, given),
    probe: (named) => Turns.probe(context, named),
    stop: life.stop
  }
}
