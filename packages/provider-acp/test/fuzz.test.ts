/**
 * What real agents said, with something wrong in it: lines that are missing, doubled, cut or strewn with other
 * characters, fields of another type, huge or poisonous; the answer to the prompt among them. The session never
 * breaks: its turn ends at most once, and when the program is gone the session ends, once.
 */
import { assert, describe, it } from "@effect/vitest"
import { ProviderInstanceId } from "@turnkeeper/domain/ids"
import type { Frame } from "@turnkeeper/provider-kit/testing/wire"
import { tries } from "@turnkeeper/testkit/broken"
import { brokenLines, holdsForAll, playedToDeath } from "@turnkeeper/testkit/brokenLines"
import type { Program } from "@turnkeeper/testkit/brokenLines"
import { Effect } from "effect"
import * as Acp from "../src/Acp.ts"
import { names, recording } from "./transcripts.ts"

/** Until its first prompt: what the agent answers, by method. Then what it says, until it has answered that. */
interface Scene {
  readonly answers: ReadonlyMap<unknown, Frame>
  readonly said: ReadonlyArray<Frame>
}

const sceneOf = (name: string): Scene => {
  const methods = new Map<unknown, unknown>()
  const answers = new Map<unknown, Frame>()
  const said: Array<Frame> = []
  let prompted: unknown = null
  for (const line of recording(name)) {
    if ("exit" in line) break
    if ("send" in line) {
      const { id, method } = line.send
      if (method === undefined) continue
      methods.set(id, method)
      if (method === "session/prompt") prompted ??= id
      continue
    }
    const { recv } = line
    if (prompted !== null) said.push(recv)
    if (recv["method"] === undefined && !answers.has(methods.get(recv["id"])))
      answers.set(methods.get(recv["id"]), recv)
    if (prompted !== null && recv["method"] === undefined && recv["id"] === prompted) break
  }
  return { answers, said }
}

/** Settings that the recording's client did not make. */
const madeSo = { result: {} }

const idOfAnswer = (said: ReadonlyArray<Frame>): unknown => {
  const last = said.at(-1)
  return last?.["method"] === undefined ? last?.["id"] : null
}

const programOf =
  ({ answers, said }: Scene) =>
  (all: ReadonlyArray<Frame | string>): Program => {
    const recorded = idOfAnswer(said)
    let prompted: unknown = null
    return {
      make: (wired) =>
        Acp.make({ ...wired, instanceId: ProviderInstanceId.make("agent"), timeouts: { close: 0 } }),
      answer: ({ id, method }) => {
        // It is answered by what is said: so its answer may be wrong, too.
        if (method === "session/prompt") prompted ??= id
        return method === "session/prompt" ? null : { ...(answers.get(method) ?? madeSo), jsonrpc: "2.0" }
      },
      prompted: Effect.andThen(
        Effect.repeat(Effect.yieldNow, { until: () => prompted !== null, times: 200 }),
        Effect.sync(() => assert.isNotNull(prompted, "the prompt reached the agent"))
      ),
      said: () =>
        all.map((line) => {
          const isAnswer = typeof line === "object" && line["method"] === undefined && line["id"] === recorded
          return isAnswer ? { ...line, id: prompted } : line
        })
    }
  }

describe("an agent that says what it should not", () => {
  for (const name of names) {
    const scene = sceneOf(name)
    const program = programOf(scene)

    it.effect(`${name}: as it was said, it is a turn with its end`, () =>
      Effect.map(playedToDeath(program(scene.said)), (events) =>
        assert.isTrue(events.some(({ type }) => type === "turn.completed" || type === "turn.aborted"))
      )
    )

    it.effect(
      `${name}: nothing breaks, its turn ends at most once, and the session ends once`,
      () => holdsForAll(brokenLines(scene.said), program, tries(260 / names.length, 5_000 / names.length)),
      120_000
    )
  }
})
