/** How the log is shared out among the threads that make the tables anew. */
import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { halfOf } from "../../src/maintenance/Anew.ts"

const sizes = fc
  .array(fc.oneof(fc.nat(20), fc.nat(2_000)), { maxLength: 12 })
  .map((events) =>
    events.map((count, n) => ({ stream: `thread:${String.fromCodePoint(97 + n)}`, events: count }))
  )

type Sizes = ReadonlyArray<{ readonly stream: string; readonly events: number }>

const sumOf = (some: Sizes) => some.reduce((sum, { events }) => sum + events, 0)

/** How far from the half, doubled. */
const off = (all: Sizes, some: Sizes) => Math.abs(2 * sumOf(some) - sumOf(all))

describe("the halves of a log", () => {
  it("no other neighbours have together more nearly half of the events", () => {
    fc.assert(
      fc.property(sizes, (all) => {
        const { after, upTo } = halfOf(all)
        const chosen = all.filter(({ stream }) => stream > after && stream <= upTo)
        const windows = all.flatMap((_, from) => all.map((_, to) => all.slice(from, to + 1)))
        for (const window of windows) assert.isAtMost(off(all, chosen), off(all, window))
      }),
      { numRuns: 500 }
    )
  })

  it("one thread that has most of it is left alone with it", () => {
    const { after, upTo } = halfOf([
      { stream: "thread:a", events: 40 },
      { stream: "thread:b", events: 900 },
      { stream: "thread:c", events: 60 }
    ])
    assert.deepStrictEqual({ after, upTo }, { after: "thread:a", upTo: "thread:b" })
  })

  it("without a thread one half is everything", () => {
    const { after, upTo } = halfOf([])
    assert.deepStrictEqual({ after, upTo }, { after: "", upTo: "" })
  })
})
