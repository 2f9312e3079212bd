/**
 * What a broken or hostile peer makes of something valid: values with something wrong at one of their places, and
 * texts that were JSON once. Drawn by fast-check, so that a failure is shrunk and can be drawn again.
 */
import { limits } from "@turnkeeper/contracts/Limits"
import * as fc from "fast-check"

const nested = (depth: number): unknown =>
  Array.from({ length: depth }).reduce<unknown>((inner) => [inner], "deep")

/** Values that belong nowhere. */
const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -0,
    1e308,
    -1e308,
    Number.MAX_SAFE_INTEGER + 1,
    0.1,
    "",
    "\ud800",
    "\udc00\ud800",
    "a\u0000b",
    "__proto__",
    "constructor",
    "x".repeat(200_000),
    [],
    {},
    nested(limits.nesting - 8),
    nested(limits.nesting + 8),
    Array.from({ length: 5_000 }, () => 0),
    JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}')
  ),
  fc.jsonValue({ maxDepth: 3 })
)

type Path = ReadonlyArray<string>

const pathsOf = (value: unknown, at: Path = []): ReadonlyArray<Path> =>
  typeof value !== "object" || value === null
    ? [at]
    : [at, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...at, key]))]

const changed = (value: unknown, path: Path, change: (at: unknown) => unknown): unknown => {
  const [key, ...rest] = path
  if (key === undefined) return change(value)
  if (Array.isArray(value)) {
    const made = value.map((inner, index) => (String(index) === key ? changed(inner, rest, change) : inner))
    return made.filter((inner) => inner !== gone)
  }
  const entries = Object.entries(value as object).flatMap(([name, inner]) => {
    if (name !== key) return [[name, inner] as const]
    const made = changed(inner, rest, change)
    return made === gone ? [] : [[name, made] as const]
  })
  return Object.fromEntries(entries)
}
const gone = Symbol("gone")

type Change = (at: unknown, odd: unknown) => unknown
const changes: ReadonlyArray<Change> = [
  (_, odd) => odd,
  () => gone,
  (at) => [at, at],
  (at) => ({ at }),
  (at) => (typeof at === "string" ? at + at : `${String(at)}`),
  (at, odd) => (typeof at === "object" && at !== null && !Array.isArray(at) ? { ...at, more: odd } : odd)
]

/** A valid value with something wrong at one to three of its places. */
export const broken = (values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc
    .tuple(
      values,
      fc.array(fc.tuple(fc.nat(), fc.constantFrom(...changes), odd), { minLength: 1, maxLength: 3 })
    )
    .map(([value, wrongs]) =>
      wrongs.reduce<unknown>((now, [where, change, strange]) => {
        const paths = pathsOf(now)
        const made = changed(now, paths[where % paths.length]!, (at) => change(at, strange))
        return made === gone ? null : made
      }, value)
    )

/** A text that was JSON, cut, doubled, or with other characters in it. */
export const brokenText = (values: fc.Arbitrary<unknown>): fc.Arbitrary<string> =>
  fc
    .tuple(
      values,
      fc.nat(),
      fc.constantFrom("cut", "double", "insert", "swap"),
      fc.string({ unit: "binary", maxLength: 8 })
    )
    .map(([value, where, how, strange]) => {
      const text = JSON.stringify(value) ?? "null"
      const at = where % (text.length + 1)
      if (how === "cut") return text.slice(0, at)
      if (how === "double") return text + text
      if (how === "insert") return text.slice(0, at) + strange + text.slice(at)
      return text.slice(0, at) + strange + text.slice(at + strange.length)
    })

/** The same of something that is read from JSON, which has no `-0` and no field without a value. */
export const brokenJson = (valid: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  broken(valid).map((made): unknown => JSON.parse(JSON.stringify(made) ?? "null"))

/** How often a property is tried, and from where: more by `TURNKEEPER_TEST_DEEP=1`, others by `TURNKEEPER_TEST_SEED`. */
export const tries = (usual: number, deep: number) => ({
  numRuns: Math.ceil(process.env["TURNKEEPER_TEST_DEEP"] === "1" ? deep : usual),
  seed: Number(process.env["TURNKEEPER_TEST_SEED"] ?? 20_261_121)
})
