import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { repetition } from "../../src/receipt.ts"
import { idle, turn } from "../given.ts"

describe("L11: a command id is answered once", () => {
  it("L11: an id that was never accepted is new, whatever its body", () => {
    fc.assert(fc.property(fc.string(), (body) => repetition(null, body) === "new"))
  })

  it("L11: the same id with the same body is repeated, and gets the same answer", () => {
    fc.assert(fc.property(fc.string(), (body) => repetition(body, body) === "repeated"))
  })

  it("L11, C3: the same id with another body is refused", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (one, two) => one === two || repetition(one, two) === "reused")
    )
  })

  it("L11, C2: a turn id is used once in a thread, while it is open and after it has settled", () => {
    const start = { type: "thread.turn.start", messageId: "m" as never, text: "x" } as const
    expect(
      idle()
        .ask("t1")
        .refusal({ ...start, turnId: turn("t1") })
    ).toBe("TurnIdTaken")
    expect(idle().refusal({ ...start, turnId: turn("t0") }, { turnIdTaken: true })).toBe("TurnIdTaken")
  })
})
