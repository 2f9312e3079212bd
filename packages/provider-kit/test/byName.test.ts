import { assert, it } from "@effect/vitest"
import { byName } from "../src/byName.ts"

it("finds what stands in the table, and nothing that every object answers to", () => {
  const kinds = byName<string>({ bash: "command" })
  assert.strictEqual(kinds("bash"), "command")
  for (const name of ["constructor", "toString", "__proto__", "hasOwnProperty", ""]) {
    assert.isUndefined(kinds(name), name)
  }
})
