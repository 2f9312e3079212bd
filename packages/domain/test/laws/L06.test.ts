import { describe, expect, it } from "@effect/vitest"
import { native, running } from "../given.ts"

const busy = () => running().itemStarted("p-t1").retrying("p-t1")

describe("L6: a transient error never makes the session an error", () => {
  it("L6, A1: `Reconnecting... 1/5` shows as recovering; status and lastError stay", () => {
    const story = running()
    const before = story.state.session
    story.retrying("p-t1")
    expect(story.state.session).toEqual({
      ...before,
      seen: before.seen + 1,
      recovering: { message: "Reconnecting... 1/5", attempt: 1, limit: 5 }
    })
  })

  it("L6, A1: any next ordinary event of the turn clears it", () => {
    for (const story of [
      busy().text("p-t1", "on"),
      busy().itemStarted("p-t1", "i2"),
      busy().asks("p-t1"),
      busy().finalError("p-t1", "no"),
      busy().ended("p-t1")
    ]) {
      expect(story.state.session.recovering).toBe(null)
    }
  })

  it("L6: an event of another turn does not clear it", () => {
    expect(running().retrying("p-t1").text("p-title", "A title").state.session.recovering).not.toBe(null)
  })

  it("L6: a transient error of another turn does not show", () => {
    expect(running().retrying("p-title").state.session.recovering).toBe(null)
  })

  it("L6: a retry replaces the half text: the cut one is superseded, the new one stands alone", () => {
    const story = running()
      .itemStarted("p-t1")
      .text("p-t1", "Hel")
      .retrying("p-t1")
      .itemStarted("p-t1", "i2")
      .text("p-t1", "Hello", "i2")
      .ended("p-t1")
    expect(story.all("item.completed")).toMatchObject([
      { itemId: "t1/1", status: "superseded", text: "Hel" },
      { itemId: "t1/2", status: "completed", text: "Hello" }
    ])
  })

  it("L6: a text that goes on after the retry was not cut", () => {
    const story = running()
      .itemStarted("p-t1")
      .text("p-t1", "Hel")
      .retrying("p-t1")
      .text("p-t1", "lo")
      .ended("p-t1")
    expect(story.all("item.completed")).toMatchObject([{ status: "completed", text: "Hello" }])
  })

  it("L6: a tool that runs through a retry is not superseded by a text", () => {
    const story = running().itemStarted("p-t1", "c1", "command").retrying("p-t1").itemStarted("p-t1", "i2")
    expect(story.all("item.completed")).toEqual([])
  })

  it("L6, B5: a final error ends nothing by itself: the turn settles with it on the provider's end", () => {
    const story = running().finalError("p-t1", "no credit")
    expect(story.status).toBe("running")
    expect(story.owed).toEqual(["deadline"])
    expect(story.ended("p-t1", "failed").end("t1")).toMatchObject({ state: "error", reason: "no credit" })
  })

  it("L6, B5: a final error without an end stops the session at the deadline, and the turn fails with it", () => {
    const story = running().finalError("p-t1", "no credit").deadline("finalError", "t1")
    expect(story.owed).toEqual(["session.stop"])
    expect(story.stopped().end("t1")).toMatchObject({ state: "error", reason: "no credit" })
  })

  it("C6: the final text replaces what was streamed, it is never appended to it", () => {
    const story = running().itemStarted("p-t1").text("p-t1", "Hel").text("p-t1", "lo")
    story.says({
      type: "item.completed",
      providerTurnId: native("p-t1"),
      providerItemId: "i1",
      kind: "assistant_message",
      title: "",
      end: "completed",
      text: "Hello",
      detail: {}
    })
    expect(story.all("item.completed")).toMatchObject([{ text: "Hello" }])
  })

  it("C6: text read again under its offset adds only what is new", () => {
    const story = running().itemStarted("p-t1").text("p-t1", "Hel")
    const again = {
      type: "text.delta",
      providerTurnId: native("p-t1"),
      providerItemId: "i1",
      text: "Hello",
      offset: 0
    }
    expect(story.says({ ...again, type: "text.delta" }).state.items[0]?.text).toBe("Hello")
    expect(
      story
        .says({ ...again, type: "text.delta" })
        .all("text.appended")
        .at(-1)?.text
    ).toBe("lo")
  })
})
