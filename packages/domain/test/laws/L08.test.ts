import { describe, expect, it } from "@effect/vitest"
import { limits } from "../../src/thread/lifecycle.ts"
import { aThread, idle, other, running, sending, sessionGone, unavailable } from "../given.ts"

const startFailed = (story = aThread().ask("t1")) =>
  story
    .begin("session.start")
    .outcome({ type: "start.failed", generation: story.generation, fault: unavailable })

describe("L8: a failed send settles its turn, and the session says why", () => {
  it("L8, A3: with a live binding the session becomes error", () => {
    const story = sending().rejected("t1")
    expect(story.end("t1")).toMatchObject({
      state: "error",
      reason: "not reachable",
      delivery: "not_delivered"
    })
    expect(story.state.session).toMatchObject({ status: "error", open: true, lastError: "not reachable" })
  })

  it("L8, A3: never started, and the start fails: the session is stopped, with the error", () => {
    const story = startFailed()
    expect(story.end("t1")).toMatchObject({ state: "error", delivery: "not_delivered" })
    expect(story.state.session).toMatchObject({ status: "stopped", open: false, lastError: "not reachable" })
  })

  it("L8, A3: previously stopped, and the next start fails: stopped, with the error", () => {
    const story = startFailed(idle().stop().stopped().ask("t1"))
    expect(story.state.session).toMatchObject({
      status: "stopped",
      lastError: "not reachable",
      generation: 2
    })
  })

  it("L8, A3: another provider is asked for, and does not start: stopped, with the error", () => {
    const story = idle().ask("t1", "queue", other)
    expect(story.owed).toEqual(["session.stop"])
    startFailed(story.begin("session.stop").stopped())
    expect(story.end("t1")).toMatchObject({ state: "error", reason: "not reachable" })
    expect(story.state.session).toMatchObject({ status: "stopped", lastError: "not reachable" })
  })

  it("L8, A3: a later turn with a healthy provider recovers, and clears the error", () => {
    for (const story of [startFailed().ask("t2").ready(), sending().rejected("t1").ask("t2")]) {
      story.begin("turn.send").accepted("t2")
      expect(story.state.session).toMatchObject({ status: "running", activeTurnId: "t2", lastError: null })
    }
  })

  it("L8, A9: a failed send is no abort: the turn was never running", () => {
    expect(sending().rejected("t1").types).toEqual(["turn.settled"])
  })

  it("L8, B12: no such session: nothing was delivered, and a new generation sends it", () => {
    const story = sending().rejected("t1", { reason: "SessionGone", message: "no such session" })
    expect(story.open("t1")?.state).toBe("queued")
    expect(story.owed).toEqual(["session.start"])
    expect(story.ready().begin("turn.send").accepted("t1").open("t1")?.state).toBe("running")
    expect(story.generation).toBe(2)
  })

  it("L8, B12: no such session: the same when the session's end was heard before", () => {
    const story = sending().exited(false, "killed").rejected("t1", sessionGone)
    expect(story.open("t1")?.state).toBe("queued")
    expect(story.ready().begin("turn.send").accepted("t1").open("t1")?.state).toBe("running")
    expect(story.generation).toBe(2)
  })

  it("L13: no such session after the user's stop: nothing is sent again", () => {
    const story = sending().stop().exited(true).rejected("t1", sessionGone)
    expect(story.end("t1")).toMatchObject({ state: "cancelled", delivery: "not_delivered" })
    expect(story.owed).toEqual([])
  })

  it("L8: no turn crash-loops: after six tries it settles as an error", () => {
    const story = aThread().ask("t1")
    let rounds = 0
    while (story.open("t1") !== undefined && rounds++ < 20) {
      story.ready().begin("turn.send").rejected("t1", { reason: "SessionGone", message: "no such session" })
    }
    expect(story.end("t1")).toMatchObject({ state: "error", delivery: "not_delivered" })
    expect(story.all("turn.send_started").length).toBeLessThanOrEqual(6)
  })

  it("L8: a try that a restart of the server cut short is not the provider's fault, and bounded all the same", () => {
    const story = sending()
    let rounds = 0
    while (story.open("t1") !== undefined && rounds++ < 200) {
      story.live({ type: "absent" }).evidence("t1", { type: "absent" })
      if (rounds === 1) expect(story.open("t1")).toMatchObject({ state: "queued", tries: 0, restarts: 1 })
      if (story.open("t1") !== undefined) story.ready().begin("turn.send")
    }
    expect(rounds).toBe(limits.restarts)
    expect(story.end("t1")).toMatchObject({ state: "error", delivery: "not_delivered" })
  })

  it("L8: the process ends while starting: the turn fails with it", () => {
    const story = aThread().ask("t1").begin("session.start").exited(false, "cannot run")
    expect(story.end("t1")).toMatchObject({ state: "error", reason: "cannot run" })
    expect(story.status).toBe("stopped")
  })

  it("B11: the cursor survives stop, crash and restart, and the next start resumes from it", () => {
    for (const story of [
      idle().stop().stopped().ask("t1"),
      running().exited(false).ask("t2"),
      running().live({ type: "absent" }).ask("t2")
    ]) {
      expect(story.begin("session.start").state.session.resumes).toEqual([
        { provider: "agent", cursor: "cursor" }
      ])
    }
  })
})
