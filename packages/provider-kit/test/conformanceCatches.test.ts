/**
 * The suite can fail: each promise, broken on purpose in a provider that keeps all the others, is
 * caught by the checks named for it.
 */
import { assert, describe, it } from "@effect/vitest"
import { ProviderInstanceId, ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { LiveSession, Provider, ProviderSession } from "../src/Provider.ts"
import { conformance, type Define } from "../src/testing/conformance.ts"
import type { Control } from "../src/testing/control.ts"
import { defaultCapabilities, makeScripted, type ScriptedOptions } from "../src/testing/ScriptedProvider.ts"

interface Break {
  readonly options?: Partial<ScriptedOptions>
  readonly control?: (control: Control) => void
  readonly provider?: (provider: Provider) => Provider
  readonly session?: (session: ProviderSession) => ProviderSession
  readonly events?: (event: ProviderEvent) => ReadonlyArray<ProviderEvent>
  readonly kill?: "does nothing" | "exits cleanly"
}

const promises: ReadonlyArray<readonly [broken: string, how: Break, caught: string]> = [
  [
    "ends a turn twice",
    { events: (event) => (event.type === "turn.completed" ? [event, event] : [event]) },
    "a turn ends in exactly one terminal event, and completes on the provider's word"
  ],
  [
    "goes on talking after a turn's end",
    {
      events: (event) =>
        event.type === "turn.completed"
          ? [event, { type: "error.final", providerTurnId: event.providerTurnId, message: "late" }]
          : [event]
    },
    "turns follow one another under different names"
  ],
  [
    "never ends a failed turn",
    { events: (event) => (event.type === "turn.completed" && event.outcome === "failed" ? [] : [event]) },
    "a turn that fails says why, fails once, and leaves the session usable"
  ],
  [
    "says nothing of why a turn failed",
    {
      events: (event) => {
        if (event.type === "error.final") return []
        return event.type === "turn.completed" ? [{ ...event, message: null }] : [event]
      }
    },
    "a turn that fails says why, fails once, and leaves the session usable"
  ],
  [
    "tells of a turn before send has answered, without our turn id",
    {
      events: (event) => (event.type === "turn.started" ? [{ ...event, turnId: null }] : [event]),
      control: (control) => control.always("send", (real) => Effect.tap(real, () => TestClock.adjust(80)))
    },
    "the events of a turn carry our turn id, or come after send has answered"
  ],
  [
    "begins a turn without saying so",
    { events: (event) => (event.type === "turn.started" ? [] : [event]) },
    "the events of a turn carry our turn id, or come after send has answered"
  ],
  [
    "streams something else than it completes",
    {
      events: (event) =>
        event.type === "text.delta" ? [{ ...event, text: event.text.toUpperCase() }] : [event]
    },
    "a turn ends in exactly one terminal event, and completes on the provider's word"
  ],
  [
    "takes a transient error for a final one",
    {
      events: (event) =>
        event.type === "error.transient"
          ? [{ type: "error.final", providerTurnId: event.providerTurnId, message: event.message }]
          : [event]
    },
    "a transient error is marked transient, and a retry begins its message anew"
  ],
  [
    "puts the retried answer behind the cut one",
    { events: (event) => ("providerItemId" in event ? [{ ...event, providerItemId: "item" }] : [event]) },
    "a transient error is marked transient, and a retry begins its message anew"
  ],
  [
    "drops what it does not know",
    { events: (event) => (event.type === "unknown" ? [] : [event]) },
    "a native message that nobody knows is kept as unknown and harms nothing"
  ],
  [
    "never says that it exited",
    { events: (event) => (event.type === "session.exited" ? [] : [event]) },
    "a turn ends in exactly one terminal event, and completes on the provider's word"
  ],
  [
    "exits twice",
    { events: (event) => (event.type === "session.exited" ? [event, event] : [event]) },
    "a stop at rest ends the session cleanly; a second one says SessionGone"
  ],
  [
    "does not notice the death of its process",
    { kill: "does nothing" },
    "the death of the process in mid-stream ends the stream with an unclean exit"
  ],
  [
    "takes a death for an orderly end",
    { kill: "exits cleanly" },
    "the death of the process in a pending approval ends the stream with an unclean exit"
  ],
  [
    "accepts an interrupt and goes on",
    { control: (control) => control.always("interrupt", () => Effect.void) },
    "a turn can be interrupted while it streams"
  ],
  [
    "interrupts whatever runs",
    { session: (session) => ({ ...session, interrupt: () => session.interrupt(null) }) },
    "an interrupt of another turn says TurnMismatch and leaves the running one alone"
  ],
  [
    "accepts an interrupt of a turn that is over",
    { session: (session) => ({ ...session, interrupt: (id) => Effect.ignore(session.interrupt(id)) }) },
    "an interrupt of a turn that is over, or of none, says TurnMismatch"
  ],
  [
    "takes a message while it is busy",
    {
      control: (control) =>
        control.always("send", (real) =>
          Effect.catchTag(real, "ProviderError", () =>
            Effect.succeed({ providerTurnId: ProviderTurnId.make("another") })
          )
        )
    },
    "a send while a turn runs is refused and not delivered"
  ],
  [
    "steers into nothing",
    { session: (session) => ({ ...session, steer: (prompt) => Effect.ignore(session.steer(prompt, null)) }) },
    "steering into a turn that does not run says TurnMismatch"
  ],
  [
    "takes a second answer",
    {
      session: (session) => ({
        ...session,
        answer: (key, answer) => Effect.ignore(session.answer(key, answer))
      })
    },
    "an accepted approval lets the command run; a second answer says RequestGone"
  ],
  [
    "runs what was declined",
    {
      session: (session) => ({
        ...session,
        answer: (key, answer) => session.answer(key, { ...answer, decision: "accept" })
      })
    },
    "a declined approval declines the command, and the turn goes on"
  ],
  [
    "takes a cancel for a decline",
    {
      session: (session) => ({
        ...session,
        answer: (key, answer) => session.answer(key, { ...answer, decision: "decline" })
      })
    },
    "a cancelled approval interrupts the turn"
  ],
  [
    "pretends to stop",
    { control: (control) => control.always("stop", () => Effect.void) },
    "a stop in mid-stream ends the session"
  ],
  [
    "stops what is gone",
    { session: (session) => ({ ...session, stop: (step) => Effect.ignore(session.stop(step)) }) },
    "a stop at rest ends the session cleanly; a second one says SessionGone"
  ],
  [
    "outlives its scope",
    { control: (control) => control.outlive(true) },
    "closing its scope ends the session"
  ],
  [
    "lists nothing",
    { control: (control) => control.always("list", () => Effect.succeed([])) },
    "the listing names the sessions that are alive and the turn that runs"
  ],
  [
    "believes that every turn still runs",
    { session: (session) => ({ ...session, probe: () => Effect.succeed({ type: "running" }) }) },
    "a probe tells a running turn from one that is over"
  ],
  [
    "knows of no message",
    { provider: (provider) => ({ ...provider, evidence: () => Effect.succeed({ type: "absent" }) }) },
    "the record knows what was delivered, what runs and how it ended"
  ],
  [
    "takes a lost turn for a completed one",
    {
      provider: (provider) => ({
        ...provider,
        evidence: (query) =>
          Effect.map(provider.evidence(query), (found) =>
            found.type === "found" && !found.running ? { ...found, outcome: "completed" } : found
          )
      })
    },
    "the record outlives the provider's death, and a turn it cut is not completed"
  ],
  [
    "forgets the conversation it resumes",
    {
      provider: (provider) => ({
        ...provider,
        open: (options) => provider.open({ ...options, resume: null })
      })
    },
    "a conversation is resumed by its cursor, with its record"
  ],
  [
    "opens a new conversation for a cursor that names nothing, and keeps quiet",
    {
      provider: (provider) => ({
        ...provider,
        open: (options) => provider.open({ ...options, resume: null })
      })
    },
    "a cursor that names nothing is a typed error, or the loss of context is said"
  ],
  [
    "buffers without bound",
    { options: { bufferSize: 1_000_000 } },
    "a provider that prints faster than anybody reads is slowed or coalesced, and loses nothing"
  ],
  [
    "loses text under load",
    {
      events: (event) => (event.type === "text.delta" && event.text === "w5000 " ? [] : [event])
    },
    "a provider that prints faster than anybody reads is slowed or coalesced, and loses nothing"
  ],
  [
    "says what the log cannot keep",
    {
      events: (event) =>
        event.type === "item.completed"
          ? [{ ...event, detail: { ...event.detail, took: Number.NaN } }]
          : [event]
    },
    "a turn ends in exactly one terminal event, and completes on the provider's word"
  ],
  [
    "keeps what it used to itself",
    { events: (event) => (event.type === "usage" ? [] : [event]) },
    "what a turn used is told"
  ],
  [
    "cannot plan",
    {
      options: { capabilities: { planMode: true } },
      session: (session) => ({
        ...session,
        send: (prompt) =>
          prompt.interactionMode === "plan"
            ? Effect.andThen(session.stop("kill"), session.send(prompt))
            : session.send(prompt)
      })
    },
    "a turn in plan mode completes, and so does the next one in the usual mode"
  ],
  [
    "tells every session of every turn",
    {
      provider: (provider) => {
        const everywhere = new Set<ProviderTurnId>()
        const gossiping = (event: ProviderEvent): ReadonlyArray<ProviderEvent> => {
          if (event.type !== "text.delta" || event.providerTurnId === null) return [event]
          everywhere.add(event.providerTurnId)
          return [
            event,
            ...[...everywhere].map((providerTurnId) => ({
              type: "error.final" as const,
              providerTurnId,
              message: "heard of it"
            }))
          ]
        }
        return {
          ...provider,
          open: (options) =>
            Effect.map(provider.open(options), (session) => ({
              ...session,
              events: session.events.pipe(Stream.flatMap((event) => Stream.fromIterable(gossiping(event))))
            }))
        }
      }
    },
    "sessions that work at the same time hear of their own turns only"
  ],
  [
    "interrupts only by name",
    {
      session: (session) => ({
        ...session,
        interrupt: (name) => session.interrupt(name ?? ProviderTurnId.make("no-such-turn"))
      })
    },
    "an interrupt that names no turn ends the one that runs"
  ],
  [
    "lists the dead",
    {
      control: (control) => {
        const ever = new Map<string, LiveSession>()
        control.always("list", (real) =>
          Effect.map(real, (live) => {
            for (const one of live) ever.set(one.threadId, one)
            return [...ever.values()]
          })
        )
      },
      provider: (provider) => ({
        ...provider,
        open: (options) => Effect.tap(provider.open(options), () => provider.listLive)
      })
    },
    "after a death the session is listed no more, and the thread can be opened again"
  ],
  [
    "takes a turn that has not spoken yet for one that was cut off",
    {
      provider: (provider) => ({
        ...provider,
        evidence: (query) =>
          Effect.map(provider.evidence(query), (found) =>
            found.type === "found" && found.running
              ? { ...found, running: false, outcome: "interrupted", message: null, texts: [] }
              : found
          )
      })
    },
    "a turn that was only just sent is not over in the record"
  ],
  [
    "knows its record only while a session is open",
    {
      provider: (provider) => ({
        ...provider,
        evidence: (query) =>
          Effect.flatMap(provider.listLive, (live) =>
            live.length === 0 ? Effect.succeed({ type: "absent" as const }) : provider.evidence(query)
          )
      })
    },
    "the record can be read while no session is open"
  ],
  [
    "is not what it says",
    { provider: (provider) => ({ ...provider, capabilities: { ...provider.capabilities, fork: true } }) },
    "it is what its driver says it is, and its probe answers"
  ]
]

describe("the conformance suite catches a provider that", () => {
  for (const [broken, how, caught] of promises) {
    it.effect(broken, () =>
      Effect.gen(function* () {
        const check = checksOf(how).get(`broken: ${caught}`)
        assert.ok(check !== undefined, "there is such a check")
        const exit = yield* Effect.exit(check())
        assert.strictEqual(exit._tag, "Failure")
      })
    )
  }

  it("refuses an exception for a check that does not exist", () => {
    assert.throws(() => checksOf({}, { "no such check": "because" }), /no such check/)
  })
})

/** The suite's checks by name, for a provider broken like this. */
const checksOf = (how: Break, exceptions: { readonly [check: string]: string } = {}) => {
  const found = new Map<string, Parameters<Define>[1]>()
  const define: Define = Object.assign(
    (...[title, test]: Parameters<Define>) => void found.set(title, test),
    {
      skip: () => {}
    }
  )
  conformance(
    "broken",
    {
      capabilities: { ...defaultCapabilities, ...how.options?.capabilities },
      // Short: what never comes is waited for in full.
      patience: { clock: "virtual", pass: TestClock.adjust(40), stepMs: 40, deadlineMs: 20_000 },
      cwd: "/",
      prompts: { flood: "[[flood:6000]]", unknown: "[[unknown]]" },
      exceptions,
      make: Effect.sync(() => {
        const made = makeScripted({ instanceId: ProviderInstanceId.make("scripted"), ...how.options })
        how.control?.(made.control)
        return { control: made.control, provider: brokenProvider(made.provider, how) }
      }),
      kill: ({ control }, threadId) => {
        if (how.kill === "does nothing") return Effect.void
        return how.kill === "exits cleanly" ? control.exit(threadId) : control.crash(threadId)
      }
    },
    { effect: define, live: define }
  )
  return found
}

const brokenProvider = (provider: Provider, how: Break): Provider => {
  const changed = how.provider?.(provider) ?? provider
  const { session: change = (session) => session, events = (event) => [event] } = how
  return {
    ...changed,
    open: (options) =>
      Effect.map(changed.open(options), (session) => {
        const heard = session.events.pipe(Stream.flatMap((event) => Stream.fromIterable(events(event))))
        return change({ ...session, events: heard })
      })
  }
}
