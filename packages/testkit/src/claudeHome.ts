/**
 * The surroundings of a Claude that talks to the fake model and to nothing else: no account, no network, no
 * update. Claude keeps its conversations below the directory, so the same one must be used again after a
 * restart.
 */
import { join } from "node:path"

export interface ClaudeHomeOptions {
  /** The fake model, as its `url` says. */
  readonly modelUrl: string
  /** How often Claude asks the model again before the turn fails. */
  readonly retries?: number
}

/** What Claude's process needs beside PATH. The directory need not exist. */
export const claudeEnvironment = (
  directory: string,
  { modelUrl, retries = 3 }: ClaudeHomeOptions
): Readonly<Record<string, string>> => ({
  HOME: directory,
  CLAUDE_CONFIG_DIR: join(directory, "config"),
  ANTHROPIC_BASE_URL: modelUrl,
  ANTHROPIC_API_KEY: "sk-test",
  CLAUDE_CODE_MAX_RETRIES: String(retries),
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  DISABLE_TELEMETRY: "1",
  DISABLE_ERROR_REPORTING: "1"
})
