/**
 * What every adapter must do, stated as tests. An adapter passes this suite or it is not an adapter.
 *
 * The suite knows no provider. A driver makes one, says by which prompts each situation is provoked,
 * and kills its process. What a provider cannot do at all is left out by its capabilities; what its
 * driver cannot provoke is skipped, and shows as skipped with the reason in its name.
 *
 * After every single check the whole stream is judged by the rules that always hold (`Listener.ts`):
 * one exit, at its end; one terminal event per turn and nothing of the turn behind it.
 */
import { type Generation, MessageId, ProviderTurnId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import type { FaultReason } from "@turnkeeper/domain/runtime/Fault"
import type { Decision, TurnOutcome } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect, Exit, Scope } from "effect"
import assert from "node:assert/strict"
import { randomUUID } from "node:crypto"
import type { Capabilities, OpenOptions, Prompt, Provider, ProviderSession } from "../Provider.ts"
import type { ProviderError } from "../ProviderError.ts"
import { endOf, listen, type Listener, type NotHeard, passUntil, type Patience, startOf } from "./Listener.ts"

/** The text of the prompt that provokes each situation. Null: this driver cannot provoke it. */
export interface Prompts {
  /** Answers with a short text. */
  readonly text: string
  /** Streams for longer than any check waits. */
  readonly slow: string
  /** Asks before it runs a short command, then answers. */
  readonly approval: string | null
  /** Runs a command that takes long enough to be interrupted. */
  readonly tool: string | null
  readonly question: string | null
  /** The turn fails for good. */
  readonly fail: string | null
  /** The stream breaks twice in the middle of a message; the provider retries and recovers. */
  readonly transient: string | null
  /** The stream breaks for ever; the provider waits and retries, and in the end gives up. */
  readonly retrying: string | null
  /** Says a little, then nothing more. */
  readonly stall: string | null
  /** Prints faster than anybody reads, at least 5,000 words. */
  readonly flood: string | null
  /** Makes the provider send a native message that the adapter does not know. */
  readonly unknown: string | null
}

export const defaultPrompts: Prompts = {
  text: "[[text:These are a few words.]]",
  slow: "[[slow:2000]]",
  approval: "[[ask:printf approved]]",
  tool: "[[shell:sleep 60]]",
  question: null,
  fail: "[[http:400]]",
  transient: "[[drop:2]]",
  retrying: "[[drop]]",
  stall: "[[stall]]",
  flood: null,
  unknown: null
}

export interface Driver<Subject extends { readonly provider: Provider } = { readonly provider: Provider }> {
  /** What the provider says of itself; known before it is made, because it decides which checks there are. */
  readonly capabilities: Capabilities
  /** Makes the provider, with whatever the driver needs beside it; everything of it ends with the scope. */
  readonly make: Effect.Effect<Subject, never, Scope.Scope>
  /** Kills the process that serves this thread, as `kill -9` does. */
  readonly kill: (subject: Subject, threadId: ThreadId) => Effect.Effect<void>
  /** Puts a line into the provider's output that is not of its protocol. */
  readonly garble?: (subject: Subject, threadId: ThreadId) => Effect.Effect<void>
  /** Commands that turns of the provider started and that are still alive; its own shared process is none. */
  readonly survivors?: (subject: Subject) => Effect.Effect<ReadonlyArray<string>>
  readonly patience: Patience
  /** The directory its sessions work in. */
  readonly cwd: string
  readonly prompts?: Partial<Prompts>
  /** Bound of one check in real time. Default 60,000. */
  readonly timeoutMs?: number
  /** Promises this provider is known not to keep, by the name of the check, with the reason that is shown. */
  readonly exceptions?: { readonly [check: string]: string }
}

/** What defines a test: `@effect/vitest`'s `it`, or anything that takes the checks as they come. */
export interface Define {
  (name: string, test: () => Effect.Effect<void, unknown>, options?: { readonly timeout: number }): void
  readonly skip: (name: string, test: () => Effect.Effect<void, unknown>) => void
}

/** Defines one test per promise. */
export const conformance = <Subject extends { readonly provider: Provider }>(
  name: string,
  driver: Driver<Subject>,
  it: { readonly effect: Define; readonly live: Define }
): void => {
  const define = driver.patience.clock === "virtual" ? it.effect : it.live
  const means: Means = {
    prompts: { ...defaultPrompts, ...driver.prompts },
    capabilities: driver.capabilities,
    garbles: driver.garble !== undefined,
    findsSurvivors: driver.survivors !== undefined
  }
  const unknown = Object.keys(driver.exceptions ?? {}).filter((key) =>
    checks.every((check) => check.name !== key)
  )
  if (unknown.length > 0) throw new Error(`There is no such check: ${unknown.join(", ")}`)
  for (const check of checks) {
    const reason = driver.exceptions?.[check.name] ?? check.unless?.(means) ?? null
    const title = `${name}: ${check.name}`
    if (reason === null) {
      define(title, () => Effect.scoped(tried(check, driver, means)), { timeout: driver.timeoutMs ?? 60_000 })
    } else {
      define.skip(`${title} (${reason})`, () => Effect.void)
    }
  }
}

/** What there is to work with, known before anything runs: a check without its means is skipped, never hollow. */
interface Means {
  readonly prompts: Prompts
  readonly capabilities: Capabilities
  readonly garbles: boolean
  readonly findsSurvivors: boolean
}

/** What people mean by it: the rows of the table in `docs/providers.md`, in their order. */
export const scenarios = [
  "Found and asked",
  "A streamed answer",
  "A failed turn",
  "A bad connection",
  "Interrupting",
  "A message while it works",
  "Steering",
  "Approvals",
  "Questions",
  "Plan mode",
  "Usage",
  "Several threads at once",
  "More than one can read",
  "Unknown messages",
  "Its process dies",
  "Stopping",
  "Telling the truth",
  "A record to ask",
  "Going on later"
] as const
export type Scenario = (typeof scenarios)[number]

interface Check {
  readonly name: string
  readonly scenario: Scenario
  /** Why this check does not apply, or null when it does. */
  readonly unless?: (means: Means) => string | null
  readonly run: (bench: Bench) => Effect.Effect<void, ProviderError | NotHeard, Scope.Scope>
}

/** An opened session with everything a check needs about it. */
interface Opened {
  readonly options: OpenOptions
  readonly session: ProviderSession
  readonly listener: Listener
  /** Closes the scope that owns the session. */
  readonly close: Effect.Effect<void>
  readonly prompt: (text: string) => Prompt
  /** Sends, and waits until the turn is known to run. */
  readonly begin: (text: string) => Effect.Effect<Begun, ProviderError | NotHeard>
  /** Sends, and waits for the turn's end. */
  readonly run: (text: string) => Effect.Effect<Begun, ProviderError | NotHeard>
}

interface Begun {
  readonly prompt: Prompt
  readonly providerTurnId: ProviderTurnId
}

interface Bench {
  readonly provider: Provider
  readonly kill: (opened: Opened) => Effect.Effect<void>
  readonly garble: (opened: Opened) => Effect.Effect<void>
  readonly survivors: Effect.Effect<ReadonlyArray<string>>
  readonly prompts: Prompts
  readonly patience: Patience
  readonly capabilities: Capabilities
  readonly open: (options?: Partial<OpenOptions>) => Effect.Effect<Opened, ProviderError, Scope.Scope>
  /** Opens a session that nobody listens to. */
  readonly openUnheard: (
    options?: Partial<OpenOptions>
  ) => Effect.Effect<Pick<Opened, "options" | "session" | "prompt">, ProviderError, Scope.Scope>
}

/** Runs the check, then closes every session and judges every stream. */
const tried = <Subject extends { readonly provider: Provider }>(
  check: Check,
  driver: Driver<Subject>,
  means: Means
) =>
  Effect.gen(function* () {
    const opened: Array<Opened> = []
    const bench = benchOf(driver, yield* driver.make, means, (one) => opened.push(one))
    yield* check.run(bench)
    for (const { close, listener } of opened) {
      yield* close
      yield* listener.endedPromptly
      assert.deepEqual(listener.breaches(), [])
    }
  })

const benchOf = <Subject extends { readonly provider: Provider }>(
  driver: Driver<Subject>,
  subject: Subject,
  { prompts, capabilities }: Means,
  note: (opened: Opened) => void
): Bench => {
  const { patience } = driver
  const { provider } = subject
  // Ids are never used twice: a real provider keeps them in its history.
  const run = randomUUID().slice(0, 8)
  let ordinal = 0
  const next = (word: string) => `${word}-${run}-${(ordinal += 1)}`

  const openUnheard: Bench["openUnheard"] = (options) =>
    Effect.gen(function* () {
      const full: OpenOptions = {
        threadId: ThreadId.make(next("thread")),
        generation: 1 satisfies Generation,
        cwd: driver.cwd,
        model: null,
        runtimeMode: "approval_required",
        interactionMode: "default",
        resume: null,
        ...options
      }
      const prompt = (text: string): Prompt => ({
        turnId: TurnId.make(next("turn")),
        messageId: MessageId.make(next("message")),
        text,
        attachments: [],
        model: null,
        runtimeMode: full.runtimeMode,
        interactionMode: full.interactionMode
      })
      return { options: full, session: yield* provider.open(full), prompt }
    })

  const open: Bench["open"] = (options) =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const unheard = yield* Scope.provide(openUnheard(options), scope)
      const { session } = unheard
      const listener = yield* listen(session, patience)
      const begin: Opened["begin"] = (text) =>
        Effect.gen(function* () {
          const prompt = unheard.prompt(text)
          const { providerTurnId } = yield* session.send(prompt)
          yield* listener.first("turn.started", (event) => event.providerTurnId === providerTurnId)
          return { prompt, providerTurnId }
        })
      const opened: Opened = {
        ...unheard,
        listener,
        close: Scope.close(scope, Exit.void),
        begin,
        run: (text) =>
          Effect.tap(begin(text), ({ providerTurnId }) =>
            listener.until(`the end of ${text}`, () => endOf(listener, providerTurnId) !== undefined)
          )
      }
      note(opened)
      return opened
    })

  return {
    provider,
    kill: ({ options }) => driver.kill(subject, options.threadId),
    garble: ({ options }) => driver.garble?.(subject, options.threadId) ?? Effect.void,
    survivors: driver.survivors?.(subject) ?? Effect.succeed([]),
    prompts,
    patience,
    capabilities,
    open,
    openUnheard
  }
}

// What a check is skipped for.

/** How the reasons begin that are no exception: it cannot do that, or nobody can make it do that here. */
export const notCapable = "not capable of"
export const notProvoked = "no prompt provokes"
export const notNeeded = "not needed"

const needs =
  (...wanted: ReadonlyArray<keyof Prompts>) =>
  ({ prompts }: Means): string | null => {
    const missing = wanted.find((key) => prompts[key] === null)
    return missing === undefined ? null : `${notProvoked}: ${missing}`
  }

const can =
  (
    capability: "steer" | "resume" | "history" | "approvals" | "questions" | "planMode" | "usage",
    ...wanted: ReadonlyArray<keyof Prompts>
  ) =>
  (means: Means): string | null =>
    means.capabilities[capability] ? needs(...wanted)(means) : `${notCapable}: ${capability}`

// What checks assert again and again.

const ends = (opened: Opened, { providerTurnId }: Begun, outcome: TurnOutcome, by = opened.listener) =>
  Effect.gen(function* () {
    yield* by.until(`the end of turn ${providerTurnId}`, () => endOf(by, providerTurnId) !== undefined)
    const end = endOf(by, providerTurnId)
    // An abort is how some providers tell of an interruption.
    assert.equal(
      end?.type === "turn.aborted" ? "interrupted" : end?.type === "turn.completed" && end.outcome,
      outcome
    )
  })

/** The call fails, with one of these reasons. */
const fails = <A>(call: Effect.Effect<A, ProviderError>, ...reasons: ReadonlyArray<FaultReason>) =>
  Effect.gen(function* () {
    const exit = yield* Effect.result(call)
    assert.equal(exit._tag, "Failure", `expected a failure: ${reasons.join(" or ")}`)
    if (exit._tag === "Failure") assert.ok(reasons.includes(exit.failure.fault.reason), exit.failure.message)
  })

const exits = (opened: Opened, clean: boolean) =>
  Effect.gen(function* () {
    yield* opened.listener.endedPromptly
    const [exit] = opened.listener.of("session.exited")
    assert.equal(exit?.clean, clean)
  })

/** The session still does its work. */
const works = ({ prompts }: Bench, opened: Opened) =>
  Effect.flatMap(opened.run(prompts.text), (begun) => ends(opened, begun, "completed"))

const streams = (opened: Opened, begun: Begun) =>
  opened.listener.first("text.delta", (event) => event.providerTurnId === begun.providerTurnId)

const asks = (opened: Opened, begun: Begun) =>
  opened.listener.first("request.opened", (event) => event.providerTurnId === begun.providerTurnId)

const decide = (opened: Opened, requestKey: string, decision: Decision) =>
  opened.session.answer(requestKey, { decision, answers: {} })

const messagesOf = (opened: Opened, { providerTurnId }: Begun) =>
  opened.listener
    .of("item.completed")
    .filter((event) => event.providerTurnId === providerTurnId && event.kind === "assistant_message")

const streamedOf = (opened: Opened, providerTurnId: ProviderTurnId, providerItemId: string) =>
  opened.listener
    .of("text.delta")
    .filter((event) => event.providerTurnId === providerTurnId && event.providerItemId === providerItemId)
    .map((event) => event.text)
    .join("")

/** Interrupts a turn in some state; it ends as interrupted, and the session is as good as before. */
const interruptedIn = (
  state: string,
  prompt: keyof Prompts,
  reached: (opened: Opened, begun: Begun) => Effect.Effect<unknown, NotHeard>
): Check => ({
  name: `a turn can be interrupted while it ${state}`,
  scenario: "Interrupting",
  unless: needs(prompt),
  run: (bench) =>
    Effect.gen(function* () {
      const opened = yield* bench.open()
      const begun = yield* opened.begin(bench.prompts[prompt]!)
      yield* reached(opened, begun)
      yield* opened.session.interrupt(begun.providerTurnId)
      yield* ends(opened, begun, "interrupted")
      yield* works(bench, opened)
    })
})

/** Kills the provider's process in some state: the stream ends at once with an unclean exit. */
const killedIn = (
  state: string,
  prompt: keyof Prompts | null,
  reached: (opened: Opened, begun: Begun) => Effect.Effect<unknown, NotHeard>
): Check => ({
  name: `the death of the process ${state} ends the stream with an unclean exit`,
  scenario: "Its process dies",
  unless: prompt === null ? needs() : needs(prompt),
  run: (bench) =>
    Effect.gen(function* () {
      const opened = yield* bench.open()
      const begun = yield* prompt === null
        ? opened.run(bench.prompts.text)
        : opened.begin(bench.prompts[prompt]!)
      yield* reached(opened, begun)
      yield* bench.kill(opened)
      yield* exits(opened, false)
      yield* fails(opened.session.send(opened.prompt(bench.prompts.text)), "SessionGone", "Unavailable")
      yield* fails(opened.session.stop("stop"), "SessionGone")
    })
})

const checks: ReadonlyArray<Check> = [
  {
    name: "it is what its driver says it is, and its probe answers",
    scenario: "Found and asked",
    run: ({ provider, capabilities }) =>
      Effect.gen(function* () {
        assert.deepEqual(provider.capabilities, capabilities)
        const health = yield* provider.probe
        assert.equal(health.status, "ready")
        assert.ok(health.models.filter((model) => model.isDefault).length <= 1)
      })
  },

  // A turn, from its start to its end.
  {
    name: "a turn ends in exactly one terminal event, and completes on the provider's word",
    scenario: "A streamed answer",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.run(bench.prompts.text)
        yield* ends(opened, begun, "completed")
        assert.deepEqual(opened.listener.breaches(), [])
        const [message] = messagesOf(opened, begun)
        assert.ok(message !== undefined && message.end === "completed")
        // What was streamed is what the completion says, where it says it.
        const streamed = streamedOf(opened, begun.providerTurnId, message.providerItemId)
        assert.notEqual(message.text ?? streamed, "")
        if (message.text !== null && streamed !== "") assert.equal(streamed, message.text)
      })
  },
  {
    name: "the events of a turn carry our turn id, or come after send has answered",
    scenario: "A streamed answer",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const prompt = opened.prompt(bench.prompts.text)
        const { providerTurnId } = yield* opened.session.send(prompt)
        // Only what was heard up to here may have come too early.
        const early = opened.listener
          .heard()
          .some((event) => "providerTurnId" in event && event.providerTurnId === providerTurnId)
        const marked = startOf(opened.listener, prompt.turnId)?.providerTurnId
        assert.ok(!early || marked === providerTurnId)
        yield* ends(opened, { prompt, providerTurnId }, "completed")
        const [first] = opened.listener
          .heard()
          .filter((event) => "providerTurnId" in event && event.providerTurnId === providerTurnId)
        assert.equal(first?.type, "turn.started")
      })
  },
  {
    name: "turns follow one another under different names",
    scenario: "A streamed answer",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const one = yield* opened.run(bench.prompts.text)
        const two = yield* opened.run(bench.prompts.text)
        assert.notEqual(one.providerTurnId, two.providerTurnId)
        yield* ends(opened, two, "completed")
      })
  },
  {
    name: "a turn that fails says why, fails once, and leaves the session usable",
    scenario: "A failed turn",
    unless: needs("fail"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.run(bench.prompts.fail!)
        yield* ends(opened, begun, "failed")
        const end = endOf(opened.listener, begun.providerTurnId)
        const [final] = opened.listener.of("error.final")
        assert.notEqual(final?.message ?? (end?.type === "turn.completed" ? end.message : null) ?? "", "")
        assert.equal(opened.listener.of("session.exited").length, 0)
        yield* works(bench, opened)
      })
  },
  {
    name: "a transient error is marked transient, and a retry begins its message anew",
    scenario: "A bad connection",
    unless: needs("transient"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.run(bench.prompts.transient!)
        yield* ends(opened, begun, "completed")
        assert.ok(opened.listener.of("error.transient").length > 0)
        assert.deepEqual(opened.listener.of("error.final"), [])
        // The whole answer stands in one item of its own: the cut half is not in front of it.
        const message = messagesOf(opened, begun).at(-1)
        assert.ok(message !== undefined)
        const streamed = streamedOf(opened, begun.providerTurnId, message.providerItemId)
        if (message.text !== null && streamed !== "") assert.equal(streamed, message.text)
      })
  },
  {
    name: "a retry that gives up fails the turn, once",
    scenario: "A bad connection",
    unless: needs("retrying"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.retrying!)
        yield* ends(opened, begun, "failed")
        yield* works(bench, opened)
      })
  },
  {
    name: "a native message that nobody knows is kept as unknown and harms nothing",
    scenario: "Unknown messages",
    unless: needs("unknown"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.run(bench.prompts.unknown!)
        yield* ends(opened, begun, "completed")
        assert.ok(opened.listener.of("unknown").length > 0)
      })
  },
  {
    name: "a malformed line does not end the session",
    scenario: "Unknown messages",
    unless: ({ garbles }) => (garbles ? null : `${notProvoked}: a malformed line`),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        yield* bench.garble(opened)
        yield* works(bench, opened)
      })
  },

  {
    name: "what a turn used is told",
    scenario: "Usage",
    unless: can("usage"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.run(bench.prompts.text)
        // Some tell it behind the turn's end, and then of the session as a whole.
        const told = yield* opened.listener.first(
          "usage",
          ({ providerTurnId }) => providerTurnId === null || providerTurnId === begun.providerTurnId
        )
        assert.ok(told.usage.inputTokens + told.usage.outputTokens > 0)
      })
  },
  {
    name: "a turn in plan mode completes, and so does the next one in the usual mode",
    scenario: "Plan mode",
    unless: can("planMode"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const prompt = { ...opened.prompt(bench.prompts.text), interactionMode: "plan" as const }
        const { providerTurnId } = yield* opened.session.send(prompt)
        yield* ends(opened, { prompt, providerTurnId }, "completed")
        yield* works(bench, opened)
      })
  },
  {
    name: "sessions that work at the same time hear of their own turns only",
    scenario: "Several threads at once",
    run: (bench) =>
      Effect.gen(function* () {
        const all = [yield* bench.open(), yield* bench.open()]
        const begun = yield* Effect.forEach(all, (opened) => opened.begin(bench.prompts.slow))
        for (const [index, opened] of all.entries()) yield* streams(opened, begun[index]!)
        for (const [index, opened] of all.entries()) {
          yield* opened.session.interrupt(begun[index]!.providerTurnId)
          yield* ends(opened, begun[index]!, "interrupted")
          const heard = opened.listener
            .heard()
            .flatMap((event) => ("providerTurnId" in event ? (event.providerTurnId ?? []) : []))
          assert.deepEqual([...new Set(heard)], [begun[index]!.providerTurnId])
        }
      })
  },

  // Interrupting.
  interruptedIn("has only just been sent", "slow", () => Effect.void),
  interruptedIn("streams", "slow", streams),
  interruptedIn("is silent", "stall", streams),
  interruptedIn("runs a tool", "tool", (opened) =>
    opened.listener.first("item.started", (event) => event.kind === "command")
  ),
  interruptedIn("waits for an approval", "approval", asks),
  interruptedIn("waits to retry", "retrying", (opened) => opened.listener.first("error.transient")),
  {
    name: "an interrupt that names no turn ends the one that runs",
    scenario: "Interrupting",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.slow)
        yield* streams(opened, begun)
        yield* opened.session.interrupt(null)
        yield* ends(opened, begun, "interrupted")
      })
  },
  {
    name: "an interrupt of a turn that is over, or of none, says TurnMismatch",
    scenario: "Interrupting",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        yield* fails(opened.session.interrupt(null), "TurnMismatch")
        const begun = yield* opened.run(bench.prompts.text)
        yield* fails(opened.session.interrupt(begun.providerTurnId), "TurnMismatch")
        yield* fails(opened.session.interrupt(null), "TurnMismatch")
        yield* works(bench, opened)
      })
  },
  {
    name: "an interrupt of another turn says TurnMismatch and leaves the running one alone",
    scenario: "Interrupting",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const earlier = yield* opened.run(bench.prompts.text)
        const begun = yield* opened.begin(bench.prompts.slow)
        yield* fails(opened.session.interrupt(earlier.providerTurnId), "TurnMismatch")
        yield* fails(opened.session.interrupt(ProviderTurnId.make("no-such-turn")), "TurnMismatch")
        const heard = opened.listener.of("text.delta").length
        yield* opened.listener.until("more text", () => opened.listener.of("text.delta").length > heard)
        yield* opened.session.interrupt(begun.providerTurnId)
        yield* ends(opened, begun, "interrupted")
      })
  },

  // Sending while a turn runs.
  {
    name: "a send while a turn runs is refused and not delivered",
    scenario: "A message while it works",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.slow)
        yield* streams(opened, begun)
        const second = opened.prompt(bench.prompts.text)
        yield* fails(opened.session.send(second), "Rejected")
        yield* opened.session.interrupt(begun.providerTurnId)
        yield* ends(opened, begun, "interrupted")
        assert.equal(startOf(opened.listener, second.turnId), undefined)
        if (bench.capabilities.history) {
          const { turnId, messageId } = second
          const { resume } = opened.session
          const evidence = yield* bench.provider.evidence({ resume, turnId, messageId })
          assert.equal(evidence.type, "absent")
        }
      })
  },
  {
    name: "steering puts a message into the running turn and starts no other",
    scenario: "Steering",
    unless: can("steer"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.slow)
        yield* streams(opened, begun)
        yield* opened.session.steer(opened.prompt(bench.prompts.text), begun.providerTurnId)
        yield* opened.session.interrupt(begun.providerTurnId)
        yield* ends(opened, begun, "interrupted")
        assert.equal(opened.listener.of("turn.started").length, 1)
      })
  },
  {
    name: "steering into a turn that does not run says TurnMismatch",
    scenario: "Steering",
    unless: can("steer"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const earlier = yield* opened.run(bench.prompts.text)
        const { steer } = opened.session
        yield* fails(steer(opened.prompt(bench.prompts.text), earlier.providerTurnId), "TurnMismatch")
        yield* fails(steer(opened.prompt(bench.prompts.text), null), "TurnMismatch")
        const begun = yield* opened.begin(bench.prompts.slow)
        yield* fails(steer(opened.prompt(bench.prompts.text), earlier.providerTurnId), "TurnMismatch")
        yield* opened.session.interrupt(begun.providerTurnId)
        yield* ends(opened, begun, "interrupted")
      })
  },
  {
    name: "steering is refused as unsupported where the provider cannot",
    scenario: "A message while it works",
    unless: ({ capabilities }) => (capabilities.steer ? `${notNeeded}: it can steer` : null),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.slow)
        const steered = opened.session.steer(opened.prompt(bench.prompts.text), begun.providerTurnId)
        yield* fails(steered, "Unsupported")
        yield* opened.session.interrupt(begun.providerTurnId)
        yield* ends(opened, begun, "interrupted")
      })
  },

  // Requests.
  {
    name: "an accepted approval lets the command run; a second answer says RequestGone",
    scenario: "Approvals",
    unless: can("approvals", "approval"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.approval!)
        const { requestKey, ask } = yield* asks(opened, begun)
        assert.ok(ask.decisions.includes("accept"))
        yield* decide(opened, requestKey, "accept")
        yield* fails(decide(opened, requestKey, "accept"), "RequestGone")
        yield* ends(opened, begun, "completed")
        assert.ok(
          opened.listener
            .of("item.completed")
            .some((item) => item.kind === "command" && item.end === "completed")
        )
        yield* fails(decide(opened, requestKey, "accept"), "RequestGone")
      })
  },
  {
    name: "a declined approval declines the command, and the turn goes on",
    scenario: "Approvals",
    unless: can("approvals", "approval"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.approval!)
        const { requestKey } = yield* asks(opened, begun)
        yield* decide(opened, requestKey, "decline")
        yield* ends(opened, begun, "completed")
        assert.ok(
          opened.listener
            .of("item.completed")
            .some((item) => item.kind === "command" && item.end === "declined")
        )
        assert.ok(messagesOf(opened, begun).length > 0)
      })
  },
  {
    name: "a cancelled approval interrupts the turn",
    scenario: "Approvals",
    unless: can("approvals", "approval"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.approval!)
        const { requestKey } = yield* asks(opened, begun)
        yield* decide(opened, requestKey, "cancel")
        yield* ends(opened, begun, "interrupted")
        yield* works(bench, opened)
      })
  },
  {
    name: "an answer to a request nobody asked, or whose turn is over, says RequestGone",
    scenario: "Approvals",
    unless: can("approvals", "approval"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        yield* fails(decide(opened, "no-such-request", "accept"), "RequestGone")
        const begun = yield* opened.begin(bench.prompts.approval!)
        const { requestKey } = yield* asks(opened, begun)
        yield* opened.session.interrupt(begun.providerTurnId)
        yield* ends(opened, begun, "interrupted")
        yield* fails(decide(opened, requestKey, "accept"), "RequestGone")
      })
  },
  {
    name: "an answer after the provider's death is a typed error",
    scenario: "Approvals",
    unless: can("approvals", "approval"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.approval!)
        const { requestKey } = yield* asks(opened, begun)
        yield* bench.kill(opened)
        yield* exits(opened, false)
        yield* fails(decide(opened, requestKey, "accept"), "RequestGone", "SessionGone")
      })
  },
  {
    name: "an answered question lets the turn complete",
    scenario: "Questions",
    unless: can("questions", "question"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.question!)
        const { requestKey, kind, ask } = yield* asks(opened, begun)
        assert.equal(kind, "question")
        const answers = Object.fromEntries(
          ask.questions.map(({ id, options }) => [id, [options[0]?.label ?? "yes"]])
        )
        yield* opened.session.answer(requestKey, { decision: null, answers })
        yield* ends(opened, begun, "completed")
      })
  },

  // Death.
  killedIn("at rest", null, () => Effect.void),
  killedIn("in mid-stream", "slow", streams),
  killedIn("in a tool", "tool", (opened) =>
    opened.listener.first("item.started", (event) => event.kind === "command")
  ),
  killedIn("in a pending approval", "approval", asks),
  killedIn("in a retry", "retrying", (opened) => opened.listener.first("error.transient")),
  {
    name: "after a death the session is listed no more, and the thread can be opened again",
    scenario: "Its process dies",
    run: (bench) =>
      Effect.gen(function* () {
        const first = yield* bench.open()
        yield* works(bench, first)
        yield* bench.kill(first)
        yield* exits(first, false)
        assert.equal(yield* liveOf(bench, first), undefined)
        const second = yield* bench.open({
          threadId: first.options.threadId,
          generation: 2,
          resume: first.session.resume
        })
        yield* works(bench, second)
      })
  },

  // Stopping.
  {
    name: "a stop at rest ends the session cleanly; a second one says SessionGone",
    scenario: "Stopping",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        yield* works(bench, opened)
        yield* opened.session.stop("stop")
        yield* exits(opened, true)
        yield* fails(opened.session.stop("stop"), "SessionGone")
        yield* fails(opened.session.send(opened.prompt(bench.prompts.text)), "SessionGone")
      })
  },
  ...(["stop", "kill"] as const).map((step): Check => ({
    name: `a ${step} in mid-stream ends the session`,
    scenario: "Stopping",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.slow)
        yield* streams(opened, begun)
        yield* opened.session.stop(step)
        yield* opened.listener.endedPromptly
        // Whether a kill counts as clean is the adapter's to say; a stop was asked for and went in order.
        if (step === "stop") yield* exits(opened, true)
        yield* fails(opened.session.send(opened.prompt(bench.prompts.text)), "SessionGone", "Unavailable")
      })
  })),
  ...(["stop", "kill"] as const).map((step): Check => ({
    name: `a ${step} in a tool leaves no command behind`,
    scenario: "Stopping",
    unless: (means) =>
      means.findsSurvivors ? needs("tool")(means) : `${notProvoked}: a look for what survives`,
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open({ runtimeMode: "full_access" })
        yield* opened.begin(bench.prompts.tool!)
        yield* opened.listener.first("item.started", (event) => event.kind === "command")
        yield* opened.session.stop(step)
        yield* exits(opened, true)
        assert.deepEqual(yield* bench.survivors, [])
      })
  })),
  {
    name: "closing its scope ends the session",
    scenario: "Stopping",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const begun = yield* opened.begin(bench.prompts.slow)
        yield* streams(opened, begun)
        yield* opened.close
        yield* opened.listener.endedPromptly
        yield* fails(opened.session.send(opened.prompt(bench.prompts.text)), "SessionGone", "Unavailable")
        assert.deepEqual(yield* liveOf(bench, opened), undefined)
      })
  },
  {
    name: "stopping one session leaves the others alone",
    scenario: "Several threads at once",
    run: (bench) =>
      Effect.gen(function* () {
        const one = yield* bench.open()
        const two = yield* bench.open()
        const begun = yield* two.begin(bench.prompts.slow)
        yield* streams(two, begun)
        yield* one.session.stop("stop")
        yield* exits(one, true)
        const heard = two.listener.of("text.delta").length
        yield* two.listener.until("more text", () => two.listener.of("text.delta").length > heard)
        yield* two.session.interrupt(begun.providerTurnId)
        yield* ends(two, begun, "interrupted")
      })
  },

  // The truth.
  {
    name: "the listing names the sessions that are alive and the turn that runs",
    scenario: "Telling the truth",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        assert.deepEqual(yield* liveOf(bench, opened), { generation: 1, activeProviderTurnId: null })
        const begun = yield* opened.begin(bench.prompts.slow)
        const { providerTurnId } = begun
        assert.deepEqual(yield* liveOf(bench, opened), {
          generation: 1,
          activeProviderTurnId: providerTurnId
        })
        yield* opened.session.interrupt(providerTurnId)
        yield* ends(opened, begun, "interrupted")
        assert.deepEqual(yield* liveOf(bench, opened), { generation: 1, activeProviderTurnId: null })
        yield* opened.session.stop("stop")
        yield* opened.listener.endedPromptly
        assert.equal(yield* liveOf(bench, opened), undefined)
      })
  },
  {
    name: "a probe tells a running turn from one that is over",
    scenario: "Telling the truth",
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const earlier = yield* opened.run(bench.prompts.text)
        const begun = yield* opened.begin(bench.prompts.slow)
        assert.equal((yield* opened.session.probe(begun.providerTurnId)).type, "running")
        const truth = yield* opened.session.probe(earlier.providerTurnId)
        assert.ok(truth.type === "gone" || (truth.type === "ended" && truth.outcome === "completed"))
        yield* opened.session.interrupt(begun.providerTurnId)
        yield* ends(opened, begun, "interrupted")
        assert.notEqual((yield* opened.session.probe(begun.providerTurnId)).type, "running")
      })
  },
  {
    name: "the record knows what was delivered, what runs and how it ended",
    scenario: "A record to ask",
    unless: can("history"),
    run: (bench) =>
      Effect.gen(function* () {
        const { evidence } = bench.provider
        const opened = yield* bench.open()
        const done = yield* opened.run(bench.prompts.text)
        const resume = resumeOf(opened)
        const ended = yield* evidence({ resume, ...done.prompt })
        assert.ok(ended.type === "found" && !ended.running)
        assert.equal(ended.providerTurnId, done.providerTurnId)
        assert.equal(ended.outcome, "completed")
        const [message] = messagesOf(opened, done)
        assert.deepEqual(
          ended.texts.filter((text) => text.kind === "assistant_message").map((text) => text.text),
          [message?.text ?? streamedOf(opened, done.providerTurnId, message?.providerItemId ?? "")]
        )
        const begun = yield* opened.begin(bench.prompts.slow)
        yield* streams(opened, begun)
        const running = yield* evidence({ resume, ...begun.prompt })
        assert.ok(running.type === "found" && running.running)
        yield* opened.session.interrupt(begun.providerTurnId)
        yield* ends(opened, begun, "interrupted")
        const interrupted = yield* evidence({ resume, ...begun.prompt })
        assert.ok(
          interrupted.type === "found" && !interrupted.running && interrupted.outcome === "interrupted"
        )
        const never = yield* evidence({ resume, ...opened.prompt(bench.prompts.text) })
        assert.equal(never.type, "absent")
      })
  },
  {
    name: "the record outlives the provider's death, and a turn it cut is not completed",
    scenario: "A record to ask",
    unless: can("history"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const done = yield* opened.run(bench.prompts.text)
        const cut = yield* opened.begin(bench.prompts.slow)
        yield* streams(opened, cut)
        const resume = resumeOf(opened)
        yield* bench.kill(opened)
        yield* exits(opened, false)
        const { evidence } = bench.provider
        const ended = yield* evidence({ resume, ...done.prompt })
        assert.ok(ended.type === "found" && !ended.running && ended.outcome === "completed")
        const lost = yield* evidence({ resume, ...cut.prompt })
        assert.ok(lost.type === "found" && !lost.running && lost.outcome !== "completed")
      })
  },
  {
    name: "a turn that was only just sent is not over in the record",
    scenario: "A record to ask",
    unless: can("history"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const prompt = opened.prompt(bench.prompts.slow)
        const { providerTurnId } = yield* opened.session.send(prompt)
        // It may not be written yet; what must not be said is that it ended.
        const early = yield* bench.provider.evidence({ resume: resumeOf(opened), ...prompt })
        assert.ok(early.type !== "found" || early.running)
        yield* streams(opened, { prompt, providerTurnId })
        yield* opened.session.interrupt(providerTurnId)
        yield* ends(opened, { prompt, providerTurnId }, "interrupted")
      })
  },
  {
    name: "the record can be read while no session is open",
    scenario: "A record to ask",
    unless: can("history"),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const done = yield* opened.run(bench.prompts.text)
        yield* ends(opened, done, "completed")
        const resume = resumeOf(opened)
        yield* opened.close
        yield* opened.listener.endedPromptly
        const found = yield* bench.provider.evidence({ resume, ...done.prompt })
        assert.ok(found.type === "found" && !found.running && found.outcome === "completed")
        const never = yield* bench.provider.evidence({ resume, ...opened.prompt(bench.prompts.text) })
        assert.equal(never.type, "absent")
      })
  },
  {
    name: "without a record the provider says so instead of guessing",
    scenario: "Telling the truth",
    unless: ({ capabilities }) => (capabilities.history ? `${notNeeded}: it keeps a record` : null),
    run: (bench) =>
      Effect.gen(function* () {
        const opened = yield* bench.open()
        const done = yield* opened.run(bench.prompts.text)
        const evidence = yield* bench.provider.evidence({ resume: resumeOf(opened), ...done.prompt })
        assert.equal(evidence.type, "none")
      })
  },
  {
    name: "a conversation is resumed by its cursor, with its record",
    scenario: "Going on later",
    unless: can("resume"),
    run: (bench) =>
      Effect.gen(function* () {
        const first = yield* bench.open()
        const done = yield* first.run(bench.prompts.text)
        const resume = resumeOf(first)
        assert.notEqual(resume, null)
        yield* first.session.stop("stop")
        yield* first.listener.endedPromptly
        const second = yield* bench.open({ threadId: first.options.threadId, generation: 2, resume })
        assert.equal(second.session.notice, null)
        yield* works(bench, second)
        if (bench.capabilities.history) {
          const evidence = yield* bench.provider.evidence({
            resume: resumeOf(second),
            ...done.prompt
          })
          assert.equal(evidence.type, "found")
        }
      })
  },
  {
    name: "a cursor that names nothing is a typed error, or the loss of context is said",
    scenario: "Going on later",
    unless: can("resume"),
    run: (bench) =>
      Effect.gen(function* () {
        // The shape of an id that several providers use, and of none that exists.
        const opening = yield* Effect.result(bench.open({ resume: randomUUID() }))
        if (opening._tag === "Failure") assert.equal(opening.failure.fault.reason, "SessionGone")
        else assert.notEqual(opening.success.session.notice, null)
      })
  },

  // Load.
  {
    name: "a provider that prints faster than anybody reads is slowed or coalesced, and loses nothing",
    scenario: "More than one can read",
    unless: needs("flood"),
    run: (bench) =>
      Effect.gen(function* () {
        const { session, prompt } = yield* bench.openUnheard()
        const { providerTurnId } = yield* session.send(prompt(bench.prompts.flood!))
        if (bench.patience.clock === "virtual") yield* passUntil(() => false, bench.patience.pass, 200)
        const slowed = (yield* session.probe(providerTurnId)).type === "running"
        const listener = yield* listen(session, bench.patience)
        yield* listener.until("the end of the flood", () => endOf(listener, providerTurnId) !== undefined)
        assert.ok(slowed || listener.heard().length < 1_000, "the whole flood was buffered")
        const [message] = listener.of("item.completed").filter((item) => item.kind === "assistant_message")
        assert.ok(message !== undefined)
        const streamed = listener
          .of("text.delta")
          .map((delta) => delta.text)
          .join("")
        assert.ok(streamed.split(" ").length > 5_000)
        if (message.text !== null) assert.equal(streamed, message.text)
        assert.deepEqual(listener.breaches(), [])
      })
  },
  {
    name: "interrupt and stop are answered while nobody reads",
    scenario: "More than one can read",
    unless: needs("flood"),
    run: (bench) =>
      Effect.gen(function* () {
        const { session, prompt } = yield* bench.openUnheard()
        const { providerTurnId } = yield* session.send(prompt(bench.prompts.flood!))
        if (bench.patience.clock === "virtual") yield* passUntil(() => false, bench.patience.pass, 20)
        yield* session.interrupt(providerTurnId)
        yield* session.stop("stop")
        const listener = yield* listen(session, bench.patience)
        yield* listener.endedPromptly
        assert.deepEqual(listener.breaches(), [])
      })
  }
]

/** The scenario of each check, by its name. */
export const scenarioOf: ReadonlyMap<string, Scenario> = new Map(
  checks.map(({ name, scenario }) => [name, scenario])
)

/** The newest cursor: that of the opening, or the last that an event told. */
const resumeOf = ({ listener, session }: Opened): string | null =>
  listener.of("resume.changed").at(-1)?.resume ?? session.resume

const liveOf = ({ provider }: Bench, { options }: Opened) =>
  Effect.map(provider.listLive, (sessions) => {
    const found = sessions.find((session) => session.threadId === options.threadId)
    return found && { generation: found.generation, activeProviderTurnId: found.activeProviderTurnId }
  })
