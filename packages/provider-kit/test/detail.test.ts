import { describe, expect, it } from "vitest"
import { bounded } from "../src/detail.ts"

const sizeOf = (value: unknown) => JSON.stringify(value).length

describe("what a card shows of an item", () => {
  it("is what the provider said, without what has no value", () => {
    const said = { command: "make", exitCode: 0, cwd: null, files: [{ path: "a.ts", kind: "edit" }] }
    expect(bounded({ ...said, other: undefined })).toEqual({
      command: "make",
      exitCode: 0,
      files: [{ path: "a.ts", kind: "edit" }]
    })
  })

  it("cuts a string, a list and a depth that are too large, and shows that it did", () => {
    const deep = Array.from({ length: 20 }).reduce((inner) => ({ inner }), "the ground")
    const { list, text, tree } = bounded({ text: "x".repeat(40_000), list: Array(300).fill(1), tree: deep })
    expect(text).toBe(`${"x".repeat(32_000)}\u2026`)
    expect(list).toHaveLength(100)
    expect(JSON.stringify(tree)).toContain("\u2026")
    expect(JSON.stringify(tree)).not.toContain("the ground")
  })

  it("E9: has a bound as a whole, however many large values it is made of", () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`field ${n}`, "y".repeat(30_000)]))
    expect(sizeOf(bounded(many))).toBeLessThan(70_000)
    const wide = (depth: number): unknown => (depth === 0 ? "z" : Array(100).fill(wide(depth - 1)))
    expect(sizeOf(bounded({ wide: wide(3) }))).toBeLessThan(300_000)
    expect(bounded(many)["field 0"]).toHaveLength(30_000)
  })

  it("is what is read again from JSON, however deep something has no value", () => {
    const shown = bounded({ changes: [{ path: undefined, kind: "edit" }, undefined], x: null })
    expect(shown).toStrictEqual({ changes: [{ kind: "edit" }, null] })
  })

  it("keeps a field whose name every object knows", () => {
    const given = JSON.parse('{"at":{"__proto__":{"x":1},"constructor":2}}') as Record<string, unknown>
    expect(JSON.stringify(bounded(given))).toBe(JSON.stringify(given))
  })
})
