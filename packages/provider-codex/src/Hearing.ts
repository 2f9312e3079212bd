/**
 * What Codex says of one thread, on its way to whoever listens.
 *
 *     heard ──▶ told
 *       │  the listener stands still for too long ──▶ deaf: nothing is told, the others are heard on
 *       │                                              │ it reads again
 *       └── the record is read (rejoined, reconnected) ◀┘ what is heard meanwhile comes behind it
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { CallFailed, Notification } from "@turnkeeper/provider-kit/JsonRpc"
import * as Listener from "@turnkeeper/provider-kit/Listener"
import type { Outbox } from "@turnkeeper/provider-kit/Outbox"
import type { HeardTurn, Missed } from "@turnkeeper/provider-kit/Provider"
import { Effect } from "effect"
import type { Duration, Scope } from "effect"
import type { Conversation } from "./Conversation.ts"
import * as History from "./history.ts"
import type { Heard } from "./rejoining.ts"
import type { Held } from "./requests.ts"

export interface HearingOptions {
  readonly asking: History.Asking
  readonly codexThread: string
  readonly conversation: Conversation
  readonly outbox: Outbox
  /** How long a listener that does not read may hold up those of the other sessions. */
  readonly standstill: Duration.Input
  /** It went on without us: what is heard is kept until `rejoin` has read what was not. */
  readonly rejoins: boolean
  /** For what outlives the call that causes it. */
  readonly scope: Scope.Scope
  readonly isOver: () => boolean
  /** What was said cannot be told any more. */
  readonly lost: (message: string) => void
}

export interface Hearing {
  /** Waits for the listener, and no longer than the others can bear. */
  readonly tell: Listener.Listener["tell"]
  readonly hear: (notification: Notification) => Effect.Effect<void>
  /** False: the request is not taken and has to be refused. */
  readonly ask: (held: Held) => Effect.Effect<boolean>
  /** Finds out what was not heard, from the record. `isActive`: Codex says that it works on this thread. */
  readonly rejoin: (heard: HeardTurn | null, isActive: boolean) => Effect.Effect<Missed, CallFailed>
  /** The connection is a new one: what was said between the two is told. */
  readonly reconnect: Effect.Effect<void, CallFailed>
}

export const make = (options: HearingOptions): Hearing => {
  const { asking, codexThread, conversation, isOver, lost, outbox } = options
  /** Present while the record is read: what is heard meanwhile comes behind it. */
  let meanwhile: Array<Heard> | null = options.rejoins ? [] : null
  /** What Codex asks while its listener stands still, and nothing else of what it says. */
  let asked: Array<Heard> = []

  /** The listener reads again: what it has missed is in the record. */
  const hearAgain = () => {
    meanwhile = asked
    asked = []
    return asking.connection
      .call("thread/read", { threadId: codexThread }, { deadline: asking.deadline })
      .pipe(
        Effect.flatMap(({ thread }) => read(conversation.heard(), thread.status.type === "active", false)),
        Effect.flatMap(({ events }) => tell(events)),
        Effect.catch((error) =>
          Effect.sync(() => lost(`What Codex had said meanwhile could not be read: ${error.message}`))
        )
      )
  }

  const { isDeaf, tell } = Listener.make({
    hearAgain,
    outbox,
    scope: options.scope,
    standstill: options.standstill
  })

  const keep = (heard: Heard) => {
    if (meanwhile === null) return
    if (meanwhile.length < meanwhileMax) meanwhile.push(heard)
    else lost("Codex said more than could be kept while its record was read.")
  }

  const hear: Hearing["hear"] = (notification) =>
    Effect.suspend(() => {
      const heard: Heard = { type: "notification", notification }
      if (isDeaf()) {
        if (isWorthKeeping(notification)) keepDeaf(asked, heard)
        return Effect.void
      }
      if (meanwhile !== null) return Effect.sync(() => keep(heard))
      return tell(conversation.hear(notification))
    })

  const ask: Hearing["ask"] = (held) =>
    Effect.suspend(() => {
      const heard: Heard = { type: "request", held }
      if (isDeaf()) return Effect.succeed(keepDeaf(asked, heard))
      if (meanwhile !== null && !isOver())
        return Effect.as(
          Effect.sync(() => keep(heard)),
          true
        )
      const events = isOver() ? null : conversation.ask(held)
      return events === null ? Effect.succeed(false) : Effect.as(tell(events), true)
    })

  /** `reasked`: what Codex still asks is asked again by itself. */
  const read = (
    heard: HeardTurn | null,
    isActive: boolean,
    reasked: boolean
  ): Effect.Effect<Missed, CallFailed> =>
    Effect.suspend(() => {
      meanwhile ??= []
      return Effect.map(History.away(asking, codexThread, heard), (away): Missed => {
        const kept = meanwhile ?? []
        const events = conversation.rejoin({ heard, away, active: isActive, reasked, meanwhile: kept })
        meanwhile = null
        const turn = conversation.active()
        const running =
          turn === null ? null : { providerTurnId: ProviderTurnId.make(turn.id), turnId: turn.turnId }
        return { events, running }
      })
    })

  const reconnect = Effect.suspend(() => {
    if (isOver()) return Effect.void
    meanwhile ??= []
    const { connection, deadline } = asking
    return connection.call("thread/resume", { threadId: codexThread, excludeTurns: true }, { deadline }).pipe(
      Effect.flatMap(({ thread }) => read(conversation.heard(), thread.status.type === "active", true)),
      Effect.flatMap(({ events }) => tell(events))
    )
  })

  return { tell, hear, ask, rejoin: (heard, isActive) => read(heard, isActive, true), reconnect }
}

/** Of requests there is no record. */
const isWorthKeeping = ({ method }: Notification): boolean => method === "serverRequest/resolved"

/** Whether there was room for it. */
const keepDeaf = (kept: Array<Heard>, heard: Heard): boolean => kept.length < deafMax && kept.push(heard) > 0

/** Messages of Codex that are kept while the record is read. */
const meanwhileMax = 20_000
/** Requests that are kept while the listener stands still. */
const deafMax = 256
