import { describe, expect, it } from "@effect/vitest"
import { native, running, sending, turn } from "../given.ts"

const done = { providerTurnId: native("p-t1"), outcome: "completed", message: null, texts: [] } as const

const quiet = () => running().deadline("quiet", "t1")

describe("L7: completed only on the provider's own evidence", () => {
  it("L7, A6: a turn whose session is gone after a restart is interrupted, and says why", () => {
    const story = running().live({ type: "absent" })
    expect(story.end("t1")).toMatchObject({
      state: "interrupted",
      delivery: "delivered",
      reason: "Interrupted: the server restarted"
    })
    expect(story.state.session).toMatchObject({ status: "stopped", lastError: "The server restarted" })
  })

  it("a session at rest keeps what its last turn failed with, over a restart and until a turn goes well", () => {
    const story = running()
    story.says({
      type: "turn.completed",
      providerTurnId: native("p-t1"),
      outcome: "failed",
      message: "no credit left"
    })
    expect(story.state.session).toMatchObject({ status: "error", lastError: "no credit left" })
    story.live({ type: "absent" })
    expect(story.state.session).toMatchObject({ status: "stopped", open: false, lastError: "no credit left" })
  })

  it("L7: a turn that ended while we were away is interrupted without evidence", () => {
    const story = running().live({ type: "idle", generation: 1, last: null })
    expect(story.end("t1")?.state).toBe("interrupted")
    expect(story.status).toBe("ready")
  })

  it("L7: with the provider's record of that very turn it takes the true outcome", () => {
    expect(running().live({ type: "idle", generation: 1, last: done }).end("t1")?.state).toBe("completed")
    const failed = { ...done, outcome: "failed", message: "no" } as const
    expect(running().live({ type: "idle", generation: 1, last: failed }).end("t1")?.state).toBe("error")
  })

  it("L7, C6: what was said while nobody listened is taken from the record, once", () => {
    const texts = [
      { kind: "assistant_message", providerItemId: "i1", text: "First." },
      { kind: "assistant_message", providerItemId: "i2", text: "Second, whole." },
      { kind: "assistant_message", providerItemId: "i3", text: "Third." }
    ] as const
    const heard = running()
      .itemStarted("p-t1", "i1")
      .says({
        type: "item.completed",
        providerTurnId: native("p-t1"),
        providerItemId: "i1",
        kind: "assistant_message",
        title: "",
        end: "completed",
        text: "First.",
        detail: {}
      })
      .itemStarted("p-t1", "i2")
      .text("p-t1", "Second", "i2")
    const story = heard.live({ type: "idle", generation: 1, last: { ...done, texts } })
    expect(story.all("item.completed").map(({ text }) => text)).toEqual([
      "First.",
      "Second, whole.",
      "Third."
    ])
    expect(story.end("t1")?.state).toBe("completed")
  })

  it("L7: the record of another turn is no evidence", () => {
    const last = { ...done, providerTurnId: native("other") }
    expect(running().live({ type: "idle", generation: 1, last }).end("t1")?.state).toBe("interrupted")
  })

  it("L7, A6: a listing that could not be made changes nothing", () => {
    for (const story of [running(), sending()]) {
      expect(story.live({ type: "unknown" }).events).toEqual([])
    }
  })

  it("L7: the same turn found running stays running", () => {
    const story = running().live({
      type: "running",
      generation: 1,
      providerTurnId: native("p-t1"),
      turnId: turn("t1")
    })
    expect(story.events).toEqual([])
    expect(story.status).toBe("running")
  })

  it("L7: an idle session found running another turn mirrors it", () => {
    const story = running().ended("p-t1")
    story.live({ type: "running", generation: 1, providerTurnId: native("own"), turnId: null })
    expect(story.state.turns).toMatchObject([{ origin: "provider", providerTurnId: "own" }])
    expect(story.status).toBe("running")
  })

  it("L7: when another turn runs in place of ours, ours is interrupted and the other is shown", () => {
    const story = running().live({
      type: "running",
      generation: 1,
      providerTurnId: native("own"),
      turnId: null
    })
    expect(story.end("t1")?.state).toBe("interrupted")
    expect(story.state.turns).toMatchObject([{ origin: "provider", providerTurnId: "own" }])
  })

  it("L7: a turn heard of beside ours is not taken for running when the listing says that nothing runs", () => {
    const story = running().started("own").live({ type: "idle", generation: 1, last: null })
    expect(story.state).toMatchObject({ turns: [], session: { status: "ready", heard: [] } })
    const sent = sending().started("own").live({ type: "idle", generation: 1, last: null })
    expect(sent.state.turns).toMatchObject([{ id: "t1", state: "sending" }])
    sent.evidence("t1", { type: "none", message: "" }).stopped().evidence("t1", { type: "none", message: "" })
    expect(sent.state.turns).toEqual([])
  })

  it("L7: a session of another generation is not ours: it counts as gone", () => {
    const story = running().live({ type: "idle", generation: 7, last: done })
    expect(story.end("t1")?.state).toBe("interrupted")
    expect(story.status).toBe("stopped")
  })

  it("L7, B3: quiet for long: the provider is asked, and only its answer settles", () => {
    expect(quiet().owed).toEqual(["turn.probe"])
    const at = { turnId: turn("t1"), generation: 1 }
    const alive = quiet().outcome({ type: "probe.alive", ...at })
    expect(alive.open("t1")).toMatchObject({ state: "running", quiet: "alive" })
    expect(alive.owed).toEqual(["deadline"])
    expect(
      quiet()
        .outcome({ type: "probe.failed", ...at })
        .open("t1")
    ).toMatchObject({ quiet: "unknown" })
    expect(
      quiet()
        .outcome({ type: "probe.gone", ...at, ended: null })
        .end("t1")?.state
    ).toBe("interrupted")
    const ended = { outcome: "completed", message: null } as const
    expect(
      quiet()
        .outcome({ type: "probe.gone", ...at, ended })
        .end("t1")?.state
    ).toBe("completed")
  })

  it("L7, B3: a user may have the provider asked at once, and only its answer settles", () => {
    const check = { type: "thread.turn.check", turnId: turn("t1") } as const
    const asked = running().command(check)
    expect(asked.owed).toEqual(["turn.probe"])
    expect(asked.open("t1")).toMatchObject({ state: "running", quiet: "asking" })
    // Asked twice is asked once.
    expect(asked.command(check).events).toEqual([])
    const alive = asked.outcome({ type: "probe.alive", turnId: turn("t1"), generation: 1 })
    expect(alive.open("t1")).toMatchObject({ state: "running", quiet: "alive" })
    expect(alive.command(check).open("t1")?.quiet).toBe("asking")
  })

  it("L7: nobody is asked about a turn that does not run, is about to end, or waits for the user", () => {
    const check = (id: string) => ({ type: "thread.turn.check", turnId: turn(id) }) as const
    expect(running().refusal(check("t2"))).toBe("TurnNotRunning")
    expect(running().command({ type: "thread.turn.interrupt" }).command(check("t1")).events).toEqual([])
    expect(running().asks("p-t1").command(check("t1")).events).toEqual([])
  })

  it("L7, B3: a turn that waits for the user may be quiet for as long as they think", () => {
    expect(running().asks("p-t1").owed).toEqual([])
  })

  it("L7: a turn that speaks again is not quiet any more", () => {
    const story = running().itemStarted("p-t1").deadline("quiet", "t1").text("p-t1", "on")
    expect(story.open("t1")?.quiet).toBe(null)
  })
})
