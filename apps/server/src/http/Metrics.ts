/**
 * `/metrics`, in the text format of Prometheus: whether turns end, what waits and for how long.
 *
 * Looks at the threads that are not at rest and at nothing else, so it costs the same however large the
 * database is.
 */
import { paths } from "@turnkeeper/contracts/Discovery"
import { keyOf } from "@turnkeeper/domain/thread/Owed"
import type { Owed } from "@turnkeeper/domain/thread/Owed"
import { pending } from "@turnkeeper/domain/thread/pending"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import { Effect, Layer, Metric } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { CommitLoad } from "../engine/CommitLoad.ts"
import { Mailboxes } from "../engine/Mailboxes.ts"
import { ThreadView } from "../projection/ThreadView.ts"

const gauge = (name: string, description: string) => Metric.gauge(`turnkeeper_${name}`, { description })

const gauges = {
  turns: gauge("open_turns", "Turns that have not settled, by state"),
  stuckTurns: gauge("stuck_turns", "Open turns that nothing is owed to and nobody works on: has to be 0"),
  requests: gauge("open_requests", "Approvals and questions that wait for a user"),
  sessions: gauge("open_sessions", "Sessions with a provider"),
  pendingEffects: gauge("pending_effects", "Provider calls that are owed or under way"),
  oldestEffect: gauge(
    "oldest_pending_effect_seconds",
    "For how long the oldest of them has been seen by those who ask for metrics"
  ),
  busyMailboxes: gauge("busy_mailboxes", "Threads with letters that wait to be decided on"),
  commitWaiting: gauge("commit_waiting", "Changes that wait for their commit"),
  commitLag: gauge("commit_lag_seconds", "For how long the oldest of them has waited"),
  memory: gauge("memory_bytes", "Memory of the process, by kind"),
  uptime: gauge("uptime_seconds", "Since the process was started")
}

/** What one thread adds. */
interface Counts {
  readonly queued: number
  readonly sending: number
  readonly running: number
  readonly stuck: number
  readonly requests: number
  readonly sessions: number
  readonly effects: ReadonlyArray<string>
}

/** A thread's deadlines wait by their nature. */
const effectsOf = (state: ThreadState): ReadonlyArray<Owed> =>
  pending(state).filter(({ type }) => type !== "deadline")

export const countsOf = (state: ThreadState): Counts => {
  const { turns, requests, session } = state
  const of = (wanted: (typeof turns)[number]["state"]) => turns.filter((turn) => turn.state === wanted).length
  const effects = effectsOf(state)
  return {
    queued: of("queued"),
    sending: of("sending"),
    running: of("running"),
    stuck: session.open || effects.length > 0 ? 0 : turns.length,
    requests: requests.filter(({ answer }) => answer === null).length,
    sessions: session.open ? 1 : 0,
    effects: effects.map(keyOf)
  }
}

/** Remembers when it first saw what still waits. Bounded by what waits now. */
const makeAges = () => {
  let firstSeen = new Map<string, number>()
  /** Seconds since the oldest of these was first seen. */
  return (keys: ReadonlyArray<string>, now: number): number => {
    firstSeen = new Map(keys.map((key) => [key, firstSeen.get(key) ?? now]))
    let oldest = now
    for (const at of firstSeen.values()) oldest = Math.min(oldest, at)
    return (now - oldest) / 1000
  }
}

const sample = Effect.fnUntraced(function* (ageOf: ReturnType<typeof makeAges>) {
  const mailboxes = yield* Mailboxes
  const load = yield* CommitLoad
  const view = yield* ThreadView
  // A thread that is not at rest is awake.
  const awake = (yield* view.openThreads).flatMap((threadId) => mailboxes.awake(threadId) ?? [])
  const counts = awake.map((mailbox) => countsOf(mailbox.current().state))
  const sum = (of: (one: Counts) => number) => counts.reduce((total, one) => total + of(one), 0)
  const keys = awake.flatMap(({ threadId }, index) =>
    (counts[index]?.effects ?? []).map((key) => `${threadId} ${key}`)
  )
  for (const state of ["queued", "sending", "running"] as const) {
    yield* Metric.update(
      Metric.withAttributes(gauges.turns, { state }),
      sum((one) => one[state])
    )
  }
  yield* Metric.update(
    gauges.stuckTurns,
    sum((one) => one.stuck)
  )
  yield* Metric.update(
    gauges.requests,
    sum((one) => one.requests)
  )
  yield* Metric.update(
    gauges.sessions,
    sum((one) => one.sessions)
  )
  yield* Metric.update(gauges.pendingEffects, keys.length)
  yield* Metric.update(gauges.oldestEffect, ageOf(keys, performance.now()))
  yield* Metric.update(gauges.busyMailboxes, awake.filter((mailbox) => !mailbox.isIdle()).length)
  yield* Metric.update(gauges.commitWaiting, load.waiting())
  yield* Metric.update(gauges.commitLag, load.oldestMillis() / 1000)
  const { rss, heapUsed, external } = process.memoryUsage()
  for (const [kind, bytes] of Object.entries({ rss, heap: heapUsed, external })) {
    yield* Metric.update(Metric.withAttributes(gauges.memory, { kind }), bytes)
  }
  yield* Metric.update(gauges.uptime, process.uptime())
})

const answer = Effect.fnUntraced(function* (ageOf: ReturnType<typeof makeAges>) {
  yield* sample(ageOf)
  return HttpServerResponse.text(yield* PrometheusMetrics.format(), {
    contentType: "text/plain; version=0.0.4; charset=utf-8",
    headers: { "cache-control": "no-store" }
  })
})

/** Without the tables there is nothing to count. */
const unavailable = HttpServerResponse.empty({ status: 503 })

export const layer = Layer.unwrap(
  Effect.sync(() => {
    const ages = makeAges()
    return HttpRouter.add(
      "GET",
      paths.metrics,
      answer(ages).pipe(Effect.catchTag("StorageUnavailable", () => Effect.succeed(unavailable)))
    )
  })
)
