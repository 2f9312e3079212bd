import { describe, expect, it } from "@effect/vitest"
import { aThread, idle, running, sending, sessionGone, unavailable } from "../given.ts"

describe("L9: stop is honest", () => {
  it("L9: a stop that works stops the session and interrupts what ran", () => {
    const story = running().stop()
    expect(story.status).toBe("running")
    expect(story.owed).toEqual(["session.stop"])
    story.stopped()
    expect(story.status).toBe("stopped")
    expect(story.end("t1")?.state).toBe("interrupted")
  })

  it("L9, A7: `no such session` is success", () => {
    const story = running().stop().stopFailed("stop", sessionGone)
    expect(story.status).toBe("stopped")
    expect(story.lastError).toBe(null)
  })

  it("L9, A7: any other failure leaves session and turn as they are, and says so", () => {
    const story = running().stop().stopFailed()
    expect(story.state.session).toMatchObject({
      status: "running",
      activeTurnId: "t1",
      stopAsked: null,
      open: true
    })
    expect(story.lastError).toContain("not reachable")
    expect(story.types).toEqual(["session.stop_failed"])
    expect(story.open("t1")?.state).toBe("running")
  })

  it("L9: after a failed stop the user may ask again, and with force at once for the kill", () => {
    const story = running().stop().stopFailed().stop(true)
    expect(story.state.session.stopAsked).toEqual({ by: "user", step: "kill" })
    expect(story.stopped().status).toBe("stopped")
  })

  it("L9: force on a stop that is under way goes straight to the kill; a second stop asks nothing new", () => {
    const story = running().stop()
    expect(story.stop().events).toEqual([])
    expect(story.stop(true).state.session.stopAsked).toEqual({ by: "user", step: "kill" })
  })

  it("L9: the failure of a step that is past says nothing", () => {
    expect(running().stop().stop(true).stopFailed("stop").events).toEqual([])
  })

  it("L9: stopping what is not there is accepted and changes nothing", () => {
    expect(aThread().stop().events).toEqual([])
    expect(idle().stop().stopped().stop().events).toEqual([])
  })

  it("L9: stopping after a crash clears the error state", () => {
    expect(running().exited(false).stop().status).toBe("stopped")
  })

  it("L9: a stop while a start is under way, and the start fails: the request goes with it", () => {
    const story = aThread().ask("t1").begin("session.start").stop()
    story.outcome({ type: "start.failed", generation: 1, fault: unavailable })
    expect(story.state.session).toMatchObject({ status: "stopped", stopAsked: null, open: false })
    expect(story.ask("t2").owed).toEqual(["session.start"])
  })

  it("L9: a stop request ends whenever the session is stopped, by whatever cause", () => {
    for (const story of [
      running().stop().exited(true),
      running().stop().exited(false),
      running().stop().live({ type: "absent" }),
      sending().stop().rejected("t1", sessionGone)
    ]) {
      expect(story.state.session).toMatchObject({ stopAsked: null, open: false })
    }
  })

  it("B2: an interrupt is recorded at once, accepted, and ends in the provider's proof", () => {
    const story = running().interrupt()
    expect(story.open("t1")?.interrupt?.step).toBe("asked")
    expect(story.owed).toEqual(["turn.interrupt"])
    expect(story.interruptAccepted("t1").owed).toEqual(["deadline"])
    expect(story.ended("p-t1", "interrupted").end("t1")).toMatchObject({
      state: "interrupted",
      reason: "Interrupted by you"
    })
    expect(story.status).toBe("ready")
  })

  it("B2: an interrupt that succeeded and changed nothing stops the session at its deadline, then kills", () => {
    const story = running().interrupt().interruptAccepted("t1").deadline("interrupt", "t1")
    expect(story.state.session.stopAsked).toEqual({ by: "interrupt", step: "stop" })
    expect(story.stopFailed("stop").state.session.stopAsked).toEqual({ by: "interrupt", step: "kill" })
    expect(story.stopped().end("t1")?.state).toBe("interrupted")
  })

  it("B2: an interrupt that fails escalates at once, each failure is told", () => {
    const story = running().interrupt().interruptFailed("t1")
    expect(story.types).toEqual(["turn.interrupt_escalated", "session.stop_asked"])
    story.stopFailed("stop").stopFailed("kill")
    expect(story.all("session.stop_failed")).toHaveLength(2)
    expect(story.all("turn.interrupt_failed")).toHaveLength(1)
    expect(story.open("t1")).toMatchObject({ state: "running", interrupt: null })
    expect(story.interrupt().owed).toEqual(["turn.interrupt"])
  })

  it("B2: the turn named does not run: its end is on the way, and the deadline waits for it", () => {
    const story = running().interrupt().interruptFailed("t1", { reason: "TurnMismatch", message: "" })
    expect(story.owed).toEqual(["deadline"])
  })

  it("B2: the session is gone: the interrupt has what it asked for", () => {
    const story = running().interrupt().interruptFailed("t1", sessionGone)
    expect(story.end("t1")).toMatchObject({ state: "interrupted", reason: "Interrupted by you" })
    expect(story.state.session.open).toBe(false)
  })

  it("a second interrupt is accepted and asks nothing new", () => {
    expect(running().interrupt().interrupt().events).toEqual([])
  })

  it("an interrupt while sending is recorded, and acts as soon as the outcome is known", () => {
    const story = sending().interrupt()
    expect(story.owed).toEqual(["turn.send"])
    expect(story.accepted("t1").owed).toEqual(["turn.interrupt"])
  })

  it("deleting a thread while the user's stop is under way: the stop is no longer one that may fail quietly", () => {
    const story = running().stop().command({ type: "thread.delete" }).stopFailed("stop")
    expect(story.state.session.stopAsked).toEqual({ by: "deleted", step: "kill" })
  })

  it("L9, L14: a deleted thread whose provider could not be ended is stopped again at the deadline of quiet", () => {
    const story = running().command({ type: "thread.delete" }).stopFailed("stop").stopFailed("kill")
    expect(story.state.session).toMatchObject({ status: "running", stopAsked: null })
    expect(story.owed).toEqual(["deadline"])
    // Nobody is there who could ask for it once more.
    const again = story.deadline("quiet", "t1")
    expect(again.state.session.stopAsked).toEqual({ by: "deleted", step: "stop" })
    expect(again.stopped().state.turns).toEqual([])
  })

  it("in a deleted thread nobody answers: a turn that asks falls to the deadline of quiet", () => {
    const story = running()
      .asks("p-t1")
      .command({ type: "thread.delete" })
      .stopFailed("stop")
      .stopFailed("kill")
    expect(story.open("t1")?.state).toBe("running")
    expect(story.owed).toEqual(["deadline"])
    expect(story.deadline("quiet", "t1").stopped().state.turns).toEqual([])
  })
})
