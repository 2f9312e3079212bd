/** Simulated runs that once broke a promise, each shrunk to what it needs for that. A new one is a new file. */
import { planFrom, planText, readPlan } from "@turnkeeper/testkit/simulation/planFile"
import { planOf } from "@turnkeeper/testkit/simulation/plan"
import { simulate } from "@turnkeeper/testkit/simulation/simulate"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"

const directory = join(import.meta.dirname, "plans")

describe("a run that once broke a promise", () => {
  const names = readdirSync(directory).map((file) => file.replace(".jsonl", "").replaceAll("-", " "))

  it.each(names)("keeps them all: %s", async (name) => {
    const plan = readPlan(join(directory, `${name.replaceAll(" ", "-")}.jsonl`))
    const { steps, trace, violations } = await simulate(plan)
    expect(violations, trace.slice(-60).join("\n")).toEqual([])
    expect(steps).toBeGreaterThan(100)
  })
})

describe("a plan as a file", () => {
  it("is the whole plan, and the same run", async () => {
    const plan = planOf(9)
    const kept = planFrom(planText(plan))
    expect(kept).toEqual(plan)
    expect((await simulate(kept)).hash).toBe((await simulate(plan)).hash)
  })

  it("is friendly in what it does not name, so that an old one stays what it was", () => {
    const [head, ...steps] = planText(planOf(9)).split("\n")
    const { setting, seed } = JSON.parse(head!) as ReturnType<typeof planOf>
    const old = JSON.stringify({ seed, setting: { ...setting, hostility: { calls: 0.25 } } })
    const { hostility } = planFrom([old, ...steps].join("\n")).setting
    expect(hostility).toEqual({
      calls: 0.25,
      copies: 0,
      drops: 0,
      delays: 0,
      echoes: 0,
      cuts: 0,
      closes: 0,
      listings: 0
    })
  })

  it.each(["", "{}", '{"seed":1,"setting":{"providers":[]}}\n{"deed":{"type":"restart"}}'])(
    "that holds no plan is refused: %j",
    (text) => {
      expect(() => planFrom(text)).toThrow(/plan/)
    }
  )
})
