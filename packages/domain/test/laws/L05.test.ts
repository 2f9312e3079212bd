import { describe, expect, it } from "@effect/vitest"
import { request, running } from "../given.ts"
import type { Story } from "../given.ts"

const busy = () =>
  running().itemStarted("p-t1").text("p-t1", "half").itemStarted("p-t1", "c1", "command").asks("p-t1")

const ends: ReadonlyArray<readonly [string, (story: Story) => Story]> = [
  ["completes", (story) => story.ended("p-t1")],
  ["fails", (story) => story.ended("p-t1", "failed", "no")],
  ["is interrupted", (story) => story.interrupt().ended("p-t1", "interrupted")],
  ["loses its process", (story) => story.exited(false)],
  ["loses its session in order", (story) => story.exited(true)],
  ["is stopped", (story) => story.stop().stopped()],
  ["is gone after a restart", (story) => story.live({ type: "absent" })],
  ["ended while nobody listened", (story) => story.live({ type: "idle", generation: 1, last: null })]
]

const answered = () => busy().answer("1/r1")

describe("L5: settling a turn closes everything open inside it, in the same commit", () => {
  for (const [what, end] of ends) {
    it(`L5: when the turn ${what}, its items and its request close before it`, () => {
      const story = end(busy())
      expect(story.state).toMatchObject({ turns: [], items: [], requests: [] })
      const settled = story.types.indexOf("turn.settled")
      const closed = story.types.filter((type) => type === "item.completed" || type === "request.closed")
      expect(closed).toHaveLength(3)
      expect(story.types.lastIndexOf("item.completed")).toBeLessThan(settled)
      expect(story.types.lastIndexOf("request.closed")).toBeLessThan(settled)
    })
  }

  it("L5, A10: an open tool of a lost turn is interrupted with the reason, and a text keeps what it has", () => {
    const story = busy().live({ type: "absent" })
    expect(story.all("item.completed")).toMatchObject([
      { kind: "assistant_message", status: "interrupted", text: "half" },
      { kind: "command", status: "interrupted", reason: "Interrupted: the server restarted" }
    ])
  })

  it("L5: in a completed turn an open text is whole, and an open tool is not", () => {
    expect(busy().ended("p-t1").all("item.completed")).toMatchObject([
      { kind: "assistant_message", status: "completed", text: "half" },
      { kind: "command", status: "interrupted" }
    ])
  })

  it("L5, B10: the request of a settled turn is expired, and an answer to it is refused by type", () => {
    const story = busy().exited(false)
    expect(story.all("request.closed")).toMatchObject([{ status: "expired" }])
    const answer = { type: "thread.request.answer", requestId: request("1/r1"), decision: "accept" } as const
    expect(story.refusal(answer)).toBe("RequestNotOpen")
  })

  it("L5: a late approval of a settled turn opens nothing", () => {
    expect(running().ended("p-t1").asks("p-t1").events).toEqual([])
  })

  it("B10: an answer is owed to the provider until it is taken; gone closes the request as expired", () => {
    expect(answered().owed).toContain("request.answer")
    const accepted = answered().outcome({ type: "answer.accepted", requestId: request("1/r1") })
    expect(accepted.all("request.closed")).toMatchObject([{ status: "answered" }])
    const gone = answered().outcome({ type: "answer.gone", requestId: request("1/r1") })
    expect(gone.all("request.closed")).toMatchObject([{ status: "expired" }])
  })

  it("B10: an answer that could not be passed on opens the request again and says so", () => {
    const fault = { reason: "Unavailable", message: "not reachable" } as const
    const story = busy()
      .answer("1/r1")
      .outcome({ type: "answer.failed", requestId: request("1/r1"), fault })
    expect(story.state.requests).toMatchObject([{ id: "1/r1", answer: null }])
    expect(story.lastError).toBe("not reachable")
    expect(story.answer("1/r1").owed).toContain("request.answer")
  })
})
