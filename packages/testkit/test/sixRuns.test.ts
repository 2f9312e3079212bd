/**
 * What the whole product promises, seen from outside: the real server process, the real Codex, a fake
 * model behind it, and a client that speaks the public API. Needs a Codex program:
 *
 *     TURNKEEPER_CODEX_BIN=$(node scripts/providers.ts codex) npx vitest run sixRuns
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { CodexWorld } from "../src/CodexWorld.ts"
import { answers, slowText } from "../src/fakeModel/script.ts"
import { openView } from "../src/View.ts"
import type { View } from "../src/View.ts"

const binary = process.env["TURNKEEPER_CODEX_BIN"] ?? ""
const deadlineMs = 30_000

let world: CodexWorld

beforeEach(async () => {
  world = await CodexWorld.open({ binary })
})

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") process.stderr.write(`${world.server.stderr().slice(-8_000)}\n`)
  await world.dispose()
})

/** The truth that holds in every run, at its end. */
const expectAtRest = (view: View) => {
  expect(view.faults).toEqual([])
  expect(view.openRequests()).toEqual([])
  for (const turn of view.turns.values()) {
    expect(view.isSettled(turn.turnId), `${turn.turnId} is ${turn.state}`).toBe(true)
    expect(view.openIn(turn.turnId)).toEqual([])
  }
  expect(view.session.activeTurnId).toBeNull()
}

const expectNextMessageWorks = async (view: View, text = "it works") => {
  const next = await world.chat.say(view.threadId, `[[text:${text}]]`)
  expect(await view.settled(next.turnId, deadlineMs)).toMatchObject({ state: "completed" })
  expect(view.answer(next.turnId)).toBe(text)
  expect(view.session).toMatchObject({ status: "ready", lastError: null, activeTurnId: null })
  expect(world.model.promptsSeen(next.turnId)).toBe(1)
  return next
}

describe.skipIf(binary === "")(
  "six runs of the real server with the real Codex",
  { timeout: 180_000 },
  () => {
    it("1. L6: a stream that is dropped twice is never an error, and the answer is shown once", async () => {
      const { threadId, turnId } = await world.chat.begin("[[drop:2]]")
      const view = await openView(world.client, threadId)
      expect(await view.settled(turnId, deadlineMs)).toMatchObject({ state: "completed", reason: null })

      expect(view.statuses()).not.toContain("error")
      expect(view.history.some((seen) => seen.session.lastError !== null)).toBe(false)
      expect(view.history.some((seen) => seen.session.recovering !== null)).toBe(true)
      expect(view.session).toMatchObject({ status: "ready", recovering: null, lastError: null })
      expect(view.answers(turnId)).toEqual([answers.recovered(2)])
      expect(world.model.promptsSeen(turnId)).toBe(1)
      expectAtRest(view)
      // What a client that comes later is shown is the same.
      const later = await openView(world.client, threadId)
      expect(later.answers(turnId)).toEqual([answers.recovered(2)])
    })

    it("2. L8: HTTP 400 ends the turn as an error that can be read, and the next message works", async () => {
      const { threadId, turnId } = await world.chat.begin("[[http:400]]")
      const view = await openView(world.client, threadId)
      const turn = await view.settled(turnId, deadlineMs)
      expect(turn.state).toBe("error")
      await view.until((one) => one.session.status === "error", deadlineMs)
      for (const words of [turn.reason, view.session.lastError]) {
        expect(words).toContain("The fake model answers 400.")
        // A sentence for people, not the provider's JSON.
        expect(words).not.toMatch(/[{}]/)
      }
      await expectNextMessageWorks(view)
      expectAtRest(view)
    })

    it("3. L1: a message that comes while another is answered waits, and becomes a turn of its own", async () => {
      const words = 40
      const first = await world.chat.begin(`[[slow:${words}]]`)
      const view = await openView(world.client, first.threadId)
      await view.until((one) => one.answer(first.turnId).length > 0, deadlineMs)
      const second = await world.chat.say(first.threadId, "[[text:the second answer]]")
      await view.until((one) => one.turn(second.turnId)?.state === "queued", deadlineMs)
      expect(view.turn(first.turnId)?.state).toBe("running")

      expect(await view.settled(first.turnId, deadlineMs)).toMatchObject({ state: "completed" })
      expect(view.answer(first.turnId)).toBe(slowText(words))
      expect(await view.settled(second.turnId, deadlineMs)).toMatchObject({ state: "completed", into: null })
      expect(view.answer(second.turnId)).toBe("the second answer")

      const firstEnd = indexOf(view, "turn.settled", first.turnId)
      expect(indexOf(view, "turn.send_started", second.turnId)).toBeGreaterThan(firstEnd)
      const providerTurns = [first, second].map(
        ({ turnId }) => world.model.requests().find((request) => request.markers.includes(turnId))?.turnId
      )
      expect(new Set(providerTurns).size).toBe(2)
      expect(world.model.contextTexts(second.turnId)).toContain(slowText(words))
      expect([first, second].map(({ turnId }) => world.model.promptsSeen(turnId))).toEqual([1, 1])
      expectAtRest(view)
    })

    it("4. L5: after a kill of the server in mid-stream everything is closed, the text is kept, and work goes on", async () => {
      const before = await world.chat.begin("[[text:the colour is blue]]")
      const view = await openView(world.client, before.threadId)
      await view.settled(before.turnId, deadlineMs)
      const cut = await world.chat.say(before.threadId, "[[slow]]")
      await view.until((one) => one.answer(cut.turnId).split(" ").length > 5, deadlineMs)
      await world.restart("SIGKILL")
      // What reached this client before the connection broke was committed.
      const shown = view.answer(cut.turnId)

      const after = await openView(world.client, before.threadId)
      const first = after.history.find((seen) => seen.item.type === "snapshot")
      expect(first?.session).toMatchObject({ status: "stopped", activeTurnId: null })
      expect(first?.session.lastError).toMatch(/\w/)
      expect(after.turn(cut.turnId)).toMatchObject({ state: "interrupted" })
      expect(after.turn(cut.turnId)?.reason).toMatch(/\w/)
      expect(after.answer(cut.turnId).startsWith(shown)).toBe(true)
      expect(slowText(10_000).startsWith(after.answer(cut.turnId))).toBe(true)
      expect(after.turn(before.turnId)).toMatchObject({ state: "completed" })
      expectAtRest(after)

      const next = await expectNextMessageWorks(after)
      expect(world.model.contextTexts(next.turnId)).toContain("the colour is blue")
      expect(world.model.promptsSeen(cut.turnId)).toBe(1)
      expectAtRest(after)
      // The client that was there before joins what it has with what it missed.
      await view.attach(world.client)
      expect(view.answer(cut.turnId)).toBe(after.answer(cut.turnId))
      expectAtRest(view)
    })

    it("5. a kill of Codex in mid-stream settles the turn at once, and the next message works", async ({
      annotate
    }) => {
      const { threadId, turnId } = await world.chat.begin("[[slow]]")
      const view = await openView(world.client, threadId)
      await view.until((one) => one.answer(turnId).split(" ").length > 5, deadlineMs)
      const codex = await world.codex()
      const shown = view.answer(turnId)
      const killed = performance.now()
      process.kill(codex.pid, "SIGKILL")
      const turn = await view.settled(turnId, deadlineMs)
      await annotate(`The turn settled ${Math.round(performance.now() - killed)} ms after the kill of Codex.`)

      expect(turn.state).toBe("error")
      expect(turn.reason).toMatch(/\w/)
      expect(view.answer(turnId).startsWith(shown)).toBe(true)
      expect(view.session.status).toBe("error")
      expect(view.session.lastError).toMatch(/\w/)
      expectAtRest(view)
      await expectNextMessageWorks(view)
      expect(world.model.promptsSeen(turnId)).toBe(1)
      expectAtRest(view)
    })

    it("6. L12: of twenty messages whose server is killed at their acknowledgement none is lost and none doubled", async ({
      annotate
    }) => {
      const sent: Array<{ readonly threadId: string; readonly turnId: string }> = []
      for (let round = 0; round < 20; round++) {
        // Every other one goes to a thread that has a conversation already.
        const target = round % 2 === 1 ? sent[round - 1]?.threadId : undefined
        const text = `[[text:answer ${round}]]`
        sent.push(await (target === undefined ? world.chat.begin(text) : world.chat.say(target, text)))
        await world.restart("SIGKILL")
      }

      const ends: Record<string, number> = {}
      for (const { threadId, turnId } of sent) {
        const view = await openView(world.client, threadId)
        const turn = await view.settled(turnId, deadlineMs)
        const seen = world.model.promptsSeen(turnId)
        const end = `${turn.state}, ${turn.delivered}, seen ${seen} times`
        ends[end] = (ends[end] ?? 0) + 1
        expect(view.entries.some((entry) => entry.kind === "user" && entry.turnId === turnId)).toBe(true)
        expect(seen, end).toBeLessThanOrEqual(1)
        if (turn.state === "completed") {
          expect(seen, end).toBe(1)
          expect(view.answer(turnId)).toBe(`answer ${sent.findIndex((one) => one.turnId === turnId)}`)
        } else if (turn.state === "cancelled") {
          // L13: it waited behind the thread's first message, and the kill interrupted that one.
          const before = [...view.turns.values()].find((other) => other.turnId !== turnId)
          expect(before?.state, JSON.stringify(turn)).toBe("interrupted")
          expect(turn.delivered).toBe("not_delivered")
          expect(turn.reason).toMatch(/\w/)
          expect(seen, end).toBe(0)
        } else {
          // Not completed is allowed otherwise only where the message got to Codex or nobody can say, and is told so.
          expect(turn.state, JSON.stringify(turn)).toBe("interrupted")
          expect(["delivered", "unknown"]).toContain(turn.delivered)
          expect(turn.reason).toMatch(/\w/)
        }
        // The thread is at rest when the other message in it has ended, too.
        for (const other of sent)
          if (other.threadId === threadId) await view.settled(other.turnId, deadlineMs)
        expectAtRest(view)
        await view.close()
      }
      await annotate(
        Object.entries(ends)
          .map(([end, count]) => `${count} × ${end}`)
          .join("; ")
      )
    })
  }
)

const indexOf = (view: View, type: string, turnId: string) =>
  view.history.findIndex(
    ({ item }) =>
      item.type === "event" &&
      item.event.type === type &&
      "turnId" in item.event &&
      item.event.turnId === turnId
  )
