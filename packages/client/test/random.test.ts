/** Whatever is done and wherever the wire is cut: what a client shows is what the tables hold. */
import fc from "fast-check"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import type { Client, ThreadHandle } from "../src/index.ts"
import { startTcpProxy } from "./support/TcpProxy.ts"
import type { TcpProxy } from "./support/TcpProxy.ts"
import { begin, eventually, fresh, patience, rowsOf, startWorld } from "./support/world.ts"
import type { World } from "./support/world.ts"

let world: World
beforeAll(async () => {
  world = await startWorld()
}, patience.timeout)
afterEach(() => world.endTest())
afterAll(() => world.dispose())

const prompts = [
  "[[text:Hello]]",
  "[[slow:40]]",
  "[[slow:4000]]",
  "[[think:Well]][[shell:ls]][[text:Done]]",
  "[[ask:git push]]",
  "[[question:Which?|A|B]]",
  "[[drop:2]]",
  "[[fail:No]]",
  "[[die]]",
  "[[own]]",
  "[[aux]]",
  "[[reject:No]]"
]

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("send" as const), prompt: fc.constantFrom(...prompts) })
  },
  fc.record({
    do: fc.constantFrom("steer" as const, "interrupting" as const),
    prompt: fc.constantFrom(...prompts)
  }),
  fc.record({
    do: fc.constantFrom(
      "interrupt" as const,
      "answer" as const,
      "edit" as const,
      "reorder" as const,
      "withdraw" as const,
      "retry" as const,
      "rename" as const,
      "archive" as const,
      "cut" as const,
      "stop" as const,
      "look" as const
    ),
    prompt: fc.constant("")
  })
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const ended = new Set<string>(["completed", "error", "interrupted", "cancelled", "steered"])

/** One step of the user, or of the wire. A refusal is an answer too. */
const act = async (client: Client, thread: ThreadHandle, proxy: TcpProxy, one: Step): Promise<unknown> => {
  const { threadId } = thread
  const model = thread.model.get()
  const queued = model.turns.filter((turn) => turn.state === "queued")
  switch (one.do) {
    case "send":
      return client.send({ threadId, text: one.prompt })
    case "steer":
      return client.steer({ threadId, text: one.prompt })
    case "interrupting":
      return client.send({ threadId, text: one.prompt, delivery: "interrupt" })
    case "interrupt":
      return client.interrupt(threadId)
    case "answer":
      return answerAll(client, thread)
    case "edit":
      return queued[0] && client.editQueued(threadId, queued[0].turnId, "[[text:Edited]]")
    case "reorder":
      return queued[1] && client.reorder(threadId, queued[1].turnId, queued[0]!.turnId)
    case "withdraw":
      return queued.length > 0 && client.removeQueued(threadId, queued.at(-1)!.turnId)
    case "retry": {
      const turn = model.turns.find(({ messageId, state }) => messageId !== null && ended.has(state))
      return turn && client.retry(threadId, turn.turnId)
    }
    case "rename":
      return client.rename(threadId, "Another name")
    case "archive":
      await client.archive(threadId)
      return client.unarchive(threadId)
    case "cut":
      return proxy.cut()
    case "stop":
      return client.stop(threadId)
    case "look":
      // As long as the turn makes of it: the next word of the server.
      return eventually(thread.model, (now) => now !== model, 200).catch(() => {})
  }
}

const answerAll = (client: Client, thread: ThreadHandle) =>
  Promise.allSettled(
    thread.model.get().requests.map(({ ask, kind, requestId }) => {
      const answers = Object.fromEntries(ask.questions.map(({ id }) => [id, ["A"]]))
      const answer = kind === "question" ? { answers } : { decision: "accept" as const }
      return client.answer(thread.threadId, requestId, answer)
    })
  )

/** Ends what would not end by itself, as a user would, until nothing is open. */
const comeToRest = async (client: Client, thread: ThreadHandle) => {
  await eventually(client.outbox, ({ entries }) => entries.every(({ state }) => state === "refused"))
  await stopped(client, thread)
  await eventually(
    thread.model,
    ({ session, status, turns }) =>
      status === "live" && session?.status === "stopped" && turns.every(({ state }) => ended.has(state))
  )
}

/** A stop is not kept for later: where the wire was cut under it, the user says it again. */
const stopped = async (client: Client, thread: ThreadHandle, tries = 5): Promise<void> => {
  await eventually(thread.model, ({ status }) => status === "live")
  await client.stop(thread.threadId).catch((error: unknown) => {
    if (tries === 0 || Object(error)._tag !== "ConnectionLost") throw error
    return stopped(client, thread, tries - 1)
  })
}

describe("L15: the read model of a client", patience, () => {
  it("is what the tables hold, after any run", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 25 }), async (steps) => {
        const proxy = await startTcpProxy(world.server.url)
        const client = await world.client({ url: proxy.url })
        const { thread, threadId } = await begin(client, "[[text:First]]")
        const answers = steps.map(() => undefined as unknown)
        for (const [index, one] of steps.entries()) {
          const acting = act(client, thread, proxy, one).catch((error: unknown) => error)
          // Most go on without waiting for the answer, as a user does.
          answers[index] = index % 3 === 0 ? await acting : undefined
        }
        await comeToRest(client, thread)
        const truth = await fresh(world, threadId)
        const version = truth.thread?.version ?? 0
        const mine = await eventually(thread.model, (model) => (model.thread?.version ?? 0) >= version)
        const shown = new Set(truth.entries.map((entry) => entry.id))
        expect({ ...rowsOf(mine), entries: mine.entries.filter(({ id }) => shown.has(id)) }).toEqual(
          rowsOf(truth)
        )
        await client.close()
        await proxy.close()
      }),
      { numRuns: 25, interruptAfterTimeLimit: patience.timeout / 2 }
    )
  })
})
