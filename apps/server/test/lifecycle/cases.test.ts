/** `docs/cases.md` names no case that no test shows. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "../../../..")

const casesOf = (text: string) => [...text.matchAll(/^\| ([A-E]\d+) \|/gm)].map(([, id]) => id!)

/** A test's name begins with the laws and cases that it shows, before a colon. */
const idsNamedIn = (folders: ReadonlyArray<string>): ReadonlySet<string> => {
  const files = folders.flatMap((folder) => globSync(`${folder}/**/*.test.ts`, { cwd: root, exclude }))
  const heads = files.flatMap((file) =>
    [...readFileSync(join(root, file), "utf8").matchAll(/["'`]((?:[A-EL]\d+, )*[A-EL]\d+):? /g)].map(
      ([, head]) => head!
    )
  )
  return new Set(heads.flatMap((head) => head.split(", ")))
}

const exclude = (path: string) => path.includes("node_modules")

describe("the cases from the field", () => {
  const cases = casesOf(readFileSync(join(root, "docs/cases.md"), "utf8"))

  it("are there, each once", () => {
    expect(cases.length).toBeGreaterThan(40)
    expect(new Set(cases).size).toBe(cases.length)
  })

  it("each has a test that is named after it", () => {
    const shown = idsNamedIn(["apps", "packages"])
    expect(cases.filter((id) => !shown.has(id))).toEqual([])
  })

  it("each of the mission, the lifecycle and the delivery has one of the engine or the whole server", () => {
    const shown = idsNamedIn(["apps/server/test", "packages/testkit/test"])
    expect(cases.filter((id) => /^[ABC]/.test(id) && !shown.has(id))).toEqual([])
  })
})
