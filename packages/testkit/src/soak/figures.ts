/** What a soak measures, and what it says of a leak. */

/** One look at the server. */
export interface Sample {
  /** Milliseconds since the beginning. */
  readonly at: number
  readonly memoryMb: number
  readonly heapMb: number
  /** Open files and sockets; null where the system does not tell. */
  readonly descriptors: number | null
  /** Whatever waits for somebody: changes, letters, calls to providers. */
  readonly waiting: number
  readonly sessions: number
}

type Figure = Exclude<keyof Sample, "at">

/** What each figure may rise over the judged time and count as steady. */
const mayRise: { readonly [figure in Figure]: (mean: number) => number } = {
  memoryMb: (mean) => Math.max(32, mean * 0.2),
  heapMb: (mean) => Math.max(16, mean * 0.2),
  descriptors: () => 4,
  waiting: () => 4,
  sessions: () => 4
}

export interface Trend {
  readonly figure: Figure
  readonly mean: number
  readonly perHour: number
  readonly isSteady: boolean
}

/** Of the second half: before that a server fills its caches, and its runtime finds its size. */
export const trendsOf = (samples: ReadonlyArray<Sample>): ReadonlyArray<Trend> => {
  const judged = samples.slice(Math.floor(samples.length / 2))
  const minutes = ((judged.at(-1)?.at ?? 0) - (judged[0]?.at ?? 0)) / 60_000
  const figures = Object.keys(mayRise) as ReadonlyArray<Figure>
  return figures.flatMap((figure): ReadonlyArray<Trend> => {
    const all = judged.flatMap((sample) => {
      const value = sample[figure]
      return value === null ? [] : [{ x: sample.at / 60_000, y: value }]
    })
    const points = figure === "memoryMb" || figure === "heapMb" ? lowest(all) : all
    if (points.length < 2) return []
    const { mean, slope } = lineThrough(points)
    return [{ figure, mean, perHour: slope * 60, isSteady: slope * minutes <= mayRise[figure](mean) }]
  })
}

interface Point {
  readonly x: number
  readonly y: number
}

const bins = 12

/** Garbage is collected when it suits: what is left of each stretch of time is its lowest point. */
const lowest = (points: ReadonlyArray<Point>): ReadonlyArray<Point> => {
  const size = Math.max(1, Math.floor(points.length / bins))
  const count = Math.min(bins, points.length)
  return Array.from({ length: count }, (_, bin) =>
    points
      .slice(bin * size, bin === count - 1 ? undefined : (bin + 1) * size)
      .reduce((low, point) => (point.y < low.y ? point : low))
  )
}

/** The line with the least squares. */
const lineThrough = (points: ReadonlyArray<Point>) => {
  const meanOf = (of: (point: Point) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length
  const x = meanOf((point) => point.x)
  const mean = meanOf((point) => point.y)
  const spread = meanOf((point) => (point.x - x) ** 2)
  const slope = spread === 0 ? 0 : meanOf((point) => (point.x - x) * (point.y - mean)) / spread
  return { mean, slope }
}

/** The values of one metric in Prometheus' text format, by whatever labels, summed. */
export const metricIn = (text: string, name: string, label = ""): number =>
  text
    .split("\n")
    .filter((line) => line.startsWith(`${name} `) || (line.startsWith(`${name}{`) && line.includes(label)))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0)
