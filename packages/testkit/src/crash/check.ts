/**
 * What must be true after any number of crashes, once everything has come to rest. Each breach is one
 * sentence that names the turn; an empty list is the promise kept.
 */
import type { ShellItem } from "@turnkeeper/contracts/Streams"
import { dispatch } from "../Chat.ts"
import type { Client } from "../jsonrpc/Client.ts"
import { openView } from "../View.ts"
import type { Turn, View } from "../View.ts"
import type { Promised } from "./User.ts"

export interface Verdict {
  readonly turns: number
  readonly byState: Readonly<Record<string, number>>
  /** Turns of which nobody can say whether the provider got them. */
  readonly unknown: number
  readonly violations: ReadonlyArray<string>
}

/** What a user can say after the run. */
export interface Witness {
  readonly promised: ReadonlyArray<Promised>
  /** Every thread of the user, as it was seen over all crashes. */
  readonly views: ReadonlyArray<View>
  readonly complaints: ReadonlyArray<string>
}

/** How often the provider really received this turn's prompt. */
export type Received = (turnId: string) => number

export const check = async (
  client: Client,
  users: ReadonlyArray<Witness>,
  received: Received,
  settleMs: number
): Promise<Verdict> => {
  const views = users.flatMap((user) => user.views)
  const promised = users.flatMap((user) => user.promised)
  const violations = users.flatMap((user) => user.complaints)
  const byState: Record<string, number> = {}
  let unknown = 0
  const sayOf = (threadId: string) => (what: string) => void violations.push(`${threadId}: ${what}`)
  // One thread after another: there may be more than a connection may follow.
  const open = (threadId: string) => openView(client, threadId, { tail: 500 })
  // 1. Everything comes to rest: what was received is final only then.
  for (const { threadId } of views) {
    const view = await open(threadId)
    const stop = answerAll(client, view)
    const late = () => sayOf(threadId)(`not at rest after ${settleMs} ms: ${openIn(view)}`)
    await view.until(isAtRest, settleMs).catch(late)
    stop()
    await view.close()
  }
  // 2. Each thread is judged.
  const shell = await shellRows(client)
  const promisedIn = Map.groupBy(promised, ({ threadId }) => threadId)
  for (const old of views) {
    const { threadId } = old
    const say = sayOf(threadId)
    const view = await open(threadId)
    for (const one of promisedIn.get(threadId) ?? []) checkTurn(one, view, received(one.turnId), say)
    for (const turn of view.turns.values()) {
      byState[turn.state] = (byState[turn.state] ?? 0) + 1
      if (turn.delivered === "unknown") unknown += 1
    }
    checkThread(view, old, say)
    if (!shell.has(threadId)) say("missing in the list of threads")
    await view.close()
  }
  for (const [threadId, row] of shell) {
    if (row.openRequests !== 0 || row.queuedTurns !== 0 || row.sessionStatus === "running") {
      violations.push(`${threadId}: at rest, but its row says ${JSON.stringify(row)}`)
    }
  }
  return { turns: promised.length, byState, unknown, violations }
}

/** The users have gone; what asks them would wait for ever. */
const answerAll = (client: Client, view: View) => {
  const { threadId } = view
  const asked = new Set<string>()
  const answer = () => {
    for (const { decisions, requestId } of view.openRequests()) {
      if (asked.has(requestId)) continue
      asked.add(requestId)
      const decision = (decisions[0] ?? "accept") as "accept"
      // A refusal shows in the check: then the request is open, or its turn does not settle.
      dispatch(client, { type: "thread.request.answer", threadId, requestId, decision }).catch(() => {})
    }
  }
  answer()
  return view.watch(answer)
}

type Say = (what: string) => void

/** One message that was acknowledged. */
const checkTurn = (promised: Promised, view: View, received: number, say: Say) => {
  const turn = view.turn(promised.turnId)
  const name = `${promised.turnId} ${promised.text}`
  if (turn === undefined) return say(`${name} was acknowledged and is lost`)
  if (!view.isSettled(turn.turnId)) return say(`${name} is still ${turn.state}`)
  if (received > 1) say(`${name} was received ${received} times`)
  if (turn.delivered === "not_delivered" && received > 0)
    say(`${name} counts as not delivered, but was received`)
  if (turn.state !== "completed" && turn.state !== "steered" && (turn.reason ?? "") === "") {
    say(`${name} is ${turn.state} without a reason`)
  }
  const prompt = view.entries.find((entry) => entry.kind === "user" && entry.id === turn.messageId)
  if (prompt === undefined || !prompt.text.startsWith(promised.text)) say(`${name} has lost its text`)
  if (turn.state === "completed") checkCompleted(promised, turn, view, received, say)
}

const checkCompleted = (promised: Promised, turn: Turn, view: View, received: number, say: Say) => {
  if (received !== 1) say(`${promised.turnId} completed, but was received ${received} times`)
  const wasSteered = [...view.turns.values()].some((other) => other.into === turn.turnId)
  const answer = view.answer(turn.turnId)
  if (!wasSteered && !promised.isWhole(answer)) {
    say(`${promised.turnId} ${promised.text} completed with another answer: ${JSON.stringify(answer)}`)
  }
}

/** The thread as a whole, as it is now and as the user saw it happen. */
const checkThread = (view: View, old: View, say: Say) => {
  for (const turn of view.turns.values()) {
    const open = view.openIn(turn.turnId)
    if (view.isSettled(turn.turnId) && open.length > 0)
      say(`${turn.turnId} is ${turn.state} with ${open.length} open items`)
  }
  for (const request of view.openRequests())
    say(`request ${request.requestId} is open, and nobody waits for it`)
  for (const fault of [...view.faults, ...old.faults]) say(fault)
  for (const seen of old.history) {
    if ((seen.session.status === "running") !== (seen.session.activeTurnId !== null)) {
      say(`the session was ${seen.session.status} with active turn ${seen.session.activeTurnId}`)
    }
  }
  // A settled turn that a user has seen never changes again.
  for (const before of old.turns.values()) {
    const now = view.turn(before.turnId)
    if (old.isSettled(before.turnId) && now?.state !== before.state) {
      say(`${before.turnId} was shown as ${before.state} and is ${now?.state ?? "gone"}`)
    }
  }
}

const isAtRest = (view: View) =>
  view.session.status !== "running" &&
  view.session.status !== "starting" &&
  view.session.activeTurnId === null &&
  [...view.turns.keys()].every((turnId) => view.isSettled(turnId))

const openIn = (view: View) =>
  [...view.turns.values()]
    .filter((turn) => !view.isSettled(turn.turnId))
    .map((turn) => `${turn.turnId} is ${turn.state}`)
    .join(", ") || `session ${view.session.status}`

const shellRows = async (client: Client) => {
  const rows = new Map<string, { sessionStatus: string; openRequests: number; queuedTurns: number }>()
  const shell = await client.subscribe<ShellItem>("orchestration.subscribeShell")
  for await (const item of shell) {
    if (item.type === "snapshot") for (const row of item.threads) rows.set(row.threadId, row)
    // A long list does not fit into its snapshot.
    if (item.type === "thread") rows.set(item.row.threadId, item.row)
    if (item.type === "synchronized") break
  }
  return rows
}
