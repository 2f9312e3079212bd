/**
 * What went wrong in the field with servers like this one, tried on this one: the real server process, real
 * agents that speak the Agent Client Protocol, a fake model behind them, and a client that speaks the public
 * API. The names are those of the list of field failures. Needs at least one agent:
 *
 *     TURNKEEPER_CODEX_ACP=$(node scripts/providers.ts codex-acp) npx vitest run acpField
 *
 * Each test ends with the same judgement (`src/rest.ts`): every turn settled and stamped, nothing open, the
 * session not running, a later client told the same, each prompt at the model as often as its turn says.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { acpVariables } from "../src/acpHome.ts"
import type { AcpAgentName } from "../src/acpHome.ts"
import { AcpWorld } from "../src/AcpWorld.ts"
import { slowText } from "../src/fakeModel/script.ts"
import { gone } from "../src/process/tree.ts"
import { field, settled, toolOf, until, untilAsked, untilSpeaking } from "./field.ts"

interface Agent {
  readonly agent: AcpAgentName
  /** Makes the agent ask before it runs the command. */
  readonly asking: (command: string) => string
  /** How it ends a turn whose tool was declined. */
  readonly declined: "completed" | "interrupted"
  /** Some tell a failed turn as one that has ended well, with the error as their answer. */
  readonly failed: "error" | "completed"
}

const agents: ReadonlyArray<Agent> = [
  { agent: "codex", asking: (command) => `[[ask:${command}]]`, declined: "interrupted", failed: "completed" },
  { agent: "claude", asking: (command) => `[[shell:${command}]]`, declined: "completed", failed: "error" },
  { agent: "opencode", asking: (command) => `[[shell:${command}]]`, declined: "completed", failed: "error" }
]

/** From a message to its turn, where the agent's process has to start first. */
const startMs = 60_000

const programOf = (agent: AcpAgentName) => process.env[acpVariables[agent]] ?? ""

describe.each(agents)("field failures with $agent over ACP", ({ agent, asking, declined, failed }) => {
  let world: AcpWorld

  const { begin: beginUnawaited, conclude, expectAtRest, expectNextMessageWorks } = field(() => world)
  let threads: Array<string> = []

  /** Each thread has a process of its own, which may take its time: a test begins when its turn does. */
  const begin = async (text: string) => {
    const begun = await beginUnawaited(text)
    threads.push(begun.threadId)
    const isUnderWay = (state: string | undefined) => state !== "queued" && state !== "sending"
    await begun.view.until((view) => isUnderWay(view.turn(begun.turnId)?.state), startMs)
    return begun
  }

  /** Of what was cut short, too: it had come to the model, so it must have come there once. */
  const expectSeenOnce = (turnId: string) => expect(world.model.promptsSeen(turnId)).toBe(1)

  /** What the model was shown with this turn's prompt; some agents ask it for a title beside that. */
  const shownWith = (turnId: string): string =>
    world.model
      .requests()
      .filter((one) => one.main && one.markers.includes(turnId))
      .flatMap((one) => one.context.map(({ text }) => text))
      .join("\n")

  describe.skipIf(programOf(agent) === "")(`set ${acpVariables[agent]} to run`, { timeout: 120_000 }, () => {
    beforeAll(async () => {
      world = await AcpWorld.open({ agent, program: programOf(agent) })
    })
    afterAll(() => world.dispose())
    afterEach(async ({ task }) => {
      conclude(task.result?.state === "fail")
      // What is left of a test must not be in the way of the next one.
      const left = threads
      threads = []
      for (const threadId of left) await world.chat.stop(threadId, true)
    })

    it("a plain text is answered, and its prompt and answer are shown once", async () => {
      const { turnId, view } = await begin("[[text:plain and whole]]")
      expect(await settled(view, { turnId })).toMatchObject({ state: "completed", delivered: "delivered" })
      expect(view.answers(turnId)).toEqual(["plain and whole"])
      expect(view.entries.filter(({ kind }) => kind === "user")).toHaveLength(1)
      await expectAtRest(view)
    })

    it("a tool whose approval is accepted runs, and its turn completes", async () => {
      const { threadId, turnId, view } = await begin(asking("touch accepted"))
      const { decisions, requestId } = await untilAsked(view)
      expect(decisions).toContain("accept")
      expect(view.turn(turnId)?.state).toBe("running")
      await world.chat.answer(threadId, requestId, "accept")
      expect(await settled(view, { turnId })).toMatchObject({ state: "completed", reason: null })
      expect(toolOf(view, turnId)?.status).toBe("completed")
      expect(view.requests.get(requestId)?.status).toBe("answered")
      expect(existsSync(join(world.work, "accepted"))).toBe(true)
      await expectAtRest(view)
    })

    it("a tool whose approval is declined does not run; its turn ends as the agent ends it", async () => {
      const { threadId, turnId, view } = await begin(asking("touch declined"))
      const { decisions, requestId } = await untilAsked(view)
      expect(decisions).toContain("decline")
      await world.chat.answer(threadId, requestId, "decline")
      expect(await settled(view, { turnId })).toMatchObject({ state: declined })
      expect(toolOf(view, turnId)?.status).toBe("declined")
      expect(view.requests.get(requestId)?.status).toBe("answered")
      expect(existsSync(join(world.work, "declined"))).toBe(false)
      await expectNextMessageWorks(view)
      await expectAtRest(view)
    })

    it("A9: an interrupt while it streams ends the turn and keeps its text, and the next message works", async () => {
      const first = await begin("[[slow]]")
      const { threadId, turnId, view } = first
      await untilSpeaking(first)
      const shown = view.answer(turnId)
      await world.chat.interrupt(threadId)
      expect(await settled(view, first)).toMatchObject({ state: "interrupted", reason: "Interrupted by you" })
      expect(view.answer(turnId).startsWith(shown)).toBe(true)
      expect(view.session).toMatchObject({ status: "ready", lastError: null })
      expectSeenOnce(turnId)
      await expectNextMessageWorks(view)
      await expectAtRest(view)
    })

    it("an interrupt in a pending approval expires it; an answer that comes later is refused", async () => {
      const { threadId, turnId, view } = await begin(asking("touch never"))
      const { requestId } = await untilAsked(view)
      await world.chat.interrupt(threadId)
      expect(await settled(view, { turnId })).toMatchObject({ state: "interrupted" })
      expect(view.requests.get(requestId)?.status).toBe("expired")
      await expect(world.chat.answer(threadId, requestId, "accept")).rejects.toMatchObject({
        tag: "RequestNotOpen"
      })
      expect(existsSync(join(world.work, "never"))).toBe(false)
      expectSeenOnce(turnId)
      await expectNextMessageWorks(view)
      await expectAtRest(view)
    })

    it("HTTP 400 ends the turn at once with a sentence that can be read, and the next message works", async () => {
      const { turnId, view } = await begin("[[http:400]]")
      const turn = await settled(view, { turnId })
      expect(turn).toMatchObject({ state: failed, delivered: "delivered" })
      expect(failed === "error" ? turn.reason : view.answer(turnId)).toContain("400")
      expectSeenOnce(turnId)
      await expectNextMessageWorks(view)
      expect(view.turn(turnId)).toEqual(turn)
      await expectAtRest(view)
    })

    it("A1: a dropped stream that the agent retries is never an error, and the answer comes", async () => {
      const { turnId, view } = await begin("[[drop:1]]")
      expect(await settled(view, { turnId })).toMatchObject({ state: "completed", reason: null })
      expect(view.history.every(({ session }) => session.lastError === null)).toBe(true)
      expect(view.statuses()).not.toContain("error")
      // The retry is not told over this protocol: the half that was cut cannot be known as one.
      expect(view.answers(turnId).join("")).toContain("Recovered after 1 failed attempts.")
      await expectAtRest(view)
    })

    it("C8: a follow-up while an answer streams waits: the answer is not cut, and it is a turn of its own", async () => {
      const first = await begin("[[slow:60]]")
      const { threadId, turnId, view } = first
      await untilSpeaking(first)
      const second = await world.chat.say(threadId, "[[text:the second answer]]")
      await until(view, (one) => one.turn(second.turnId)?.state === "queued")
      expect(world.model.promptsSeen(second.turnId)).toBe(0)
      expect(await settled(view, first)).toMatchObject({ state: "completed" })
      expect(await settled(view, second)).toMatchObject({ state: "completed", into: null })
      expect(view.answers(turnId).map((text) => text.trimEnd())).toEqual([slowText(60).trimEnd()])
      expect(view.answers(second.turnId)).toEqual(["the second answer"])
      // It was asked when the first answer was whole, and not amid it.
      expect(shownWith(second.turnId)).toContain("w59")
      await expectAtRest(view)
    })

    it("A8: an agent that is killed in mid-stream ends its turn as an error; the next message starts another", async () => {
      const first = await begin("[[slow]]")
      const { turnId, view } = first
      await untilSpeaking(first)
      const shown = view.answer(turnId)
      const before = await world.agents()
      for (const { pid } of before) process.kill(pid, "SIGKILL")
      const turn = await settled(view, first)
      expect(turn).toMatchObject({ state: "error", delivered: "delivered" })
      expect(view.answer(turnId).startsWith(shown)).toBe(true)
      await until(view, (one) => one.session.status === "error")
      expect(view.session.lastError).toBe(turn.reason)
      expectSeenOnce(turnId)
      await expectAtRest(view)
      await expectNextMessageWorks(view)
      const killed = new Set(before.map(({ pid }) => pid))
      const after = await world.agents()
      expect(after.length).toBeGreaterThan(0)
      expect(after.every(({ pid }) => !killed.has(pid))).toBe(true)
      expect(view.turn(turnId)).toEqual(turn)
      await expectAtRest(view)
    })

    it("A10: a server that is killed in a stream and in an approval leaves nothing working, and the model knows what was said", async () => {
      const streaming = await begin("[[text:the colour is blue]]")
      await settled(streaming.view, streaming)
      const cut = { ...streaming, ...(await world.chat.say(streaming.threadId, "[[slow]]")) }
      const pending = await begin(asking("touch never"))
      await Promise.all([untilSpeaking(cut), untilAsked(pending.view)])
      const shown = cut.view.answer(cut.turnId)
      const before = await world.agents()
      await world.restart("SIGKILL")
      // The next server ends what the killed one has left.
      for (const one of before) await gone(one)
      for (const { turnId, view } of [cut, pending]) {
        await view.attach(world.client)
        expect(view.turn(turnId)).toMatchObject({ state: "interrupted" })
        expect(view.session).toMatchObject({ status: "stopped", activeTurnId: null })
        expect(view.session.lastError).toMatch(/server/)
        expectSeenOnce(turnId)
        await expectAtRest(view)
      }
      expect(cut.view.answer(cut.turnId).startsWith(shown)).toBe(true)
      expect([...pending.view.requests.values()].map(({ status }) => status)).toEqual(["expired"])
      const next = await expectNextMessageWorks(cut.view)
      expect(shownWith(next.turnId)).toContain("the colour is blue")
      await expectNextMessageWorks(pending.view)
      expect(existsSync(join(world.work, "never"))).toBe(false)
      for (const { view } of [cut, pending]) await expectAtRest(view)
    })
  })
})
