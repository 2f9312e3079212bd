import { describe, expect, it } from "vitest"
import { metricIn, trendsOf } from "../src/soak/figures.ts"
import type { Sample } from "../src/soak/figures.ts"

const steady: Omit<Sample, "at"> = { memoryMb: 120, heapMb: 60, descriptors: 30, waiting: 2, sessions: 6 }

/** Half an hour, a sample each ten seconds. */
const samplesOf = (change: (minute: number) => Partial<Sample>): ReadonlyArray<Sample> =>
  Array.from({ length: 180 }, (_, n) => ({ at: n * 10_000, ...steady, ...change(n / 6) }))

const growing = (samples: ReadonlyArray<Sample>) =>
  trendsOf(samples).flatMap(({ figure, isSteady }) => (isSteady ? [] : [figure]))

describe("what a long run says of growth", () => {
  it("a figure that goes up and down, or rose in the beginning alone, is steady", () => {
    const waves = (minute: number) => ({
      memoryMb: minute < 10 ? 80 + 4 * minute : 120 + 10 * Math.sin(minute),
      // Garbage that is collected more and more seldom.
      heapMb: 60 + (Math.round(minute * 6) % 6) * minute,
      waiting: Math.round(minute * 10) % 7
    })
    expect(growing(samplesOf(waves))).toEqual([])
  })

  it.each([
    ["memoryMb", (minute: number) => ({ memoryMb: 100 + 3 * minute })],
    ["descriptors", (minute: number) => ({ descriptors: 30 + Math.floor(minute) })],
    ["waiting", (minute: number) => ({ waiting: Math.floor(minute / 2) })]
  ] as const)("%s that rises to the end is told", (figure, change) => {
    expect(growing(samplesOf(change))).toEqual([figure])
  })

  it("the slope is per hour", () => {
    const [memory] = trendsOf(samplesOf((minute) => ({ memoryMb: 100 + minute })))
    expect(memory?.perHour).toBeCloseTo(60)
  })

  it("what the system does not tell is left out", () => {
    expect(trendsOf(samplesOf(() => ({ descriptors: null }))).map(({ figure }) => figure)).not.toContain(
      "descriptors"
    )
  })

  it("a metric is read by its name and label, and is 0 where there is none", () => {
    const text = 'a_bytes{kind="rss"} 12\na_bytes{kind="heap"} 5\na_bytes_total 9\nb 3\n'
    expect([metricIn(text, "a_bytes"), metricIn(text, "a_bytes", '"heap"'), metricIn(text, "b")]).toEqual([
      17, 5, 3
    ])
    expect(metricIn(text, "c")).toBe(0)
  })
})
