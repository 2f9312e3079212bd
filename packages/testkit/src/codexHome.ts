/**
 * A home directory for Codex that talks to the fake model and to nothing else: no key, no network, no
 * update check. Codex keeps its conversations there, so the same home must be used again after a restart.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"

export interface CodexHomeOptions {
  /** The fake model, as its `url` says. */
  readonly modelUrl: string
  /** With `danger-full-access` Codex never asks for an approval. */
  readonly sandbox?: "read-only" | "workspace-write" | "danger-full-access"
  readonly approvals?: "on-request" | "never"
  /** How often Codex opens a broken stream again before the turn fails. */
  readonly streamRetries?: number
  readonly requestRetries?: number
  /** A stream that is silent for longer counts as broken. */
  readonly streamIdleMs?: number
}

export interface CodexHome {
  readonly directory: string
  /** What Codex's process needs beside PATH. */
  readonly env: Readonly<Record<string, string>>
}

/** Makes the directory where it is missing and (re)writes its `config.toml`; everything else in it stays. */
export const writeCodexHome = async (directory: string, options: CodexHomeOptions): Promise<CodexHome> => {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, "config.toml"), configToml(options))
  return { directory, env: { CODEX_HOME: directory, HOME: directory, RUST_LOG: "error" } }
}

export const configToml = (options: CodexHomeOptions): string => {
  const { approvals = "on-request", sandbox = "workspace-write" } = options
  const { requestRetries = 1, streamIdleMs = 30_000, streamRetries = 5 } = options
  return `model = "fake-model"
model_provider = "fake"
approval_policy = ${JSON.stringify(approvals)}
sandbox_mode = ${JSON.stringify(sandbox)}
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.fake]
name = "Fake"
base_url = ${JSON.stringify(`${options.modelUrl}/v1`)}
wire_api = "responses"
requires_openai_auth = false
request_max_retries = ${requestRetries}
stream_max_retries = ${streamRetries}
stream_idle_timeout_ms = ${streamIdleMs}
`
}
