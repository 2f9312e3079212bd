/**
 * `npm run test:providers`: the tests that need a real provider program. Installs the pinned ones where they
 * are missing, and runs them against a fake model on loopback: no key, no account, no network beyond npm.
 *
 * What each can do is printed as the table of `docs/providers.md`; where the page says something else the run
 * has failed, and `-- --write` puts the table there. What a program cannot be made to do shows as skipped,
 * with the reason in its name; a file of which nothing ran has failed. The last line counts.
 */
import { claude, claudeAcp, codex, codexAcp, install, opencode } from "./providers.ts"
import { tellTable } from "./providerTable.ts"
import { conclude, runSuites } from "./vitestRun.ts"

/** Those that are silent without a real program, and the two adapters that need none, for the table. */
const suites = [
  { package: "packages/provider-kit", files: ["test/conformance.test.ts"] },
  { package: "packages/provider-example", files: ["test/conformance.test.ts"] },
  { package: "packages/provider-codex", files: ["test/real.test.ts", "test/conformance.test.ts"] },
  { package: "packages/provider-opencode", files: ["test/real.test.ts", "test/conformance.test.ts"] },
  { package: "packages/provider-claude", files: ["test/real.test.ts", "test/conformance.test.ts"] },
  { package: "packages/provider-acp", files: ["test/real.test.ts", "test/conformance.test.ts"] },
  {
    package: "packages/testkit",
    files: [
      "test/sixRuns.test.ts",
      "test/codexField.test.ts",
      "test/opencodeField.test.ts",
      "test/claudeField.test.ts",
      "test/acpField.test.ts",
      "test/outliving.test.ts"
    ]
  }
]

/** Where the tests look for each program. */
const programs = [
  { variable: "TURNKEEPER_CODEX_BIN", program: codex },
  { variable: "TURNKEEPER_OPENCODE_BIN", program: opencode },
  { variable: "TURNKEEPER_CLAUDE_SDK", program: claude },
  { variable: "TURNKEEPER_CODEX_ACP", program: codexAcp },
  { variable: "TURNKEEPER_CLAUDE_ACP", program: claudeAcp }
]

const binaries: NodeJS.ProcessEnv = {}
for (const { variable, program } of programs) {
  binaries[variable] = install(program)
  console.log(`${program.package} ${program.version}: ${binaries[variable]}`)
}
const ran = runSuites(suites, binaries)
const isTold = tellTable(ran.tests, process.argv.includes("--write"))
process.exitCode = conclude(ran) || (isTold ? 0 : 1)
