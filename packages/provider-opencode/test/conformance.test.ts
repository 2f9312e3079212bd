/** The suite that defines an adapter, on the real program. */
import { it } from "@effect/vitest"
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { conformance } from "@turnkeeper/provider-kit/testing/conformance"
import { Effect, Exit, Scope } from "effect"
import { tmpdir } from "node:os"
import { afterAll, beforeAll } from "vitest"
import * as OpenCode from "../src/OpenCode.ts"
import { binary, floodMark, killAll, makeWorld, patience, survivors } from "./real.ts"
import type { World } from "./real.ts"

interface Subject {
  readonly world: World
  readonly provider: Provider
}

/** One world for all checks: a process of 500 MB is not started for each. The checks share nothing else. */
let subject: Subject
let close: () => Promise<void>

const makeSubject = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const world = yield* makeWorld({ idle: "60 seconds" }).pipe(Scope.provide(scope))
  const provider = yield* OpenCode.make(world.options).pipe(Scope.provide(scope))
  subject = { world, provider }
  close = () => Effect.runPromise(Scope.close(scope, Exit.void))
})

const driver = {
  capabilities: OpenCode.capabilitiesOf({}),
  make: Effect.sync(() => subject),
  kill: ({ world }: Subject) => killAll(world),
  survivors: ({ world }: Subject) => Effect.sync(() => survivors(world)),
  patience,
  timeoutMs: 180_000,
  cwd: tmpdir(),
  prompts: { flood: `${floodMark}[[slow:20000]]` },
  exceptions: {
    "a retry that gives up fails the turn, once": "OpenCode never gives up a retry"
  }
}

if (binary === undefined) {
  it.skip("opencode: the conformance suite (set TURNKEEPER_OPENCODE_BIN to run it)", () => {})
} else {
  beforeAll(() => Effect.runPromise(makeSubject), patience.deadlineMs)
  afterAll(() => close(), patience.deadlineMs)
  conformance("opencode", driver, it)
}
