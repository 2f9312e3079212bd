/** A seeded source of choices: the same seed makes the same choices in the same order. */
export interface Random {
  /** An integer, `from` and `to` included. */
  readonly between: (from: number, to: number) => number
  readonly pick: <T>(all: readonly [T, ...ReadonlyArray<T>]) => T
  readonly chance: (probability: number) => boolean
  /** Another source, which does not depend on how often this one is asked. */
  readonly fork: (salt: number) => Random
}

export const makeRandom = (seed: number): Random => {
  let state = seed >>> 0
  /** Mulberry32: small, and good enough to choose moments. */
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const between = (from: number, to: number) => from + Math.floor(next() * (to - from + 1))
  return {
    between,
    pick: (all) => all[between(0, all.length - 1)] ?? all[0],
    chance: (probability) => next() < probability,
    fork: (salt) => makeRandom(Math.imul(seed ^ Math.imul(salt + 1, 0x9e3779b1), 0x85ebca6b))
  }
}
