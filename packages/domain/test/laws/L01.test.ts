import { describe, expect, it } from "@effect/vitest"
import { aThread, running, sending } from "../given.ts"

describe("L1: at most one turn runs and one is being sent", () => {
  it("L1: the first turn of a thread waits for a session, and is then sent", () => {
    const story = aThread().ask("t1")
    expect(story.owed).toEqual(["session.start"])
    expect(story.ready().owed).toEqual(["turn.send"])
    expect(story.begin("turn.send").open("t1")?.state).toBe("sending")
  })

  it("L1, C8: a turn asked for while another runs waits, and goes out when that has completed", () => {
    const story = running().ask("t2")
    expect(story.open("t2")?.state).toBe("queued")
    expect(story.owed).not.toContain("turn.send")
    expect(story.owed).not.toContain("turn.steer")
    expect(story.ended("p-t1").owed).toEqual(["turn.send"])
  })

  it("L1: a turn asked for while another is being sent waits too, even as a steer", () => {
    for (const delivery of ["queue", "steer", "interrupt"] as const) {
      expect(sending().ask("t2", delivery).owed).toEqual(["turn.send"])
      expect(sending().ask("t2", delivery).open("t2")?.state).toBe("queued")
    }
  })

  it("L1: a steer is sent into the running turn, and its turn settles as steered into that one", () => {
    const story = running().ask("t2", "steer").begin("turn.steer")
    expect(story.open("t2")?.send).toMatchObject({ into: "t1", intoProviderTurnId: "p-t1" })
    story.outcome({ type: "steer.accepted", turnId: story.open("t2")!.id, generation: 1 })
    expect(story.end("t2")).toMatchObject({ state: "steered", into: "t1", delivery: "delivered" })
    expect(story.open("t1")?.state).toBe("running")
  })

  it("L1: a steer that the provider refuses goes back to the queue as an ordinary turn", () => {
    const story = running().ask("t2", "steer").begin("turn.steer").rejected("t2")
    expect(story.open("t2")).toMatchObject({ state: "queued", delivery: "queue" })
    expect(story.owed).not.toContain("turn.steer")
    expect(story.ended("p-t1").owed).toEqual(["turn.send"])
  })

  it("L1: a steer whose turn ended first is sent as a turn of its own", () => {
    const story = running().ask("t2", "steer").ended("p-t1")
    expect(story.owed).toEqual(["turn.send"])
    expect(story.begin("turn.send").open("t2")?.send?.into).toBe(null)
  })

  it("L1: a message taken into a turn that the provider started meanwhile runs as that turn, never as two", () => {
    const story = sending().started("own").accepted("t1", "own")
    expect(story.open("t1")).toMatchObject({ state: "running", providerTurnId: "own" })
    expect(story.state.turns).toHaveLength(1)
  })

  it("L1: while the provider works by itself, nothing is sent beside it", () => {
    const story = running().ended("p-t1").started("own").ask("t2")
    expect(story.owed).not.toContain("turn.send")
    expect(story.ended("own").owed).toEqual(["turn.send"])
  })

  it("L1: the marker of a send stands once: it cannot be begun a second time", () => {
    expect(() => sending().begin("turn.send")).toThrow("begun already")
  })
})
