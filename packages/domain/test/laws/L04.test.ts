import { describe, expect, it } from "@effect/vitest"
import { idle, native, running, sending } from "../given.ts"

describe("L4: only the active turn can settle the active session", () => {
  it("L4, A5: the end of an auxiliary turn (a title being made) leaves session and turn alone", () => {
    for (const outcome of ["completed", "failed", "interrupted"] as const) {
      const story = running()
      const before = story.state
      story.ended("p-title", outcome)
      expect(story.events).toEqual([])
      expect(story.state).toBe(before)
    }
  })

  it("L4, A5: an auxiliary turn that starts and ends beside ours leaves it running", () => {
    const story = running().started("p-title").ended("p-title")
    expect(story.status).toBe("running")
    expect(story.state.session).toMatchObject({ activeTurnId: "t1", heard: [] })
  })

  it("L4, B6: an end without a turn id never settles a turn", () => {
    const story = running()
    for (const outcome of ["completed", "failed", "interrupted"] as const) {
      expect(story.ended(null, outcome).events).toEqual([])
    }
    expect(story.says({ type: "turn.aborted", providerTurnId: null, message: null }).events).toEqual([])
    expect(story.status).toBe("running")
  })

  it("L4, B6: the late end of an earlier turn does not end the newer one", () => {
    const story = idle().ask("t1").begin("turn.send").accepted("t1").ended("p-t0", "failed")
    expect(story.events).toEqual([])
    expect(story.open("t1")?.state).toBe("running")
  })

  it("L4: a foreign turn that ends while ours is being sent does not settle ours", () => {
    const story = sending().ended("other")
    expect(story.open("t1")?.state).toBe("sending")
    expect(story.accepted("t1").open("t1")?.state).toBe("running")
  })

  it("L4: the provider starts a turn of its own while our send is under way: the acceptance says which is ours", () => {
    const story = sending().started("own")
    expect(story.state.session.heard).toEqual([{ providerTurnId: "own", ended: null }])
    expect(story.state.turns).toHaveLength(1)
    story.accepted("t1", "p-t1").ended("own")
    expect(story.open("t1")?.state).toBe("running")
    expect(story.ended("p-t1").end("t1")?.state).toBe("completed")
  })

  it("L4: the turn that took our message has ended before the acceptance comes: ours has ended with it", () => {
    const story = sending().started("own").ended("own", "failed", "no credit").accepted("t1", "own")
    expect(story.end("t1")).toMatchObject({ state: "error", reason: "no credit", delivery: "delivered" })
  })

  it("L4, B8: the provider's own turn that outlives ours is adopted when ours ends", () => {
    const story = running().started("own").ended("p-t1")
    expect(story.state.turns[0]).toMatchObject({ origin: "provider", providerTurnId: "own" })
    expect(story.state.session.activeTurnId).toBe(story.state.turns[0]!.id)
  })

  it("L4, B7: finished items and texts are no proof that a turn has completed", () => {
    const story = running().itemStarted("p-t1").text("p-t1", "All done.")
    story.says({
      type: "item.completed",
      providerTurnId: native("p-t1"),
      providerItemId: "i1",
      kind: "assistant_message",
      title: "",
      end: "completed",
      text: "All done.",
      detail: {}
    })
    expect(story.open("t1")?.state).toBe("running")
  })
})
