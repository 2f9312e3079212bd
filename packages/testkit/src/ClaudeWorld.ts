/** The world whose provider is the real Claude. */
import { join } from "node:path"
import { claudeEnvironment } from "./claudeHome.ts"
import type { ProcessInfo } from "./process/tree.ts"
import { openParts, World } from "./World.ts"
import type { WorldOptions } from "./World.ts"

export interface ClaudeWorldOptions extends WorldOptions {
  /** The Claude Agent SDK's folder. */
  readonly sdk: string
}

export class ClaudeWorld extends World {
  /** The provider's id is `claude`. */
  static async open(options: ClaudeWorldOptions): Promise<ClaudeWorld> {
    const { sdk } = options
    const parts = await openParts(async (root, modelUrl) => {
      const env = claudeEnvironment(join(root, "claude-home"), { modelUrl })
      return { id: "claude", kind: "claude", sdk, env }
    }, options)
    return new ClaudeWorld(parts)
  }

  /** The running Claude processes: one for each session that is open. */
  async claudes(): Promise<ReadonlyArray<ProcessInfo>> {
    const children = await this.server.children()
    return children.filter(({ command }) => command.includes(" --input-format stream-json"))
  }
}
