/** Subscriptions: nothing missed, nothing twice, whatever the client does. */
import { NodeWS } from "@effect/platform-node"
import { expect, layer } from "@effect/vitest"
import { limits } from "@turnkeeper/contracts/Limits"
import type { ShellCursor, ShellItem, ThreadItem } from "@turnkeeper/contracts/Streams"
import { ProjectId } from "@turnkeeper/domain/ids"
import type { ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { Effect, Exit, Fiber, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Commit } from "../../src/engine/Commit.ts"
import { Feed } from "../../src/engine/Feed.ts"
import { Projects } from "../../src/projection/Projects.ts"
import { Threads } from "../../src/projection/Threads.ts"
import { ThreadView } from "../../src/projection/ThreadView.ts"
import * as Listen from "../../src/rpc/Listen.ts"
import { shellGapEvents, shellSubscription } from "../../src/rpc/ShellSubscription.ts"
import { threadSubscription } from "../../src/rpc/ThreadSubscription.ts"
import { Meta } from "../../src/store/Meta.ts"
import {
  appended,
  asked,
  author,
  begun,
  created,
  ended,
  itemId,
  next,
  project,
  projectChange,
  queued,
  sent,
  settled,
  starting,
  sessionStarted
} from "../store/fixtures.ts"
import type { Author } from "../store/fixtures.ts"
import { bearer, client, jsonRpc, server, until } from "./harness.ts"

const commit = (thread: Author, ...events: ReadonlyArray<ThreadEvent>) =>
  Effect.flatMap(Commit, (door) => door.submit(next(thread, events)))

/** A thread with a turn that runs and has begun its answer: version 7, item 1 open. */
const running = Effect.fnUntraced(function* (name: string) {
  const thread = author(name)
  yield* commit(
    thread,
    created,
    queued("t1", "Hello"),
    starting,
    sessionStarted,
    ...sent("t1"),
    begun("t1", 1)
  )
  return thread
})

const isSynchronized = (item: ThreadItem) => item.type === "synchronized"
const versionsOf = (items: ReadonlyArray<ThreadItem>) =>
  items.flatMap((item) => (item.type === "event" ? [item.version] : []))
/** The text of an item as a client that trusts offsets has it. */
const textOf = (items: ReadonlyArray<ThreadItem>, id: string) => {
  let text = ""
  for (const item of items) {
    if (item.type === "snapshot") text = item.entries.find((entry) => entry.id === id)?.text ?? text
    if (item.type !== "delta" || item.itemId !== id) continue
    expect(item.offset).toBeLessThanOrEqual(text.length)
    text = text.slice(0, item.offset) + item.text
  }
  return text
}

/** The subscription as the handler has it, pulled by the test. */
const subscribe = Effect.fnUntraced(function* (thread: Author, after?: { epoch: string; version: number }) {
  const source = { feed: yield* Feed, view: yield* ThreadView, epoch: (yield* Meta).epoch }
  const input = { threadId: thread.id, ...(after !== undefined && { after }) }
  return threadSubscription(source, input)
})

layer(server())("a thread's subscription", (it) => {
  it.effect("gives a snapshot, says when it is live, then every version once and in order", () =>
    Effect.gen(function* () {
      const thread = yield* running("live")
      yield* commit(thread, appended("t1", 1, 0, "Hel"))
      const rpc = yield* client
      const received = yield* Queue.unbounded<ThreadItem>()
      yield* rpc["orchestration.subscribeThread"]({ threadId: thread.id }).pipe(
        Stream.runForEach((item) => Queue.offer(received, item)),
        Effect.forkScoped
      )
      const [snapshot, synchronized] = [yield* Queue.take(received), yield* Queue.take(received)]
      expect(snapshot).toMatchObject({
        type: "snapshot",
        version: 7,
        session: { status: "running" },
        turns: [{ turnId: "t1", state: "running" }],
        before: null
      })
      expect(synchronized).toMatchObject({ type: "synchronized", version: 7 })

      yield* commit(thread, appended("t1", 1, 3, "lo"))
      yield* commit(thread, asked("t1", "r1"))
      yield* commit(thread, ended("t1", 1, "Hello"), settled("t1"))
      const live = yield* Effect.forEach([1, 2, 3, 4], () => Queue.take(received))
      expect(live.map((item) => item.type)).toEqual(["delta", "event", "event", "event"])
      expect(versionsOf(live)).toEqual([8, 9, 10])
      expect(textOf([snapshot, ...live], itemId("t1", 1))).toBe("Hello")
    })
  )

  it.effect("goes on from a version: the missed events, the missed text, and no snapshot", () =>
    Effect.gen(function* () {
      const thread = yield* running("resume")
      yield* commit(thread, appended("t1", 1, 0, "One "))
      const { epoch } = yield* Meta
      yield* commit(thread, begun("t1", 2), appended("t1", 1, 4, "two"), appended("t1", 2, 0, "Other"))
      const rpc = yield* client
      const texts = { [itemId("t1", 1)]: 4 }
      const items = yield* until(isSynchronized)(
        rpc["orchestration.subscribeThread"]({ threadId: thread.id, after: { epoch, version: 7, texts } })
      )
      expect(items.map((item) => item.type)).toEqual(["event", "delta", "delta", "synchronized"])
      expect(versionsOf(items)).toEqual([8])
      expect(items).toContainEqual({ type: "delta", itemId: itemId("t1", 1), offset: 4, text: "two" })
      expect(items).toContainEqual({ type: "delta", itemId: itemId("t1", 2), offset: 0, text: "Other" })
    })
  )

  it.effect(
    "a client that resumes without saying what text it has gets all of it, also of a silent item",
    () =>
      Effect.gen(function* () {
        const thread = yield* running("silent")
        const { epoch } = yield* Meta
        const stream = yield* subscribe(thread, { epoch, version: 7 })
        const received = yield* Queue.unbounded<ThreadItem>()
        yield* Effect.forkScoped(Stream.runForEach(stream, (item) => Queue.offer(received, item)))
        expect((yield* Queue.take(received)).type).toBe("synchronized")
        yield* commit(thread, appended("t1", 1, 0, "First words"))
        expect(yield* Queue.take(received)).toEqual({
          type: "delta",
          itemId: itemId("t1", 1),
          offset: 0,
          text: "First words"
        })
      })
  )

  it.effect("a version of another database is a reset with its reason, then a snapshot", () =>
    Effect.gen(function* () {
      const thread = yield* running("epoch")
      const rpc = yield* client
      const items = yield* until(isSynchronized)(
        rpc["orchestration.subscribeThread"]({ threadId: thread.id, after: { epoch: "another", version: 3 } })
      )
      expect(items.map((item) => item.type)).toEqual(["reset", "snapshot", "synchronized"])
      expect(items[0]).toMatchObject({ reason: "unknown_epoch" })
    })
  )

  it.effect("a version that was never given out is a reset too", () =>
    Effect.gen(function* () {
      const thread = yield* running("ahead")
      const { epoch } = yield* Meta
      const rpc = yield* client
      const items = yield* until(isSynchronized)(
        rpc["orchestration.subscribeThread"]({ threadId: thread.id, after: { epoch, version: 99 } })
      )
      expect(items.map((item) => item.type)).toEqual(["reset", "snapshot", "synchronized"])
      expect(items[0]).toMatchObject({ reason: "version_ahead" })
    })
  )

  it.effect("a gap that is too wide is answered with a snapshot", () =>
    Effect.gen(function* () {
      const thread = yield* running("wide")
      const { epoch } = yield* Meta
      const notices = Array.from({ length: limits.gapEvents + 1 }, (_, n) => notice(`n${n}`))
      yield* commit(thread, ...notices)
      const rpc = yield* client
      const items = yield* until(isSynchronized)(
        rpc["orchestration.subscribeThread"]({ threadId: thread.id, after: { epoch, version: 7 } })
      )
      expect(items.map((item) => item.type)).toEqual(["snapshot", "synchronized"])
    })
  )

  it.effect("a client that reads too slowly reads again from where it is, without a gap", () =>
    Effect.gen(function* () {
      const thread = yield* running("slow")
      const pull = yield* Stream.toPull(yield* subscribe(thread))
      const items: Array<ThreadItem> = [...(yield* pull)]
      for (let n = 0; n < 30; n++) {
        yield* commit(thread, ...Array.from({ length: 50 }, (_, k) => notice(`${n}.${k}`)))
        yield* commit(thread, appended("t1", 1, n * 2, "ab"))
      }
      while (!items.some((item) => item.type === "synchronized" && item.version === thread.version)) {
        items.push(...(yield* pull))
      }
      // It fell behind by more than a client should catch up: everything anew, and then live again.
      const at = items.findLastIndex((item) => item.type === "snapshot")
      expect(at).toBeGreaterThan(0)
      expect(textOf(items, itemId("t1", 1))).toBe("ab".repeat(30))
      yield* commit(thread, notice("after"))
      expect(versionsOf(yield* pull)).toEqual([thread.version])
    })
  )

  it.effect("a feed that overflows within the gap is caught up event by event", () =>
    Effect.gen(function* () {
      const thread = yield* running("burst")
      const pull = yield* Stream.toPull(yield* subscribe(thread))
      const items: Array<ThreadItem> = [...(yield* pull)]
      const base = thread.version
      // Text overflows the feed without making a gap of events.
      for (let n = 0; n < 1_200; n++) yield* commit(thread, appended("t1", 1, n, "x"))
      yield* commit(thread, notice("one"), notice("two"))
      while (versionsOf(items).at(-1) !== thread.version || textOf(items, itemId("t1", 1)).length < 1_200) {
        items.push(...(yield* pull))
      }
      expect(versionsOf(items)).toEqual([base + 1, base + 2])
      expect(items.filter((item) => item.type === "snapshot").length).toBe(1)
      expect(textOf(items, itemId("t1", 1))).toBe("x".repeat(1_200))
    })
  )

  it.effect("all who follow are handed the same item, so that it is encoded once", () =>
    Effect.gen(function* () {
      const thread = yield* running("shared")
      const pulls = [
        yield* Stream.toPull(yield* subscribe(thread)),
        yield* Stream.toPull(yield* subscribe(thread))
      ]
      yield* Effect.forEach(pulls, (pull) => pull)
      yield* commit(thread, appended("t1", 1, 0, "Hel"), notice("one"))
      const [mine = [], theirs = []] = yield* Effect.forEach(pulls, (pull) => pull)
      expect(mine.map((item) => item.type)).toEqual(["delta", "event"])
      for (const [n, item] of mine.entries()) expect(theirs[n]).toBe(item)
    })
  )

  it.effect("a heartbeat comes when nothing else does", () =>
    Effect.gen(function* () {
      const thread = yield* running("quiet")
      const pull = yield* Stream.toPull(yield* subscribe(thread))
      yield* pull
      const waiting = yield* Effect.forkChild(pull)
      yield* TestClock.adjust(limits.heartbeatMillis)
      expect(yield* Fiber.join(waiting)).toMatchObject([{ type: "heartbeat" }])
    })
  )

  it.effect("of a thread that does not exist is a typed error on both transports", () =>
    Effect.gen(function* () {
      const rpc = yield* client
      const none = author("none")
      const error = yield* Effect.flip(
        Stream.runDrain(rpc["orchestration.subscribeThread"]({ threadId: none.id }))
      )
      expect(error._tag).toBe("ThreadNotFound")
      const { call } = yield* jsonRpc
      const reply = yield* call("orchestration.subscribeThread", { threadId: "none" })
      expect(reply.error).toMatchObject({ code: -32000, data: { _tag: "ThreadNotFound", threadId: "none" } })
    })
  )

  it.effect("history gives the entries before the snapshot's cursor, and says when there are no more", () =>
    Effect.gen(function* () {
      const thread = yield* running("pages")
      yield* commit(thread, ...Array.from({ length: 20 }, (_, n) => notice(`n${n}`)))
      const rpc = yield* client
      const [snapshot] = yield* until(isSynchronized)(
        rpc["orchestration.subscribeThread"]({ threadId: thread.id, tail: 5 })
      )
      if (snapshot?.type !== "snapshot") throw new Error("expected a snapshot")
      const positions = snapshot.entries.map((entry) => entry.position)
      let before = snapshot.before
      while (before !== null) {
        const page = yield* rpc["orchestration.history"]({ threadId: thread.id, before, limit: 7 })
        expect(page.entries.length).toBeLessThanOrEqual(7)
        positions.push(...page.entries.map((entry) => entry.position))
        before = page.before
      }
      // The prompt, the open answer and the notices; each once, though the open one is in the snapshot.
      expect(new Set(positions).size).toBe(22)
    })
  )
})

const notice = (message: string): ThreadEvent => ({ type: "notice.recorded", turnId: null, message })

layer(server())("subscriptions of JSON-RPC", (it) => {
  it.effect("are named in the answer, come in batches and end when they are given up", () =>
    Effect.gen(function* () {
      const thread = yield* running("json")
      const { call, next: take } = yield* jsonRpc
      const { result } = yield* call("orchestration.subscribeThread", { threadId: thread.id })
      const first = yield* take
      expect(first).toMatchObject({ method: "subscription", params: { subscription: result.subscription } })
      expect(first.params.items.map((item: ThreadItem) => item.type)).toEqual(["snapshot", "synchronized"])
      yield* commit(thread, appended("t1", 1, 0, "Hi"))
      expect((yield* take).params.items).toEqual([
        { type: "delta", itemId: itemId("t1", 1), offset: 0, text: "Hi" }
      ])

      const { subscription } = result
      const messages = [yield* call("unsubscribe", { subscription }), yield* take]
      expect(messages).toContainEqual(expect.objectContaining({ result: { unsubscribed: true } }))
      expect(messages).toContainEqual({
        jsonrpc: "2.0",
        method: "subscription.end",
        params: { subscription }
      })
      yield* commit(thread, appended("t1", 1, 2, " there"))
      expect((yield* call("unsubscribe", { subscription })).result).toEqual({ unsubscribed: false })
    })
  )

  it.effect("are bounded per connection, with a typed error; another connection has its own", () =>
    Effect.gen(function* () {
      const thread = yield* running("many")
      const { send, next: take } = yield* jsonRpc
      const subscribing = (id: number) => ({
        jsonrpc: "2.0",
        id,
        method: "orchestration.subscribeThread",
        params: { threadId: thread.id }
      })
      for (let id = 1; id <= limits.subscriptions; id++) yield* send(subscribing(id))
      let answered = 0
      while (answered < limits.subscriptions) if ((yield* take).result !== undefined) answered += 1
      yield* send(subscribing(999))
      let refused = yield* take
      while (refused.id !== 999) refused = yield* take
      expect(refused.error?.data).toEqual({ _tag: "TooManySubscriptions", limit: limits.subscriptions })
      const other = yield* jsonRpc
      const { result } = yield* other.call("orchestration.subscribeThread", { threadId: thread.id })
      expect(result.subscription).toBeDefined()
    })
  )

  it.effect(
    "D8: a client that does not read is not fed without bound, disturbs nobody and misses nothing",
    () =>
      Effect.gen(function* () {
        const thread = yield* running("stalled")
        const stalled = yield* stallableSocket
        yield* stalled.send({
          jsonrpc: "2.0",
          id: 1,
          method: "orchestration.subscribeThread",
          params: { threadId: thread.id }
        })
        yield* stalled.until((items) => items.some(isSynchronized))
        stalled.pause()
        // Far more than the sockets' buffers, the backlog and the feed hold together.
        const large = "y".repeat(100_000)
        for (let n = 0; n < 200; n++) yield* commit(thread, notice(`${n} ${large}`))
        const { call } = yield* jsonRpc
        expect((yield* call("server.hello", { protocol: { min: 1, max: 1 } })).result.protocol).toBe(1)
        stalled.resume()
        yield* commit(thread, notice("the last"))
        const items = yield* stalled.until(
          (items) =>
            items.some((item) => versionOf(item) === thread.version && item.type !== "event") ||
            versionsOf(items).at(-1) === thread.version
        )
        let version = 0
        for (const item of items) {
          if (item.type === "snapshot") version = item.version
          if (item.type === "event") expect(item.version).toBe((version += 1))
        }
        expect(version).toBe(thread.version)
        // It was not sent all that it did not read.
        expect(versionsOf(items).length).toBeLessThan(200)
      }),
    30_000
  )
})

const versionOf = (item: ThreadItem) => ("version" in item ? item.version : 0)

/** A client whose reading can be stopped below the WebSocket. */
const stallableSocket = Effect.gen(function* () {
  const url = (yield* Listen.url).replace(/^http/, "ws")
  const received: Array<ThreadItem> = []
  const arrived = yield* Queue.sliding<void>(1)
  const socket = yield* Effect.acquireRelease(
    Effect.callback<NodeWS.WebSocket>((resume) => {
      const socket = new NodeWS.WebSocket(`${url}/jsonrpc`, { headers: bearer })
      socket.on("open", () => resume(Effect.succeed(socket)))
      socket.on("message", (data) => {
        const message = JSON.parse(String(data))
        if (message.method === "subscription") received.push(...message.params.items)
        Queue.offerUnsafe(arrived, undefined)
      })
    }),
    (socket) => Effect.sync(() => socket.terminate())
  )
  return {
    send: (message: object) => Effect.sync(() => socket.send(JSON.stringify(message))),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    until: (fits: (items: ReadonlyArray<ThreadItem>) => boolean) =>
      Effect.gen(function* () {
        while (!fits(received)) yield* Queue.take(arrived)
        return received
      })
  }
})

const isDone = (item: ShellItem | undefined) =>
  item?.type === "thread" && item.row.latestTurn?.state === "completed"

layer(server(), { excludeTestServices: true })("the shell's subscription", (it) => {
  it.effect("gives all rows, then each that changed, once however often it changed", () =>
    Effect.gen(function* () {
      const door = yield* Commit
      yield* door.submit(
        projectChange(project, 0, [{ type: "project.created", title: "P", directory: "/p" }])
      )
      const thread = yield* running("row")
      const rpc = yield* client
      const received = yield* Queue.unbounded<ShellItem>()
      const scope = yield* Scope.make()
      yield* rpc["orchestration.subscribeShell"]({}).pipe(
        Stream.filter((item) => item.type !== "synchronized"),
        Stream.runForEach((item) => Queue.offer(received, item)),
        Effect.forkIn(scope)
      )
      expect(yield* Queue.take(received)).toMatchObject({
        type: "snapshot",
        projects: [{ projectId: project, title: "P" }],
        threads: [
          { threadId: "row", sessionStatus: "running", latestTurn: { turnId: "t1", state: "running" } }
        ]
      })

      for (let n = 0; n < 200; n++) yield* commit(thread, notice(`n${n}`))
      yield* commit(thread, ended("t1", 1, "Hello"), settled("t1"))
      const rows: Array<ShellItem> = []
      while (!isDone(rows.at(-1))) rows.push(yield* Queue.take(received))
      expect(rows.length).toBeLessThan(100)

      yield* commit(thread, { type: "thread.deleted" })
      expect(yield* Queue.take(received)).toEqual({ type: "thread.removed", threadId: "row" })
      yield* door.submit(projectChange(project, 1, [{ type: "project.deleted" }]))
      expect(yield* Queue.take(received)).toEqual({ type: "project.removed", projectId: project })
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.effect("a client that comes back is told of the rows that changed and that went, and of no others", () =>
    Effect.gen(function* () {
      const [same, changed, gone] = [
        yield* running("same"),
        yield* running("changed"),
        yield* running("gone")
      ]
      const first = yield* toldOf()
      expect(first.items[0]).toMatchObject({ type: "snapshot" })
      yield* commit(changed!, notice("one"))
      yield* commit(gone!, { type: "thread.deleted" })
      yield* (yield* Commit).submit(
        projectChange(other, 0, [{ type: "project.created", title: "Other", directory: "/o" }])
      )
      const back = yield* toldOf(first.cursor)
      expect(back.items.map((item) => [item.type, nameOf(item)])).toEqual([
        ["project", other],
        ["thread", "changed"],
        ["thread.removed", "gone"]
      ])
      expect((yield* toldOf(back.cursor)).items).toEqual([])
      expect(same!.version).toBe(7)
    })
  )

  it.effect("where it is has moved on with every row that it was told", () =>
    Effect.gen(function* () {
      const thread = yield* running("moving")
      const { cursor } = yield* toldOf()
      const pull = yield* Stream.toPull(shellSubscription(yield* shellSource, { after: cursor }))
      expect(yield* pull).toEqual([{ type: "synchronized", ...cursor }])
      yield* commit(thread, notice("one"), notice("two"))
      const [row, synchronized] = yield* pull
      expect(row).toMatchObject({ type: "thread", row: { version: thread.version } })
      expect(synchronized).toEqual({ type: "synchronized", ...cursor, sequence: cursor.sequence + 2 })
    })
  )

  it.effect("of another database, from ahead, or after too much, everything comes anew", () =>
    Effect.gen(function* () {
      const thread = yield* running("far")
      const { cursor } = yield* toldOf()
      const isAnew = (after: ShellCursor) =>
        Effect.map(toldOf(after), ({ items }) => items[0]?.type === "snapshot")
      expect(yield* isAnew(cursor)).toBe(false)
      expect(yield* isAnew({ ...cursor, epoch: "another" })).toBe(true)
      expect(yield* isAnew({ ...cursor, sequence: cursor.sequence + 1 })).toBe(true)
      const many = Array.from({ length: 1_000 }, (_, n) => notice(`n${n}`))
      for (let n = 0; n < shellGapEvents; n += many.length) yield* commit(thread, ...many)
      expect(yield* isAnew(cursor)).toBe(false)
      yield* commit(thread, notice("one too many"))
      expect(yield* isAnew(cursor)).toBe(true)
    })
  )
})

const other = ProjectId.make("project-2")

const shellSource = Effect.gen(function* () {
  const { epoch } = yield* Meta
  return {
    epoch,
    feed: yield* Feed,
    projects: yield* Projects,
    threads: yield* Threads
  }
})

/** What a client is told until it is up to date, and where it is then. */
const toldOf = Effect.fnUntraced(function* (after?: ShellCursor) {
  const rpc = yield* client
  const told = yield* rpc["orchestration.subscribeShell"](after === undefined ? {} : { after }).pipe(
    Stream.takeUntil((item) => item.type === "synchronized"),
    Stream.runCollect
  )
  const last = told.at(-1)
  if (last?.type !== "synchronized") return yield* Effect.die("never up to date")
  const cursor: ShellCursor = { epoch: last.epoch ?? "", sequence: last.sequence ?? -1 }
  return { items: told.slice(0, -1), cursor }
})

const nameOf = (item: ShellItem) => {
  if (item.type === "thread") return item.row.threadId
  if (item.type === "project") return item.row.projectId
  return item.type === "thread.removed" ? item.threadId : null
}
