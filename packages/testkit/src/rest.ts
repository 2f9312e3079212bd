/**
 * What holds of every thread when all is done, whatever happened on the way: nothing is left hanging, and
 * each message reached the model as often as its turn says. Each breach is one sentence; none is the
 * promise kept.
 */
import type { ThreadSnapshot } from "@turnkeeper/contracts/Streams"
import type { RunningFakeModel } from "./fakeModel/server.ts"
import type { Client } from "./jsonrpc/Client.ts"
import { openView } from "./View.ts"
import type { Turn, View } from "./View.ts"

/** The thread as this view saw it, and as a client that comes later is shown it. */
export const unrest = async (
  view: View,
  client: Client,
  model: RunningFakeModel
): Promise<ReadonlyArray<string>> => {
  const later = await openView(client, view.threadId, { tail: 500 })
  await later.close()
  return [
    ...brokenLaws(view),
    ...hanging(view),
    ...hanging(later).map((what) => `A later client is told that ${what}`),
    ...unstamped(later),
    ...differences(view, later),
    ...miscounted(view, model)
  ]
}

/** L2 at each moment, and the protocol's own word. */
const brokenLaws = (view: View): ReadonlyArray<string> => [
  ...view.faults,
  ...view.history
    .filter(({ session }) => (session.status === "running") !== (session.activeTurnId !== null))
    .map(({ session }) => `the session was ${session.status} with active turn ${session.activeTurnId}`)
]

const hanging = (view: View): ReadonlyArray<string> => {
  const { session } = view
  const turns = [...view.turns.values()]
  return [
    ...(["running", "starting"].includes(session.status) ? [`the session is ${session.status}`] : []),
    ...(session.activeTurnId === null ? [] : [`${session.activeTurnId} is active`]),
    ...(session.recovering === null ? [] : ["the session is recovering"]),
    ...(session.stopAsked === null ? [] : ["the session's stop is still asked for"]),
    ...turns.filter(({ turnId }) => !view.isSettled(turnId)).map((turn) => `${turn.turnId} is ${turn.state}`),
    ...turns
      .filter(({ reason, state }) => !["completed", "steered"].includes(state) && (reason ?? "") === "")
      .map((turn) => `${turn.turnId} is ${turn.state} without a reason`),
    ...view.entries
      .filter((entry) => entry.status === "open")
      .map((entry) => `${entry.kind} ${entry.id} is open`),
    ...[...view.requests.values()]
      .filter(({ status }) => status === "open" || status === "answering")
      .map((request) => `request ${request.requestId} is ${request.status}`)
  ]
}

/** What has ended says when. */
const unstamped = (later: View): ReadonlyArray<string> => {
  const snapshot = snapshotOf(later)
  if (snapshot === undefined) return ["a later client was given no snapshot"]
  return [
    ...snapshot.turns
      .filter(({ settledAt }) => settledAt === null)
      .map((turn) => `${turn.turnId} has no end time`),
    ...snapshot.entries
      .filter(({ completedAt }) => completedAt === null)
      .map((entry) => `${entry.type} ${entry.id} has no end time`)
  ]
}

const snapshotOf = (later: View): ThreadSnapshot | undefined =>
  later.history.map(({ item }) => item).find((item) => item.type === "snapshot")

/** What the later client is not told is on an older page, if there is one. */
const differences = (view: View, later: View): ReadonlyArray<string> => {
  const older = snapshotOf(later)?.before !== null
  const pairs: ReadonlyArray<readonly [what: string, seen: unknown, told: unknown]> = [
    ["session", view.session, later.session],
    ...[...view.turns.values()].map((turn) => [turn.turnId, turn, later.turn(turn.turnId)] as const),
    ...view.entries.map(
      (entry) => [entry.id, entry, later.entries.find((other) => other.id === entry.id)] as const
    )
  ]
  return pairs
    .filter(([, , told]) => told !== undefined || !older)
    .map(([what, seen, told]) => [what, JSON.stringify(seen), JSON.stringify(told)] as const)
    .filter(([, seen, told]) => seen !== told)
    .map(([what, seen, told]) => `${what} was seen as ${seen}, and a later client is told ${told}`)
}

const miscounted = (view: View, model: RunningFakeModel): ReadonlyArray<string> =>
  [...view.turns.values()]
    .filter((turn) => turn.origin === "user")
    .filter((turn) => !countsFor(turn).includes(model.promptsSeen(turn.turnId)))
    .map((turn) => `${JSON.stringify(turn)}, and the model saw it ${model.promptsSeen(turn.turnId)} times`)

/** Delivered means that the agent took it: a turn that was cut short may not have come to the model. */
const countsFor = ({ delivered, state }: Turn): ReadonlyArray<number> => {
  if (delivered === "not_delivered") return [0]
  return state === "completed" || state === "steered" ? [1] : [0, 1]
}
