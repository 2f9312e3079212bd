/** What a benchmark found, as data, and how it is shown. Nothing is kept that was not measured in this run. */

export interface Figure {
  readonly name: string
  readonly value: number | string
  readonly unit: string
  /** What the value was held against in the same run, in the same unit. */
  readonly compared: number | null
  /** What that was. */
  readonly against: string | null
  /** Of the value to what it was compared with. */
  readonly ratio: number | null
  readonly target: string | null
  /** null: no target. */
  readonly met: boolean | null
  /** The lowest and the highest of the repetitions. */
  readonly spread: readonly [number, number] | null
}

export const figure = (
  found: Pick<Figure, "name" | "value" | "unit"> & Partial<Omit<Figure, "name" | "value" | "unit">>
): Figure => ({
  compared: null,
  against: null,
  ratio: null,
  target: null,
  met: null,
  spread: null,
  ...found
})

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export const spreadOf = (values: ReadonlyArray<number>): readonly [number, number] => [
  Math.min(...values),
  Math.max(...values)
]

/** The smallest value that at least this share of all does not exceed. */
export const percentile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!
}

/** The median of the repetitions with their spread. */
export const repeated = (values: ReadonlyArray<number>) => ({
  value: median(values),
  spread: spreadOf(values)
})

/** The numbers as a table, what is no number as lines below it. */
export const table = (figures: ReadonlyArray<Figure>): string => {
  const rows = [
    ["", "value", "spread", "compared with", "ratio", "target", ""],
    ...figures.filter(({ value }) => typeof value === "number").map(rowOf)
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd()
  )
  const words = figures.flatMap(({ name, value }) => (typeof value === "string" ? [`${name}: ${value}`] : []))
  return [...lines, "", ...words].join("\n")
}

const rowOf = (found: Figure): ReadonlyArray<string> => [
  found.name,
  `${shown(found.value)} ${found.unit}`,
  found.spread === null ? "" : found.spread.map(shown).join(" to "),
  found.compared === null ? "" : `${shown(found.compared)} ${found.against ?? ""}`,
  found.ratio === null ? "" : shown(found.ratio),
  found.target ?? "",
  found.met === null ? "" : found.met ? "met" : "MISSED"
]

const shown = (value: number | string): string => {
  if (typeof value === "string") return value
  if (Number.isInteger(value) || Math.abs(value) >= 1_000) return Math.round(value).toLocaleString("en")
  return value.toPrecision(3)
}
