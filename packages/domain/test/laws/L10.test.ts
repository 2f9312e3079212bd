import { describe, expect, it } from "@effect/vitest"
import { aThread, idle, native, running, sending, turn, unavailable } from "../given.ts"

/** The first session was stopped, the second one runs a turn. */
const second = () => running().stop().stopped().ask("t2").ready().begin("turn.send").accepted("t2")

describe("L10: what is old, late or doubled changes nothing", () => {
  it("L10, B4: the exit of the old process does not end the new session", () => {
    const story = second()
    expect(story.exited(false).status).toBe("error")
    const fenced = second()
    fenced.says({ type: "session.exited", clean: false, message: null }, { generation: 1, seq: 99 })
    expect(fenced.events).toEqual([])
    expect(fenced.status).toBe("running")
  })

  it("L10: the last words of a generation that was stopped revive nothing", () => {
    const story = running().stop().stopped()
    for (const event of [
      { type: "turn.started", providerTurnId: native("p-t1"), turnId: turn("t1") },
      { type: "turn.started", providerTurnId: native("own"), turnId: null },
      { type: "session.exited", clean: false, message: null },
      { type: "resume.changed", resume: "other" }
    ] as const) {
      expect(story.says(event, { seq: 99 }).events).toEqual([])
    }
    expect(story.status).toBe("stopped")
  })

  it("L10: a generation is closed when its process exited and when its start failed", () => {
    const started = { type: "turn.started", providerTurnId: native("own"), turnId: null } as const
    const failed = aThread().ask("t1").begin("session.start")
    failed.outcome({ type: "start.failed", generation: 1, fault: unavailable })
    for (const story of [running().exited(true), running().exited(false), failed]) {
      expect(story.says(started, { seq: 99 }).events).toEqual([])
    }
  })

  it("L10: a copy of any lifecycle event under its number changes nothing, right behind itself or later", () => {
    const story = idle()
    story.started("own")
    const { seen } = story.state.session
    story.ended("own")
    const started = { type: "turn.started", providerTurnId: native("own"), turnId: null } as const
    const ended = {
      type: "turn.completed",
      providerTurnId: native("own"),
      outcome: "failed",
      message: null
    } as const
    expect(story.says(started, { seq: seen }).events).toEqual([])
    expect(story.says(ended, { seq: seen + 1 }).events).toEqual([])
    story.ask("t2").begin("turn.send").accepted("t2")
    expect(story.says(started, { seq: seen }).events).toEqual([])
    expect(story.says({ type: "session.exited", clean: false, message: null }, { seq: seen }).events).toEqual(
      []
    )
  })

  it("L10: a copy of `started` for a turn of the provider's own that has ended makes no phantom turn", () => {
    const story = idle().started("own")
    const { seen } = story.state.session
    story
      .ended("own")
      .says({ type: "turn.started", providerTurnId: native("own"), turnId: null }, { seq: seen })
    expect(story.state.turns).toEqual([])
  })

  it("L10: the numbers start anew with each generation", () => {
    const story = second()
    expect(story.generation).toBe(2)
    const seq = 1
    const fresh = idle().stop().stopped().ask("t2").ready()
    expect(fresh.state.session.seen).toBe(0)
    expect(
      fresh.says({ type: "turn.started", providerTurnId: native("own"), turnId: null }, { seq }).events
    ).not.toEqual([])
  })

  it("L10: an interrupt that fails late does not stop the next session, nor the next turn", () => {
    const story = running()
      .interrupt()
      .ended("p-t1", "interrupted")
      .ask("t2")
      .begin("turn.send")
      .accepted("t2")
    expect(story.interruptFailed("t1").events).toEqual([])
    const later = second()
    later.outcome({ type: "interrupt.failed", turnId: turn("t1"), generation: 1, fault: unavailable })
    expect(later.events).toEqual([])
  })

  it("L10: an outcome that is not owed says nothing", () => {
    const at = { turnId: turn("t1"), generation: 1 }
    for (const outcome of [
      { type: "start.ok", generation: 1, resume: "stale" },
      { type: "start.failed", generation: 1, fault: unavailable },
      { type: "stop.ok", generation: 1 },
      { type: "stop.failed", generation: 1, step: "stop", fault: unavailable },
      { type: "send.rejected", ...at, fault: unavailable },
      { type: "interrupt.accepted", ...at },
      { type: "probe.gone", ...at, ended: null },
      { type: "evidence", ...at, evidence: { type: "absent" } }
    ] as const) {
      expect(running().outcome(outcome).events, outcome.type).toEqual([])
    }
  })

  it("L10: the acceptance of an earlier generation's send does not start the turn on this one", () => {
    const story = sending().rejected("t1", { reason: "SessionGone", message: "" }).ready().begin("turn.send")
    story.outcome({
      type: "send.accepted",
      turnId: turn("t1"),
      generation: 1,
      providerTurnId: native("p")
    })
    expect(story.events).toEqual([])
    expect(story.open("t1")?.state).toBe("sending")
  })

  it("L10: the same item started twice is one, until it has completed; then the name is a new item's", () => {
    const story = running().itemStarted("p-t1").itemStarted("p-t1")
    expect(story.events).toEqual([])
    story.says({
      type: "item.completed",
      providerTurnId: native("p-t1"),
      providerItemId: "i1",
      kind: "assistant_message",
      title: "",
      end: "completed",
      text: "x",
      detail: {}
    })
    expect(story.itemStarted("p-t1").state.items).toMatchObject([{ id: "t1/2", providerItemId: "i1" }])
  })

  it("L10: the same request opened twice is one", () => {
    expect(running().asks("p-t1").asks("p-t1").state.requests).toHaveLength(1)
  })
})
