/**
 * One thread as a client sees it: what its subscription told, joined into a plain read model. It can be
 * attached again after the connection or the server was lost, and then goes on from its cursor.
 *
 * A test waits on it for a state, and afterwards looks at everything that was shown on the way there. It
 * is also a judge of the protocol: a version that is not the next one, a delta that leaves a hole, an
 * event before its snapshot are kept in `faults`.
 */
import type { Entry, RequestRow, ThreadRow, TurnRow } from "@turnkeeper/contracts/Rows"
import type { Cursor, LoggedEvent, ThreadSnapshot } from "@turnkeeper/contracts/Streams"
import { evolve } from "@turnkeeper/domain/thread/evolve"
import { isSettled } from "@turnkeeper/domain/thread/lifecycle"
import { initial } from "@turnkeeper/domain/thread/State"
import type { Session, ThreadInfo, ThreadState } from "@turnkeeper/domain/thread/State"
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
  epoch: string | null = null
  version = 0
  /** From the first `synchronized` on. */
  synchronized = false
  thread: ThreadRow | null = null
  readonly turns = new Map<string, Turn>()
  readonly requests = new Map<string, Request>()
  /** Everything that was seen, in order, up to a bound far beyond any test. */
  readonly history: Array<Seen> = []
  /** Where the server broke the protocol's word. */
  readonly faults: Array<string> = []
  /** Set once the subscription has ended: null inside when it ended in order. */
  ended: { readonly error: Error | null } | null = null
  private state: ThreadState = initial
  private readonly shown = new Map<string, Shown>()
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

  get session(): SessionView {
    const { activeTurnId, generation, lastError, provider, recovering, status, stopAsked } =
      this.state.session
    return { activeTurnId, generation, lastError, provider, recovering, status, stopAsked }
  }

  get entries(): ReadonlyArray<Shown> {
    return [...this.shown.values()]
  }

  turn(turnId: string): Turn | undefined {
    return this.turns.get(turnId)
  }

  isSettled(turnId: string): boolean {
    return isSettled(this.turns.get(turnId)?.state)
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
    if (this.epoch === null) return null
    const open = this.entries.filter((one) => one.status === "open")
    const texts = Object.fromEntries(open.map((one) => [one.id, one.text.length]))
    return { epoch: this.epoch, version: this.version, texts }
  }

  /** Resolves as soon as the predicate holds; rejects at the deadline, or when nothing can come any more. */
  until(predicate: (view: View) => boolean, deadlineMs = 15_000): Promise<void> {
    if (predicate(this)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const finish = (act: () => void) => {
        clearTimeout(timer)
        this.waiters.delete(check)
        act()
      }
      const check = () => {
        if (predicate(this)) return finish(resolve)
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
    return this.turns.get(turnId)!
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
    switch (item.type) {
      case "snapshot":
        return this.restart(item)
      case "reset":
        return this.forget()
      case "synchronized":
        this.epoch = item.epoch
        if (item.version !== this.version)
          this.fault(`synchronized at ${item.version}, but ${this.version} was told`)
        this.synchronized = true
        return
      case "event":
        return this.event(item.version, item.event)
      case "delta":
        return this.delta(item.itemId, item.offset, item.text)
      case "heartbeat":
        return
    }
  }

  private forget() {
    this.state = initial
    this.thread = null
    this.turns.clear()
    this.requests.clear()
    this.shown.clear()
  }

  private restart(snapshot: ThreadSnapshot) {
    this.forget()
    this.epoch = snapshot.epoch
    this.version = snapshot.version
    this.thread = snapshot.thread
    for (const row of snapshot.turns) this.turns.set(row.turnId, turnOf(row))
    for (const row of snapshot.requests) this.requests.set(row.requestId, requestOf(row))
    for (const entry of snapshot.entries) this.shown.set(entry.id, shownOf(entry))
    this.state = { ...initial, info: infoOf(snapshot.thread), session: sessionOf(snapshot) }
  }

  private event(version: number, event: LoggedEvent) {
    if (version !== this.version + 1) this.fault(`version ${version} after ${this.version}`)
    this.version = version
    this.state = evolve(this.state, event)
    switch (event.type) {
      case "turn.queued":
        this.turns.set(event.turnId, {
          turnId: event.turnId,
          messageId: event.messageId,
          origin: "user",
          state: "queued",
          reason: null,
          delivered: null,
          into: null
        })
        return this.show(event.messageId, {
          type: "message",
          turnId: event.turnId,
          kind: "user",
          status: "completed",
          text: event.text
        })
      case "turn.edited": {
        const messageId = this.turns.get(event.turnId)?.messageId
        return messageId === null || messageId === undefined
          ? undefined
          : this.show(messageId, { text: event.text })
      }
      case "turn.send_started":
        return this.changeTurn(event.turnId, { state: "sending" })
      case "turn.requeued":
        return this.changeTurn(event.turnId, { state: "queued" })
      case "turn.started":
        return this.changeTurn(event.turnId, { state: "running" })
      case "turn.adopted":
        this.turns.set(event.turnId, {
          turnId: event.turnId,
          messageId: null,
          origin: "provider",
          state: "running",
          reason: null,
          delivered: null,
          into: null
        })
        return
      case "turn.settled":
        return this.settle(event)
      case "item.started":
        return this.show(event.itemId, {
          ...sortOf(event.kind),
          turnId: event.turnId,
          status: "open",
          text: ""
        })
      case "item.completed":
        return this.show(event.itemId, {
          ...sortOf(event.kind),
          turnId: event.turnId,
          status: event.status,
          text: event.text
        })
      case "request.opened":
        this.requests.set(event.requestId, {
          requestId: event.requestId,
          turnId: event.turnId,
          status: "open",
          decisions: event.ask.decisions
        })
        return
      case "request.answered":
        return this.changeRequest(event.requestId, "answering")
      case "request.answer_failed":
        return this.changeRequest(event.requestId, "open")
      case "request.closed":
        return this.changeRequest(event.requestId, event.status)
    }
  }

  private settle(event: Extract<LoggedEvent, { readonly type: "turn.settled" }>) {
    const before = this.turns.get(event.turnId)?.state
    if (isSettled(before)) this.fault(`turn ${event.turnId} settled as ${event.state}, but it was ${before}`)
    this.changeTurn(event.turnId, {
      state: event.state,
      reason: event.reason,
      delivered: event.delivery,
      into: event.into
    })
  }

  private delta(itemId: string, offset: number, text: string) {
    const entry = this.shown.get(itemId)
    if (entry === undefined) return this.fault(`a delta for ${itemId}, which was never shown`)
    if (offset > entry.text.length)
      this.fault(`a delta of ${itemId} at ${offset}, but the text ends at ${entry.text.length}`)
    // What was completed has its whole text; what lies below the end is a double.
    if (entry.status !== "open") return
    this.shown.set(itemId, { ...entry, text: entry.text.slice(0, offset) + text })
  }

  private show(id: string, change: Partial<Shown>) {
    const before: Shown = this.shown.get(id) ?? {
      type: "item",
      id,
      turnId: null,
      kind: "unknown",
      status: "open",
      text: ""
    }
    this.shown.set(id, { ...before, ...change })
  }

  private changeTurn(turnId: string, change: Partial<Turn>) {
    const turn = this.turns.get(turnId)
    // A snapshot shows every open turn, and a settled one changes no more.
    if (turn === undefined) return this.fault(`an event of turn ${turnId}, which was never shown`)
    this.turns.set(turnId, { ...turn, ...change })
  }

  private changeRequest(requestId: string, status: string) {
    const request = this.requests.get(requestId)
    if (request === undefined) return this.fault(`an event of request ${requestId}, which was never shown`)
    this.requests.set(requestId, { ...request, status })
  }

  private fault(what: string) {
    this.faults.push(what)
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

const sortOf = (kind: string): Pick<Shown, "type" | "kind"> => {
  if (kind === "assistant_message") return { type: "message", kind: "assistant" }
  if (kind === "reasoning") return { type: "message", kind: "reasoning" }
  return { type: "item", kind }
}

const infoOf = (thread: ThreadRow): ThreadInfo => ({
  projectId: thread.projectId,
  title: thread.title,
  provider: thread.provider,
  model: thread.model,
  runtimeMode: thread.runtimeMode === "unknown" ? "approval_required" : thread.runtimeMode,
  interactionMode: thread.interactionMode === "unknown" ? "default" : thread.interactionMode,
  cwd: thread.cwd,
  archived: thread.archivedAt !== null,
  deleted: thread.deletedAt !== null
})

/**
 * The session's row in the words of the kernel, so that the kernel's own `evolve` carries it on. Whether
 * the generation is open is not told; for what a client sees only a stopped session differs.
 */
const sessionOf = ({ session, thread }: ThreadSnapshot): Session => ({
  ...initial.session,
  status: session.status === "unknown" ? "stopped" : session.status,
  generation: session.generation,
  open: session.status !== "stopped",
  provider: session.provider ?? thread.provider,
  activeTurnId: session.activeTurnId,
  lastError: session.lastError,
  recovering: session.recovering,
  stopAsked: session.stopping as Session["stopAsked"]
})
