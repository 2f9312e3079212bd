/**
 * The real program against the fake model on loopback.
 *
 * The tests that need it run where TURNKEEPER_OPENCODE_BIN names an `opencode`, and are skipped, visibly,
 * where it does not.
 */
import { MessageId, ProviderInstanceId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { OpenOptions, Prompt, Provider } from "@turnkeeper/provider-kit/Provider"
import { listen } from "@turnkeeper/provider-kit/testing/Listener"
import { opencodeEnvironment } from "@turnkeeper/testkit/opencodeHome"
import { makeProviderWorld, openOptions } from "@turnkeeper/testkit/providerRig"
import type { ProviderWorld } from "@turnkeeper/testkit/providerRig"
import { Effect, Exit, Scope } from "effect"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import type * as OpenCode from "../src/OpenCode.ts"
import * as Serve from "../src/Serve.ts"

export { floodMark, openOptions, pids, survivors } from "@turnkeeper/testkit/providerRig"

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
    owner: "outside.",
    deadline: "60 seconds"
  })
}

const patience = { clock: "real", deadlineMs: 60_000 } as const

let turns = 0

export const prompt = (text: string, changes: Partial<Prompt> = {}): Prompt => ({
  turnId: TurnId.make(`turn-${++turns}`),
  messageId: MessageId.make(`message-${turns}`),
  text,
  attachments: [],
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  ...changes
})

let threads = 0

/** A session that can be closed by itself. */
export const session = Effect.fnUntraced(function* (
  world: World,
  provider: Provider,
  changes: Partial<OpenOptions> = {}
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const options = openOptions(world, { threadId: ThreadId.make(`thread-${++threads}`), ...changes })
  const opened = yield* provider.open(options).pipe(Scope.provide(scope))
  const ear = yield* listen(opened, patience)
  const run = (what: Prompt) =>
    Effect.gen(function* () {
      const before = ear.of("turn.completed").length
      yield* opened.send(what)
      yield* ear.until(`the end of ${what.text}`, () => ear.of("turn.completed").length > before)
      return ear.of("turn.completed")[before]!
    })
  return { ...opened, ear, run, close: Scope.close(scope, Exit.void) }
})
