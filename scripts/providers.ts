/**
 * Installs the provider programs that tests run against, each in a pinned version, on demand:
 *
 *     node scripts/providers.ts codex        prints the path of the program
 *
 * They go to `.providers/<name>-<version>/` and are never a dependency of the workspace: codex alone has
 * 404 MB. An installation appears under its name only when it is whole, so one that was broken off is
 * never taken for a good one. Nothing is done when it is there already.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

export interface ProviderProgram {
  readonly name: string
  readonly package: string
  readonly version: string
  /** The program inside the installation, or null where there is none for this machine. */
  readonly binary: (directory: string) => string | null
}

const codexTargets: Readonly<Record<string, string>> = {
  "linux-x64": "x86_64-unknown-linux-musl",
  "linux-arm64": "aarch64-unknown-linux-musl",
  "darwin-x64": "x86_64-apple-darwin",
  "darwin-arm64": "aarch64-apple-darwin",
  "win32-x64": "x86_64-pc-windows-msvc",
  "win32-arm64": "aarch64-pc-windows-msvc"
}

export const codex: ProviderProgram = {
  name: "codex",
  package: "@openai/codex",
  version: "0.169.0",
  /** The program itself rather than its launcher: signals then reach it, and it is one process. */
  binary: (directory) => {
    const platform = `${process.platform}-${process.arch}`
    const target = codexTargets[platform]
    if (target === undefined) return null
    const program = process.platform === "win32" ? "codex.exe" : "codex"
    return join(directory, "node_modules", "@openai", `codex-${platform}`, "vendor", target, "bin", program)
  }
}

export const opencode: ProviderProgram = {
  name: "opencode",
  package: "opencode-ai",
  version: "1.18.33",
  binary: (directory) => join(directory, "node_modules", "opencode-ai", "bin", "opencode.exe")
}

export const claude: ProviderProgram = {
  name: "claude",
  package: "@anthropic-ai/claude-agent-sdk",
  version: "0.3.329",
  /** The SDK's folder: it starts the program that it brings itself. */
  binary: (directory) => join(directory, "node_modules", "@anthropic-ai", "claude-agent-sdk")
}

/** Agents of the Agent Client Protocol: each a script for Node. */
export const codexAcp: ProviderProgram = {
  name: "codex-acp",
  package: "@agentclientprotocol/codex-acp",
  version: "2.6.0",
  binary: (directory) =>
    join(directory, "node_modules", "@agentclientprotocol", "codex-acp", "dist", "index.js")
}

export const claudeAcp: ProviderProgram = {
  name: "claude-agent-acp",
  package: "@agentclientprotocol/claude-agent-acp",
  version: "0.100.0",
  binary: (directory) =>
    join(directory, "node_modules", "@agentclientprotocol", "claude-agent-acp", "dist", "index.js")
}

const programs: ReadonlyArray<ProviderProgram> = [codex, opencode, claude, codexAcp, claudeAcp]

const root = join(import.meta.dirname, "..", ".providers")

const directoryOf = (program: ProviderProgram) => join(root, `${program.name}-${program.version}`)

/** The installed program's path, or null when it is not installed. Never installs. */
export const installedBinary = (program: ProviderProgram): string | null => {
  const binary = program.binary(directoryOf(program))
  return binary !== null && existsSync(binary) ? binary : null
}

/** `TURNKEEPER_CODEX_BIN` where given, else the installed codex, else null. */
export const codexBinary = (): string | null => process.env["TURNKEEPER_CODEX_BIN"] || installedBinary(codex)

/** The program's path, after installing it where it is missing. */
export const install = (program: ProviderProgram): string => {
  const present = installedBinary(program)
  if (present !== null) return present
  if (program.binary(root) === null) {
    throw new Error(
      `${program.name} ${program.version} has no program for ${process.platform}-${process.arch}.`
    )
  }
  const target = directoryOf(program)
  const fresh = `${target}.${process.pid}.new`
  try {
    mkdirSync(fresh, { recursive: true })
    writeFileSync(join(fresh, "package.json"), `${JSON.stringify({ name: "provider", private: true })}\n`)
    npmInstall(fresh, `${program.package}@${program.version}`)
    const made = program.binary(fresh)
    if (made === null || !existsSync(made)) {
      throw new Error(`npm installed ${program.package} ${program.version}, but without its program ${made}.`)
    }
    // A leftover without the program is in the way of the rename; a whole one was returned above.
    rmSync(target, { recursive: true, force: true })
    renameSync(fresh, target)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  const binary = installedBinary(program)
  if (binary === null) throw new Error(`${program.name} was installed and is gone again.`)
  return binary
}

const npmInstall = (directory: string, what: string) => {
  const result = spawnSync(
    "npm",
    ["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", what],
    // npm's own words go to stderr: stdout is the path and nothing else.
    { cwd: directory, stdio: ["ignore", 2, 2], shell: process.platform === "win32" }
  )
  if (result.error !== undefined) throw result.error
  if (result.status !== 0) throw new Error(`npm could not install ${what}: exit status ${result.status}.`)
}

const main = () => {
  const wanted = process.argv.slice(2)
  const known = programs.map((program) => program.name).join(", ")
  if (wanted.length === 0) {
    console.error(`Which provider? Known: ${known}.`)
    return 2
  }
  for (const name of wanted) {
    const program = programs.find((one) => one.name === name)
    if (program === undefined) {
      console.error(`There is no provider "${name}". Known: ${known}.`)
      return 2
    }
    try {
      console.log(install(program))
    } catch (error) {
      console.error(error instanceof Error ? error.message : String(error))
      return 1
    }
  }
  return 0
}

const entry = process.argv[1]
if (entry !== undefined && import.meta.url === pathToFileURL(entry).href) process.exitCode = main()
