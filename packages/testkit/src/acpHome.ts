/**
 * Agents that speak the Agent Client Protocol, in surroundings where each talks to the fake model and to
 * nothing else: no key, no network, no update. An agent keeps its conversations below the directory, so the
 * same one must be used again after a restart.
 */
import { mkdir } from "node:fs/promises"
import { claudeEnvironment } from "./claudeHome.ts"
import { writeCodexHome } from "./codexHome.ts"
import { configOf, opencodeEnvironment } from "./opencodeHome.ts"

export interface AcpHome {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** What the agent's process needs beside PATH. */
  readonly env: Readonly<Record<string, string>>
}

export interface AcpHomeOptions {
  /** The fake model, as its `url` says. */
  readonly modelUrl: string
}

export type AcpAgentName = "opencode" | "codex" | "claude"

/** Where each agent's program is named: of OpenCode its own, of the others a script for Node. */
export const acpVariables = {
  opencode: "TURNKEEPER_OPENCODE_BIN",
  codex: "TURNKEEPER_CODEX_ACP",
  claude: "TURNKEEPER_CLAUDE_ACP"
} as const satisfies Record<AcpAgentName, string>

/** `program` is what the variable names. */
export const acpHome = async (
  agent: AcpAgentName,
  program: string,
  directory: string,
  options: AcpHomeOptions
): Promise<AcpHome> => {
  await mkdir(directory, { recursive: true })
  switch (agent) {
    case "opencode":
      return { command: program, args: ["acp"], env: opencodeEnv(directory, options) }
    case "codex": {
      const home = await writeCodexHome(directory, { modelUrl: options.modelUrl, streamRetries: 2 })
      return { command: process.execPath, args: [program], env: home.env }
    }
    case "claude": {
      const env = claudeEnvironment(directory, { ...options, retries: 2 })
      // In what calls itself a sandbox the agent asks its program for freedom that it refuses to the root user.
      return { command: process.execPath, args: [program], env: { ...env, IS_SANDBOX: "" } }
    }
  }
}

/** Over this protocol nobody can tell OpenCode what to ask for: its configuration does. */
const opencodeEnv = (directory: string, options: AcpHomeOptions) => ({
  ...opencodeEnvironment(directory, options),
  OPENCODE_CONFIG_CONTENT: JSON.stringify({
    ...configOf(options),
    permission: { bash: "ask", edit: "ask" }
  })
})
