/**
 * `npm run conformance -- ADAPTER`: every promise of the adapter interface, held against one adapter and the
 * real program behind it, which is installed where it is missing. The last line counts.
 * `npm run conformance -- record ADAPTER`: new transcripts of that program (`record.ts`).
 */
import { claude, claudeAcp, codex, codexAcp, install, opencode } from "./providers.ts"
import { conclude, runSuites } from "./vitestRun.ts"

const adapters: Readonly<
  Record<string, { readonly package: string; readonly env: () => NodeJS.ProcessEnv }>
> = {
  scripted: { package: "packages/provider-kit", env: () => ({}) },
  example: { package: "packages/provider-example", env: () => ({}) },
  codex: { package: "packages/provider-codex", env: () => ({ TURNKEEPER_CODEX_BIN: install(codex) }) },
  opencode: {
    package: "packages/provider-opencode",
    env: () => ({ TURNKEEPER_OPENCODE_BIN: install(opencode) })
  },
  claude: { package: "packages/provider-claude", env: () => ({ TURNKEEPER_CLAUDE_SDK: install(claude) }) },
  acp: {
    package: "packages/provider-acp",
    env: () => ({
      TURNKEEPER_OPENCODE_BIN: install(opencode),
      TURNKEEPER_CODEX_ACP: install(codexAcp),
      TURNKEEPER_CLAUDE_ACP: install(claudeAcp)
    })
  }
}

const [first = "", ...rest] = process.argv.slice(2)
const isRecording = first === "record"
const [name = "", ...more] = isRecording ? rest : [first]
const adapter = adapters[name]
if (adapter === undefined) {
  console.error(`Which adapter? npm run conformance -- [record] ${Object.keys(adapters).join(" | ")}`)
  process.exitCode = 2
} else if (isRecording) {
  // The adapters' own test code finds its program by the environment.
  Object.assign(process.env, adapter.env())
  const { record } = await import("./record.ts")
  process.exitCode = await record(name, more)
} else {
  process.exitCode = conclude(
    runSuites([{ package: adapter.package, files: ["test/conformance.test.ts"] }], adapter.env())
  )
}
