/**
 * What went wrong in the field with servers like this one, tried on this one: the real server process, real
 * agents that speak the Agent Client Protocol, a fake model behind them, and a client that speaks the public
 * API. The names are those of the list of field failures. Needs at least one agent:
 *
 *     TURNKEEPER_CODEX_ACP=$(node scripts/providers.ts codex-acp) npx vitest run acpField
 *
 * Each test ends with the same judgement (`src/rest.ts`): every turn settled and stamped, nothing open, the
 * session not running, a later client told the same, each prompt at the model as often as its turn says.
 */
import { afterAll, afterEach, beforeAll, describe, it } from "vitest"
import { acpVariables } from "../src/acpHome.ts"
import type { AcpAgentName } from "../src/acpHome.ts"
import { AcpWorld } from "../src/AcpWorld.ts"
import { deadlineMs, field } from "./field.ts"
import { askingShell, decided, fieldCases } from "./fieldCases.ts"
import type { Asking, Decided, Subject } from "./fieldCases.ts"

interface Agent {
  readonly agent: AcpAgentName
  readonly asking: Asking
  /** How it ends a turn whose tool was declined. */
  readonly declined: Pick<Decided, "goesOn" | "state">
  readonly tellsFailureAs: Subject["tellsFailureAs"]
}

const agents: ReadonlyArray<Agent> = [
  {
    agent: "codex",
    asking: (command) => `[[ask:${command}]]`,
    declined: { state: "interrupted", goesOn: false },
    tellsFailureAs: "answer"
  },
  {
    agent: "claude",
    asking: askingShell,
    declined: { state: "completed", goesOn: true },
    tellsFailureAs: "error"
  },
  {
    agent: "opencode",
    asking: askingShell,
    declined: { state: "completed", goesOn: false },
    tellsFailureAs: "error"
  }
]

const programOf = (agent: AcpAgentName) => process.env[acpVariables[agent]] ?? ""

describe.each(agents)(
  "field failures with $agent over ACP",
  ({ agent, asking, declined, tellsFailureAs }) => {
    let world: AcpWorld

    const acp = field(() => world, { beginsUnderWay: true })

    describe.skipIf(programOf(agent) === "")(
      `set ${acpVariables[agent]} to run`,
      { timeout: 120_000 },
      () => {
        beforeAll(async () => {
          world = await AcpWorld.open({ agent, program: programOf(agent) })
        }, deadlineMs)
        afterAll(() => world.dispose(), deadlineMs)
        afterEach(async ({ task }) => {
          // What is left of a test must not be in the way of the next one.
          for (const { threadId } of acp.conclude(task.result?.state === "fail"))
            await world.chat.stop(threadId, true)
        }, deadlineMs)

        fieldCases({
          field: acp,
          name: "the agent",
          one: "an agent",
          asking,
          processes: () => world.agents(),
          processPerSession: true,
          tellsFailureAs,
          tellsRetries: false
        })

        it("a tool whose approval is accepted runs, and its turn completes", () =>
          decided(acp, asking, { decision: "accept", tool: "completed", state: "completed", goesOn: true }))

        it("a tool whose approval is declined does not run; its turn ends as the agent ends it", () =>
          decided(acp, asking, { decision: "decline", tool: "declined", ...declined }))
      }
    )
  }
)
