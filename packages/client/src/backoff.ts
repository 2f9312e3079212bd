/** How long to wait before the next try: doubled each time up to a bound, and never the same for all clients. */

export interface Backoff {
  readonly firstMillis: number
  readonly mostMillis: number
}

/** `attempt`: how many have failed before this one, from 0. `chance`: 0 up to 1. Milliseconds. */
export const delayOf = ({ firstMillis, mostMillis }: Backoff, attempt: number, chance: number): number => {
  const whole = Math.min(mostMillis, firstMillis * 2 ** Math.min(attempt, 30))
  return Math.round(whole / 2 + (whole / 2) * chance)
}

/** Between two tries to connect. */
export const reconnecting: Backoff = { firstMillis: 250, mostMillis: 15_000 }
/** Before a call that the server could not do just now is made again. */
export const repeating: Backoff = { firstMillis: 250, mostMillis: 5_000 }
