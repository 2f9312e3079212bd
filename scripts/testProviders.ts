/**
 * `npm run test:providers`: the tests that need a real provider program. Installs the pinned one where it is
 * missing, and runs them against a fake model on loopback: no key, no account, no network beyond npm.
 *
 * The last line counts. What the program cannot be made to do shows as skipped, with the reason in its name;
 * a file of which nothing ran has failed.
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { codex, install, opencode } from "./providers.ts"

const root = join(import.meta.dirname, "..")

/** Test files by package: those that are silent without a real program. */
const suites = [
  { package: "packages/provider-codex", files: ["test/real.test.ts", "test/conformance.test.ts"] },
  { package: "packages/provider-opencode", files: ["test/real.test.ts", "test/conformance.test.ts"] },
  {
    package: "packages/testkit",
    files: ["test/sixRuns.test.ts", "test/codexField.test.ts", "test/opencodeField.test.ts"]
  }
]

/** Where the tests look for each program. */
const programs = [
  { variable: "TURNKEEPER_CODEX_BIN", program: codex },
  { variable: "TURNKEEPER_OPENCODE_BIN", program: opencode }
]

interface Counts {
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

const run = (suite: (typeof suites)[number], binaries: NodeJS.ProcessEnv, directory: string): Counts => {
  const file = join(directory, `${suite.package.replaceAll("/", "-")}.json`)
  const vitest = join(root, "node_modules", "vitest", "vitest.mjs")
  const reporters = ["--reporter=verbose", "--reporter=json", `--outputFile.json=${file}`]
  spawnSync(process.execPath, [vitest, "run", ...suite.files, ...reporters], {
    cwd: join(root, suite.package),
    env: { ...process.env, ...binaries },
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

const main = (): number => {
  const binaries: NodeJS.ProcessEnv = {}
  for (const { variable, program } of programs) {
    binaries[variable] = install(program)
    console.log(`${program.package} ${program.version}: ${binaries[variable]}`)
  }
  const directory = mkdtempSync(join(tmpdir(), "turnkeeper-providers-"))
  try {
    const { passed, failed, skipped } = suites.map((suite) => run(suite, binaries, directory)).reduce(sum)
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
    return failed === 0 ? 0 : 1
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

process.exitCode = main()
