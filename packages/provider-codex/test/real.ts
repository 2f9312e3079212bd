/**
 * The real program against the fake model on loopback.
 *
 * The tests that need it run where TURNKEEPER_CODEX_BIN names a `codex`, and are skipped, visibly, where it
 * does not.
 */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { writeCodexHome } from "@turnkeeper/testkit/codexHome"
import { makeProviderWorld } from "@turnkeeper/testkit/providerRig"
import type { ProviderWorld } from "@turnkeeper/testkit/providerRig"
import { join } from "node:path"
import type * as Codex from "../src/Codex.ts"

export * from "@turnkeeper/testkit/providerRig"

export const binary = process.env["TURNKEEPER_CODEX_BIN"]

export type World = ProviderWorld<Codex.CodexOptions>

/** A home, a project and a model of their own; gone with the scope. */
export const makeWorld = (timeouts: Codex.CodexOptions["timeouts"] = {}) =>
  makeProviderWorld("codex", async ({ directory, ledgerDirectory, mark, modelUrl }) => {
    const home = await writeCodexHome(join(directory, "home"), { modelUrl })
    const options: Codex.CodexOptions = {
      instanceId: ProviderInstanceId.make("codex"),
      binary: binary ?? "codex",
      home: home.directory,
      env: { ...home.env, ...mark },
      ledgerDirectory,
      timeouts: { idle: "1 second", ...timeouts }
    }
    return options
  })
