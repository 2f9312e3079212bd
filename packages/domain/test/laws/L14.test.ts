import { describe, expect, it } from "@effect/vitest"
import { atRest } from "../../src/thread/draft.ts"
import { keyOf } from "../../src/thread/Owed.ts"
import { pending } from "../../src/thread/pending.ts"
import { aThread, idle, running, sending, turn } from "../given.ts"
import type { Story } from "../given.ts"

describe("L14: a state that is not at rest always has something owed", () => {
  const states: ReadonlyArray<readonly [string, () => Story, ReadonlyArray<string>]> = [
    ["a queued turn without a session", () => aThread().ask("t1"), ["session.start"]],
    ["a session that starts", () => aThread().ask("t1").begin("session.start"), ["session.start"]],
    ["a queued turn with a session", () => idle().ask("t1"), ["turn.send"]],
    ["a send under way", () => sending(), ["turn.send"]],
    ["a send in doubt", () => sending().unknown("t1"), ["turn.evidence"]],
    ["a running turn", () => running(), ["deadline"]],
    ["a quiet turn", () => running().deadline("quiet", "t1"), ["turn.probe"]],
    ["an interrupt asked", () => running().interrupt(), ["turn.interrupt"]],
    ["an interrupt accepted", () => running().interrupt().interruptAccepted("t1"), ["deadline"]],
    ["an interrupt that failed", () => running().interrupt().interruptFailed("t1"), ["session.stop"]],
    ["a final error", () => running().finalError("p-t1", "no"), ["deadline"]],
    ["a stop asked", () => running().stop(), ["session.stop"]],
    ["an answer given", () => running().asks("p-t1").answer("1/r1"), ["deadline", "request.answer"]]
  ]
  for (const [what, story, owed] of states) {
    it(`L14: ${what} owes ${owed.join(" and ")}`, () => {
      expect(story().owed).toEqual(owed)
      expect(atRest(story().state)).toBe(false)
    })
  }

  it("L14: a thread at rest owes nothing", () => {
    for (const story of [aThread(), idle(), idle().stop().stopped(), running().exited(false)]) {
      expect(story.owed).toEqual([])
      expect(atRest(story.state)).toBe(true)
    }
  })

  it("L14: every failure of every step of an interrupt ends with a turn that can be interrupted again", () => {
    const story = running()
    for (let round = 0; round < 3; round++) {
      story
        .interrupt()
        .interruptAccepted("t1")
        .deadline("interrupt", "t1")
        .stopFailed("stop")
        .stopFailed("kill")
    }
    expect(story.owed).toEqual(["deadline"])
    expect(story.ended("p-t1").status).toBe("ready")
  })

  it("L14: the end of a turn was lost on the way: quiet, a question and its answer settle it", () => {
    const story = running().deadline("quiet", "t1")
    const ended = { outcome: "completed", message: null } as const
    story.outcome({ type: "probe.gone", turnId: turn("t1"), generation: 1, ended })
    expect(story.end("t1")?.state).toBe("completed")
    expect(atRest(story.state)).toBe(true)
  })

  it("L14: what is owed has one key, the same each time it is named, and another once it was done", () => {
    const story = idle().ask("t1")
    const before = pending(story.state).map(keyOf)
    expect(pending(story.state).map(keyOf)).toEqual(before)
    const sent = pending(story.begin("turn.send").state).map(keyOf)
    story.rejected("t1", { reason: "SessionGone", message: "" }).ready()
    const again = pending(story.state).map(keyOf)
    expect(new Set([...sent, ...again]).size).toBe(2)
  })
})
