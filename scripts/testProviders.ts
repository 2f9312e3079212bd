/**
 * `npm run test:providers`: the tests that need a real provider program. Installs the pinned ones where they
 * are missing, and runs them against a fake model on loopback: no key, no account, no network beyond npm.
 *
 * The last line counts. What a program cannot be made to do shows as skipped, with the reason in its name;
 * a file of which nothing ran has failed.
 */
import { codex, install, opencode } from "./providers.ts"
import { conclude, runSuites } from "./vitestRun.ts"

/** Those that are silent without a real program. */
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

const binaries: NodeJS.ProcessEnv = {}
for (const { variable, program } of programs) {
  binaries[variable] = install(program)
  console.log(`${program.package} ${program.version}: ${binaries[variable]}`)
}
process.exitCode = conclude(runSuites(suites, binaries))
