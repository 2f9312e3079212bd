/**
 * The letters that wait in a mailbox, and which of them is next: control letters overtake the provider's, within
 * a bound, and while the storage is in trouble only those are taken that may be refused.
 */
import type { Letter } from "./Letter.ts"

export interface Lanes {
  readonly isEmpty: () => boolean
  readonly add: (letter: Letter) => void
  /** Before all others of their lane, in this order. */
  readonly putBack: (letters: ReadonlyArray<Letter>) => void
  /** The next one, taken out. */
  readonly take: () => Letter | undefined
  /** Until `goOn`: letters that must not be lost keep their places. */
  readonly stall: () => void
  readonly goOn: () => void
}

/** Control letters that overtake the provider's at a time: who asks without end must not silence it. */
const overtakeMax = 64

export const make = (): Lanes => {
  const lanes = { control: new Array<Letter>(), provider: new Array<Letter>() }
  const { control, provider } = lanes
  /** Control letters taken in a row while the provider's wait. */
  let overtaken = 0
  let stalled = false

  const inTurn = () => {
    const providersTurn = overtaken >= overtakeMax && provider.length > 0
    const letter = providersTurn ? undefined : control.shift()
    overtaken = letter === undefined || provider.length === 0 ? 0 : overtaken + 1
    return letter ?? provider.shift()
  }

  const impatient = () => {
    const at = control.findIndex((letter) => !letter.patient)
    return at === -1 ? undefined : control.splice(at, 1)[0]
  }

  return {
    isEmpty: () => control.length === 0 && provider.length === 0,
    add: (letter) => void lanes[letter.lane].push(letter),
    putBack: (letters) => {
      for (const letter of letters.toReversed()) lanes[letter.lane].unshift(letter)
    },
    take: () => (stalled ? impatient() : inTurn()),
    stall: () => void (stalled = true),
    goOn: () => void (stalled = false)
  }
}
