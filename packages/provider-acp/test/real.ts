/**
 * Real agents against the fake model on loopback: what the tests that need them share.
 *
 * Each runs where its variable names its program, and is skipped, visibly, where it does not.
 */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { AcpAgentName } from "@turnkeeper/testkit/acpHome"
import { acpHome, acpVariables } from "@turnkeeper/testkit/acpHome"
import type { RunningFakeModel } from "@turnkeeper/testkit/fakeModel/server"
import { makeProviderWorld } from "@turnkeeper/testkit/providerRig"
import { Effect } from "effect"
import type { Scope } from "effect"
import { join } from "node:path"
import * as Acp from "../src/Acp.ts"
import type { World } from "./world.ts"

export { floodMark, patience } from "@turnkeeper/testkit/providerRig"
export type { AcpAgentName } from "@turnkeeper/testkit/acpHome"

export const agents: ReadonlyArray<AcpAgentName> = ["opencode", "codex", "claude"]

export const programOf = (agent: AcpAgentName): string | null => process.env[acpVariables[agent]] || null

export interface RealWorld extends World {
  readonly model: RunningFakeModel
}

/** A home, a project and a model of their own; gone with the scope. */
export const makeRealWorld = (
  agent: AcpAgentName,
  timeouts: Acp.AcpOptions["timeouts"] = {}
): Effect.Effect<RealWorld, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { directory, model, options, project } = yield* makeProviderWorld(
      `acp-${agent}`,
      async ({ directory, ledgerDirectory, mark, modelUrl }) => {
        const program = programOf(agent) ?? agent
        const { command, args, env } = await acpHome(agent, program, join(directory, "home"), { modelUrl })
        const options: Acp.AcpOptions = {
          instanceId: ProviderInstanceId.make(agent),
          command,
          args,
          env: { ...env, ...mark },
          ledgerDirectory,
          timeouts
        }
        return options
      }
    )
    return { model, directory: project, root: directory, options, provider: yield* Acp.make(options) }
  })
