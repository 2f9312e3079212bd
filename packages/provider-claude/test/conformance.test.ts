/** The suite that defines an adapter, on the real program. */
import { it } from "@effect/vitest"
import { conformance } from "@turnkeeper/provider-kit/testing/conformance"
import { Effect } from "effect"
import { tmpdir } from "node:os"
import * as Claude from "../src/Claude.ts"
import { floodMark, killAll, longCommand, makeWorld, patience, sdk, survivors } from "./real.ts"
import type { World } from "./real.ts"

const driver = {
  capabilities: Claude.capabilities,
  make: Effect.gen(function* () {
    const world = yield* makeWorld()
    return { world, provider: yield* Claude.make(world.options) }
  }),
  kill: ({ world }: { world: World }) => killAll(world),
  survivors: ({ world }: { world: World }) => Effect.sync(() => survivors(world)),
  patience,
  timeoutMs: 180_000,
  cwd: tmpdir(),
  prompts: {
    // A command that Claude takes to be harmless is not asked for, and one that only sleeps is refused.
    approval: "[[shell:git init -q approved-$$ && rm -rf approved-$$]]",
    tool: `[[shell:${longCommand}]]`,
    question:
      '[[tool:AskUserQuestion|{"questions":[{"question":"Which colour?","header":"Colour","multiSelect":false,"options":[{"label":"Red","description":"like fire"},{"label":"Blue","description":"like water"}]}]}]]',
    flood: `${floodMark}[[slow:20000]]`
  }
}

if (sdk === undefined) {
  it.skip("claude: the conformance suite (set TURNKEEPER_CLAUDE_SDK to run it)", () => {})
} else {
  conformance("claude", driver, it)
}
