/** The world whose provider is the real Codex. */
import { join } from "node:path"
import { writeCodexHome } from "./codexHome.ts"
import type { CodexHome, CodexHomeOptions } from "./codexHome.ts"
import type { ProviderConfig } from "./process/Server.ts"
import type { ProcessInfo } from "./process/tree.ts"
import { openParts, World } from "./World.ts"
import type { WorldOptions } from "./World.ts"

export interface CodexWorldOptions extends WorldOptions {
  readonly binary: string
  readonly home?: Omit<CodexHomeOptions, "modelUrl">
  /** It goes on when the server is killed. */
  readonly outlive?: boolean
}

export const codexConfig = (
  id: string,
  binary: string,
  { directory, env }: CodexHome,
  outlive: boolean
): ProviderConfig => ({ id, kind: "codex", binary, home: directory, env, ...(outlive && { outlive }) })

export class CodexWorld extends World {
  /** The provider's id is `codex`. */
  static async open(options: CodexWorldOptions): Promise<CodexWorld> {
    const { binary, outlive = false } = options
    const parts = await openParts(async (root, modelUrl) => {
      const home = await writeCodexHome(join(root, "codex-home"), { ...options.home, modelUrl })
      return codexConfig("codex", binary, home, outlive)
    }, options)
    return new CodexWorld(parts)
  }

  /** The running Codex process. */
  codex(): Promise<ProcessInfo> {
    return this.process(" app-server")
  }

  async signalCodex(signal: NodeJS.Signals): Promise<void> {
    process.kill((await this.codex()).pid, signal)
  }
}
