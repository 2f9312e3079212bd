/**
 * Does what the committed state says the world still owes: marker, call, outcome.
 *
 *     doorbell ──▶ pending(state) ──▶ not under way yet? ──▶ begin ──▶ perform ──▶ tell
 *                        ▲                                                          │
 *                        └──────────────────────────────────────────────────────────┘
 *
 * Level-triggered: it looks at the state after each commit and at start-up, and never depends on having
 * seen an event go by. All it remembers is what this process is doing at this moment; after a crash the
 * state says the same again, and each kind's crash story says what that means.
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import { keyOf } from "@turnkeeper/domain/thread/Owed"
import type { Outcome, Owed } from "@turnkeeper/domain/thread/Owed"
import { pending } from "@turnkeeper/domain/thread/pending"
import { Context, Effect, Fiber, Layer } from "effect"
import type { Mailbox } from "../engine/Mailbox.ts"
import { Mailboxes } from "../engine/Mailboxes.ts"
import { Projects } from "../projection/Projects.ts"
import { ThreadView } from "../projection/ThreadView.ts"
import { Registry } from "../provider/Registry.ts"
import { Sessions } from "../provider/Sessions.ts"
import { Settings } from "../Settings.ts"
import { answerRequest } from "./answerRequest.ts"
import { deadline } from "./deadline.ts"
import { findEvidence } from "./findEvidence.ts"
import { interruptTurn } from "./interruptTurn.ts"
import type { Means, Performed, Performer } from "./Performer.ts"
import { probeTurn } from "./probeTurn.ts"
import { sendTurn, steerTurn } from "./sendTurn.ts"
import { startSession } from "./startSession.ts"
import { stopSession } from "./stopSession.ts"

const performers: { readonly [Type in Owed["type"]]: Performer<Type> } = {
  "session.start": startSession,
  "session.stop": stopSession,
  "turn.send": sendTurn,
  "turn.steer": steerTurn,
  "turn.interrupt": interruptTurn,
  "turn.probe": probeTurn,
  "turn.evidence": findEvidence,
  "request.answer": answerRequest,
  deadline
}

export class Reactor extends Context.Service<
  Reactor,
  {
    /** Looks at the thread as if it had just changed. */
    readonly look: (threadId: ThreadId) => Effect.Effect<void>
    /** What is being done for the thread right now, deadlines left out. */
    readonly underWay: (threadId: ThreadId) => ReadonlyArray<string>
  }
>()("server/reactor/Reactor") {
  static readonly layer = Layer.effect(
    Reactor,
    Effect.gen(function* () {
      const mailboxes = yield* Mailboxes
      const means: Means = {
        registry: yield* Registry,
        sessions: yield* Sessions,
        view: yield* ThreadView,
        projects: yield* Projects,
        settings: yield* Settings
      }
      const scope = yield* Effect.scope
      const doing = new Map<ThreadId, Map<string, Job>>()

      const look = (threadId: ThreadId): Effect.Effect<void> =>
        Effect.gen(function* () {
          const mailbox = yield* mailboxes.of(threadId)
          const { state } = mailbox.current()
          const owed = new Map(pending(state).map((one) => [keyOf(one), one]))
          // A session whose generation is closed is not only forgotten, it is ended.
          const current = state.session.open ? state.session.generation : noGeneration
          if (means.sessions.holds(threadId, current)) {
            yield* Effect.forkIn(means.sessions.gone(threadId, current), scope)
          }
          for (const [key, { owed: was, fiber }] of doing.get(threadId) ?? []) {
            // A deadline that nobody waits for must not ring; every other job ends by its own bound.
            if (was.type === "deadline" && fiber !== null && !owed.has(key))
              yield* Effect.forkIn(Fiber.interrupt(fiber), scope)
          }
          for (const [key, one] of owed) yield* start(mailbox, key, one)
        }).pipe(
          // Storage trouble: the state stands, and so does what it owes.
          Effect.catch(() => Effect.asVoid(Effect.forkIn(Effect.delay(again(threadId), "1 second"), scope)))
        )

      const again = (threadId: ThreadId) => Effect.sync(() => mailboxes.ring(threadId))

      /**
       * Takes the job's place in one step with seeing that it is free, and before the job runs: two looks at
       * once must not both do it, and one that ends at once must not be entered after its end.
       */
      const reserve = (threadId: ThreadId, key: string, owed: Owed): Job | null => {
        const jobs = doing.get(threadId) ?? new Map<string, Job>()
        if (jobs.has(key)) return null
        const job: Job = { owed, fiber: null }
        doing.set(threadId, jobs.set(key, job))
        return job
      }

      const release = (threadId: ThreadId, key: string) => {
        const jobs = doing.get(threadId)
        jobs?.delete(key)
        if (jobs?.size === 0) doing.delete(threadId)
      }

      const start = (mailbox: Mailbox, key: string, owed: Owed): Effect.Effect<void> =>
        Effect.suspend(() => {
          const { threadId } = mailbox
          const job = reserve(threadId, key, owed)
          if (job === null) return Effect.void
          return perform(mailbox, owed, means).pipe(
            Effect.catchCause((cause) =>
              Effect.logError(`Doing ${owed.type} for thread ${threadId} broke`, cause)
            ),
            Effect.ensuring(
              Effect.suspend(() => {
                release(threadId, key)
                // Still owed: it is looked at again, but never in a tight loop.
                return stillOwed(mailbox, key)
                  ? Effect.forkIn(Effect.delay(again(threadId), "1 second"), scope)
                  : Effect.void
              })
            ),
            Effect.forkIn(scope),
            Effect.map((fiber) => {
              job.fiber = fiber
            })
          )
        })

      const loop = mailboxes.changes.take.pipe(
        Effect.flatMap((threadIds) => Effect.forEach(threadIds, look, { discard: true })),
        Effect.forever
      )
      yield* Effect.forkScoped(loop)

      return Reactor.of({
        look,
        underWay: (threadId) =>
          [...(doing.get(threadId) ?? [])].flatMap(([key, job]) =>
            job.owed.type === "deadline" ? [] : [key]
          )
      })
    })
  )
}

const noGeneration = -1

interface Job {
  readonly owed: Owed
  /** Null until it has been started. */
  fiber: Fiber.Fiber<void> | null
}

const stillOwed = (mailbox: Mailbox, key: string) =>
  pending(mailbox.current().state).some((owed) => keyOf(owed) === key)

/** The marker is committed before the call; the call is made only if it still was to be made. */
const perform = (mailbox: Mailbox, owed: Owed, means: Means): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { threadId } = mailbox
    // 0. Begun by somebody who is gone: its crash story, not the call.
    const lost = lostOutcome(owed)
    if (lost !== null) return yield* mailbox.tell({ type: "outcome", outcome: lost }, causeOf(owed))
    // 1. The marker. A kind that needs none has nothing to commit.
    if (needsMarker(owed) && !(yield* mailbox.begin(owed))) return
    // 2. The call.
    const { state } = mailbox.current()
    const performer = performers[owed.type] as Performer<Owed["type"]>
    const performed: Performed = yield* performer({ threadId, owed, state }, means)
    // 3. The outcome, and what may follow only then.
    yield* mailbox.tell(performed.happening, causeOf(owed))
    if (performed.afterwards !== undefined) yield* performed.afterwards
  })

/**
 * The marker stands and nobody here is doing it: whoever was is gone. A send is never repeated on that
 * ground; a start has left nothing behind that is not closed with its scope.
 */
const lostOutcome = (owed: Owed): Outcome | null => {
  if (!("begun" in owed) || !owed.begun) return null
  const { generation } = owed
  const fault = { reason: "Unknown", message: "The server lost track of it" } as const
  return owed.type === "session.start"
    ? { type: "start.failed", generation, fault }
    : { type: "send.unknown", turnId: owed.turnId, generation, fault }
}

const needsMarker = (owed: Owed) => "begun" in owed || owed.type === "session.stop"

const causeOf = (owed: Owed) =>
  ({ type: owed.type === "deadline" ? "deadline" : "effect", key: keyOf(owed) }) as const
