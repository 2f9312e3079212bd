/** What changes with the connections is counted where it changes. */
import { Effect, Metric } from "effect"
import type { Scope } from "effect"

const connections = Metric.gauge("turnkeeper_connections", {
  description: "Open sockets of clients"
})
const subscriptions = Metric.gauge("turnkeeper_subscriptions", {
  description: "Open subscriptions of all clients"
})

/** Counts one more for as long as the scope is open. */
const during = (gauge: Metric.Gauge<number>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(Metric.modify(gauge, 1), () => Metric.modify(gauge, -1))

export const countConnection = during(connections)
export const countSubscription = during(subscriptions)
