/** What more than one adapter has to show on its real program, beside the conformance suite; each written once. */
import type { Provider } from "@turnkeeper/provider-kit/Provider"
import { Effect } from "effect"
import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { killAll, observed, prompt, session, survivors } from "./providerRig.ts"
import type { ProviderWorld } from "./providerRig.ts"

type World = ProviderWorld<unknown>

const free = { runtimeMode: "full_access" } as const

/** Nothing is asked in full access; and in the same session a turn with less freedom is asked for. */
export const freedomChangesByTurn = Effect.fnUntraced(function* (world: World, provider: Provider) {
  const one = yield* session(world, provider, free)
  yield* one.run(prompt("[[shell:touch free.txt]]", free))
  assert.ok(existsSync(join(world.project, "free.txt")))
  assert.deepEqual(one.ear.of("request.opened"), [])
  yield* one.send(prompt("[[shell:touch bound.txt]]", { runtimeMode: "approval_required" }))
  const { requestKey } = yield* one.ear.first("request.opened")
  yield* one.answer(requestKey, { decision: "decline", answers: {} })
  yield* one.ear.until("the second end", () => one.ear.of("turn.completed").length === 2)
  assert.equal(existsSync(join(world.project, "bound.txt")), false)
})

export interface Granted {
  /** Two that one grant covers. */
  readonly granted: string
  readonly again: string
}

/** What is accepted for a session is not asked again in it, and is asked in another. Gives the first session. */
export const grantIsOfTheSession = Effect.fnUntraced(function* (
  world: World,
  provider: Provider,
  { again, granted }: Granted
) {
  const one = yield* session(world, provider)
  yield* one.send(prompt(granted))
  const { requestKey, ask } = yield* one.ear.first("request.opened")
  assert.deepEqual(ask.decisions, ["accept", "accept_for_session", "decline", "cancel"])
  yield* one.answer(requestKey, { decision: "accept_for_session", answers: {} })
  yield* one.ear.first("turn.completed")
  yield* one.run(prompt(again))
  assert.equal(one.ear.of("request.opened").length, 1)
  const two = yield* session(world, provider)
  yield* two.send(prompt(granted))
  yield* two.ear.first("request.opened")
  return one
})

/** A conversation goes on after its process was killed, with what was said in it. */
export const remembersAfterKill = Effect.fnUntraced(function* (world: World, provider: Provider) {
  const first = yield* session(world, provider)
  yield* first.run(prompt("[[text:the word is heliotrope]]"))
  yield* killAll(world)
  yield* first.ear.endedPromptly
  const second = yield* session(world, provider, { generation: 2, resume: first.resume })
  assert.equal((yield* second.run(prompt("[[text:again]] [[id:again]]"))).outcome, "completed")
  assert.match(world.model.contextTexts("again").join("\n"), /heliotrope/)
})

/** A command, known by this part of its line, does not outlive the process that is killed under it. */
export const commandEndsWithProcess = Effect.fnUntraced(function* (
  world: World,
  provider: Provider,
  command: string,
  part: string
) {
  const one = yield* session(world, provider, free)
  yield* one.send(prompt(`[[shell:${command}]]`, free))
  yield* one.ear.first("item.started", ({ kind }) => kind === "command")
  const runs = () => survivors(world).some((line) => line.includes(part))
  yield* observed(runs)
  yield* killAll(world)
  yield* one.ear.endedPromptly
  yield* observed(() => !runs())
})
