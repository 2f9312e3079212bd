/**
 * `npm run conformance -- ADAPTER`: every promise of the adapter interface, held against one adapter and the
 * real program behind it, which is installed where it is missing. The last line counts.
 */
import { codex, install, opencode } from "./providers.ts"
import { conclude, runSuites } from "./vitestRun.ts"

const adapters: Readonly<
  Record<string, { readonly package: string; readonly env: () => NodeJS.ProcessEnv }>
> = {
  scripted: { package: "packages/provider-kit", env: () => ({}) },
  codex: { package: "packages/provider-codex", env: () => ({ TURNKEEPER_CODEX_BIN: install(codex) }) },
  opencode: {
    package: "packages/provider-opencode",
    env: () => ({ TURNKEEPER_OPENCODE_BIN: install(opencode) })
  }
}

const [name = ""] = process.argv.slice(2)
const adapter = adapters[name]
if (adapter === undefined) {
  console.error(`Which adapter? npm run conformance -- ${Object.keys(adapters).join(" | ")}`)
  process.exitCode = 2
} else {
  process.exitCode = conclude(
    runSuites([{ package: adapter.package, files: ["test/conformance.test.ts"] }], adapter.env())
  )
}
