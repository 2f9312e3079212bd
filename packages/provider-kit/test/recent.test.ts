import { assert, it } from "@effect/vitest"
import { recent, recentNames } from "../src/recent.ts"

it("forgets the oldest name for a new one, and no name for one that it has", () => {
  const ends = recent<string>(2)
  ends.set("a", "completed")
  ends.set("b", "failed")
  ends.set("a", "interrupted")
  assert.deepStrictEqual([ends.get("a"), ends.get("b")], ["interrupted", "failed"])
  ends.set("c", "completed")
  assert.deepStrictEqual([ends.has("a"), ends.has("b"), ends.has("c")], [false, true, true])
})

it("tells which name is new, and that again once it was forgotten", () => {
  const names = recentNames(2)
  assert.deepStrictEqual(["a", "a", "b", "a", "c", "a"].map(names.add), [
    true,
    false,
    true,
    false,
    true,
    true
  ])
  assert.isFalse(names.has("b"))
})
