/**
 * What went wrong in the field with servers like this one, tried on this one: the real server process, the
 * real Claude, a fake model behind it, and a client that speaks the public API. The names are those of the
 * list of field failures. Needs the Claude Agent SDK:
 *
 *     TURNKEEPER_CLAUDE_SDK=$(node scripts/providers.ts claude) npx vitest run claudeField
 *
 * Each test ends with the same judgement (`src/rest.ts`): every turn settled and stamped, nothing open, the
 * session not running, a later client told the same, each prompt at the model as often as its turn says.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { dispatch } from "../src/Chat.ts"
import { ClaudeWorld } from "../src/ClaudeWorld.ts"
import { answers, slowText } from "../src/fakeModel/script.ts"
import { gone } from "../src/process/tree.ts"
import { deadlineMs, field, settled, told, toolOf, until, untilAsked, untilSpeaking } from "./field.ts"

const sdk = process.env["TURNKEEPER_CLAUDE_SDK"] ?? ""

let world: ClaudeWorld

/** A command that runs for longer than any test; one that only sleeps Claude refuses. */
const longCommand = "for i in $(seq 600); do echo tick; sleep 0.1; done"

const { begin, conclude, expectAtRest, expectNextMessageWorks } = field(() => world)

/** Of what was cut short, too: it had come to the model, so it must have come there once. */
const expectSeenOnce = (turnId: string) => expect(world.model.promptsSeen(turnId)).toBe(1)

describe.skipIf(sdk === "")("field failures with the real Claude", { timeout: 60_000 }, () => {
  beforeAll(async () => {
    world = await ClaudeWorld.open({ sdk })
  }, deadlineMs)
  afterAll(() => world.dispose(), deadlineMs)
  afterEach(({ task }) => conclude(task.result?.state === "fail"))

  it("a plain text is answered, and its prompt and answer are shown once", async () => {
    const { turnId, view } = await begin("[[text:plain and whole]]")
    expect(await settled(view, { turnId })).toMatchObject({ state: "completed", delivered: "delivered" })
    expect(view.answers(turnId)).toEqual(["plain and whole"])
    expect(view.entries.filter(({ kind }) => kind === "user")).toHaveLength(1)
    await expectAtRest(view)
  })

  it.each([
    ["accept", "completed", true],
    ["decline", "declined", false]
  ] as const)(
    "a tool whose approval is answered with %s is %s, and its turn completes",
    async (decision, status, runs) => {
      const { threadId, turnId, view } = await begin(`[[shell:touch ${decision}]]`)
      const { decisions, requestId } = await untilAsked(view)
      expect(decisions).toContain(decision)
      expect(view.turn(turnId)?.state).toBe("running")
      await world.chat.answer(threadId, requestId, decision)
      expect(await settled(view, { turnId })).toMatchObject({ state: "completed", reason: null })
      expect(toolOf(view, turnId)?.status).toBe(status)
      expect(view.requests.get(requestId)?.status).toBe("answered")
      expect(existsSync(join(world.work, decision))).toBe(runs)
      expect(view.answer(turnId)).toBe(answers.afterTool)
      expect(view.session).toMatchObject({ status: "ready", lastError: null })
      await expectAtRest(view)
    }
  )

  it("a question is asked, and its answer reaches the model; the turn completes", async () => {
    const { threadId, turnId, view } = await begin(
      '[[tool:AskUserQuestion|{"questions":[{"question":"Which colour?","header":"Colour","multiSelect":false,"options":[{"label":"Red","description":"like fire"},{"label":"Blue","description":"like water"}]}]}]]'
    )
    const { requestId } = await untilAsked(view)
    await dispatch(world.client, {
      type: "thread.request.answer",
      threadId,
      requestId,
      answers: { "0": ["Blue"] }
    })
    expect(await settled(view, { turnId })).toMatchObject({ state: "completed", reason: null })
    expect(view.requests.get(requestId)?.status).toBe("answered")
    expect(world.model.contextTexts(turnId).join("\n")).toContain("Blue")
    await expectAtRest(view)
  })

  it("an interrupt in a tool ends the turn, the tool's card and the command itself", async () => {
    const { threadId, turnId, view } = await begin(`[[shell:${longCommand}]]`, { runtimeMode: "full_access" })
    await until(view, (one) => toolOf(one, turnId) !== undefined)
    const running = async () =>
      (await world.server.children()).find(({ command }) => command.includes("seq 600"))
    await expect.poll(running, { timeout: deadlineMs }).toBeDefined()
    const command = await running()
    await world.chat.interrupt(threadId)
    expect(await settled(view, { turnId })).toMatchObject({ state: "interrupted" })
    await gone(command!)
    await expectNextMessageWorks(view)
    await expectAtRest(view)
  })

  it("an interrupt right behind the message is never lost", async () => {
    const first = await begin("[[slow]]")
    await world.chat.interrupt(first.threadId, first.turnId)
    expect(["interrupted", "cancelled"]).toContain((await settled(first.view, first)).state)
    await expectNextMessageWorks(first.view)
    await expectAtRest(first.view)
  })

  it("an interrupt while Claude waits for its next try ends the turn, not the session", async () => {
    const { threadId, turnId, view } = await begin("[[http:500]]")
    await until(view, (one) => (one.session.recovering?.attempt ?? 0) >= 2)
    await world.chat.interrupt(threadId)
    expect(await settled(view, { turnId })).toMatchObject({ state: "interrupted" })
    expect(view.session).toMatchObject({ status: "ready", recovering: null, lastError: null })
    await expectNextMessageWorks(view)
    await expectAtRest(view)
  })

  it("a stream that is dropped for ever ends the turn as an error, after the retries that were told", async () => {
    const { turnId, view } = await begin("[[drop]]")
    const turn = await settled(view, { turnId })
    expect(turn).toMatchObject({ state: "error", delivered: "delivered" })
    expect(turn.reason).toMatch(/\w/)
    const attempts = view.history.map(({ session }) => session.recovering?.attempt ?? 0)
    expect(Math.max(...attempts)).toBe(3)
    expect(view.session).toMatchObject({ status: "error", lastError: turn.reason })
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
    const { threadId, turnId, view } = await begin("[[shell:touch never]]")
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
    expect(turn).toMatchObject({ state: "error", delivered: "delivered" })
    expect(turn.reason).toContain("The fake model answers 400.")
    expect(view.session).toMatchObject({ status: "error", lastError: turn.reason, activeTurnId: null })
    expect(told(view, "session.recovering")).toEqual([])
    expectSeenOnce(turnId)
    await expectNextMessageWorks(view)
    expect(view.turn(turnId)).toEqual(turn)
    await expectAtRest(view)
  })

  it("A1: a dropped stream that Claude retries is never an error, and its text is shown once", async () => {
    const { turnId, view } = await begin("[[drop:1]]")
    expect(await settled(view, { turnId })).toMatchObject({ state: "completed", reason: null })
    const retrying = view.history.filter(({ session }) => session.recovering !== null)
    expect(retrying.length).toBeGreaterThan(0)
    expect(retrying.every(({ session }) => session.status === "running")).toBe(true)
    expect(view.history.every(({ session }) => session.lastError === null)).toBe(true)
    expect(view.statuses()).not.toContain("error")
    expect(view.answers(turnId)).toEqual([answers.recovered(1)])
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
    expect(world.model.contextTexts(second.turnId).join("\n")).toContain("w59")
    await expectAtRest(view)
  })

  it("A8: a Claude that is killed in mid-stream ends its turn as an error; the next message starts another", async () => {
    const first = await begin("[[slow]]")
    const { turnId, view } = first
    await untilSpeaking(first)
    const shown = view.answer(turnId)
    const killed = await world.claudes()
    for (const { pid } of killed) process.kill(pid, "SIGKILL")
    const turn = await settled(view, first)
    expect(turn).toMatchObject({ state: "error", delivered: "delivered" })
    expect(view.answer(turnId).startsWith(shown)).toBe(true)
    await until(view, (one) => one.session.status === "error")
    expect(view.session.lastError).toBe(turn.reason)
    expectSeenOnce(turnId)
    await expectAtRest(view)
    await expectNextMessageWorks(view)
    const pids = killed.map(({ pid }) => pid)
    expect((await world.claudes()).filter(({ pid }) => pids.includes(pid))).toEqual([])
    expect(view.turn(turnId)).toEqual(turn)
    await expectAtRest(view)
  })

  it("A10: a server that is killed in a stream and in an approval leaves nothing working, and the model knows what was said", async () => {
    const streaming = await begin("[[text:the colour is blue]]")
    await settled(streaming.view, streaming)
    const cut = { ...streaming, ...(await world.chat.say(streaming.threadId, "[[slow]]")) }
    const asking = await begin("[[shell:touch never]]")
    await Promise.all([untilSpeaking(cut), untilAsked(asking.view)])
    const shown = cut.view.answer(cut.turnId)
    const left = await world.claudes()
    expect(left.length).toBeGreaterThan(1)
    await world.restart("SIGKILL")
    // The next server ends what the killed one has left.
    for (const claude of left) await gone(claude)
    for (const { turnId, view } of [cut, asking]) {
      await view.attach(world.client)
      expect(view.turn(turnId)).toMatchObject({ state: "interrupted" })
      expect(view.session).toMatchObject({ status: "stopped", activeTurnId: null })
      expect(view.session.lastError).toMatch(/server/)
      expectSeenOnce(turnId)
      await expectAtRest(view)
    }
    expect(cut.view.answer(cut.turnId).startsWith(shown)).toBe(true)
    expect(toolOf(asking.view, asking.turnId)?.status).toBe("interrupted")
    expect([...asking.view.requests.values()].map(({ status }) => status)).toEqual(["expired"])
    await expectNextMessageWorks(cut.view, ["the colour is blue"])
    await expectNextMessageWorks(asking.view)
    expect(existsSync(join(world.work, "never"))).toBe(false)
    for (const { view } of [cut, asking]) await expectAtRest(view)
  })
})
