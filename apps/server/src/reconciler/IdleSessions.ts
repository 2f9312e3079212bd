/**
 * A session that nobody has used for a while is closed, so that its provider's processes do not pile up (D9).
 *
 * Only where nothing is lost by it: nothing is open, and the provider has given a cursor from which the next
 * message goes on. The closing is committed first, on the very version that was looked at; a message that
 * comes at the same moment either keeps the session or opens the next generation.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { resumeOf } from "@turnkeeper/domain/thread/draft"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { Clock, Context, Effect, Layer } from "effect"
import { Mailboxes } from "../engine/Mailboxes.ts"
import { Registry } from "../provider/Registry.ts"
import type { LiveHere } from "../provider/Sessions.ts"
import { Sessions } from "../provider/Sessions.ts"
import { Reactor } from "../reactor/Reactor.ts"
import { Settings } from "../Settings.ts"

export class IdleSessions extends Context.Service<
  IdleSessions,
  {
    /** Looks at every open session once and closes those that were not used for `idleMs`. */
    readonly look: Effect.Effect<void, StorageUnavailable>
  }
>()("server/reconciler/IdleSessions") {
  static readonly layer = Layer.effect(
    IdleSessions,
    Effect.gen(function* () {
      const sessions = yield* Sessions
      const mailboxes = yield* Mailboxes
      const registry = yield* Registry
      const reactor = yield* Reactor
      const { idleMs, reconcileEveryMs } = yield* Settings
      /** Since when each open session is seen as it is now. */
      const sightings = new Map<string, Sighting>()

      const judge = Effect.fnUntraced(function* (live: LiveHere) {
        const { generation, threadId } = live
        const now = yield* Clock.monotonicTimeNanos
        const mailbox = yield* mailboxes.of(threadId)
        const { state, version } = mailbox.current()
        const resumes = registry.get(live.provider)?.capabilities.resume === true
        if (!resumes || !isIdle(state, live) || reactor.underWay(threadId).length > 0) {
          sightings.delete(keyOf(live))
          return
        }
        const heardAt = sessions.heardAt(threadId, generation)
        const seen = sightings.get(keyOf(live))
        if (seen === undefined || seen.version !== version || seen.heardAt !== heardAt) {
          sightings.set(keyOf(live), { version, heardAt, since: now })
          return
        }
        if (now - seen.since < BigInt(idleMs) * 1_000_000n) return
        const occasion = {
          reason: "The session was not used",
          now: yield* Clock.currentTimeMillis,
          intentLimitMs: null
        }
        // The reactor ends a session whose generation is closed.
        yield* mailbox.reconcile({ type: "absent" }, occasion, version)
      })

      const look = Effect.suspend(() => {
        const open = sessions.live()
        const keys = new Set(open.map(keyOf))
        for (const key of sightings.keys()) if (!keys.has(key)) sightings.delete(key)
        return Effect.forEach(open, judge, { discard: true })
      })

      yield* look.pipe(
        Effect.catch(() => Effect.logWarning("Sessions at rest could not be looked at; they will be again")),
        Effect.delay(Math.min(reconcileEveryMs, idleMs)),
        Effect.forever,
        Effect.forkScoped
      )
      return IdleSessions.of({ look })
    })
  )
}

interface Sighting {
  readonly version: number
  readonly heardAt: bigint | null
  /** On the monotonic clock: a jump of the wall clock closes nothing. */
  readonly since: bigint
}

const keyOf = ({ generation, threadId }: LiveHere) => `${threadId} ${generation}`

/** Nothing would be lost with it, the conversation least of all. */
const isIdle = ({ items, requests, session, turns }: ThreadState, { generation, provider }: LiveHere) =>
  session.open &&
  session.generation === generation &&
  session.status === "ready" &&
  session.stopAsked === null &&
  turns.length + items.length + requests.length === 0 &&
  resumeOf(session, provider) !== null
