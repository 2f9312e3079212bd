/** A unified diff of one change: what the two texts share at both ends is left out but for its context. Pure. */

const contextLines = 3

/** One hunk; empty when nothing has changed. */
export const unified = (before: string, after: string): string => {
  const old = linesOf(before)
  const now = linesOf(after)
  const shorter = Math.min(old.length, now.length)
  let head = 0
  while (head < shorter && old[head] === now[head]) head++
  let tail = 0
  while (tail < shorter - head && old[old.length - 1 - tail] === now[now.length - 1 - tail]) tail++
  if (head === old.length && head === now.length) return ""
  const from = Math.max(0, head - contextLines)
  const more = Math.min(tail, contextLines)
  const body = [
    ...old.slice(from, head).map((line) => ` ${line}`),
    ...old.slice(head, old.length - tail).map((line) => `-${line}`),
    ...now.slice(head, now.length - tail).map((line) => `+${line}`),
    ...old.slice(old.length - tail, old.length - tail + more).map((line) => ` ${line}`)
  ]
  const sizes = [old.length, now.length].map((length) => length - tail + more - from)
  return [`@@ -${range(from, sizes[0]!)} +${range(from, sizes[1]!)} @@`, ...body, ""].join("\n")
}

/** A hunk that has no line of a side stands behind the line before it. */
const range = (from: number, size: number) => `${size === 0 ? from : from + 1},${size}`

const linesOf = (text: string): ReadonlyArray<string> => {
  if (text === "") return []
  return (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n")
}
