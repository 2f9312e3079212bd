/** What a user has written is neither lost nor sent twice, whatever happens to the wire, the page or the server. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { memoryOutbox, newId } from "../src/index.ts"
import type { Client, OutboxStorage } from "../src/index.ts"
import { startTcpProxy } from "./support/TcpProxy.ts"
import { begin, eventually, fresh, isStatus, live, patience, settled, startWorld } from "./support/world.ts"
import type { World } from "./support/world.ts"

let world: World
beforeAll(async () => {
  world = await startWorld()
}, patience.timeout)
afterEach(() => world.endTest())
afterAll(() => world.dispose())

const offlineAfter = async (client: Client) => eventually(client.connection, isStatus("offline"))
const tagOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "accepted",
    (error: { readonly _tag?: string }) => error._tag
  )
const texts = (model: Awaited<ReturnType<typeof fresh>>) =>
  model.entries.flatMap((entry) => (entry.type === "message" && entry.role === "user" ? [entry.text] : []))

describe("the outbox", patience, () => {
  it("L12: a message whose answer is lost with the wire is sent again, and is there once", async () => {
    const proxy = await startTcpProxy(world.server.url)
    world.onEnd(proxy.close)
    const client = await world.client({ url: proxy.url })
    const { thread, threadId, turnId } = await begin(client, "[[text:one]]")
    await settled(thread, turnId)

    proxy.freeze("down")
    const sent = client.send({ threadId, text: "[[text:two]]" })
    // Another client sees that the server has it; this one has no answer.
    const witness = (await world.client()).thread(threadId)
    await eventually(witness.model, ({ turns }) => turns.some((turn) => turn.turnId === sent.turnId))
    expect(client.outbox.get().entries).toMatchObject([{ commandId: sent.commandId, state: "sending" }])
    proxy.thaw()
    proxy.cut()
    expect(await tagOf(sent)).toBe("accepted")

    const model = await settled(thread, sent.turnId)
    expect(model.pending).toEqual([])
    expect(client.outbox.get().entries).toEqual([])
    expect(texts(await fresh(world, threadId))).toEqual(["[[text:one]]", "[[text:two]]"])
  })

  it("L12: a message that was on its way when the server was killed is there once afterwards", async () => {
    const client = await world.client()
    const { threadId } = await begin(client, "[[text:one]]")
    const sent = client.send({ threadId, text: "[[text:two]]" })
    await world.kill()
    await world.restart()
    client.retryNow()
    expect(await tagOf(sent)).toBe("accepted")
    expect(texts(await fresh(world, threadId))).toEqual(["[[text:one]]", "[[text:two]]"])
  })

  it("keeps what is written without a connection over a reload, in its order", async () => {
    const first = await world.client()
    const { threadId } = await begin(first, "[[text:one]]")
    const proxy = await startTcpProxy(world.server.url)
    world.onEnd(proxy.close)
    proxy.to = "http://127.0.0.1:9"
    const outbox = memoryOutbox()
    const before = await world.client({ url: proxy.url, outbox })
    await offlineAfter(before)
    const thread = before.thread(threadId)
    const waiting = ["two", "three", "four"].map((text) => before.send({ threadId, text }))
    await eventually(thread.model, ({ pending }) => pending.length === 3)
    expect(thread.model.get().pending.map((one) => [one.text, one.state])).toEqual([
      ["two", "waiting"],
      ["three", "waiting"],
      ["four", "waiting"]
    ])
    await before.close()
    expect(await Promise.all(waiting.map(tagOf))).toEqual(["Closed", "Closed", "Closed"])

    proxy.to = world.server.url
    const after = await world.client({ url: proxy.url, outbox })
    await eventually(after.outbox, ({ entries, storage }) => storage === "ready" && entries.length === 0)
    expect(texts(await fresh(world, threadId))).toEqual(["[[text:one]]", "two", "three", "four"])
    expect(await outbox.load()).toEqual([])
  })

  it("shows a refused message with its reason and its text until it is sent again or discarded", async () => {
    const client = await world.client()
    const { thread, threadId, turnId } = await begin(client, "[[text:one]]")
    await settled(thread, turnId)
    await client.archive(threadId)
    expect(await tagOf(client.send({ threadId, text: "two" }))).toBe("ThreadArchived")
    const [refused] = (await eventually(thread.model, ({ pending }) => pending.length === 1)).pending
    expect(refused).toMatchObject({ text: "two", state: "refused", failure: { _tag: "ThreadArchived" } })

    await client.unarchive(threadId)
    expect(await tagOf(client.outbox.resend(refused!.commandId))).toBe("accepted")
    await eventually(thread.model, ({ pending, turns }) => pending.length === 0 && turns.length === 2)
    expect(texts(await fresh(world, threadId))).toEqual(["[[text:one]]", "two"])

    const nowhere = client.send({ threadId: newId("thread"), text: "three" })
    expect(await tagOf(nowhere)).toBe("ThreadNotFound")
    expect(await client.outbox.discard(nowhere.commandId)).toBe(true)
    expect(await client.outbox.discard(nowhere.commandId)).toBe(false)
    expect(client.outbox.get().entries).toEqual([])
    expect(await tagOf(client.outbox.resend(nowhere.commandId))).toBe("NotInOutbox")
  })

  it("does not keep a stop for later: without a connection it is refused at once", async () => {
    const client = await world.client()
    const { thread, threadId, turnId } = await begin(client, "[[slow:100000]]")
    await eventually(thread.model, ({ session }) => session?.activeTurnId === turnId)
    await world.kill()
    await offlineAfter(client)
    expect(await tagOf(client.stop(threadId))).toBe("NotConnected")
    expect(await tagOf(client.check(threadId, turnId))).toBe("NotConnected")
    expect(await tagOf(client.call("providers.list", {}))).toBe("NotConnected")
    // An interrupt of the turn that is shown can hit no other one.
    const interrupt = client.interrupt(threadId)
    expect(thread.model.get().stopping).toBe("asking")
    await world.restart()
    client.retryNow()
    expect(await tagOf(interrupt)).toBe("NothingToInterrupt")
    expect((await settled(thread, turnId)).turns[0]).toMatchObject({ state: "interrupted" })
  })

  it("refuses what the server could not take before it is sent", async () => {
    const client = await world.client()
    await live(client)
    const threadId = newId("thread")
    expect(await tagOf(client.send({ threadId: "not an id", text: "x" }))).toBe("InvalidRequest")
    const page = { threadId: "not an id", before: 1, limit: 1 }
    const refused = await client.call("orchestration.history", page).catch((error: unknown) => error)
    expect(refused).toMatchObject({ _tag: "InvalidRequest", issues: [{ path: "threadId" }] })
    expect(await tagOf(client.send({ threadId, text: "x".repeat(1_000_001) }))).toBe("InvalidRequest")
    expect(await tagOf(client.send({ threadId, text: "\u0001".repeat(900_000) }))).toBe("PayloadTooLarge")
    expect(client.outbox.get().entries).toEqual([])
    expect(client.connection.get().status).toBe("live")
  })

  it("L11: gives the answer of the first to a command that is given twice", async () => {
    const client = await world.client()
    const { threadId } = await begin(client, "[[text:one]]")
    const command = { type: "thread.turn.start", commandId: newId("command"), threadId } as const
    const ids = { turnId: newId("turn"), messageId: newId("message") }
    const [one, two] = [
      client.dispatch({ ...command, ...ids, text: "two" }),
      client.dispatch({ ...command, ...ids, text: "two" })
    ]
    expect(await tagOf(client.dispatch({ ...command, ...ids, text: "three" }))).toBe("CommandIdReused")
    expect(await one).toEqual(await two)
    expect(texts(await fresh(world, threadId))).toEqual(["[[text:one]]", "two"])
  })

  it("leaves alone what it cannot read in its storage, and sends the rest", async () => {
    const first = await world.client()
    const { threadId } = await begin(first, "[[text:one]]")
    const commandId = newId("command")
    const rename = { command: { type: "thread.update", threadId, commandId, title: "Named" }, createdAt: 1 }
    const outbox = { ...memoryOutbox(), load: () => [null, { what: 1 }, rename] as never }
    const client = await world.client({ outbox })
    await eventually(client.outbox, ({ entries, storage }) => storage === "ready" && entries.length === 0)
    expect((await fresh(world, threadId)).thread?.title).toBe("Named")
  })

  it("sends on from memory when the storage fails, and says that it does", async () => {
    const broken: OutboxStorage = {
      load: () => [],
      save: () => Promise.reject(new Error("The disk is full.")),
      remove: () => {}
    }
    const client = await world.client({ outbox: broken })
    const states: Array<string> = []
    client.outbox.subscribe(() => states.push(client.outbox.get().storage))
    await begin(client, "[[text:one]]")
    expect(states).toContain("failing")
  })

  it("never sends to another database what was written for this one, and lets the user decide", async () => {
    const other = await startWorld()
    world.onEnd(other.dispose)
    const proxy = await startTcpProxy(world.server.url)
    world.onEnd(proxy.close)
    let from = world
    const token = () => from.server.token()
    const client = await world.client({ url: proxy.url, credential: { type: "token", token } })
    const { thread, threadId, turnId } = await begin(client, "[[text:one]]")
    await settled(thread, turnId)
    await eventually(client.shell, ({ threads }) => threads.some((row) => row.threadId === threadId))

    proxy.freeze("up")
    const sent = client.send({ threadId, text: "for the first" })
    await eventually(client.outbox, ({ entries }) => entries[0]?.state === "sending")
    from = other
    proxy.to = other.server.url
    proxy.thaw()
    proxy.cut()
    await eventually(client.outbox, ({ entries }) => entries[0]?.state === "held")
    expect(client.outbox.get().entries[0]).toMatchObject({ failure: { _tag: "OtherDatabase" } })
    const gone = await eventually(thread.model, ({ status }) => status === "gone")
    expect(gone).toMatchObject({ pending: [{ text: "for the first", state: "held" }] })
    await eventually(client.shell, ({ status, threads }) => status === "live" && threads.length === 0)

    // Back at the first one, it is sent there, once.
    from = world
    proxy.to = world.server.url
    proxy.cut()
    expect(await tagOf(sent)).toBe("accepted")
    expect(texts(await fresh(world, threadId))).toEqual(["[[text:one]]", "for the first"])
  })
})
