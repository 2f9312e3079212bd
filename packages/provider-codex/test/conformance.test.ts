/** The suite that defines an adapter, on the real program. */
import { it } from "@effect/vitest"
import { conformance } from "@turnkeeper/provider-kit/testing/conformance"
import { Effect } from "effect"
import { tmpdir } from "node:os"
import * as Codex from "../src/Codex.ts"
import { binary, floodMark, killAll, makeWorld, patience, survivors } from "./real.ts"
import type { World } from "./real.ts"

const driver = {
  capabilities: Codex.capabilities,
  make: Effect.gen(function* () {
    const world = yield* makeWorld()
    return { world, provider: yield* Codex.make(world.options) }
  }),
  kill: ({ world }: { world: World }) => killAll(world),
  survivors: ({ world }: { world: World }) => Effect.sync(() => survivors(world)),
  patience,
  timeoutMs: 180_000,
  cwd: tmpdir(),
  prompts: { flood: `${floodMark}[[slow:20000]]` }
}

if (binary === undefined) {
  it.skip("codex: the conformance suite (set TURNKEEPER_CODEX_BIN to run it)", () => {})
} else {
  conformance("codex", driver, it)
}
