/**
 * What real agents said, with something wrong in it: lines that are missing, doubled, cut or strewn with other
 * characters, fields of another type, huge or poisonous; the answer to the prompt among them. The session never
 * breaks: its turn ends at most once, and when the program is gone the session ends, once.
 */
import { assert, describe, it } from "@effect/vitest"
import { ProviderInstanceId, ThreadId } from "@turnkeeper/domain/ids"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { wire } from "@turnkeeper/provider-kit/testing/wire"
import type { Frame } from "@turnkeeper/provider-kit/testing/wire"
import { brokenLines, inTime, isEssential } from "@turnkeeper/testkit/brokenLines"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import * as fc from "fast-check"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Acp from "../src/Acp.ts"
import { names, recording } from "./transcripts.ts"
import { prompt } from "./world.ts"

const runs = process.env["TURNKEEPER_TEST_DEEP"] === "1" ? 5_000 : 260
const seed = Number(process.env["TURNKEEPER_TEST_SEED"] ?? 20_261_121)

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

const opening = {
  threadId: ThreadId.make("thread-1"),
  generation: 1,
  cwd: "/home/user/project",
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  resume: null
} as const

/** Settings that the recording's client did not make. */
const madeSo = { result: {} }

/** Opens a session, sends a prompt, hears all that; then the program dies. `ofPrompt`: the id of the recorded one. */
const session = (answers: Scene["answers"], ofPrompt: unknown, said: ReadonlyArray<Frame | string>) =>
  Effect.gen(function* () {
    const ledgerDirectory = mkdtempSync(join(tmpdir(), "acp-fuzz-"))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => rmSync(ledgerDirectory, { recursive: true, force: true }))
    )
    const ends = yield* wire
    let prompted: unknown = null
    yield* Effect.flatMap(ends.heard, (frame) => {
      const { id, method } = frame
      if (method === undefined || id === undefined) return Effect.void
      // It is answered by what is said: so its answer may be wrong, too.
      if (method === "session/prompt") return Effect.sync(() => void (prompted ??= id))
      return ends.say({ ...(answers.get(method) ?? madeSo), jsonrpc: "2.0", id })
    }).pipe(Effect.forever, Effect.forkScoped)
    const provider = yield* Acp.make({
      instanceId: ProviderInstanceId.make("agent"),
      ledgerDirectory,
      transport: Effect.acquireRelease(Effect.succeed(ends.transport), ({ close }) => close),
      timeouts: { close: 0 }
    })
    const opened = yield* inTime(provider.open(opening), "opening")
    const heard = yield* Effect.forkScoped(Stream.runCollect(opened.events))
    const sending = yield* Effect.forkScoped(Effect.exit(opened.send(prompt("hello"))))
    yield* Effect.repeat(Effect.yieldNow, { until: () => prompted !== null, times: 200 })
    assert.isNotNull(prompted, "the prompt reached the agent")
    for (const line of said) {
      const isAnswer = typeof line === "object" && line["method"] === undefined && line["id"] === ofPrompt
      yield* ends.say(isAnswer ? { ...line, id: prompted } : line)
    }
    yield* Effect.repeat(Effect.yieldNow, { times: 50 })
    yield* ends.die()
    const events = [...(yield* inTime(Fiber.join(heard), "the session"))]
    const sent = yield* inTime(Fiber.join(sending), "the send")
    assert.isFalse(Exit.isFailure(sent) && Cause.hasDies(sent.cause), "the send broke")
    assert.deepStrictEqual(breachesOf(events, true).filter(isEssential), [])
    return events
  }).pipe(Effect.scoped)

const idOfAnswer = (said: ReadonlyArray<Frame>): unknown => {
  const last = said.at(-1)
  return last?.["method"] === undefined ? last?.["id"] : null
}

describe("an agent that says what it should not", () => {
  for (const name of names) {
    const { answers, said } = sceneOf(name)

    it.effect(`${name}: as it was said, it is a turn with its end`, () =>
      Effect.map(session(answers, idOfAnswer(said), said), (events) =>
        assert.isTrue(events.some(({ type }) => type === "turn.completed" || type === "turn.aborted"))
      )
    )

    it.effect(
      `${name}: nothing breaks, its turn ends at most once, and the session ends once`,
      () =>
        Effect.flatMap(Effect.context<never>(), (context) =>
          Effect.promise(() =>
            fc.assert(
              fc.asyncProperty(brokenLines(said), (all) =>
                Effect.runPromiseWith(context)(Effect.asVoid(session(answers, idOfAnswer(said), all)))
              ),
              { numRuns: Math.ceil(runs / names.length), seed }
            )
          )
        ),
      120_000
    )
  }
})
