/** What an adapter says may repeat a key: by whatever way it comes, nobody gets to read it. */
import { assert, describe, it } from "@effect/vitest"
import {
  Generation,
  MessageId,
  ProviderInstanceId,
  ProviderTurnId,
  ThreadId,
  TurnId
} from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { OpenOptions, Prompt, Provider, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import type { Operation } from "@turnkeeper/provider-kit/ProviderError"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { makeScripted } from "@turnkeeper/provider-kit/testing/ScriptedProvider"
import { Cause, Effect, Logger, Stream } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { concealed } from "../../src/provider/conceal.ts"
import * as Configured from "../../src/provider/configured.ts"
import * as SettingsFile from "../../src/provider/settingsFile.ts"

const secret = "sk-0123456789abcdef"
const said = `Incorrect key: ${secret}.`
const shown = "Incorrect key: …."

const instanceId = ProviderInstanceId.make("leaky")
const turn = ProviderTurnId.make("p1")

const wanted: OpenOptions = {
  threadId: ThreadId.make("t"),
  generation: Generation.make(1),
  cwd: tmpdir(),
  model: null,
  runtimeMode: "full_access",
  interactionMode: "default",
  resume: null
}
const prompt: Prompt = {
  turnId: TurnId.make("t1"),
  messageId: MessageId.make("m1"),
  text: "hello",
  attachments: [],
  model: null,
  runtimeMode: "full_access",
  interactionMode: "default"
}

const refused = (operation: Operation) =>
  Effect.fail(
    new ProviderError({
      provider: instanceId,
      operation,
      fault: { reason: "Rejected", message: said },
      cause: new Error(said)
    })
  )

const about = (message: string): ReadonlyArray<ProviderEvent> => [
  { type: "notice", message },
  { type: "unknown", method: message },
  { type: "error.transient", providerTurnId: turn, message, attempt: 1, limit: 2 },
  { type: "error.final", providerTurnId: turn, message },
  { type: "turn.aborted", providerTurnId: turn, message },
  { type: "turn.completed", providerTurnId: turn, outcome: "failed", message },
  { type: "session.exited", clean: false, message }
]

const leakySession: ProviderSession = {
  resume: null,
  notice: said,
  events: Stream.fromIterable(about(said)),
  missed: { events: about(said), running: null },
  send: () => refused("send"),
  steer: () => refused("steer"),
  interrupt: () => refused("interrupt"),
  answer: () => refused("answer"),
  probe: () => Effect.succeed({ type: "ended", outcome: "failed", message: said }),
  stop: () => refused("stop")
}

/** An adapter that gives its key away wherever it has words. */
const leaky = (changes: Partial<Provider> = {}): Provider => ({
  ...makeScripted({ instanceId }).provider,
  probe: Effect.succeed({ status: "failed", version: said, models: [], advice: said }),
  open: () => Effect.succeed(leakySession),
  listLive: refused("list"),
  evidence: () => Effect.succeed({ type: "none", message: said }),
  ...changes
})

const guarded = (changes?: Partial<Provider>) => concealed([secret], Effect.succeed(leaky(changes)))

const assertHidden = (error: ProviderError, operation: Operation) => {
  assert.deepStrictEqual(
    [error.provider, error.operation, error.fault],
    [instanceId, operation, { reason: "Rejected", message: shown }]
  )
  assert.notInclude(JSON.stringify(error), secret)
}

describe("a secret is taken out of", () => {
  it.effect("what an adapter finds out about itself, its record and its listing", () =>
    Effect.gen(function* () {
      const provider = yield* guarded()
      assert.deepStrictEqual(yield* provider.probe, {
        status: "failed",
        version: shown,
        models: [],
        advice: shown
      })
      const query = { resume: null, turnId: prompt.turnId, messageId: prompt.messageId }
      assert.deepStrictEqual(yield* provider.evidence(query), { type: "none", message: shown })
      assertHidden(yield* Effect.flip(provider.listLive), "list")
      const opening = (yield* guarded({ open: () => refused("open") })).open(wanted)
      assertHidden(yield* Effect.flip(opening), "open")
    }).pipe(Effect.scoped)
  )

  it.effect("every failure of a session, and what it says of its turns", () =>
    Effect.gen(function* () {
      const session = yield* (yield* guarded()).open(wanted)
      assert.strictEqual(session.notice, shown)
      assertHidden(yield* Effect.flip(session.send(prompt)), "send")
      assertHidden(yield* Effect.flip(session.steer(prompt, null)), "steer")
      assertHidden(yield* Effect.flip(session.interrupt(null)), "interrupt")
      assertHidden(yield* Effect.flip(session.answer("r", { decision: "accept", answers: {} })), "answer")
      assertHidden(yield* Effect.flip(session.stop("stop")), "stop")
      assert.deepStrictEqual(yield* session.probe(null), {
        type: "ended",
        outcome: "failed",
        message: shown
      })
    }).pipe(Effect.scoped)
  )

  it.effect("every event that is not of the conversation, heard or missed", () =>
    Effect.gen(function* () {
      const session = yield* (yield* guarded()).open(wanted)
      assert.deepStrictEqual([...(yield* Stream.runCollect(session.events))], about(shown))
      assert.deepStrictEqual(session.missed?.events, about(shown))
    }).pipe(Effect.scoped)
  )

  it.effect("what an adapter logs, also from a fiber that it left running, and what it dies of", () =>
    Effect.gen(function* () {
      const entries: Array<string> = []
      const log = Logger.make(({ cause, message }) => {
        entries.push(`${String(message)} ${Cause.pretty(cause)}`)
      })
      const scene = Effect.gen(function* () {
        const provider = yield* concealed(
          [secret],
          Effect.as(
            Effect.logError("made", { said }, Cause.die(new TypeError(said))),
            leaky({
              open: () => Effect.as(Effect.forkScoped(Effect.logWarning(said)), leakySession),
              listLive: Effect.die(new TypeError(said)),
              evidence: () => Effect.die({ inside: [said] })
            })
          )
        )
        yield* provider.open(wanted)
        const query = { resume: null, turnId: prompt.turnId, messageId: prompt.messageId }
        const listed = yield* Effect.sandbox(provider.listLive).pipe(Effect.flip)
        const asked = yield* Effect.sandbox(provider.evidence(query)).pipe(Effect.flip)
        assert.include(Cause.pretty(listed), `TypeError: ${shown}`)
        assert.deepStrictEqual(
          asked.reasons.filter(Cause.isDieReason).map(({ defect }) => defect),
          [{ inside: [shown] }]
        )
        assert.notInclude(Cause.pretty(listed) + Cause.pretty(asked), secret)
        yield* Effect.yieldNow
      })
      yield* Effect.scoped(scene).pipe(Effect.provide(Logger.layer([log])))
      assert.lengthOf(entries, 2)
      assert.include(entries.join("\n"), shown)
      assert.notInclude(entries.join("\n"), secret)
    })
  )

  it.effect("its other spellings too, and the longer of two secrets leaves nothing behind", () =>
    Effect.gen(function* () {
      const words = 'a"b/c d-0123'
      const message = [words, JSON.stringify(words), encodeURIComponent(words), `${words}-more`].join(" | ")
      const provider = yield* concealed(
        [words, `${words}-more`],
        Effect.succeed(leaky({ evidence: () => Effect.succeed({ type: "none", message }) }))
      )
      const query = { resume: null, turnId: prompt.turnId, messageId: prompt.messageId }
      assert.deepStrictEqual(yield* provider.evidence(query), {
        type: "none",
        message: '… | "…" | … | …'
      })
    }).pipe(Effect.scoped)
  )
})

it.effect("the conversation is shown as it is", () =>
  Effect.gen(function* () {
    const spoken: ReadonlyArray<ProviderEvent> = [
      { type: "text.delta", providerTurnId: turn, providerItemId: "i", text: said },
      {
        type: "item.completed",
        providerTurnId: turn,
        providerItemId: "i",
        kind: "assistant_message",
        title: "",
        end: "completed",
        text: said,
        detail: {}
      }
    ]
    const session = yield* (yield* guarded({
      open: () => Effect.succeed({ ...leakySession, events: Stream.fromIterable(spoken) })
    })).open(wanted)
    assert.deepStrictEqual([...(yield* Stream.runCollect(session.events))], spoken)
  }).pipe(Effect.scoped)
)

describe("a real program that prints its key", () => {
  const program = (env: Record<string, string>) => ({
    id: "leaky",
    kind: "acp",
    command: "/bin/sh",
    args: ["-c", 'read asked; echo "Incorrect key: $AGENT_KEY." >&2; exit 3'],
    env
  })

  const opened = (env: Record<string, string>) =>
    Effect.gen(function* () {
      const data = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "turnkeeper-conceal-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
      )
      const settings = SettingsFile.parse(Configured.kinds, JSON.stringify({ providers: [program(env)] }))
      const [configured] = yield* Effect.fromResult(settings)
      const provider = yield* Configured.make(configured!, data)
      const health = yield* provider.probe
      const error = yield* Effect.flip(Effect.scoped(provider.open(wanted)))
      return { advice: health.advice, message: error.fault.message }
    })

  it.live("from its settings", () =>
    Effect.gen(function* () {
      const { advice, message } = yield* opened({ AGENT_KEY: secret })
      assert.include(message, shown)
      assert.include(String(advice), shown)
    }).pipe(Effect.scoped)
  )

  it.live("from the server's environment", () =>
    Effect.gen(function* () {
      yield* Effect.acquireRelease(
        Effect.sync(() => void (process.env["AGENT_KEY"] = secret)),
        () => Effect.sync(() => delete process.env["AGENT_KEY"])
      )
      const { advice, message } = yield* opened({})
      assert.include(message, shown)
      assert.include(String(advice), shown)
    }).pipe(Effect.scoped)
  )
})
