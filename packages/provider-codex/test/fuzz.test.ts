/**
 * The recordings of the real program with something wrong in what it says: lines that are missing, doubled, cut
 * or strewn with other characters, fields of another type, huge or poisonous. The session never breaks: each turn
 * ends at most once, and when the program is gone the session ends, once.
 */
import { assert, describe, it } from "@effect/vitest"
import { MessageId, ProviderInstanceId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import { breachesOf } from "@turnkeeper/provider-kit/testing/Listener"
import { brokenLines, inTime, isEssential } from "@turnkeeper/testkit/brokenLines"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import * as fc from "fast-check"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Codex from "../src/Codex.ts"
import type { Frame } from "./player.ts"
import { recording, said, wire } from "./player.ts"

const runs = process.env["TURNKEEPER_TEST_DEEP"] === "1" ? 5_000 : 200
const seed = Number(process.env["TURNKEEPER_TEST_SEED"] ?? 20_261_121)

const names = readdirSync(new URL("transcripts", import.meta.url))
  .filter((name) => name.endsWith(".jsonl"))
  .map((name) => name.slice(0, -".jsonl".length))

/** What the program answered in the recording, by method. */
const answersOf = (name: string): ReadonlyMap<unknown, Frame> => {
  const methods = new Map<unknown, unknown>()
  const answers = new Map<unknown, Frame>()
  for (const entry of recording(name)) {
    if ("send" in entry && "method" in entry.send) methods.set(entry.send["id"], entry.send["method"])
    else if ("recv" in entry && !("method" in entry.recv)) {
      const method = methods.get(entry.recv["id"])
      if (!answers.has(method)) answers.set(method, entry.recv)
    }
  }
  return answers
}

const prompt = {
  turnId: TurnId.make("turn-1"),
  messageId: MessageId.make("message-1"),
  text: "hello",
  attachments: [],
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default"
} as const

const opening = {
  threadId: ThreadId.make("thread-1"),
  generation: 1,
  cwd: "/home/user/project",
  model: null,
  runtimeMode: "approval_required",
  interactionMode: "default",
  resume: null
} as const

/** Opens a session, sends a prompt, hears all that; then the program dies. */
const session = (name: string, said: ReadonlyArray<Frame | string>) =>
  Effect.gen(function* () {
    const ledgerDirectory = mkdtempSync(join(tmpdir(), "codex-fuzz-"))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => rmSync(ledgerDirectory, { recursive: true, force: true }))
    )
    const ends = yield* wire
    const answers = answersOf(name)
    yield* Effect.flatMap(ends.heard, (frame) => {
      if (!("method" in frame) || !("id" in frame)) return Effect.void
      const answer = answers.get(frame["method"]) ?? {
        error: { code: -32_601, message: "not in the recording" }
      }
      return ends.say({ ...answer, id: frame["id"] })
    }).pipe(Effect.forever, Effect.forkScoped)
    const provider = yield* Codex.make({
      instanceId: ProviderInstanceId.make("codex"),
      ledgerDirectory,
      transport: Effect.acquireRelease(Effect.succeed(ends.transport), ({ close }) => close),
      timeouts: { close: 0 }
    })
    const opened = yield* inTime(provider.open(opening), "opening")
    const heard = yield* Effect.forkScoped(Stream.runCollect(opened.events))
    const sending = yield* Effect.forkScoped(Effect.exit(opened.send(prompt)))
    yield* Effect.repeat(Effect.yieldNow, { times: 20 })
    for (const line of said) yield* ends.say(line)
    yield* Effect.repeat(Effect.yieldNow, { times: 50 })
    yield* ends.die()
    const events = [...(yield* inTime(Fiber.join(heard), "the session"))]
    const sent = yield* inTime(Fiber.join(sending), "the send")
    assert.isFalse(Exit.isFailure(sent) && Cause.hasDies(sent.cause), "the send broke")
    assert.deepStrictEqual(breachesOf(events, true).filter(isEssential), [])
  }).pipe(Effect.scoped)

describe("a program that says what it should not", () => {
  for (const name of names) {
    it.effect(
      `${name}: nothing breaks, each turn ends at most once, and the session ends once`,
      () =>
        Effect.flatMap(Effect.context<never>(), (context) =>
          Effect.promise(() =>
            fc.assert(
              fc.asyncProperty(brokenLines(said(name).filter((frame) => "method" in frame)), (all) =>
                Effect.runPromiseWith(context)(session(name, all))
              ),
              { numRuns: Math.ceil(runs / names.length), seed }
            )
          )
        ),
      120_000
    )
  }
})
