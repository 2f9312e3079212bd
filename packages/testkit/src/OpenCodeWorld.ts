/** The world whose provider is the real OpenCode. */
import { join } from "node:path"
import { opencodeEnvironment } from "./opencodeHome.ts"
import type { ProcessInfo } from "./process/tree.ts"
import { openParts, World } from "./World.ts"
import type { WorldOptions } from "./World.ts"

export interface OpenCodeWorldOptions extends WorldOptions {
  readonly binary: string
}

export class OpenCodeWorld extends World {
  /** The provider's id is `opencode`; its model is the one that its own configuration names. */
  static async open(options: OpenCodeWorldOptions): Promise<OpenCodeWorld> {
    const { binary } = options
    const parts = await openParts(async (root, modelUrl) => {
      const env = opencodeEnvironment(join(root, "opencode-home"), { modelUrl })
      return { id: "opencode", kind: "opencode", binary, env }
    }, options)
    return new OpenCodeWorld(parts)
  }

  /** The running OpenCode process. */
  opencode(): Promise<ProcessInfo> {
    return this.process(" serve --hostname ")
  }
}
