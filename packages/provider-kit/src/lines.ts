/** Cuts bytes into lines, each bounded: a line that is too long costs its head and nothing more. */

export interface Line {
  /** False: it was longer than is read; the text is its head. */
  readonly whole: boolean
  readonly text: string
}

const newline = 0x0a
const headBytes = 256

/**
 * Gives the lines that a chunk completes, without the empty ones. Cutting bytes, not text, keeps characters
 * whole that two chunks share.
 */
export const makeFramer = (bytesMax: number): ((chunk: Uint8Array) => ReadonlyArray<Line>) => {
  let parts: Array<Uint8Array> = []
  let bytes = 0
  /** The head of a line that is being skipped. */
  let head: string | null = null

  const headWith = (rest: Uint8Array) =>
    Buffer.concat([...parts, rest])
      .subarray(0, headBytes)
      .toString("latin1")

  const end = (last: Uint8Array): Line => {
    const skipped = head ?? (bytes + last.length > bytesMax ? headWith(last) : null)
    const line =
      skipped === null
        ? { whole: true, text: Buffer.concat([...parts, last]).toString("utf8") }
        : { whole: false, text: skipped }
    parts = []
    bytes = 0
    head = null
    return line
  }

  const keep = (rest: Uint8Array) => {
    if (head !== null || rest.length === 0) return
    if (bytes + rest.length > bytesMax) {
      head = headWith(rest)
      parts = []
      bytes = 0
    } else {
      parts.push(rest)
      bytes += rest.length
    }
  }

  return (chunk) => {
    const lines: Array<Line> = []
    let from = 0
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      const line = end(chunk.subarray(from, at))
      if (line.text.trim() !== "") lines.push(line)
      from = at + 1
    }
    keep(chunk.subarray(from))
    return lines
  }
}
