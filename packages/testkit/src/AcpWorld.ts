/** The world whose provider is a real agent that speaks the Agent Client Protocol. */
import { join } from "node:path"
import { acpHome } from "./acpHome.ts"
import type { AcpAgentName } from "./acpHome.ts"
import type { ProcessInfo } from "./process/tree.ts"
import { openParts, World } from "./World.ts"
import type { WorldOptions } from "./World.ts"

export interface AcpWorldOptions extends WorldOptions {
  readonly agent: AcpAgentName
  /** What the agent's variable names. */
  readonly program: string
}

export class AcpWorld extends World {
  private mark = ""

  /** The provider's id is `acp`. */
  static async open(options: AcpWorldOptions): Promise<AcpWorld> {
    const { agent, program } = options
    let mark = ""
    const parts = await openParts(async (root, modelUrl) => {
      const home = await acpHome(agent, program, join(root, "agent-home"), { modelUrl })
      mark = [program, ...(agent === "opencode" ? ["acp"] : [])].join(" ")
      return { id: "acp", kind: "acp", ...home }
    }, options)
    const world = new AcpWorld(parts)
    world.mark = mark
    return world
  }

  /** The running agents: one for each session that is open. */
  async agents(): Promise<ReadonlyArray<ProcessInfo>> {
    const children = await this.server.children()
    return children.filter(({ command }) => command.includes(this.mark))
  }
}
