import { describe, expect, it } from "@effect/vitest"
import { MessageId } from "../../src/ids.ts"
import { agent, idle, running, sending, turn, unavailable } from "../given.ts"

describe("L13: a turn that settles other than completed cancels those behind it", () => {
  it("L13: each with a reason, and never delivered", () => {
    for (const story of [
      running().ask("t2").ask("t3").ended("p-t1", "failed"),
      running().ask("t2").ask("t3").ended("p-t1", "interrupted"),
      running().ask("t2").ask("t3").exited(false),
      running().ask("t2").ask("t3").live({ type: "absent" }),
      sending().ask("t2").ask("t3").rejected("t1")
    ]) {
      for (const id of ["t2", "t3"]) {
        expect(story.end(id)).toMatchObject({ state: "cancelled", delivery: "not_delivered" })
        expect(story.end(id)?.reason).toMatch(/^Not sent: /)
      }
    }
  })

  it("L13: a completed turn sends the next one", () => {
    expect(running().ask("t2").ended("p-t1").owed).toEqual(["turn.send"])
  })

  it("L13: a withdrawn or steered turn judges nobody behind it", () => {
    expect(running().ask("t2").ask("t3").interrupt("t2").open("t3")?.state).toBe("queued")
    const steer = running().ask("t2", "steer").ask("t3").begin("turn.steer")
    steer.outcome({ type: "steer.accepted", turnId: turn("t2"), generation: 1 })
    expect(steer.open("t3")?.state).toBe("queued")
  })

  it("L13: a turn that asked for the interruption goes out, those that merely waited are cancelled", () => {
    const story = running().ask("t2").ask("t3", "interrupt")
    expect(story.state.turns.map((open) => open.id)).toEqual(["t1", "t3", "t2"])
    expect(story.open("t1")?.interrupt).toMatchObject({ by: "t3", step: "asked" })
    story.interruptAccepted("t1").ended("p-t1", "interrupted")
    expect(story.end("t2")?.state).toBe("cancelled")
    expect(story.open("t3")?.state).toBe("queued")
    expect(story.owed).toEqual(["turn.send"])
  })

  it("L13: a second turn that interrupts goes out behind the first", () => {
    const story = running().ask("t2", "interrupt").ask("t3", "interrupt")
    expect(story.state.turns.map((open) => open.id)).toEqual(["t1", "t2", "t3"])
  })

  it("L13: an interrupting turn of an idle thread is an ordinary one", () => {
    expect(idle().ask("t1", "interrupt").owed).toEqual(["turn.send"])
  })

  it("L13: stop means stop: what waits is withdrawn at once, before the stop has worked", () => {
    for (const force of [false, true]) {
      const story = running().ask("t2").ask("t3", "interrupt").stop(force)
      expect(story.end("t2")?.state).toBe("cancelled")
      expect(story.end("t3")?.state).toBe("cancelled")
      expect(story.open("t1")?.state).toBe("running")
    }
  })

  it("L13: a failed start cancels those behind the turn it was for", () => {
    const story = running().stop().stopped().ask("t2").ask("t3").begin("session.start")
    story.outcome({ type: "start.failed", generation: 2, fault: unavailable })
    expect(story.end("t2")?.state).toBe("error")
    expect(story.end("t3")?.state).toBe("cancelled")
  })

  it("L13: a retry brings any of them back under a new turn id, with its text", () => {
    const story = running().ask("t2").ended("p-t1", "failed")
    const retry = {
      type: "thread.turn.retry",
      turnId: turn("t2"),
      newTurnId: turn("t9"),
      newMessageId: MessageId.make("m9")
    } as const
    const retryOf = {
      turnId: turn("t2"),
      text: "do t2",
      attachments: [],
      provider: agent,
      model: null,
      runtimeMode: "approval_required",
      interactionMode: "default"
    } as const
    story.command(retry, { retryOf })
    expect(story.events).toMatchObject([{ type: "turn.queued", turnId: "t9", text: "do t2", retryOf: "t2" }])
    expect(story.owed).toEqual(["turn.send"])
    expect(story.refusal({ ...retry, turnId: turn("t9"), newTurnId: turn("t10") })).toBe("TurnNotSettled")
    expect(story.refusal({ ...retry, newTurnId: turn("t10") })).toBe("TurnNotFound")
  })

  it("L13: deleting the thread withdraws what waits and stops what runs", () => {
    const story = running().ask("t2").command({ type: "thread.delete" })
    expect(story.end("t2")?.state).toBe("cancelled")
    expect(story.owed).toEqual(["session.stop"])
    expect(story.stopped().end("t1")?.state).toBe("interrupted")
  })
})
