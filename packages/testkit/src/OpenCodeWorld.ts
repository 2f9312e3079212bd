/** The world whose provider is the real OpenCode. */
import { join } from "node:path"
import { opencodeEnvironment } from "./opencodeHome.ts"
import type { ProviderConfig } from "./process/Server.ts"
import type { ProcessInfo } from "./process/tree.ts"
import { openParts, World } from "./World.ts"
import type { WorldOptions } from "./World.ts"

export interface OpenCodeWorldOptions extends WorldOptions {
  readonly binary: string
  /** It goes on when the server is killed. */
  readonly outlive?: boolean
}

/** One that keeps its conversations below this directory. */
export const opencodeConfig = (
  id: string,
  binary: string,
  { directory, modelUrl }: { readonly directory: string; readonly modelUrl: string },
  outlive: boolean
): ProviderConfig => ({
  id,
  kind: "opencode",
  binary,
  env: opencodeEnvironment(directory, { modelUrl }),
  ...(outlive && { outlive })
})

export class OpenCodeWorld extends World {
  /** The provider's id is `opencode`; its model is the one that its own configuration names. */
  static async open(options: OpenCodeWorldOptions): Promise<OpenCodeWorld> {
    const { binary, outlive = false } = options
    const parts = await openParts(async (root, modelUrl) => {
      const directory = join(root, "opencode-home")
      return opencodeConfig("opencode", binary, { directory, modelUrl }, outlive)
    }, options)
    return new OpenCodeWorld(parts)
  }

  /** The running OpenCode process. */
  opencode(): Promise<ProcessInfo> {
    return this.process(" serve --hostname ")
  }
}
