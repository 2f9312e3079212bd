import { describe, expect, it } from "@effect/vitest"
import { idle, running, sending } from "../given.ts"

describe("L2: the session is running exactly when activeTurnId names a running turn", () => {
  it("L2: an accepted send makes both true in one commit, and clears the last error", () => {
    const story = sending().rejected("t1").ask("t2").begin("turn.send")
    expect(story.lastError).not.toBe(null)
    story.accepted("t2")
    expect(story.state.session).toMatchObject({ status: "running", activeTurnId: "t2", lastError: null })
  })

  it("L2: the provider's word that the turn started does the same, and the later answer adds nothing", () => {
    const story = sending().started("p-t1", "t1")
    expect(story.state.session).toMatchObject({ status: "running", activeTurnId: "t1" })
    expect(story.accepted("t1").events).toEqual([])
  })

  it("L2, A4: completed makes the session ready", () => {
    expect(running().ended("p-t1").state.session).toMatchObject({ status: "ready", activeTurnId: null })
  })

  it("L2, A4: failed makes it error, with the reason", () => {
    expect(running().ended("p-t1", "failed", "the model broke").state.session).toMatchObject({
      status: "error",
      activeTurnId: null,
      lastError: "the model broke"
    })
  })

  it("L2, B1: interrupted and aborted make it ready", () => {
    const aborted = running()
    aborted.says({ type: "turn.aborted", providerTurnId: aborted.open("t1")!.providerTurnId, message: null })
    for (const story of [running().ended("p-t1", "interrupted"), aborted]) {
      expect(story.end("t1")?.state).toBe("interrupted")
      expect(story.state.session).toMatchObject({ status: "ready", activeTurnId: null })
    }
  })

  it("L2, A8: a clean exit stops the session and interrupts its turn in the same commit", () => {
    const story = running().exited(true)
    expect(story.types).toEqual(["turn.settled", "session.stopped"])
    expect(story.end("t1")?.state).toBe("interrupted")
    expect(story.status).toBe("stopped")
  })

  it("L2, A8: a crash makes the session error and fails its turn in the same commit", () => {
    const story = running().exited(false, "killed by signal 9")
    expect(story.end("t1")).toMatchObject({ state: "error", reason: "killed by signal 9" })
    expect(story.state.session).toMatchObject({ status: "error", activeTurnId: null, open: false })
  })

  it("L2, B8: a turn of the provider's own is shown as one", () => {
    const story = idle().started("own")
    expect(story.status).toBe("running")
    expect(story.state.turns[0]).toMatchObject({
      origin: "provider",
      providerTurnId: "own",
      state: "running"
    })
  })
})
