/** The connection is lost in every way there is, and what is shown stays true. */
import { authPaths } from "@turnkeeper/contracts/Access"
import type { TokenCreated } from "@turnkeeper/contracts/Access"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { newId } from "../src/index.ts"
import { startFrameProxy } from "./support/FrameProxy.ts"
import { startTcpProxy } from "./support/TcpProxy.ts"
import {
  answerOf,
  begin,
  eventually,
  fresh,
  isStatus,
  live,
  patience,
  rowsOf,
  settled,
  startWorld
} from "./support/world.ts"
import type { World } from "./support/world.ts"

let world: World
beforeAll(async () => {
  world = await startWorld()
}, patience.timeout)
afterEach(() => world.endTest())
afterAll(() => world.dispose())

const proxied = async () => {
  const proxy = await startTcpProxy(world.server.url)
  world.onEnd(proxy.close)
  return proxy
}

/** Of somebody whom the owner lets in under this name. */
const newToken = async (name: string): Promise<string> => {
  const answer = await fetch(`${world.server.url}${authPaths.tokens}`, {
    method: "POST",
    headers: { authorization: `Bearer ${await world.server.token()}` },
    body: JSON.stringify({ name, scope: "operate" })
  })
  const { token } = (await answer.json()) as TokenCreated
  return token
}

const words = (count: number) => (text: string) => text.split(" ").length >= count

describe("a client", patience, () => {
  it("shows the whole text once when its connection is cut in mid-stream, again and again", async () => {
    const proxy = await proxied()
    const client = await world.client({ url: proxy.url })
    const { thread, threadId, turnId } = await begin(client, "[[slow:600]]")
    for (const count of [5, 40, 90]) {
      await eventually(thread.model, (model) => words(count)(answerOf(model, turnId)))
      const before = thread.model.get().entries[0]
      proxy.cut()
      const stale = await eventually(thread.model, ({ status }) => status === "stale")
      expect(answerOf(stale, turnId)).not.toBe("")
      const again = await eventually(thread.model, ({ status }) => status === "live")
      // Nothing was made anew that had not changed.
      expect(again.entries[0]).toBe(before)
    }
    const model = await settled(thread, turnId)
    expect(rowsOf(model)).toEqual(rowsOf(await fresh(world, threadId)))
    expect(model.turns.map((turn) => turn.state)).toEqual(["completed"])
  })

  it("goes on with the server that takes the place of one that was killed in mid-turn", async () => {
    const client = await world.client()
    const { thread, threadId, turnId } = await begin(client, "[[slow:100000]]")
    await eventually(thread.model, (model) => words(10)(answerOf(model, turnId)))
    await world.kill()
    const offline = await eventually(client.connection, isStatus("offline"))
    expect(offline).toMatchObject({ status: "offline", retryAt: expect.any(Number) })
    expect(thread.model.get().status).toBe("stale")
    await world.restart()
    client.retryNow()
    await live(client)
    const model = await settled(thread, turnId)
    expect(model.turns[0]).toMatchObject({ state: "interrupted" })
    expect(model.entries.filter((entry) => entry.status === "open")).toEqual([])
    expect(rowsOf(model)).toEqual(rowsOf(await fresh(world, threadId)))
  })

  it("notices a wire that has gone dead without a word, and comes back over a new one", async () => {
    const proxy = await proxied()
    const client = await world.client({ url: proxy.url, heartbeatMillis: 100 })
    const { thread } = await begin(client, "[[text:Hello]]")
    await eventually(thread.model, (model) => model.turns[0]?.state === "completed")
    await live(client)
    const before = proxy.accepted()
    proxy.freeze("both")
    await eventually(client.connection, isStatus("offline"))
    expect(thread.model.get()).toMatchObject({ status: "stale", asOf: expect.any(Number) })
    proxy.thaw()
    client.retryNow()
    await live(client)
    expect(proxy.accepted()).toBeGreaterThan(before)
  })

  it("asks again from where it is when an event is missing, and shows no gap", async () => {
    let dropped = 0
    let subscriptions: ReadonlyArray<unknown> = []
    const proxy = await startFrameProxy(world.server.url, (frame, direction) => {
      if (direction === "up" && frame.includes("subscribeThread")) {
        subscriptions = [...subscriptions, JSON.parse(frame)]
      }
      const isMissing = direction === "down" && dropped === 0 && frame.includes('"type":"turn.started"')
      if (!isMissing) return frame
      dropped += 1
      // The server goes on only when the chunk was acknowledged, so it gets through without its values.
      return frame
        .replace(/"type":"turn\.started"/g, '"type":"turn.unheard"')
        .replace(/"version":(\d+)/g, '"version":99')
    })
    world.onEnd(proxy.close)
    const client = await world.client({ url: proxy.url })
    const { thread, threadId, turnId } = await begin(client, "[[slow:50]]")
    const model = await settled(thread, turnId)
    expect(dropped).toBe(1)
    expect(subscriptions.at(-1)).toMatchObject({ payload: { after: { version: expect.any(Number) } } })
    expect(rowsOf(model)).toEqual(rowsOf(await fresh(world, threadId)))
  })

  it("follows a thread that begins while the answer that there is none is on its way", async () => {
    const begun = Promise.withResolvers<void>()
    const proxy = await startFrameProxy(world.server.url, (frame, direction) =>
      direction === "down" && frame.includes("ThreadNotFound") ? begun.promise.then(() => frame) : frame
    )
    world.onEnd(proxy.close)
    const client = await world.client({ url: proxy.url })
    await live(client)
    const { thread, turnId } = await begin(client, "[[text:Hello]]")
    begun.resolve()
    expect(answerOf(await settled(thread, turnId), turnId)).toBe("Hello")
  })

  it("says of a thread that there is none, also where the id is none", async () => {
    const client = await world.client()
    for (const threadId of [newId("thread"), "not an id"]) {
      const { model } = client.thread(threadId)
      expect(await eventually(model, ({ status }) => status === "gone")).toMatchObject({ thread: null })
    }
    await live(client)
  })

  it("two clients see the same, whoever did it", async () => {
    const one = await world.client()
    const other = await world.client()
    const { thread, threadId, turnId } = await begin(one, "[[ask:git push]]")
    const theirs = other.thread(threadId)
    const asked = await eventually(theirs.model, ({ requests }) => requests.length === 1)
    await other.answer(threadId, asked.requests[0]!.requestId, { decision: "accept" })
    const [mine, yours] = [await settled(thread, turnId), await settled(theirs, turnId)]
    await eventually(theirs.model, ({ thread: row }) => row?.version === mine.thread?.version)
    expect(rowsOf(theirs.model.get())).toEqual(rowsOf(thread.model.get()))
    expect(yours.requests).toEqual([])
    const { threads } = await eventually(
      one.shell,
      (shell) => shell.threads[0]?.version === mine.thread?.version
    )
    expect(threads[0]).toEqual(mine.thread)
  })

  it("goes back to what a search found, however far, and has the turns of all that came", async () => {
    const client = await world.client()
    const { thread, threadId, turnId } = await begin(client, "the needle [[text:found]]")
    await settled(thread, turnId)
    for (let turn = 0; turn < 4; turn += 1) {
      const sent = client.send({ threadId, text: "[[shell:true]]".repeat(120) })
      await settled(thread, sent.turnId)
    }
    const other = await world.client()
    const handle = other.thread(threadId)
    const first = await eventually(handle.model, ({ status }) => status === "live")
    expect(first.turns.map((turn) => turn.turnId)).not.toContain(turnId)
    const { hits } = await other.call("orchestration.search", { query: "needle", threadId, limit: 5 })
    // Twice at once is once.
    await Promise.all([handle.loadBackTo(hits[0]!.position), handle.loadBackTo(hits[0]!.position)])
    const { entries, turns } = handle.model.get()
    expect(entries.map((entry) => entry.position)).toContain(hits[0]!.position)
    expect(new Set(entries.map((entry) => entry.id)).size).toBe(entries.length)
    expect(turns).toEqual(thread.model.get().turns)
    expect(turns.map((turn) => turn.usage?.outputTokens)).toEqual(turns.map(() => expect.any(Number)))
    // What is there needs no page, and what never was ends with the last one.
    await handle.loadBackTo(hits[0]!.position)
    await handle.loadBackTo(0)
    expect(handle.model.get().hasOlder).toBe(false)
  })

  it("tells how a request was closed that it had shown", async () => {
    const one = await world.client()
    const other = await world.client({ credential: { type: "token", token: await newToken("A phone") } })
    const { thread, threadId } = await begin(one, "[[ask:git push]]")
    const [request] = (await eventually(thread.model, ({ requests }) => requests.length === 1)).requests
    await other.answer(threadId, request!.requestId, { decision: "decline" })
    const { closedRequests } = await eventually(thread.model, ({ requests }) => requests.length === 0)
    expect(closedRequests).toMatchObject([
      {
        requestId: request!.requestId,
        status: "answered",
        answer: { decision: "decline" },
        answeredBy: "A phone"
      }
    ])
  })

  it("goes on with the list where it was: what changed and what went, and nothing else", async () => {
    let frames: ReadonlyArray<string> = []
    const watched = await startFrameProxy(world.server.url, (frame, direction) => {
      if (direction === "up" ? frame.includes("subscribeShell") : frame.includes('"projects":[')) {
        frames = [...frames, frame]
      }
      return frame
    })
    world.onEnd(watched.close)
    const proxy = await startTcpProxy(watched.url)
    world.onEnd(proxy.close)
    const mine = await world.client({ url: proxy.url })
    const other = await world.client()
    const [renamed, kept, deleted] = [
      await begin(other, "a"),
      await begin(other, "b"),
      await begin(other, "c")
    ]
    for (const one of [renamed, kept, deleted]) await settled(one.thread, one.turnId)
    const version = kept.thread.model.get().thread?.version
    const ids = [renamed, kept, deleted].map(({ threadId }) => threadId)
    await eventually(
      mine.shell,
      ({ threads }) =>
        ids.every((id) => threads.some((row) => row.threadId === id)) &&
        threads.some((row) => row.threadId === kept.threadId && row.version === version)
    )
    const untouched = mine.shell.get().threads.find((row) => row.threadId === kept.threadId)
    expect(frames).toHaveLength(2)

    proxy.cut()
    await eventually(mine.shell, ({ status }) => status === "stale")
    await other.rename(renamed.threadId, "Renamed while away")
    await other.deleteThread(deleted.threadId)
    const began = await begin(other, "d")
    mine.retryNow()
    await eventually(
      mine.shell,
      ({ status, threads }) => status === "live" && threads.some((row) => row.threadId === began.threadId)
    )
    await settled(began.thread, began.turnId)
    const truth = await world.client()
    const { projects, threads } = await eventually(truth.shell, ({ status }) => status === "live")
    await eventually(mine.shell, (shell) => shell.threads[0]?.version === threads[0]?.version)
    expect(mine.shell.get()).toMatchObject({ projects, threads })
    expect(threads.map((row) => row.threadId)).not.toContain(deleted.threadId)
    expect(mine.shell.get().threads.find((row) => row.threadId === kept.threadId)).toBe(untouched)
    // One list, asked for once; then only from there on.
    expect(frames).toHaveLength(3)
    expect(JSON.parse(frames[2]!)).toMatchObject({
      payload: { after: { epoch: expect.any(String), sequence: expect.any(Number) } }
    })
  })

  it("puts older pages before the others, and keeps them over a reconnect", async () => {
    const proxy = await proxied()
    const client = await world.client({ url: proxy.url })
    const { projectId, thread, threadId, turnId } = await begin(client, "[[text:a]]".repeat(120))
    await settled(thread, turnId)
    const late = client.thread(newId("thread"))
    late.close()
    const other = await world.client({ url: proxy.url })
    const handle = other.thread(threadId)
    const first = await eventually(handle.model, ({ status }) => status === "live")
    expect(first.hasOlder).toBe(true)
    await handle.loadOlder()
    const whole = handle.model.get()
    expect(whole).toMatchObject({ hasOlder: false, loadingOlder: false })
    expect(whole.entries.map((entry) => entry.id)).toEqual(
      thread.model.get().entries.map((entry) => entry.id)
    )
    expect(whole.turns).toEqual(thread.model.get().turns)
    proxy.cut()
    await eventually(handle.model, ({ status }) => status === "stale")
    const again = await eventually(handle.model, ({ status }) => status === "live")
    expect(again.entries).toBe(whole.entries)
    expect(projectId).toMatch(/^project-/)
  })
})
