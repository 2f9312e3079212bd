/**
 * The surroundings of an OpenCode that talks to the fake model and to nothing else: no key, no network, no
 * update. OpenCode keeps its conversations below the directory, so the same one must be used again after a
 * restart; the configuration is in the environment and needs no file.
 */
import { join } from "node:path"

export interface OpencodeHomeOptions {
  /** The fake model, as its `url` says. */
  readonly modelUrl: string
}

/** What OpenCode's process needs beside PATH. The directory need not exist. */
export const opencodeEnvironment = (
  directory: string,
  options: OpencodeHomeOptions
): Readonly<Record<string, string>> => ({
  HOME: directory,
  XDG_DATA_HOME: join(directory, "data"),
  XDG_CONFIG_HOME: join(directory, "config"),
  XDG_CACHE_HOME: join(directory, "cache"),
  XDG_STATE_HOME: join(directory, "state"),
  OPENCODE_CONFIG_CONTENT: JSON.stringify(configOf(options)),
  OPENCODE_DISABLE_AUTOUPDATE: "1",
  OPENCODE_DISABLE_MODELS_FETCH: "1",
  OPENCODE_DISABLE_LSP_DOWNLOAD: "1",
  OPENCODE_DISABLE_DEFAULT_PLUGINS: "1",
  OPENCODE_DISABLE_SHARE: "1"
})

export const configOf = ({ modelUrl }: OpencodeHomeOptions) => ({
  autoupdate: false,
  share: "disabled",
  model: "fake/fake-model",
  small_model: "fake/fake-model",
  enabled_providers: ["fake"],
  provider: {
    fake: {
      npm: "@ai-sdk/openai-compatible",
      name: "Fake",
      options: { baseURL: `${modelUrl}/v1`, apiKey: "sk-test" },
      models: { "fake-model": { name: "Fake", limit: { context: 128_000, output: 8_000 } } }
    }
  }
})
