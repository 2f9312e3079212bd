/**
 * What tools print, made up: listings, hits of a search, test runs, logs. The same for the same number, other
 * for each, and about as repetitive as the real thing: 4.2 times smaller when it is compressed at level 1.
 */

/** So many characters of output, all of them ASCII. */
export const outputOf = (n: number, length: number): string => {
  const any = makeAny(n)
  const kind = kinds[n % kinds.length]!
  let text = `$ ${any(verbs)} ${pathOf(any)}\n`
  while (text.length < length) text += kind(any)
  return text.slice(0, length)
}

/** One of these, or a number below. */
interface Any {
  (below: number): number
  <A>(of: ReadonlyArray<A>): A
}

/** Mulberry32: the same choices for the same seed. */
const makeAny = (seed: number): Any => {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return ((of: number | ReadonlyArray<unknown>) =>
    typeof of === "number" ? Math.floor(next() * of) : of[Math.floor(next() * of.length)]) as Any
}

const nouns = "thread turn session cursor reader token socket commit row frame budget outbox".split(" ")
const verbs = "read write open close fold rebuild answer follow resume retry count check".split(" ")
const folders = "apps/server/src apps/web/src packages/domain/src packages/client/test bench".split(" ")

const pathOf = (any: Any) => `${any(folders)}/${any(nouns)}/${any(verbs)}${any(40)}.ts`
const dayOf = (any: Any) => 10 + any(20)
const hex = (any: Any, digits: number) => Array.from({ length: digits }, () => any(16).toString(16)).join("")

/** A line of a listing, of a search, of a test run, of a log. */
const kinds: ReadonlyArray<(any: Any) => string> = [
  (any) => {
    const size = String(any(90_000)).padStart(7)
    return `-rw-r--r--  1 user user ${size} Nov ${dayOf(any)} 1${any(10)}:${10 + any(50)} ${pathOf(any)}\n`
  },
  (any) => {
    const call = `${any(verbs)}(${any(nouns)}, ${any(nouns)})`
    return `${pathOf(any)}:${any(400)}:  const ${any(nouns)} = yield* ${call}\n`
  },
  (any) => ` ok ${pathOf(any)} > ${any(verbs)}s the ${any(nouns)} of a ${any(nouns)} ${any(900)} ms\n`,
  (any) => {
    const said = `${any(verbs)} the ${any(nouns)} before the ${any(nouns)} of a ${any(nouns)}`
    return `${hex(any, 7)} 2026-11-${dayOf(any)} ${said}\n`
  }
]
