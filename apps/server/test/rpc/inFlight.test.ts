/** What one connection may have going on at once. */
import { Overloaded, TooManySubscriptions } from "@turnkeeper/contracts/Errors"
import { limits } from "@turnkeeper/contracts/Limits"
import { describe, expect, it } from "vitest"
import { makeInFlight } from "../../src/rpc/InFlight.ts"

const filled = (calls: number, streams: number) => {
  const inFlight = makeInFlight()
  for (let n = 0; n < calls; n++) inFlight.add(`c${n}`, { isStream: false })
  for (let n = 0; n < streams; n++) inFlight.add(`s${n}`, { isStream: true })
  return inFlight
}

describe("calls in flight", () => {
  it("are refused at their limit, with a typed error, and taken again when one is over", () => {
    const inFlight = filled(limits.callsInFlight, 0)
    expect(inFlight.refuse(false)).toEqual(
      new Overloaded({ what: "calls in flight", limit: limits.callsInFlight })
    )
    inFlight.remove("c0")
    expect(inFlight.refuse(false)).toBe(null)
  })

  it("leave room for subscriptions, and these for calls", () => {
    expect(filled(limits.callsInFlight, 0).refuse(true)).toBe(null)
    const full = filled(0, limits.subscriptions)
    expect(full.refuse(true)).toBeInstanceOf(TooManySubscriptions)
    expect(full.refuse(false)).toBe(null)
  })

  it("are counted once, however often one ends", () => {
    const inFlight = filled(limits.callsInFlight, limits.subscriptions)
    for (let n = 0; n < 3; n++) inFlight.remove("s0")
    inFlight.add("s-new", { isStream: true })
    expect(inFlight.refuse(true)).toBeInstanceOf(TooManySubscriptions)
    expect(inFlight.has("s0")).toBe(false)
  })
})
