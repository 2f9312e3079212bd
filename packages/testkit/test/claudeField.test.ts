/**
 * What went wrong in the field with servers like this one, tried on this one: the real server process, the
 * real Claude, a fake model behind it, and a client that speaks the public API. The names are those of the
 * list of field failures. Needs the Claude Agent SDK:
 *
 *     TURNKEEPER_CLAUDE_SDK=$(node scripts/providers.ts claude) npx vitest run claudeField
 *
 * Each test ends with the same judgement (`src/rest.ts`): every turn settled and stamped, nothing open, the
 * session not running, a later client told the same, each prompt at the model as often as its turn says.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { dispatch } from "../src/Chat.ts"
import { ClaudeWorld } from "../src/ClaudeWorld.ts"
import { deadlineMs, field } from "./field.ts"
import {
  askingShell,
  decisionCases,
  fieldCases,
  givenUp,
  interruptAtOnce,
  interruptInRetry,
  interruptInTool
} from "./fieldCases.ts"

const sdk = process.env["TURNKEEPER_CLAUDE_SDK"] ?? ""

let world: ClaudeWorld

const claude = field(() => world)

describe.skipIf(sdk === "")("field failures with the real Claude", () => {
  beforeAll(async () => {
    world = await ClaudeWorld.open({ sdk })
  }, deadlineMs)
  afterAll(() => world.dispose(), deadlineMs)
  afterEach(({ task }) => {
    claude.conclude(task.result?.state === "fail")
  })

  fieldCases({
    field: claude,
    name: "Claude",
    one: "a Claude",
    asking: askingShell,
    processes: () => world.claudes(),
    processPerSession: true,
    tellsFailureAs: "error",
    tellsRetries: true
  })

  decisionCases(claude, askingShell)

  it("a question is asked, and its answer reaches the model; the turn completes", async () => {
    const { begin, expectAtRest, settled, untilAsked } = claude
    const { threadId, turnId, view } = await begin(
      '[[tool:AskUserQuestion|{"questions":[{"question":"Which colour?","header":"Colour","multiSelect":false,"options":[{"label":"Red","description":"like fire"},{"label":"Blue","description":"like water"}]}]}]]'
    )
    const { requestId } = await untilAsked(view)
    await dispatch(world.client, {
      type: "thread.request.answer",
      threadId,
      requestId,
      answers: { "0": ["Blue"] }
    })
    expect(await settled(view, { turnId })).toMatchObject({ state: "completed", reason: null })
    expect(view.requests.get(requestId)?.status).toBe("answered")
    expect(world.model.contextTexts(turnId).join("\n")).toContain("Blue")
    await expectAtRest(view)
  })

  it("an interrupt in a tool ends the turn, the tool's card and the command itself", () =>
    interruptInTool(claude, "failed"))

  it("an interrupt right behind the message is never lost", () => interruptAtOnce(claude))

  it("an interrupt while Claude waits for its next try ends the turn, not the session", () =>
    interruptInRetry(claude, "[[http:500]]", 2))

  it("a stream that is dropped for ever ends the turn as an error, after the retries that were told", () =>
    givenUp(claude, 3))
})
