import { assert, it } from "@effect/vitest"
import * as fc from "fast-check"
import { unified } from "../src/diff.ts"

it.each([
  ["", "a\n", "@@ -0,0 +1,1 @@\n+a\n"],
  ["a\n", "", "@@ -1,1 +0,0 @@\n-a\n"],
  ["a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"],
  ["1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", "@@ -7,3 +7,4 @@\n 7\n 8\n 9\n+10\n"],
  ["same\n", "same\n", ""]
])("from %j to %j is %j", (before, after, diff) => {
  assert.equal(unified(before, after), diff)
})

/** What a hunk says the text was, and has become. */
const sides = (diff: string) => {
  const [head = "", ...lines] = diff.trimEnd().split("\n")
  const of = (mark: string) =>
    lines.filter((line) => line[0] === mark || line[0] === " ").map((line) => line.slice(1))
  const [, from, size, to, grown] = /^@@ -(\d+),(\d+) \+(\d+),(\d+) @@$/.exec(head) ?? []
  return {
    from: Number(from),
    size: Number(size),
    to: Number(to),
    grown: Number(grown),
    old: of("-"),
    now: of("+")
  }
}

it("a hunk says what stood where, and what stands there now", () => {
  const line = fc.constantFrom("a", "b", "c")
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.array(line, { maxLength: 12 }), (old, now) => {
      const text = (lines: ReadonlyArray<string>) => lines.map((one) => `${one}\n`).join("")
      const diff = unified(text(old), text(now))
      if (diff === "") return assert.deepEqual(old, now)
      const hunk = sides(diff)
      assert.deepEqual([hunk.old.length, hunk.now.length], [hunk.size, hunk.grown])
      // Put in the place of the old lines, the new ones make the new text of the old.
      const at = hunk.size === 0 ? hunk.from : hunk.from - 1
      assert.deepEqual(old.slice(at, at + hunk.size), hunk.old)
      assert.deepEqual([...old.slice(0, at), ...hunk.now, ...old.slice(at + hunk.size)], now)
    })
  )
})
