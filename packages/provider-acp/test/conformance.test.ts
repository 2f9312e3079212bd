/** The suite that defines an adapter: on the fixture agent always, on real agents where they are named. */
import { it } from "@effect/vitest"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { conformance } from "@turnkeeper/provider-kit/testing/conformance"
import type { Driver } from "@turnkeeper/provider-kit/testing/conformance"
import { acpVariables } from "@turnkeeper/testkit/acpHome"
import { Effect } from "effect"
import { tmpdir } from "node:os"
import * as Acp from "../src/Acp.ts"
import { agents, floodMark, makeRealWorld, patience as realPatience, programOf } from "./real.ts"
import type { AcpAgentName, RealWorld } from "./real.ts"
import { makeWorld, patience, pids, survivors } from "./world.ts"
import type { World } from "./world.ts"

const signal = ({ options }: World, name: NodeJS.Signals) =>
  Effect.sync(() => {
    for (const pid of pids(options.ledgerDirectory)) process.kill(pid, name)
  })

const driver = {
  capabilities: Acp.capabilities,
  kill: (world: World, _threadId: ThreadId) => signal(world, "SIGKILL"),
  cwd: tmpdir()
}

/** What only its own record could tell of an agent's processes: the agent itself is none of its survivors. */
const fixture = {
  ...driver,
  make: makeWorld(),
  garble: (world: World, _threadId: ThreadId) => signal(world, "SIGUSR2"),
  survivors: (world: World) => Effect.sync(() => survivors(world)),
  patience,
  prompts: {
    slow: "[[slow:100000]]",
    question: "[[question]]",
    fail: "[[fail]]",
    transient: null,
    retrying: null,
    flood: "[[flood:20000]]",
    unknown: "[[unknown]]"
  }
}

conformance("ACP, a test agent", fixture, it)

/** What an agent cannot be made to do over this protocol, or does in its own way. */
const ways: Record<AcpAgentName, Pick<Driver<World>, "exceptions" | "prompts">> = {
  opencode: {
    exceptions: {
      "a declined approval declines the command, and the turn goes on":
        "OpenCode ends the turn with the refusal"
    }
  },
  codex: {
    prompts: { fail: null },
    exceptions: {
      "a declined approval declines the command, and the turn goes on": "its refusal also ends the turn"
    }
  },
  claude: {}
}

for (const agent of agents) {
  if (programOf(agent) === null) {
    it.skip(`ACP, ${agent}: the conformance suite (set ${acpVariables[agent]} to run it)`, () => {})
    continue
  }
  const { prompts, exceptions = {} } = ways[agent]
  const real: Driver<RealWorld> = {
    ...driver,
    make: makeRealWorld(agent),
    survivors: (world) => Effect.sync(() => survivors(world)),
    patience: realPatience,
    timeoutMs: 180_000,
    prompts: {
      // Some ask for nothing that only prints.
      approval: "[[ask:touch turnkeeper-approved]]",
      // A broken stream and a retry are not told over this protocol.
      transient: null,
      retrying: null,
      flood: `${floodMark}[[slow:20000]]`,
      ...prompts
    },
    exceptions
  }
  conformance(`ACP, ${agent}`, real, it)
}
