/**
 * How far long work has come: one line on standard error that is written over, and only where a person looks on.
 * Standard output never has any of it.
 */
export interface Progress {
  /** `share`: 0 to 1. Drawn only when there is something new to see. */
  readonly show: (what: string, share: number) => void
  /** Takes the line away. */
  readonly end: () => void
}

/** What a terminal offers of a stream. */
export interface Screen {
  readonly isTTY?: boolean | undefined
  readonly write: (text: string) => unknown
}

export const makeProgress = (screen: Screen, { quiet }: { readonly quiet: boolean }): Progress => {
  if (quiet || screen.isTTY !== true) return { show: () => {}, end: () => {} }
  let drawn = ""
  return {
    show: (what, share) => {
      const line = lineOf(what, share)
      if (line === drawn) return
      drawn = line
      screen.write(`\r${line}${eraseRest}`)
    },
    end: () => {
      if (drawn !== "") screen.write(`\r${eraseRest}`)
      drawn = ""
    }
  }
}

const width = 24
const eraseRest = "\u001b[K"

const lineOf = (what: string, share: number): string => {
  const part = Math.min(1, Math.max(0, share))
  const full = Math.floor(part * width)
  return `${"█".repeat(full)}${"░".repeat(width - full)} ${String(Math.floor(part * 100)).padStart(3)} %  ${what}`
}
