/** The vocabulary of the table in `docs/providers.md`. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { scenarioOf, scenarios } from "../src/testing/conformance.ts"

describe("scenarios", () => {
  it("each is held by a check", () => {
    assert.deepStrictEqual([...new Set(scenarioOf.values())].toSorted(), [...scenarios].toSorted())
  })

  it("the table has a row for each, in their order", () => {
    const page = readFileSync(new URL("../../../docs/providers.md", import.meta.url), "utf8")
    const table = page.slice(page.indexOf("<!-- The table"), page.indexOf("<!-- The end of the table"))
    const rows = [...table.matchAll(/^\| *([^|]*?) *\|/gm)].map(([, first]) => first)
    assert.deepStrictEqual(rows.slice(2), [...scenarios])
  })
})
