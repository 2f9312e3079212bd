/**
 * Real agents against the fake model on loopback: what the tests that need them share.
 *
 * Each runs where its variable names its program, and is skipped, visibly, where it does not.
 */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { AcpAgentName } from "@turnkeeper/testkit/acpHome"
import { acpHome, acpVariables } from "@turnkeeper/testkit/acpHome"
import type { RunningFakeModel } from "@turnkeeper/testkit/fakeModel/server"
import { start } from "@turnkeeper/testkit/fakeModel/server"
import { Effect } from "effect"
import type { Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Acp from "../src/Acp.ts"
import { runMark } from "./world.ts"
import type { World } from "./world.ts"

export type { AcpAgentName } from "@turnkeeper/testkit/acpHome"

export const agents: ReadonlyArray<AcpAgentName> = ["opencode", "codex", "claude"]

export const programOf = (agent: AcpAgentName): string | null => process.env[acpVariables[agent]] || null

export const patience = { clock: "real", deadlineMs: 60_000 } as const

export interface RealWorld extends World {
  readonly model: RunningFakeModel
}

/** A home, a project and a model of their own; gone with the scope. */
export const makeRealWorld = (
  agent: AcpAgentName,
  timeouts: Acp.AcpOptions["timeouts"] = {}
): Effect.Effect<RealWorld, never, Scope.Scope> =>
  Effect.gen(function* () {
    const root = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), `acp-${agent}-`))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
    )
    const model = yield* Effect.acquireRelease(
      Effect.promise(() => start({ pace })),
      (running) => Effect.promise(() => running.close())
    )
    const program = programOf(agent) ?? agent
    const { command, args, env } = yield* Effect.promise(() =>
      acpHome(agent, program, join(root, "home"), { modelUrl: model.url })
    )
    const options: Acp.AcpOptions = {
      instanceId: ProviderInstanceId.make(agent),
      command,
      args,
      env: { ...env, [runMark]: root },
      ledgerDirectory: join(root, "processes"),
      timeouts
    }
    return {
      model,
      directory: mkdtempSync(join(root, "project-")),
      root,
      options,
      provider: yield* Acp.make(options)
    }
  })

export const floodMark = "[[id:flood]]"

/** Words come at a pace that a test can act in, except where a flood is wanted. */
const pace = ({
  request,
  slow
}: {
  readonly request: { readonly prompt: string | null }
  readonly slow: boolean
}) =>
  request.prompt?.includes(floodMark) === true
    ? Promise.resolve()
    : new Promise<void>((resolve) => setTimeout(resolve, slow ? 30 : 2))
