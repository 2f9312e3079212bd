/**
 * One thread as a client sees it: what its subscription told, joined into a plain read model. It can be
 * attached again after the connection or the server was lost, and then goes on from its cursor.
 *
 * A test waits on it for a state, and afterwards looks at everything that was shown on the way there. It
 * is also a judge of the protocol: a version that is not the next one, a delta that leaves a hole, an
 * event before its snapshot are kept in `faults`.
 */
import { cursorOf, joined } from "@turnkeeper/contracts/Fold"
import type { Fault, ThreadFold } from "@turnkeeper/contracts/Fold"
import type { Entry, RequestRow, ThreadRow, TurnRow } from "@turnkeeper/contracts/Rows"
import type { Cursor, LoggedEvent, ThreadItem, ThreadSnapshot } from "@turnkeeper/contracts/Streams"
import { isSettled } from "@turnkeeper/domain/thread/lifecycle"
import { initial } from "@turnkeeper/domain/thread/State"
import type { Session } from "@turnkeeper/domain/thread/State"
import type { Client, Subscription } from "./jsonrpc/Client.ts"

/** What comes on the subscription of a thread. */
export type Item =
  | ThreadSnapshot
  | { readonly type: "reset"; readonly reason: string }
  | { readonly type: "synchronized"; readonly epoch: string; readonly version: number }
  | {
      readonly type: "event"
      readonly version: number
      readonly sequence: number
      readonly at: number
      readonly event: LoggedEvent
    }
  | { readonly type: "delta"; readonly itemId: string; readonly offset: number; readonly text: string }
  | { readonly type: "heartbeat"; readonly at: number }

export interface Turn {
  readonly turnId: string
  readonly messageId: string | null
  readonly origin: string
  readonly state: string
  readonly reason: string | null
  readonly delivered: string | null
  readonly into: string | null
}

export interface Shown {
  readonly type: "message" | "item"
  readonly id: string
  readonly turnId: string | null
  /** `user`, `assistant` or `reasoning` of a message, else the kind of the item. */
  readonly kind: string
  readonly status: string
  readonly text: string
}

export interface Request {
  readonly requestId: string
  readonly turnId: string
  readonly status: string
  readonly decisions: ReadonlyArray<string>
}

export type SessionView = Pick<
  Session,
  "status" | "generation" | "provider" | "activeTurnId" | "lastError" | "recovering" | "stopAsked"
>

/** One item as it came, and the session as it was after it. */
export interface Seen {
  readonly at: number
  readonly item: Item
  readonly session: SessionView
}

const historyMax = 200_000

/** Subscribes and resolves once the server says that everything up to now was told. */
export const openView = async (
  client: Client,
  threadId: string,
  options: { readonly tail?: number } = {}
) => {
  const view = new View(threadId)
  await view.attach(client, options)
  return view
}

export class View {
  readonly threadId: string
  /** What was told, joined; null before the first snapshot and after a reset. */
  fold: ThreadFold | null = null
  /** From the first `synchronized` on. */
  synchronized = false
  /** Everything that was seen, in order, up to a bound far beyond any test. */
  readonly history: Array<Seen> = []
  /** Where the server broke the protocol's word. */
  readonly faults: Array<string> = []
  /** Set once the subscription has ended: null inside when it ended in order. */
  ended: { readonly error: Error | null } | null = null
  private subscription: Subscription<Item> | null = null
  private readonly waiters = new Set<() => void>()

  constructor(threadId: string) {
    this.threadId = threadId
  }

  /** Subscribes, going on from where this view is, and resolves once it is up to date. */
  async attach(client: Client, options: { readonly tail?: number } = {}): Promise<void> {
    await this.close()
    const cursor = this.cursor()
    const params = { threadId: this.threadId, ...options, ...(cursor !== null && { after: cursor }) }
    const subscription = await client.subscribe<Item>("orchestration.subscribeThread", params)
    this.subscription = subscription
    this.synchronized = false
    this.ended = null
    void this.read(subscription)
    await this.until((view) => view.synchronized)
  }

  get epoch(): string | null {
    return this.fold?.epoch ?? null
  }

  get version(): number {
    return this.fold?.version ?? 0
  }

  get thread(): ThreadRow | null {
    return this.fold?.thread ?? null
  }

  get session(): SessionView {
    const session = this.fold?.state.session ?? initial.session
    const { activeTurnId, generation, lastError, provider, recovering, status, stopAsked } = session
    return { activeTurnId, generation, lastError, provider, recovering, status, stopAsked }
  }

  get turns(): ReadonlyMap<string, Turn> {
    return new Map(this.fold?.turns.map((row) => [row.turnId, turnOf(row)]))
  }

  /** Those that are open, and those that were closed while this view looked on. */
  get requests(): ReadonlyMap<string, Request> {
    const rows = this.fold === null ? [] : [...this.fold.closedRequests, ...this.fold.requests]
    return new Map(rows.map((row) => [row.requestId, requestOf(row)]))
  }

  get entries(): ReadonlyArray<Shown> {
    return this.fold?.entries.map(shownOf) ?? []
  }

  turn(turnId: string): Turn | undefined {
    const row = this.fold?.turns.find((one) => one.turnId === turnId)
    return row === undefined ? undefined : turnOf(row)
  }

  isSettled(turnId: string): boolean {
    return isSettled(this.turn(turnId)?.state)
  }

  /** What the assistant said in a turn, without what a retry of the provider has replaced. */
  answer(turnId: string): string {
    return this.answers(turnId).join("\n")
  }

  answers(turnId: string): ReadonlyArray<string> {
    return this.entries
      .filter((one) => one.turnId === turnId && one.kind === "assistant" && one.status !== "superseded")
      .map((one) => one.text)
  }

  /** Items and messages of a turn that are still open: none, once it has settled (L5). */
  openIn(turnId: string): ReadonlyArray<Shown> {
    return this.entries.filter((one) => one.turnId === turnId && one.status === "open")
  }

  openRequests(): ReadonlyArray<Request> {
    return [...this.requests.values()].filter((request) => request.status === "open")
  }

  /** Every status the session had, in order, each once until it changed. */
  statuses(): ReadonlyArray<string> {
    const all = this.history.map((seen) => seen.session.status)
    return all.filter((status, index) => status !== all[index - 1])
  }

  /** Where to go on after a reconnect; null before the first snapshot. */
  cursor(): Cursor | null {
    return this.fold === null ? null : cursorOf(this.fold)
  }

  /** Resolves as soon as the predicate holds; rejects at the deadline, or when nothing can come any more. */
  until(predicate: (view: View) => boolean, deadlineMs = 30_000): Promise<void> {
    if (predicate(this)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const finish = (act: () => void) => {
        clearTimeout(timer)
        this.waiters.delete(check)
        act()
      }
      const check = () => {
        try {
          if (predicate(this)) return finish(resolve)
        } catch (error) {
          return finish(() => reject(error))
        }
        if (this.ended !== null) finish(() => reject(this.failure("The subscription has ended")))
      }
      const late = () => finish(() => reject(this.failure(`Not within ${deadlineMs} ms`)))
      const timer = setTimeout(late, deadlineMs)
      this.waiters.add(check)
      check()
    })
  }

  /** Calls the listener after every change until the returned function is called. */
  watch(listener: () => void): () => void {
    this.waiters.add(listener)
    return () => this.waiters.delete(listener)
  }

  /** Resolves with the settled turn. */
  async settled(turnId: string, deadlineMs?: number): Promise<Turn> {
    await this.until((view) => view.isSettled(turnId), deadlineMs)
    return this.turn(turnId)!
  }

  /** Ends the subscription; what was seen stays. */
  async close(): Promise<void> {
    await this.subscription?.cancel()
    this.subscription = null
  }

  private async read(subscription: Subscription<Item>) {
    let error: Error | null = null
    try {
      for await (const item of subscription) if (this.subscription === subscription) this.take(item)
    } catch (reason) {
      error = reason instanceof Error ? reason : new Error(String(reason))
    }
    if (this.subscription !== subscription && this.subscription !== null) return
    this.ended = { error }
    this.wake()
  }

  private take(item: Item) {
    this.join(item)
    this.history.push({ at: Date.now(), item, session: this.session })
    if (this.history.length > historyMax) this.history.shift()
    this.wake()
  }

  private wake() {
    for (const check of this.waiters) check()
  }

  private join(item: Item) {
    const { fault, fold } = joined(this.fold, item as ThreadItem)
    this.fold = fold
    if (item.type === "synchronized") this.synchronized = true
    if (fault !== null) this.faults.push(`${faultWords(fault)} (${item.type})`)
  }

  private failure(what: string): Error {
    const turns = [...this.turns.values()].map((turn) => `${turn.turnId} ${turn.state} ${turn.reason ?? ""}`)
    const last = this.history.slice(-12).map((seen) => JSON.stringify(seen.item).slice(0, 200))
    const lines = [
      `${what}: ${this.ended?.error?.message ?? "the state is not reached"}.`,
      `session ${JSON.stringify(this.session)}`,
      ...turns,
      ...last
    ]
    return new Error(lines.join("\n  "))
  }
}

const turnOf = (row: TurnRow): Turn => ({
  turnId: row.turnId,
  messageId: row.messageId,
  origin: row.origin,
  state: row.state,
  reason: row.reason,
  delivered: row.delivered,
  into: row.into
})

const requestOf = (row: RequestRow): Request => ({
  requestId: row.requestId,
  turnId: row.turnId,
  status: row.status,
  decisions: row.ask.decisions
})

const shownOf = (entry: Entry): Shown => ({
  type: entry.type,
  id: entry.id,
  turnId: entry.turnId,
  kind: entry.type === "message" ? entry.role : entry.kind,
  status: entry.status,
  text: entry.text
})

const faultWords = (fault: Fault): string => {
  switch (fault.type) {
    case "no_snapshot":
      return "something before the snapshot"
    case "version":
      return `version ${fault.got} after ${fault.expected - 1}`
    case "synchronized":
      return `synchronized at ${fault.version}, but ${fault.at} was told`
    case "unknown_item":
      return `a delta for ${fault.itemId}, which was never shown`
    case "hole":
      return `a delta of ${fault.itemId} at ${fault.offset}, but the text ends at ${fault.end}`
    case "unknown_turn":
      return `an event of turn ${fault.turnId}, which was never shown`
    case "settled_again":
      return `turn ${fault.turnId} settled as ${fault.state}, but it was ${fault.was}`
    case "unknown_request":
      return `an event of request ${fault.requestId}, which was never shown`
  }
}
