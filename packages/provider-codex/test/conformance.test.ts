/** The suite that defines an adapter, on the real program. */
import { it } from "@effect/vitest"
import { conformance } from "@turnkeeper/provider-kit/testing/conformance"
import { Effect } from "effect"
import { tmpdir } from "node:os"
import * as Codex from "../src/Codex.ts"
import { binary, floodMark, makeWorld, pids, survivors } from "./real.ts"
import type { World } from "./real.ts"

const patience = { clock: "real", deadlineMs: 20_000 } as const

const driver = {
  capabilities: Codex.capabilities,
  make: Effect.gen(function* () {
    const world = yield* makeWorld()
    return { world, provider: yield* Codex.make(world.options) }
  }),
  kill: ({ world }: { world: World }) =>
    Effect.sync(() => {
      for (const pid of pids(world)) process.kill(pid, "SIGKILL")
    }),
  survivors: ({ world }: { world: World }) => Effect.sync(() => survivors(world)),
  patience,
  cwd: tmpdir(),
  prompts: { flood: `${floodMark}[[slow:20000]]` }
}

if (binary === undefined) {
  it.skip("codex: the conformance suite (set TURNKEEPER_CODEX_BIN to run it)", () => {})
} else {
  conformance("codex", driver, it)
}
