/** Processes that have left their parent and its group are found by the mark that they inherited. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { randomUUID } from "node:crypto"
import { argumentsOf, ensureGone, findProgram, isAlive, marked } from "../src/processes.ts"

const markName = "TURNKEEPER_TEST_MARK"

/** Starts another process in a group of its own, says so, and ends. */
const leaver = `
const child = require("node:child_process").spawn(
  process.execPath, ["-e", "setInterval(() => {}, 1000)", "left-behind"], { detached: true, stdio: "ignore" })
child.unref()
child.once("spawn", () => process.exit(0))
`

it.live.skipIf(process.platform !== "linux")(
  "a process whose parent has ended is found by its mark, and is gone after ensureGone",
  () =>
    Effect.gen(function* () {
      const mark = `${randomUUID()}.run`
      const parent = spawn(process.execPath, ["-e", leaver], {
        env: { ...process.env, [markName]: mark },
        stdio: "ignore"
      })
      yield* Effect.promise(() => once(parent, "exit"))
      const found = marked(markName, mark.slice(0, 20))
      yield* Effect.addFinalizer(() => ensureGone(found))
      assert.equal(found.length, 1)
      assert.include(argumentsOf(found[0]!), "left-behind")
      assert.deepEqual(marked(markName, randomUUID()), [])
      assert.deepEqual(yield* ensureGone(found), [])
      assert.isFalse(isAlive(found[0]!))
      assert.deepEqual(
        argumentsOf(found[0]!).filter((argument) => argument !== ""),
        []
      )
    })
)

it("a program is found by its path, or by its name on the path, and not at all where it cannot be run", () => {
  assert.equal(findProgram(process.execPath, {}), process.execPath)
  assert.isNull(findProgram("/no/such/program", { PATH: "/bin" }))
  assert.isNotNull(findProgram("sh", { PATH: "/nowhere:/bin" }))
  assert.isNull(findProgram("sh", { PATH: "" }))
})
