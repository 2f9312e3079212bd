import { afterEach, describe, expect, it } from "vitest"
import { openView, View } from "../src/View.ts"
import { startPeer } from "./fixtures/peer.ts"

const open: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close()
})

const session = {
  threadId: "t",
  status: "ready",
  generation: 1,
  provider: "codex",
  activeTurnId: null,
  lastError: null,
  recovering: null,
  stopping: null
}
const snapshot = {
  type: "snapshot",
  epoch: "e",
  version: 10,
  thread: { threadId: "t", provider: "codex" },
  session,
  turns: [],
  requests: [],
  entries: [],
  before: null
}
const synchronized = { type: "synchronized", epoch: "e", version: 10 }
const turn = { type: "turn.queued", turnId: "a", messageId: "m", text: "Hello", delivery: "queue" }
const started = { type: "turn.started", turnId: "a", providerTurnId: null }
const item = { type: "item.started", itemId: "a/1", turnId: "a", kind: "assistant_message" }
const settled = {
  type: "turn.settled",
  turnId: "a",
  state: "completed",
  reason: null,
  delivery: "delivered",
  into: null
}

/** Events of the thread at the versions behind the snapshot. */
const events = (...all: ReadonlyArray<object>) =>
  all.map((event, index) => ({ type: "event", version: 11 + index, sequence: 1, at: 0, event }))

/** A server that sends these batches, one per subscription, and remembers what was asked. */
const server = async (...batches: ReadonlyArray<ReadonlyArray<object>>) => {
  const asked: Array<unknown> = []
  const says: Array<(...items: ReadonlyArray<object>) => void> = []
  const peer = await startPeer(({ method, params }, line) => {
    if (method === "unsubscribe") return line.result({})
    asked.push(params)
    const subscription = `s${asked.length}`
    line.result({ subscription })
    const say = (...items: ReadonlyArray<object>) => line.notify("subscription", { subscription, items })
    say(...(batches[asked.length - 1] ?? []))
    says.push(say)
  })
  open.push(peer.close)
  const client = await peer.dial()
  return { client, asked, say: (...items: ReadonlyArray<object>) => says.at(-1)!(...items) }
}

describe("a view of a thread", () => {
  it("joins the snapshot, the events and the streamed text into what a client shows", async () => {
    const { client, say } = await server([snapshot, synchronized])
    const view = await openView(client, "t")
    expect(view.session.status).toBe("ready")
    say(
      ...events(turn, started, item),
      { type: "delta", itemId: "a/1", offset: 0, text: "Good " },
      { type: "delta", itemId: "a/1", offset: 3, text: "d day" }
    )
    await view.until((one) => one.answer("a") === "Good day")
    expect(view.session).toMatchObject({ status: "running", activeTurnId: "a" })
    expect(view.entries.map((entry) => [entry.kind, entry.text])).toEqual([
      ["user", "Hello"],
      ["assistant", "Good day"]
    ])
    expect(view.openIn("a").map((entry) => entry.id)).toEqual(["a/1"])
    expect(view.faults).toEqual([])
  })

  it("a completion replaces what was streamed, and what was superseded is no answer", async () => {
    const completed = { type: "item.completed", turnId: "a", kind: "assistant_message" }
    const { client } = await server([
      snapshot,
      synchronized,
      ...events(
        turn,
        started,
        item,
        { ...completed, itemId: "a/1", status: "superseded", text: "Half" },
        { ...item, itemId: "a/2" },
        { ...completed, itemId: "a/2", status: "completed", text: "Whole" },
        settled
      )
    ])
    const view = await openView(client, "t")
    expect(await view.settled("a")).toMatchObject({ state: "completed", delivered: "delivered" })
    expect(view.answers("a")).toEqual(["Whole"])
    expect(view.openIn("a")).toEqual([])
    expect(view.statuses()).toEqual(["ready", "running", "ready"])
  })

  it("goes on from where it was when it is attached again", async () => {
    const first = [snapshot, synchronized, ...events(turn, started, item)]
    const delta = { type: "delta", itemId: "a/1", offset: 0, text: "Good" }
    const more = { type: "event", version: 14, sequence: 9, at: 0, event: settled }
    const { asked, client } = await server([...first, delta], [more, { ...synchronized, version: 14 }])
    const view = await openView(client, "t", { tail: 5 })
    await view.until((one) => one.answer("a") === "Good")
    await view.attach(client)
    expect(asked).toEqual([
      { threadId: "t", tail: 5 },
      { threadId: "t", after: { epoch: "e", version: 13, texts: { "a/1": 4 } } }
    ])
    expect(view.turn("a")?.state).toBe("completed")
    expect(view.faults).toEqual([])
  })

  it("takes a snapshot after a reset for everything there is", async () => {
    const { client } = await server(
      [snapshot, synchronized, ...events(turn)],
      [
        { type: "reset", reason: "unknown_epoch" },
        { ...snapshot, epoch: "f", version: 2 },
        { ...synchronized, version: 2 }
      ]
    )
    const view = await openView(client, "t")
    await view.until((one) => one.turn("a") !== undefined)
    await view.attach(client)
    expect(view.turns.size).toBe(0)
    expect(view.version).toBe(2)
  })

  it("keeps requests until they are closed", async () => {
    const { client, say } = await server([snapshot, synchronized, ...events(turn, started)])
    const view = await openView(client, "t")
    const opened = { type: "request.opened", requestId: "1/x", turnId: "a", ask: { decisions: ["accept"] } }
    const closed = { type: "request.closed", requestId: "1/x", turnId: "a", status: "answered", reason: null }
    say({ type: "event", version: 13, sequence: 1, at: 0, event: opened })
    await view.until((one) => one.openRequests().length === 1)
    expect(view.openRequests()[0]).toMatchObject({ decisions: ["accept"] })
    say({ type: "event", version: 14, sequence: 1, at: 0, event: closed })
    await view.until((one) => one.openRequests().length === 0)
  })

  it.each<readonly [string, object, string]>([
    [
      "a version that is not the next one",
      { type: "event", version: 12, sequence: 1, at: 0, event: turn },
      "version 12"
    ],
    ["a delta of nothing", { type: "delta", itemId: "x", offset: 0, text: "" }, "never shown"],
    ["an event of an unknown turn", events(started)[0]!, "never shown"],
    ["a synchronized that comes too early", { ...synchronized, version: 12 }, "synchronized at 12"]
  ])("calls it a fault: %s", async (_, wrong, words) => {
    const { client } = await server([snapshot, synchronized, wrong])
    const view = await openView(client, "t")
    await view.until((one) => one.faults.length > 0)
    expect(view.faults).toEqual([expect.stringContaining(words)])
  })

  it("calls a hole in the text and a second end of a turn a fault", async () => {
    const { client } = await server([
      snapshot,
      synchronized,
      ...events(turn, started, item),
      { type: "delta", itemId: "a/1", offset: 4, text: "x" },
      { type: "event", version: 14, sequence: 1, at: 0, event: settled },
      { type: "event", version: 15, sequence: 1, at: 0, event: { ...settled, state: "error" } }
    ])
    const view = await openView(client, "t")
    await view.until((one) => one.faults.length === 2)
    expect(view.faults).toEqual([
      expect.stringContaining("the text ends at 0"),
      expect.stringContaining("was completed")
    ])
  })

  it("does not wait for ever: it says what there is instead", async () => {
    const { client } = await server([snapshot, synchronized])
    const view = await openView(client, "t")
    await expect(view.until(() => false, 1)).rejects.toThrow(/Not within 1 ms[\s\S]*"status":"ready"/)
    const waiting = expect(view.until(() => false)).rejects.toThrow("has ended")
    client.cut()
    await waiting
  })

  it("shows nothing before it is attached", () => {
    const view = new View("t")
    expect(view.cursor()).toBeNull()
    expect(view.entries).toEqual([])
  })
})
