import { describe, expect, it } from "@effect/vitest"
import { idle, native, other, running, sending, sessionGone, turn } from "../given.ts"
import { crashStory } from "../../src/thread/Owed.ts"
import { pending } from "../../src/thread/pending.ts"
import type { ThreadState } from "../../src/thread/State.ts"

const found = { type: "found", providerTurnId: native("p-t1") } as const
const finished = { ...found, running: false, outcome: "completed", message: null } as const
const startOf = ({ state }: { readonly state: ThreadState }) =>
  pending(state).find((owed) => owed.type === "session.start")
const none = { type: "none", message: "There is no record." } as const

describe("L12: no prompt is sent twice, none vanishes", () => {
  it("L12: sends and steers are never done again without evidence: the type says so", () => {
    expect(crashStory["turn.send"]).toBe("ask")
    expect(crashStory["turn.steer"]).toBe("ask")
  })

  it("L12: an unknown outcome is asked of the record before anything else is done", () => {
    const story = sending().unknown("t1")
    expect(story.open("t1")?.state).toBe("sending")
    expect(story.owed).toEqual(["turn.evidence"])
  })

  it("L12: found running: the turn runs", () => {
    const story = sending()
      .unknown("t1")
      .evidence("t1", { ...found, running: true })
    expect(story.open("t1")).toMatchObject({ state: "running", providerTurnId: "p-t1" })
    expect(story.all("turn.send_started")).toHaveLength(1)
  })

  it("L12: found ended: its outcome and its texts are taken from the record", () => {
    const texts = [{ kind: "assistant_message", providerItemId: "i", text: "Done." }] as const
    const story = sending()
      .unknown("t1")
      .evidence("t1", { ...finished, texts })
    expect(story.end("t1")).toMatchObject({ state: "completed", delivery: "delivered" })
    expect(story.all("item.completed")).toMatchObject([{ text: "Done.", status: "completed", turnId: "t1" }])
  })

  it("L12: not found while the generation lives proves nothing: it is retired first, then asked again", () => {
    const story = sending().unknown("t1").evidence("t1", { type: "absent" })
    expect(story.state.session).toMatchObject({ retire: true, stopAsked: { by: "doubt", step: "stop" } })
    expect(story.owed).toEqual(["session.stop"])
    expect(story.stopped().owed).toEqual(["turn.evidence"])
    story.evidence("t1", { type: "absent" })
    expect(story.open("t1")?.state).toBe("queued")
    expect(story.owed).toEqual(["session.start"])
  })

  it("L12: no record to ask: interrupted, delivery unknown, and the generation is retired", () => {
    const story = sending().unknown("t1").evidence("t1", none).stopped().evidence("t1", none)
    expect(story.end("t1")).toMatchObject({ state: "interrupted", delivery: "unknown" })
    expect(story.state.session.open).toBe(false)
  })

  it("L12, B15: a session that cannot even be killed is retired before anything else is sent", () => {
    const story = sending().unknown("t1").evidence("t1", none).stopFailed("stop").stopFailed("kill")
    expect(story.end("t1")).toMatchObject({ state: "interrupted", delivery: "unknown" })
    expect(story.ask("t2").owed).toEqual(["session.stop"])
    expect(story.begin("session.stop").state.session.stopAsked).toEqual({ by: "doubt", step: "kill" })
  })

  it("L12, C1: a restart in the middle of a send: the record decides, and a message provably unsent is sent", () => {
    const story = sending().live({ type: "absent" })
    expect(story.open("t1")?.state).toBe("sending")
    expect(story.owed).toEqual(["turn.evidence"])
    expect(story.evidence("t1", { type: "absent" }).ready().owed).toEqual(["turn.send"])
  })

  it("L12, C1: the same restart with the message in the record: its state is adopted, nothing is sent", () => {
    const ended = sending()
      .live({ type: "absent" })
      .evidence("t1", { ...finished, texts: [] })
    expect(ended.end("t1")?.state).toBe("completed")
    const cut = sending()
      .live({ type: "absent" })
      .evidence("t1", { ...found, running: true })
    expect(cut.end("t1")).toMatchObject({ state: "interrupted", delivery: "delivered" })
  })

  it("L12: the same restart without a record: interrupted, delivery unknown", () => {
    const story = sending().live({ type: "absent" }).evidence("t1", none)
    expect(story.end("t1")).toMatchObject({ state: "interrupted", delivery: "unknown" })
  })

  it("L12: a restart in the middle of a send, and the live session runs that very turn: it is ours", () => {
    const story = sending().live({
      type: "running",
      generation: 1,
      providerTurnId: native("p-t1"),
      turnId: turn("t1")
    })
    expect(story.open("t1")).toMatchObject({ state: "running", providerTurnId: "p-t1" })
  })

  it("L12: a restart in the middle of a send, and the live session is idle: the record is asked", () => {
    const story = sending().live({ type: "idle", generation: 1, last: null })
    expect(story.owed).toEqual(["turn.evidence"])
  })

  it("L12, C7: queued turns outlive a restart and are sent, when none before them was lost", () => {
    const story = idle().ask("t1").live({ type: "absent" })
    expect(story.open("t1")?.state).toBe("queued")
    expect(story.owed).toEqual(["session.start"])
  })

  it("L12: a message that waited longer than its intent lasts is cancelled, and says so", () => {
    const story = idle().ask("t1").live({ type: "absent" }, 1000, 1001)
    expect(story.end("t1")).toMatchObject({ state: "cancelled", delivery: "not_delivered" })
    expect(idle().ask("t1").live({ type: "absent" }, 1000, 1000).open("t1")?.state).toBe("queued")
  })

  it("L12: the exit of the process in the middle of a send is asked of the record, not guessed", () => {
    for (const clean of [true, false]) {
      const story = sending().exited(clean)
      expect(story.open("t1")?.state).toBe("sending")
      expect(story.owed).toEqual(["turn.evidence"])
    }
  })

  it("L12: a stop in the middle of a send: what was not delivered is not sent again", () => {
    const story = sending().stop().stopped().evidence("t1", { type: "absent" })
    expect(story.end("t1")).toMatchObject({ state: "cancelled", delivery: "not_delivered" })
    expect(story.owed).toEqual([])
  })

  it("L12: a queued turn that is interrupted is cancelled, and nothing is sent", () => {
    const story = running().ask("t2").interrupt("t2")
    expect(story.end("t2")).toMatchObject({ state: "cancelled", delivery: "not_delivered" })
    expect(story.ended("p-t1").owed).toEqual([])
  })

  it("L12: a steer in doubt whose turn ended is never sent on a guess", () => {
    const story = running().ask("t2", "steer").begin("turn.steer").exited(true)
    expect(story.owed).toEqual(["turn.evidence"])
    expect(story.evidence("t2", { type: "absent" }).end("t2")).toMatchObject({
      state: "cancelled",
      delivery: "not_delivered"
    })
  })

  it("L12: a change of provider stops the old session, and then starts the new one without its cursor", () => {
    const story = idle().ask("t1", "queue", other).begin("session.stop")
    expect(story.state.session.stopAsked?.by).toBe("switch")
    expect(story.stopped().begin("session.start").state.session.provider).toBe("other")
    expect(startOf(story)).toMatchObject({ provider: "other", resume: null })
    story.outcome({ type: "start.ok", generation: 2, resume: null })
    expect(story.owed).toEqual(["turn.send"])
  })

  it("B11: going back to a provider goes on from that provider's own conversation", () => {
    const story = idle().ask("t1", "queue", other).begin("session.stop").stopped().begin("session.start")
    story.outcome({ type: "start.ok", generation: 2, resume: "another cursor" })
    story.begin("turn.send").accepted("t1").ended("p-t1")
    story.ask("t2").begin("session.stop").stopped()
    expect(startOf(story)).toMatchObject({
      provider: "agent",
      resume: { provider: "agent", cursor: "cursor" }
    })
  })

  it("L12: a message of a session that is gone is sent once more, and only once it is known to be undelivered", () => {
    const story = sending().rejected("t1", sessionGone).ready().begin("turn.send")
    expect(story.all("turn.send_started").map((event) => event.generation)).toEqual([1, 2])
    expect(story.all("turn.requeued")).toHaveLength(1)
  })
})
