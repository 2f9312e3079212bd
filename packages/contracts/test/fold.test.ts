import { describe, expect, it } from "vitest"
import { closedRequestsMax, cursorOf, fromSnapshot, joined, withOlder } from "../src/Fold.ts"
import type { ThreadFold } from "../src/Fold.ts"
import type { ThreadItem, ThreadSnapshot } from "../src/Streams.ts"

const text = (id: string, position: number, turnId = "old", status = "completed") => ({
  type: "message",
  id,
  threadId: "t",
  turnId,
  role: "assistant",
  status,
  text: `${id}!`,
  attachments: [],
  position,
  createdAt: 1,
  completedAt: status === "open" ? null : 2
})
const turn = (turnId: string, state: string, ordinal: number) => ({
  turnId,
  threadId: "t",
  messageId: `m-${turnId}`,
  origin: "user",
  state,
  providerTurnId: null,
  delivery: "queue",
  delivered: null,
  reason: null,
  into: null,
  interruptAskedAt: null,
  quiet: null,
  retryOf: null,
  provider: "p",
  model: null,
  runtimeMode: "read_only",
  interactionMode: "default",
  queuedAt: 1,
  startedAt: null,
  settledAt: null,
  ordinal
})
const session = {
  threadId: "t",
  status: "ready",
  generation: 1,
  provider: "p",
  activeTurnId: null,
  lastError: null,
  recovering: null,
  stopping: null,
  updatedAt: 1
}
const thread = {
  threadId: "t",
  projectId: "x",
  title: "T",
  provider: "p",
  model: null,
  runtimeMode: "read_only",
  interactionMode: "default",
  cwd: null,
  archivedAt: null,
  deletedAt: null,
  sessionStatus: "ready",
  lastError: null,
  recovering: null,
  stopping: null,
  latestTurn: null,
  activeTurn: null,
  openRequests: 0,
  queuedTurns: 0,
  lastActivityAt: 1,
  createdAt: 1,
  version: 10
}
const snapshot = (change: object = {}) =>
  ({
    type: "snapshot",
    epoch: "e",
    version: 10,
    thread,
    session,
    requests: [],
    before: 5,
    turns: [turn("old", "completed", 1)],
    entries: [text("a", 5), text("b", 6)],
    ...change
  }) as unknown as ThreadSnapshot

const start = fromSnapshot(snapshot())
const after = (fold: ThreadFold | null, ...items: ReadonlyArray<object>): ThreadFold =>
  items.reduce<ThreadFold | null>((one, item) => joined(one, item as ThreadItem).fold, fold)!
const event = (version: number, body: object) => ({
  type: "event",
  version,
  sequence: version,
  at: 99,
  event: body
})
const queued = (turnId: string, delivery = "queue", interrupts: string | null = null) => ({
  type: "turn.queued",
  turnId,
  messageId: `m-${turnId}`,
  text: turnId,
  attachments: [],
  delivery,
  provider: "p",
  model: null,
  runtimeMode: "read_only",
  interactionMode: "default",
  interrupts,
  retryOf: null,
  at: 3
})

describe("a fold", () => {
  it("leaves every row that an item does not touch the same object", () => {
    const open = fromSnapshot(snapshot({ entries: [text("a", 5), text("b", 6, "old", "open")] }))
    const delta = { type: "delta", itemId: "b", offset: 2, text: " more" }
    const fold = after(open, delta, event(11, queued("new")))
    expect(fold.entries[0]).toBe(open.entries[0])
    expect(fold.entries.map((entry) => entry.text)).toEqual(["a!", "b! more", "new"])
    expect(fold.turns[0]).toBe(open.turns[0])
    expect(fold.thread).toMatchObject({ version: 11, queuedTurns: 1, latestTurn: { turnId: "new" } })
    expect(cursorOf(fold)).toEqual({ epoch: "e", version: 11, texts: { b: 7 } })
  })

  it("only moves its version over an event that it does not know", () => {
    const fold = after(start, event(11, { type: "unknown" }))
    expect(fold).toEqual({ ...start, version: 11 })
    expect(joined(fold, event(13, { type: "unknown" }) as ThreadItem)).toEqual({
      fold,
      fault: { type: "version", expected: 12, got: 13 }
    })
  })

  it("L3: changes nothing of a turn that has settled", () => {
    const settled = {
      type: "turn.settled",
      turnId: "old",
      state: "error",
      reason: "r",
      delivery: "unknown",
      into: null
    }
    const { fault, fold } = joined(start, event(11, settled) as ThreadItem)
    expect(fold?.turns[0]).toBe(start.turns[0])
    expect(fault).toMatchObject({ type: "settled_again", was: "completed" })
  })

  it("L5: closes what is open in a turn that settles, whatever its events said", () => {
    const settled = {
      type: "turn.settled",
      turnId: "new",
      state: "interrupted",
      reason: "r",
      delivery: "delivered",
      into: null
    }
    const request = { type: "request.opened", requestId: "1/x", turnId: "new", kind: "question", ask: {} }
    const item = {
      type: "item.started",
      itemId: "new/1",
      turnId: "new",
      kind: "command",
      title: "ls",
      detail: {}
    }
    const fold = after(
      start,
      event(11, queued("new")),
      event(12, request),
      event(13, item),
      event(14, settled)
    )
    expect(fold.requests).toEqual([])
    expect(fold.closedRequests).toMatchObject([{ requestId: "1/x", status: "expired", closedAt: 99 }])
    expect(fold.entries.at(-1)).toMatchObject({ id: "new/1", status: "interrupted", completedAt: 99 })
  })

  it("shows the queue in the order in which the kernel will run it, and each settled turn in its own place", () => {
    const cancelled = (turnId: string) => ({
      type: "turn.settled",
      turnId,
      state: "cancelled",
      reason: "r",
      delivery: "not_delivered",
      into: null
    })
    const fold = after(
      start,
      event(11, queued("one")),
      event(12, queued("two")),
      event(13, queued("urgent", "interrupt", "x"))
    )
    const order = (one: ThreadFold) => one.turns.map((row) => [row.turnId, row.ordinal])
    expect(order(fold)).toEqual([
      ["old", 1],
      ["urgent", 11],
      ["one", 12],
      ["two", 13]
    ])
    expect(order(after(fold, event(14, cancelled("urgent"))))).toEqual([
      ["old", 1],
      ["one", 11],
      ["two", 12],
      ["urgent", 13]
    ])
  })

  it("keeps older pages over a later snapshot that joins them, and only then", () => {
    const older = { entries: [text("y", 3), text("z", 4)], before: 3 } as never
    const whole = withOlder(start, older)
    expect(whole.entries.map((entry) => entry.id)).toEqual(["y", "z", "a", "b"])
    const later = { version: 20, entries: [text("b", 6), text("c", 15)], before: 6 }
    const joins = after(whole, snapshot(later))
    expect(joins.entries.map((entry) => entry.id)).toEqual(["y", "z", "a", "b", "c"])
    expect(joins.entries[3]).toBe(whole.entries[3])
    expect(joins.before).toBe(3)

    const far = after(whole, snapshot({ version: 90, entries: [text("k", 80)], before: 80 }))
    expect(far.entries.map((entry) => entry.id)).toEqual(["k"])
    expect(far.before).toBe(80)
    const elsewhere = after(whole, snapshot({ ...later, epoch: "other" }))
    expect(elsewhere.entries.map((entry) => entry.id)).toEqual(["b", "c"])
  })

  it("takes the turns of an older page, and keeps what it knows of a turn itself", () => {
    const turns = [turn("older", "error", 0), turn("old", "running", 1), turn("odd", "queued", 2)]
    const whole = withOlder(start, { entries: [text("z", 4, "older")], before: null, turns } as never)
    expect(whole.turns.map((row) => [row.turnId, row.state])).toEqual([
      ["older", "error"],
      ["old", "completed"]
    ])
    expect(whole.turns[1]).toBe(start.turns[0])
    // Over a later snapshot that joins the pages.
    const later = snapshot({ version: 20, entries: [text("b", 6), text("c", 15)], before: 6 })
    expect(after(whole, later).turns.map((row) => row.turnId)).toEqual(["older", "old"])
    // Of a server that tells none.
    const untold = { entries: [text("z", 4, "older")], before: null } as never
    expect(withOlder(start, untold).turns).toBe(start.turns)
  })

  it("adds up what a turn uses, until it has settled", () => {
    const usage = { inputTokens: 10, cachedInputTokens: 4, outputTokens: 2, reasoningTokens: 1, costUsd: 0.1 }
    const used = (turnId: string) => ({ type: "usage.reported", turnId, usage })
    const fold = after(start, event(11, queued("new")), event(12, used("new")), event(13, used("new")))
    expect(fold.turns[1]?.usage).toEqual({
      inputTokens: 20,
      cachedInputTokens: 8,
      outputTokens: 4,
      reasoningTokens: 2,
      costMicroUsd: 200_000
    })
    expect(after(fold, event(14, used("old"))).turns[0]).toBe(start.turns[0])
  })

  it("says since when a turn is quiet: since it was first found so", () => {
    const at = (version: number, body: object) => ({ ...event(version, body), at: version * 10 })
    const quiet = (version: number, quiet: string | null) =>
      at(version, { type: "turn.quiet", turnId: "new", quiet })
    const sinceOf = (fold: ThreadFold) => fold.turns.find((row) => row.turnId === "new")?.quietSince
    const fold = after(start, event(11, queued("new")))
    expect(sinceOf(fold)).toBeNull()
    const alive = after(fold, quiet(12, "asking"), quiet(13, "alive"))
    expect(sinceOf(alive)).toBe(120)
    const speaks = after(alive, quiet(14, null))
    expect(sinceOf(speaks)).toBeNull()
    const again = after(speaks, quiet(15, "asking"))
    expect(sinceOf(again)).toBe(150)
    const end = { type: "turn.settled", turnId: "new", state: "completed", reason: null, into: null }
    expect(sinceOf(after(again, at(16, { ...end, delivery: "delivered" })))).toBeNull()
  })

  it("shows the silence of the turn that runs in the thread's row", () => {
    const running = { ...turn("new", "running", 11), startedAt: 5 }
    const busy = snapshot({ turns: [running], session: { ...session, activeTurnId: "new" } })
    const quiet = { type: "turn.quiet", turnId: "new", quiet: "asking" }
    const fold = after(fromSnapshot(busy), event(11, quiet))
    expect(fold.thread.activeTurn).toMatchObject({ quiet: "asking", quietSince: 99 })
  })

  it("says who answered a request, where the answer comes with a name", () => {
    const request = { type: "request.opened", requestId: "1/x", turnId: "old", kind: "question", ask: {} }
    const answered = {
      type: "request.answered",
      requestId: "1/x",
      answer: { decision: "accept", answers: {} }
    }
    const failed = { type: "request.answer_failed", requestId: "1/x", message: "no" }
    const end = { type: "request.closed", requestId: "1/x", turnId: "old", status: "answered", reason: null }
    const named = after(start, event(11, request), { ...event(12, answered), actor: "A phone" })
    expect(named.requests).toMatchObject([{ status: "answering", answeredBy: "A phone" }])
    expect(after(named, event(13, end)).closedRequests).toMatchObject([{ answeredBy: "A phone" }])
    const open = after(named, event(13, failed))
    expect(open.requests).toMatchObject([{ status: "open", answeredBy: null }])
    expect(after(open, event(14, answered)).requests).toMatchObject([
      { status: "answering", answeredBy: null }
    ])
  })

  it("moves a thread up with what is said and done in it, and with no housekeeping", () => {
    const moves = (body: object) => after(start, event(11, body)).thread.lastActivityAt !== 1
    expect(moves(queued("new"))).toBe(true)
    expect(moves({ type: "request.opened", requestId: "1/x", turnId: "old", ask: {} })).toBe(true)
    expect(moves({ type: "session.stopped", generation: 1, end: "lost", message: null })).toBe(false)
    expect(moves({ type: "thread.updated", title: "Another" })).toBe(false)
    expect(moves({ type: "thread.archived" })).toBe(false)
  })

  it("knows nothing after a reset, and nothing fits before a snapshot", () => {
    expect(after(start, { type: "reset", reason: "unknown_epoch" })).toBeNull()
    expect(joined(null, event(1, queued("one")) as ThreadItem).fault).toEqual({ type: "no_snapshot" })
  })

  it("remembers so many closed requests and no more", () => {
    const many = Array.from({ length: closedRequestsMax + 5 }, (_, index) => [
      { type: "request.opened", requestId: `1/${index}`, turnId: "old", kind: "question", ask: {} },
      { type: "request.closed", requestId: `1/${index}`, turnId: "old", status: "answered", reason: null }
    ]).flat()
    const fold = after(start, ...many.map((one, index) => event(11 + index, one)))
    expect(fold.closedRequests).toHaveLength(closedRequestsMax)
    expect(fold.closedRequests.at(-1)?.requestId).toBe(`1/${closedRequestsMax + 4}`)
  })
})
