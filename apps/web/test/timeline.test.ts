import type { Entry, RequestRow, TurnRow } from "@turnkeeper/contracts/Rows"
import { describe, expect, it } from "vitest"
import { queueOf, timeline } from "../src/model/timeline.ts"

let position = 0
const entry = (turnId: string, more: object): Entry => {
  position += 1
  return {
    id: `${turnId}/${position}`,
    threadId: "t",
    turnId,
    status: "completed",
    text: "",
    attachments: [],
    position,
    createdAt: position,
    completedAt: position,
    ...more
  } as never
}
const prompt = (turnId: string) => entry(turnId, { type: "message", role: "user", id: `prompt ${turnId}` })
const answer = (turnId: string) =>
  entry(turnId, { type: "message", role: "assistant", id: `answer ${turnId}` })
const command = (turnId: string, id: string, more: object = {}) =>
  entry(turnId, { type: "item", kind: "command", id, title: id, detail: {}, ...more })
const turn = (turnId: string, state: string, ordinal: number, more: object = {}): TurnRow =>
  ({ turnId, state, ordinal, into: null, startedAt: 0, settledAt: 1000, ...more }) as never
const request = (requestId: string, more: object): RequestRow =>
  ({
    requestId,
    turnId: "a",
    status: "open",
    closedAt: null,
    ask: { title: "", detail: {}, decisions: [], questions: [] },
    ...more
  }) as never

const keys = (
  entries: ReadonlyArray<Entry>,
  turns: ReadonlyArray<TurnRow>,
  requests: ReadonlyArray<RequestRow> = []
) => timeline({ entries, turns, requests }).map((row) => row.key)

describe("the timeline", () => {
  it("reads a follow-up where its own turn begins, not where it was written", () => {
    const entries = [prompt("a"), command("a", "one"), prompt("b"), answer("a"), answer("b")]
    expect(keys(entries, [turn("a", "completed", 1), turn("b", "completed", 2)])).toEqual([
      "prompt a",
      "one",
      "answer a",
      "end/a",
      "prompt b",
      "answer b",
      "end/b"
    ])
  })

  it("leaves out what waits: the queue shows it, in the order in which it runs", () => {
    const turns = [turn("a", "running", 1), turn("c", "queued", 3), turn("b", "queued", 2.5)]
    expect(keys([prompt("a"), prompt("c"), prompt("b")], turns)).toEqual(["prompt a"])
    expect(queueOf(turns).map((one) => one.turnId)).toEqual(["b", "c"])
  })

  it("leaves a steered message where it went in, and ends the turn once, behind all of it", () => {
    const entries = [prompt("a"), answer("a"), prompt("s")]
    const turns = [turn("a", "completed", 1), turn("s", "steered", 2, { into: "a" })]
    expect(keys(entries, turns)).toEqual(["prompt a", "answer a", "prompt s", "end/a"])
  })

  it("shows what was cancelled behind a failure after it, each with its end", () => {
    const entries = [prompt("a"), prompt("b"), prompt("c"), answer("a")]
    const turns = [turn("a", "error", 1), turn("b", "cancelled", 2), turn("c", "cancelled", 3)]
    expect(keys(entries, turns)).toEqual([
      "prompt a",
      "answer a",
      "end/a",
      "prompt b",
      "end/b",
      "prompt c",
      "end/c"
    ])
  })

  it("keeps the order of the prompts of an older page, whose turns are not known", () => {
    const entries = [prompt("a"), answer("a"), prompt("b"), answer("b")]
    expect(keys(entries, [])).toEqual(["prompt a", "answer a", "prompt b", "answer b"])
  })

  it("shows every entry exactly once, whatever became of the turns", () => {
    const entries = [prompt("a"), prompt("b"), answer("a"), prompt("c"), answer("c"), prompt("d")]
    for (const state of ["completed", "error", "interrupted", "running", "sending"]) {
      const turns = ["a", "b", "c", "d"].map((id, index) => turn(id, state, index))
      const shown = keys(entries, turns).filter((key) => !key.startsWith("end/"))
      expect(shown.toSorted()).toEqual(entries.map((one) => one.id).toSorted())
    }
  })

  it("asks at the end of the page, and says of the card that it waits", () => {
    const entries = [
      prompt("a"),
      command("a", "git push", { status: "open" }),
      command("a", "ls", { status: "open" })
    ]
    const asked = request("1/x", {
      ask: { title: "git push", detail: {}, decisions: ["accept"], questions: [] }
    })
    const rows = timeline({ entries, turns: [turn("a", "running", 1)], requests: [asked] })
    expect(rows.at(-1)?.key).toBe("request/1/x")
    expect(rows.flatMap((row) => (row.type === "work" ? [[row.key, row.asked]] : []))).toEqual([
      ["git push", true],
      ["ls", false]
    ])
  })

  it("joins cards that touch, and lets a notice stand alone", () => {
    const notice = entry("a", { type: "item", kind: "notice", id: "notice", title: "", detail: {} })
    const entries = [command("a", "1"), command("a", "2"), command("a", "3"), notice, command("a", "4")]
    const rows = timeline({ entries, turns: [], requests: [] })
    expect(rows.map((row) => (row.type === "work" ? row.joined : null))).toEqual([
      "first",
      "middle",
      "last",
      "alone",
      "alone"
    ])
  })

  it("counts what a turn did: its commands, and each file once", () => {
    const change = (path: string) =>
      entry("a", { type: "item", kind: "file_change", title: path, detail: { path } })
    const entries = [
      prompt("a"),
      command("a", "1"),
      command("a", "2", { status: "failed" }),
      change("x"),
      change("x"),
      change("y")
    ]
    const end = timeline({ entries, turns: [turn("a", "completed", 1)], requests: [] }).at(-1)
    expect(end?.type === "end" && end.facts).toEqual({ files: ["x", "y"], commands: 1 })
  })
})
