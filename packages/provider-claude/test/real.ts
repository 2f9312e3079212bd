/**
 * The real program against the fake model on loopback: what the tests that need it share.
 *
 * They run where TURNKEEPER_CLAUDE_SDK names a Claude Agent SDK, and are skipped, visibly, where it does not.
 */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { claudeEnvironment } from "@turnkeeper/testkit/claudeHome"
import { makeProviderWorld } from "@turnkeeper/testkit/providerRig"
import type { ProviderWorld } from "@turnkeeper/testkit/providerRig"
import { join } from "node:path"
import type * as Claude from "../src/Claude.ts"

export * from "@turnkeeper/testkit/providerRig"

export const sdk = process.env["TURNKEEPER_CLAUDE_SDK"]

export type World = ProviderWorld<Claude.ClaudeOptions>

/** A home, a project and a model of their own; gone with the scope. */
export const makeWorld = (changes: Partial<Claude.ClaudeOptions> = {}) =>
  makeProviderWorld("claude", async ({ directory, ledgerDirectory, mark, modelUrl }) => {
    const options: Claude.ClaudeOptions = {
      instanceId: ProviderInstanceId.make("claude"),
      ...(sdk === undefined ? {} : { sdk }),
      env: { ...claudeEnvironment(join(directory, "home"), { modelUrl }), ...mark },
      ledgerDirectory,
      stateDirectory: join(directory, "state"),
      ...changes
    }
    return options
  })
