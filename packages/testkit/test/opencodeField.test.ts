/**
 * What went wrong in the field with servers like this one, tried on this one: the real server process, the
 * real OpenCode, a fake model behind it, and a client that speaks the public API. The names are those of the
 * list of field failures. Needs an OpenCode program:
 *
 *     TURNKEEPER_OPENCODE_BIN=$(node scripts/providers.ts opencode) npx vitest run opencodeField
 *
 * Each test ends with the same judgement (`src/rest.ts`): every turn settled and stamped, nothing open, the
 * session not running, a later client told the same, each prompt at the model as often as its turn says.
 */
import { afterAll, afterEach, beforeAll, describe } from "vitest"
import { OpenCodeWorld } from "../src/OpenCodeWorld.ts"
import { deadlineMs, field } from "./field.ts"
import { askingShell, decisionCases, fieldCases } from "./fieldCases.ts"

const binary = process.env["TURNKEEPER_OPENCODE_BIN"] ?? ""

let world: OpenCodeWorld

const opencode = field(() => world)

describe.skipIf(binary === "")("field failures with the real OpenCode", () => {
  beforeAll(async () => {
    world = await OpenCodeWorld.open({ binary })
  }, deadlineMs)
  afterAll(() => world.dispose(), deadlineMs)
  afterEach(({ task }) => {
    opencode.conclude(task.result?.state === "fail")
  })

  fieldCases({
    field: opencode,
    name: "OpenCode",
    one: "an OpenCode",
    asking: askingShell,
    processes: async () => [await world.opencode()],
    processPerSession: false,
    tellsFailureAs: "error",
    tellsRetries: true
  })

  decisionCases(opencode, askingShell)
})
