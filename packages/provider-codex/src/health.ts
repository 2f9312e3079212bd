/**
 * Is Codex usable here, and if not, what is to be done? Asks the program itself; fails never.
 */
import type { Environment } from "@turnkeeper/provider-kit/Child"
import type { Health, Model } from "@turnkeeper/provider-kit/Provider"
import { findProgram } from "@turnkeeper/provider-kit/processes"
import { execFile } from "node:child_process"
import type { Duration } from "effect"
import { Effect } from "effect"
import type * as Protocol from "./_generated/protocol.ts"
import type { CallFailed } from "@turnkeeper/provider-kit/JsonRpc"
import type { Connection } from "./Connection.ts"

export const notInstalled: Health = {
  status: "not_installed",
  version: null,
  models: [],
  advice:
    "No codex program was found. Install it with `npm install -g @openai/codex`, or name it in TURNKEEPER_CODEX_BIN."
}

/** The program to run: the one named, else the one of the environment, else the first on the path. */
export const findBinary = (named: string | undefined, env: Environment): string | null =>
  findProgram(named ?? (env["TURNKEEPER_CODEX_BIN"] || "codex"), env)

/** What the program says of itself on its command line; null when it says nothing in time. */
export const versionOf = (binary: string, env: NodeJS.ProcessEnv): Effect.Effect<string | null> =>
  Effect.callback((resume) => {
    const child = execFile(
      binary,
      ["--version"],
      { env, encoding: "utf8", maxBuffer: 64 * 1024 },
      (error, stdout) =>
        resume(Effect.succeed(error === null ? (/\d+\.\d+\.\d+\S*/.exec(stdout)?.[0] ?? null) : null))
    )
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

/** Account and models, from a running program. */
export const ask = Effect.fn("health.ask")(function* (
  connection: Pick<Connection, "call">,
  version: string | null,
  deadline: Duration.Input
): Effect.fn.Return<Health, CallFailed> {
  const { account, requiresOpenaiAuth } = yield* connection.call("account/read", {}, { deadline })
  if (requiresOpenaiAuth && account === null) {
    return { status: "not_signed_in", version, models: [], advice: "Sign in with `codex login`." }
  }
  const { data } = yield* connection.call("model/list", { limit: modelsMax }, { deadline })
  return { status: "ready", version, models: data.filter(({ hidden }) => !hidden).map(modelOf), advice: null }
})

const modelsMax = 100

const modelOf = ({ id, displayName, isDefault }: Protocol.Model): Model => ({
  id,
  name: displayName,
  isDefault
})
