import { afterEach, describe, expect, it } from "vitest"
import { check } from "../src/crash/check.ts"
import type { Witness } from "../src/crash/check.ts"
import { Link, RunOver } from "../src/crash/Link.ts"
import { makeRandom } from "../src/crash/random.ts"
import { fromSnapshot } from "@turnkeeper/contracts/Fold"
import { limits } from "@turnkeeper/contracts/Limits"
import { JsonRpcError } from "../src/jsonrpc/Client.ts"
import { View } from "../src/View.ts"
import { startPeer } from "./fixtures/peer.ts"

const draw = (seed: number, salt?: number) => {
  const random = salt === undefined ? makeRandom(seed) : makeRandom(seed).fork(salt)
  return Array.from({ length: 50 }, () => random.between(0, 1_000))
}

describe("the choices of a run", () => {
  it("are the same for the same seed, and others for another seed or user", () => {
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7, 1)).toEqual(draw(7, 1))
    expect(draw(8)).not.toEqual(draw(7))
    expect(draw(7, 1)).not.toEqual(draw(7, 2))
  })

  it("reach both ends of their range, and nothing beyond", () => {
    const random = makeRandom(1)
    const all = new Set(Array.from({ length: 500 }, () => random.between(3, 5)))
    expect([...all].sort()).toEqual([3, 4, 5])
  })
})

describe("a link over a server that dies", () => {
  const open: Array<() => Promise<unknown>> = []
  afterEach(async () => {
    for (const close of open.splice(0).toReversed()) await close()
  })

  /** Dies at its first command; answers after that. */
  const mortal = async () => {
    const commands: Array<unknown> = []
    const peer = await startPeer(({ params }, line) => {
      const command = params["command"] as { readonly threadId: string }
      commands.push(command)
      if (commands.length === 1) return line.cut()
      if (command.threadId === "refused") {
        return line.error({ code: -32_000, message: "no", data: { _tag: "ThreadNotFound" } })
      }
      line.result({ status: "accepted", sequence: 1, version: 1 })
    })
    open.push(peer.close)
    return { commands, dial: peer.dial }
  }

  it("L11: sends the same command id again when the connection was lost before the answer", async () => {
    const { commands, dial } = await mortal()
    const link = new Link()
    const first = await dial()
    link.up(first)
    const sent = link.send({ type: "thread.archive", threadId: "t" })
    await first.closed
    link.up(await dial())
    expect(await sent).toMatchObject({ status: "accepted" })
    expect(commands).toHaveLength(2)
    expect(commands[0]).toEqual(commands[1])
    expect(link.repeated).toBe(1)
  })

  it("does not repeat what the server has refused", async () => {
    const { commands, dial } = await mortal()
    const link = new Link()
    const first = await dial()
    link.up(first)
    const sent = link.send({ type: "thread.archive", threadId: "refused" })
    await first.closed
    link.up(await dial())
    await expect(sent).rejects.toBeInstanceOf(JsonRpcError)
    expect(commands).toHaveLength(2)
  })

  it("lets go of everybody who waits when the run is over", async () => {
    const link = new Link()
    const waiting = expect(link.send({ type: "thread.archive", threadId: "t" })).rejects.toBeInstanceOf(
      RunOver
    )
    link.end()
    await waiting
    await expect(link.client()).rejects.toBeInstanceOf(RunOver)
  })
})

describe("the judgement after a run", () => {
  const turnRow = {
    turnId: "a",
    messageId: "m",
    origin: "user",
    state: "completed",
    reason: null,
    delivered: "delivered",
    into: null
  }
  const prompt = {
    type: "message",
    id: "m",
    turnId: "a",
    role: "user",
    status: "completed",
    text: "[[text:x]] [[id:a]]"
  }
  const reply = { type: "message", id: "a/1", turnId: "a", role: "assistant", status: "completed", text: "x" }
  const tooMany = { code: -32_000, message: "no", data: { _tag: "TooManySubscriptions" } }
  const request = { requestId: "1/x", turnId: "a", status: "open", ask: { decisions: ["accept"] } }
  const atRest = {
    session: {
      status: "ready",
      generation: 1,
      provider: "p",
      activeTurnId: null,
      lastError: null,
      recovering: null,
      stopping: null
    },
    turns: [turnRow] as ReadonlyArray<object>,
    requests: [] as ReadonlyArray<object>,
    entries: [prompt, reply] as ReadonlyArray<object>
  }
  const row = { threadId: "t", sessionStatus: "ready", openRequests: 0, queuedTurns: 0 }

  /** A server that shows this thread and this list, judged by one user who was promised turn `a`. */
  const judge = async (
    thread: Partial<typeof atRest> = {},
    { received = 1, rows = [row], witness = {} as Partial<Witness> } = {}
  ) => {
    let [subscriptions, open] = [0, 0]
    const seen = new Set<unknown>()
    const peer = await startPeer(({ method, params }, line) => {
      if (method === "unsubscribe") open -= 1
      if (!method.includes("subscribe") || method === "unsubscribe") return line.result({})
      open += 1
      seen.add(params["threadId"])
      if (open > limits.subscriptions) return line.error(tooMany)
      const subscription = `${method}/${subscriptions++}`
      line.result({ subscription })
      const items = method.endsWith("Shell")
        ? [
            { type: "snapshot", epoch: "e", projects: [], threads: rows.slice(0, 100) },
            ...rows.slice(100).map((row) => ({ type: "thread", row })),
            { type: "synchronized" }
          ]
        : [
            {
              type: "snapshot",
              epoch: "e",
              version: 1,
              thread: { provider: "p" },
              ...atRest,
              ...thread,
              before: null
            },
            { type: "synchronized", epoch: "e", version: 1 }
          ]
      line.notify("subscription", { subscription, items })
    })
    const promised = [
      { threadId: "t", turnId: "a", text: "[[text:x]]", isWhole: (text: string) => text === "x" }
    ]
    const one: Witness = { promised, views: [new View("t")], complaints: [], ...witness }
    const count = () => {
      expect(seen.size).toBeGreaterThanOrEqual(one.views.length)
      return received
    }
    try {
      return await check(await peer.dial(), [one], count, 1)
    } finally {
      await peer.close()
    }
  }
  const seenAs = (state: string) => {
    const view = new View("t")
    const turns = [{ ...turnRow, state }]
    const rows = { thread: { provider: "p" }, ...atRest, turns }
    view.fold = fromSnapshot({ type: "snapshot", epoch: "e", version: 1, before: null, ...rows } as never)
    return view
  }

  it("finds nothing where every promise was kept", async () => {
    expect(await judge()).toEqual({ turns: 1, byState: { completed: 1 }, unknown: 0, violations: [] })
  })

  it("judges more threads than one connection may follow", async () => {
    const names = ["t", ...Array.from({ length: 3 * limits.subscriptions }, (_, n) => `t${n}`)]
    const views = names.map((name) => new View(name))
    const rows = names.map((threadId) => ({ ...row, threadId }))
    // What was received is asked when every thread is at rest: `judge` looks after that.
    const { byState, violations } = await judge({}, { rows, witness: { views } })
    expect({ byState, violations }).toEqual({ byState: { completed: names.length }, violations: [] })
  })

  it("counts the turns of which nobody knows, without blame", async () => {
    const turns = [{ ...turnRow, state: "interrupted", delivered: "unknown", reason: "The server stopped" }]
    expect(await judge({ turns }, { received: 0 })).toMatchObject({ unknown: 1, violations: [] })
    expect(await judge({ turns }, { received: 1 })).toMatchObject({ unknown: 1, violations: [] })
  })

  it.each<readonly [string, Parameters<typeof judge>, string]>([
    ["L12: a message is lost", [{ turns: [] }], "is lost"],
    ["L12: a prompt was received twice", [{}, { received: 2 }], "was received 2 times"],
    ["L7: a turn completed that nobody received", [{}, { received: 0 }], "received 0 times"],
    ["L14: a turn is left hanging", [{ turns: [{ ...turnRow, state: "running" }] }], "is still running"],
    ["L12: a turn ended without a reason", [{ turns: [{ ...turnRow, state: "error" }] }], "without a reason"],
    [
      "L12: a message counts as not delivered, and was",
      [{ turns: [{ ...turnRow, state: "cancelled", reason: "r", delivered: "not_delivered" }] }],
      "counts as not delivered"
    ],
    ["an answer is cut off", [{ entries: [prompt, { ...reply, text: "" }] }], "another answer"],
    ["an answer is shown twice", [{ entries: [prompt, reply, { ...reply, id: "a/2" }] }], "another answer"],
    ["the text of a message is gone", [{ entries: [reply] }], "has lost its text"],
    [
      "L5: an item is open in a settled turn",
      [{ entries: [prompt, reply, { ...reply, id: "i", status: "open" }] }],
      "open items"
    ],
    ["L5: a request is open in a settled turn", [{ requests: [request] }], "nobody waits for it"],
    [
      "L2: the session runs, and no turn does",
      [{ session: { ...atRest.session, status: "running" } }],
      "not at rest"
    ],
    ["the list says something else", [{}, { rows: [{ ...row, sessionStatus: "running" }] }], "its row says"],
    ["the list misses the thread", [{}, { rows: [] }], "missing in the list"],
    [
      "L3: a settled turn has changed",
      [{}, { witness: { views: [seenAs("interrupted")] } }],
      "was shown as interrupted"
    ],
    ["a user has complained", [{}, { witness: { complaints: ["no!"] } }], "no!"]
  ])("blames the server: %s", async (_, [thread, rest], words) => {
    const { violations } = await judge(thread, rest)
    expect(violations).toContainEqual(expect.stringContaining(words))
  })
})
