/**
 * `npm run test:providers`: the tests that need a real provider program. Installs the pinned one where it is
 * missing, and runs them against a fake model on loopback: no key, no account, no network beyond npm.
 *
 * The last line counts. A test that was skipped counts as failed here: these tests exist to be run.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { codex, install } from "./providers.ts"

const root = join(import.meta.dirname, "..")

/** Test files by package: those that are silent without a real program. */
const suites = [
  { package: "packages/provider-codex", files: ["test/real.test.ts", "test/conformance.test.ts"] },
  { package: "packages/testkit", files: ["test/sixRuns.test.ts"] }
]

interface Counts {
  readonly passed: number
  readonly failed: number
}

/** What vitest's JSON report says, as far as it is read here. */
interface Report {
  readonly numTotalTests: number
  readonly numPassedTests: number
  readonly testResults: ReadonlyArray<unknown>
}

const run = (suite: (typeof suites)[number], binary: string, directory: string): Counts => {
  const file = join(directory, `${suite.package.replaceAll("/", "-")}.json`)
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
  const reporters = ["--reporter=verbose", "--reporter=json", `--outputFile.json=${file}`]
  const { status } = spawnSync(process.execPath, [vitest, "run", ...suite.files, ...reporters], {
    cwd: join(root, suite.package),
    env: { ...process.env, TURNKEEPER_CODEX_BIN: binary },
    stdio: "inherit"
  })
  const report = readReport(file)
  if (report === null) return { passed: 0, failed: 1 }
  const failed = report.numTotalTests - report.numPassedTests
  // A file that breaks before its first test has no tests to count.
  const broken = failed === 0 && (status !== 0 || report.testResults.length < suite.files.length) ? 1 : 0
  return { passed: report.numPassedTests, failed: failed + broken }
}

const readReport = (file: string): Report | null => {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report
  } catch {
    return null
  }
}

const main = (): number => {
  const binary = install(codex)
  console.log(`${codex.package} ${codex.version}: ${binary}`)
  const directory = mkdtempSync(join(tmpdir(), "turnkeeper-providers-"))
  try {
    const counts = suites.map((suite) => run(suite, binary, directory))
    const passed = counts.reduce((sum, one) => sum + one.passed, 0)
    const failed = counts.reduce((sum, one) => sum + one.failed, 0)
    console.log(`${passed} passed, ${failed} failed`)
    return failed === 0 && passed > 0 ? 0 : 1
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

process.exitCode = main()
