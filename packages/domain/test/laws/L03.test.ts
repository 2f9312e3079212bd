import { describe, expect, it } from "@effect/vitest"
import { idle, native, running, sending, sessionGone, turn, unavailable } from "../given.ts"

describe("L3: a terminal turn never changes again", () => {
  it("L3: nothing that comes late for a settled turn says anything", () => {
    const story = idle()
    const at = { turnId: turn("t0"), generation: 1 }
    story.outcome({ type: "send.accepted", ...at, providerTurnId: native("p-t0") })
    expect(story.events).toEqual([])
    expect(story.outcome({ type: "send.rejected", ...at, fault: unavailable }).events).toEqual([])
    expect(story.outcome({ type: "send.unknown", ...at, fault: unavailable }).events).toEqual([])
    expect(story.outcome({ type: "evidence", ...at, evidence: { type: "absent" } }).events).toEqual([])
    expect(story.outcome({ type: "probe.gone", ...at, ended: null }).events).toEqual([])
    expect(story.outcome({ type: "interrupt.failed", ...at, fault: sessionGone }).events).toEqual([])
  })

  it("L3: its text, items, requests and errors find no open turn", () => {
    const story = idle()
    for (const late of [
      () => story.itemStarted("p-t0"),
      () => story.text("p-t0", "late"),
      () => story.asks("p-t0"),
      () => story.retrying("p-t0"),
      () => story.finalError("p-t0", "late"),
      () => story.ended("p-t0", "failed")
    ]) {
      expect(late().events).toEqual([])
    }
  })

  it("L3: a settled turn cannot be interrupted, edited or moved; the refusal has a type", () => {
    const story = idle()
    const turnId = turn("t0")
    expect(story.refusal({ type: "thread.turn.interrupt", turnId })).toBe("NothingToInterrupt")
    expect(story.refusal({ type: "thread.turn.interrupt" })).toBe("NothingToInterrupt")
    expect(story.refusal({ type: "thread.turn.edit", turnId, text: "x" })).toBe("TurnNotQueued")
    expect(story.refusal({ type: "thread.turn.reorder", turnId, before: null })).toBe("TurnNotQueued")
  })

  it("L3: a passed deadline of a settled turn says nothing", () => {
    for (const kind of ["interrupt", "finalError", "quiet"] as const) {
      expect(idle().deadline(kind, "t0").events).toEqual([])
    }
  })

  it("L3: a turn settles once, though its end is told three times over", () => {
    const story = sending()
      .started("p-t1", "t1")
      .ended("p-t1")
      .ended("p-t1", "failed")
      .accepted("t1")
      .exited(false)
    expect(story.all("turn.settled").filter((event) => event.turnId === "t1")).toHaveLength(1)
    expect(story.end("t1")?.state).toBe("completed")
  })

  it("L3: reconciling any listing leaves a settled turn alone", () => {
    for (const live of [
      { type: "absent" },
      {
        type: "idle",
        generation: 1,
        last: { providerTurnId: native("p-t0"), outcome: "failed", message: null, texts: [] }
      }
    ] as const) {
      expect(running("t0").ended("p-t0").live(live).all("turn.settled")).toHaveLength(1)
    }
  })
})
