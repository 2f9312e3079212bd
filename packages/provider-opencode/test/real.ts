/**
 * The real program against the fake model on loopback.
 *
 * The tests that need it run where TURNKEEPER_OPENCODE_BIN names an `opencode`, and are skipped, visibly,
 * where it does not.
 */
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import { opencodeEnvironment } from "@turnkeeper/testkit/opencodeHome"
import { makeProviderWorld } from "@turnkeeper/testkit/providerRig"
import type { ProviderWorld } from "@turnkeeper/testkit/providerRig"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import type * as OpenCode from "../src/OpenCode.ts"
import * as Serve from "../src/Serve.ts"

export * from "@turnkeeper/testkit/providerRig"

export const binary = process.env["TURNKEEPER_OPENCODE_BIN"]

export type World = ProviderWorld<OpenCode.OpenCodeOptions>

/** A home, a project and a model of their own; gone with the scope. */
export const makeWorld = (timeouts: OpenCode.OpenCodeOptions["timeouts"] = {}) =>
  makeProviderWorld("opencode", async ({ directory, ledgerDirectory, mark, modelUrl }) => {
    const options: OpenCode.OpenCodeOptions = {
      instanceId: ProviderInstanceId.make("opencode"),
      binary: binary ?? "opencode",
      env: { ...opencodeEnvironment(join(directory, "home"), { modelUrl }), ...mark },
      ledgerDirectory,
      timeouts: { idle: "1 second", ...timeouts }
    }
    return options
  })

/** A server that is not the adapter's own, until the scope closes. */
export const serveOutside = ({ directory, options }: World) => {
  const cwd = join(directory, "outside")
  mkdirSync(cwd, { recursive: true })
  return Serve.serve({
    binary: options.binary!,
    cwd,
    env: { ...process.env, ...options.env },
    ledger: { record: () => {}, forget: () => {} },
    mark: { name: "TURNKEEPER_OPENCODE_OUTSIDE", owner: "outside." },
    deadline: "60 seconds"
  })
}
