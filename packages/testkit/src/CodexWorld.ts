/** The world whose provider is the real Codex. */
import { join } from "node:path"
import { writeCodexHome } from "./codexHome.ts"
import type { CodexHomeOptions } from "./codexHome.ts"
import type { ProcessInfo } from "./process/tree.ts"
import { openParts, World } from "./World.ts"
import type { WorldOptions } from "./World.ts"

export interface CodexWorldOptions extends WorldOptions {
  readonly binary: string
  readonly home?: Omit<CodexHomeOptions, "modelUrl">
}

export class CodexWorld extends World {
  /** The provider's id is `codex`. */
  static async open(options: CodexWorldOptions): Promise<CodexWorld> {
    const { binary } = options
    const parts = await openParts(async (root, modelUrl) => {
      const home = await writeCodexHome(join(root, "codex-home"), { ...options.home, modelUrl })
      return { id: "codex", kind: "codex", binary, home: home.directory, env: home.env }
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
