/** Runs test files of one package and counts what became of them. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")

/** Test files by package, both from the project's root. */
export interface Suite {
  readonly package: string
  readonly files: ReadonlyArray<string>
}

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** What vitest's JSON report says, as far as it is read here. */
interface Report {
  readonly testResults: ReadonlyArray<{
    readonly status: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string }>
  }>
}

/** `env` is added to ours. The reports of the tests themselves go to this program's output. */
export const runSuites = (suites: ReadonlyArray<Suite>, env: NodeJS.ProcessEnv): Counts => {
  const directory = mkdtempSync(join(tmpdir(), "turnkeeper-tests-"))
  try {
    return suites.map((suite) => run(suite, env, directory)).reduce(sum)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The last line of a run, and the exit code it means. */
export const conclude = ({ passed, failed, skipped }: Counts): number => {
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
  return failed === 0 ? 0 : 1
}

const run = (suite: Suite, env: NodeJS.ProcessEnv, directory: string): Counts => {
  const file = join(directory, `${suite.package.replaceAll("/", "-")}.json`)
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
  const reporters = ["--reporter=verbose", "--reporter=json", `--outputFile.json=${file}`]
  spawnSync(process.execPath, [vitest, "run", ...suite.files, ...reporters], {
    cwd: join(root, suite.package),
    env: { ...process.env, ...env },
    stdio: "inherit"
  })
  const files = readReport(file)?.testResults ?? []
  const missing = { passed: 0, failed: Math.max(0, suite.files.length - files.length), skipped: 0 }
  return files.map(countsOf).reduce(sum, missing)
}

/** A file that broke before its tests, or of which none ran, counts as one failure. */
const countsOf = ({ status, assertionResults }: Report["testResults"][number]): Counts => {
  const count = (wanted: string) => assertionResults.filter((test) => test.status === wanted).length
  const passed = count("passed")
  const failed = count("failed")
  const broken = failed === 0 && (status !== "passed" || passed === 0) ? 1 : 0
  return { passed, failed: failed + broken, skipped: assertionResults.length - passed - failed }
}

const sum = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped
})

const readReport = (file: string): Report | null => {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report
  } catch {
    return null
  }
}
