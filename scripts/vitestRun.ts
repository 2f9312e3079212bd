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
    readonly assertionResults: ReadonlyArray<{ readonly status: string; readonly title: string }>
  }>
}

/** `env` is added to ours. The reports of the tests themselves go to this program's output. */
export const runSuites = (suites: ReadonlyArray<Suite>, env: NodeJS.ProcessEnv): Ran => {
  const directory = mkdtempSync(join(tmpdir(), "turnkeeper-tests-"))
  try {
    return suites.map((suite) => run(suite, env, directory)).reduce(sum)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** What became of every test, and how many of each there were. */
export interface Ran extends Counts {
  readonly tests: ReadonlyArray<TestResult>
}

/** One test of a run, by its name without its groups. */
export interface TestResult {
  readonly name: string
  readonly status: string
}

export interface Selection {
  /** A vitest configuration, from the package's folder. */
  readonly config: string
  /** Names of the tests that are run, whole. */
  readonly tests: ReadonlyArray<string>
  readonly env: NodeJS.ProcessEnv
}

/** Runs these tests alone, in silence. A file that could not be loaded has none. */
export const runTests = (suite: Suite, { config, tests, env }: Selection): ReadonlyArray<TestResult> => {
  const directory = mkdtempSync(join(tmpdir(), "turnkeeper-tests-"))
  try {
    const file = join(directory, "report.json")
    const names = `(${tests.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})$`
    const args = ["--config", config, "-t", names, "--reporter=json", `--outputFile.json=${file}`]
    start(suite, args, env, "ignore")
    const results = readReport(file)?.testResults.flatMap(({ assertionResults }) => assertionResults) ?? []
    return results.map(testOf)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The last line of a run, and the exit code it means. */
export const conclude = ({ passed, failed, skipped }: Counts): number => {
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
  return failed === 0 ? 0 : 1
}

const run = (suite: Suite, env: NodeJS.ProcessEnv, directory: string): Ran => {
  const file = join(directory, `${suite.package.replaceAll("/", "-")}.json`)
  const reporters = ["--reporter=verbose", "--reporter=json", `--outputFile.json=${file}`]
  start(suite, reporters, env, "inherit")
  const files = readReport(file)?.testResults ?? []
  const missing = { passed: 0, failed: Math.max(0, suite.files.length - files.length), skipped: 0, tests: [] }
  return files.map(countsOf).reduce(sum, missing)
}

const start = (
  suite: Suite,
  args: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv,
  stdio: "inherit" | "ignore"
) =>
  spawnSync(
    process.execPath,
    [join(root, "node_modules", "vitest", "vitest.mjs"), "run", ...suite.files, ...args],
    { cwd: join(root, suite.package), env: { ...process.env, ...env }, stdio }
  )

/** A file that broke before its tests, or of which none ran, counts as one failure. */
const countsOf = ({ status, assertionResults }: Report["testResults"][number]): Ran => {
  const count = (wanted: string) => assertionResults.filter((test) => test.status === wanted).length
  const passed = count("passed")
  const failed = count("failed")
  const broken = failed === 0 && (status !== "passed" || passed === 0) ? 1 : 0
  const skipped = assertionResults.length - passed - failed
  return { passed, failed: failed + broken, skipped, tests: assertionResults.map(testOf) }
}

const testOf = ({
  title,
  status
}: Report["testResults"][number]["assertionResults"][number]): TestResult => ({
  name: title,
  status
})

const sum = (a: Ran, b: Ran): Ran => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
  tests: [...a.tests, ...b.tests]
})

const readReport = (file: string): Report | null => {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report
  } catch {
    return null
  }
}
