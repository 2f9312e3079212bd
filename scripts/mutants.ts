/**
 * `npm run mutants`: kernels and servers with one thing broken on purpose. Each has to be caught: a kernel by
 * the explorer, with the law that it breaks; a server by the test that its entry names. The last line counts.
 */
import { mutants } from "../apps/server/test/mutants/mutants.ts"
import type { Mutant } from "../apps/server/test/mutants/mutants.ts"
import { conclude, runSuites, runTests } from "./vitestRun.ts"
import type { Counts, TestResult } from "./vitestRun.ts"

const server = "apps/server"
const config = "test/mutants/vitest.config.ts"
const pathOf = ({ caughtBy }: Mutant) => `test/${caughtBy}`

const run = (files: ReadonlyArray<string>, tests: ReadonlyArray<string>, env: NodeJS.ProcessEnv) =>
  runTests({ package: server, files }, { config, tests, env })

const isCatch =
  ({ test }: Mutant, status: string) =>
  (result: TestResult) =>
    result.name === test && result.status === status

/** The tests pass on the server as it is: else that they fail on a mutant means nothing. */
const unbroken = (): ReadonlyArray<Mutant> => {
  const results = run([...new Set(mutants.map(pathOf))], [...new Set(mutants.map(({ test }) => test))], {})
  return mutants.filter((mutant) => !results.some(isCatch(mutant, "passed")))
}

const caught = (mutant: Mutant, index: number): boolean => {
  const results = run([pathOf(mutant)], [mutant.test], { TURNKEEPER_MUTANT: String(index) })
  const isCaught = results.some(isCatch(mutant, "failed"))
  // No result at all: the text to be patched is gone, or its file is not loaded any more.
  const word = isCaught ? "caught" : results.some(isCatch(mutant, "passed")) ? "SURVIVED" : "NO MUTANT"
  console.log(`${word.padEnd(9)} ${mutant.file}: ${mutant.breaks}`)
  return isCaught
}

const servers = (only: string | undefined): Counts => {
  const useless = only === undefined ? unbroken() : []
  for (const { test, caughtBy } of useless)
    console.log(`This test does not pass by itself: ${caughtBy}: ${test}`)
  const tried = mutants
    .map((mutant, index) => ({ mutant, index }))
    .filter(({ mutant }) => !useless.includes(mutant) && (only === undefined || mutant.breaks.includes(only)))
  const passed = tried.filter(({ mutant, index }) => caught(mutant, index)).length
  return { passed, failed: tried.length - passed + useless.length, skipped: 0 }
}

// A word of what a mutant breaks runs those mutants of the server alone.
const only = process.argv[2]
const kernels =
  only === undefined
    ? runSuites([{ package: "packages/domain", files: ["test/mutants.test.ts"] }], {})
    : { passed: 0, failed: 0, skipped: 0 }
const counts = servers(only)
process.exitCode = conclude({
  passed: kernels.passed + counts.passed,
  failed: kernels.failed + counts.failed,
  skipped: kernels.skipped
})
