/**
 * What a program says may repeat what it was given: a key, a password. This is the one door through which an
 * adapter's words come into the server: its health, its errors, its events about itself, and what is logged
 * while it works. Secrets are taken out of all of them here, so that neither the log, the tables, a client nor
 * `doctor` ever has them.
 *
 * Not changed is the conversation: the text of answers, commands and what they print, and what the user is
 * asked to approve. It has to be shown as it is.
 */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import type { Evidence } from "@turnkeeper/domain/thread/Owed"
import type { Health, Missed, Provider, ProviderSession, TurnTruth } from "@turnkeeper/provider-kit/Provider"
import { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Cause, Effect, Logger, Stream } from "effect"
import type { Scope } from "effect"

/** Takes secrets out of a text. */
type Hide = (text: string) => string

/** `secrets`: values of settings and of the environment, each long enough to be no common word. */
const hiding = (secrets: ReadonlyArray<string>): Hide => {
  const forms = secrets.flatMap((secret) => [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret)
  ])
  // The longest first: one that is part of another must not leave the rest of it behind.
  const wanted = [...new Set(forms)].toSorted((a, b) => b.length - a.length)
  return (text) => wanted.reduce((said, form) => said.replaceAll(form, "…"), text)
}

/** Makes the adapter, which from then on gives no secret away. */
export const concealed = (
  secrets: ReadonlyArray<string>,
  adapter: Effect.Effect<Provider, never, Scope.Scope>
): Effect.Effect<Provider, never, Scope.Scope> =>
  secrets.length === 0
    ? adapter
    : Effect.map(guarded(hiding(secrets))(adapter), providerWith(hiding(secrets)))

const providerWith =
  (hide: Hide) =>
  (provider: Provider): Provider => {
    const guard = guarded(hide)
    return {
      ...provider,
      probe: Effect.map(guard(provider.probe), healthWith(hide)),
      open: (options) => Effect.map(guard(provider.open(options)), sessionWith(hide)),
      listLive: guard(provider.listLive),
      evidence: (query) => Effect.map(guard(provider.evidence(query)), evidenceWith(hide))
    }
  }

type Guard = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Its failure, and what is logged by it and by all that it starts. */
const guarded =
  (hide: Hide): Guard =>
  (effect) =>
    Effect.catchCause(effect, (cause) => Effect.failCause(causeWith(hide)(cause))).pipe(
      Effect.updateService(
        Logger.CurrentLoggers,
        (loggers) => new Set([...loggers].map((logger) => loggerWith(hide, logger)))
      )
    )

const loggerWith = <Output>(hide: Hide, logger: Logger.Logger<unknown, Output>) =>
  Logger.make<unknown, Output>((entry) =>
    logger.log({ ...entry, message: valueWith(hide)(entry.message), cause: causeWith(hide)(entry.cause) })
  )

const causeWith =
  (hide: Hide) =>
  <E>(cause: Cause.Cause<E>): Cause.Cause<E> =>
    Cause.fromReasons(
      cause.reasons.map((reason) => {
        if (Cause.isFailReason(reason)) return Cause.makeFailReason(failureWith(hide, reason.error))
        return Cause.isDieReason(reason) ? Cause.makeDieReason(valueWith(hide)(reason.defect)) : reason
      })
    )

/** The native error is for the log, and may hold anything: it is left behind. */
const failureWith = <E>(hide: Hide, error: E): E =>
  error instanceof ProviderError
    ? (new ProviderError({
        provider: error.provider,
        operation: error.operation,
        fault: { ...error.fault, message: hide(error.fault.message) }
      }) as E)
    : error

const depthMax = 6

/** Whatever is logged or thrown. An error keeps its kind in its name, and nothing but its words. */
const valueWith =
  (hide: Hide, depth = 0) =>
  (value: unknown): unknown => {
    if (typeof value === "string") return hide(value)
    if (value instanceof Error) return errorWith(hide, value)
    if (typeof value !== "object" || value === null) return value
    if (depth >= depthMax) return "…"
    const inside = valueWith(hide, depth + 1)
    if (Array.isArray(value)) return value.map(inside)
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, inside(each)]))
  }

const errorWith = (hide: Hide, { message, name, stack }: Error): Error => {
  const error = new Error(hide(message))
  error.name = name
  error.stack = hide(stack ?? "")
  return error
}

const textOrNull = (hide: Hide, text: string | null) => (text === null ? null : hide(text))

const healthWith =
  (hide: Hide) =>
  (health: Health): Health => ({
    ...health,
    version: textOrNull(hide, health.version),
    advice: textOrNull(hide, health.advice)
  })

const evidenceWith =
  (hide: Hide) =>
  (evidence: Evidence): Evidence =>
    "message" in evidence && evidence.message !== null
      ? { ...evidence, message: hide(evidence.message) }
      : evidence

const truthWith =
  (hide: Hide) =>
  (truth: TurnTruth): TurnTruth =>
    truth.type === "ended" ? { ...truth, message: textOrNull(hide, truth.message) } : truth

const missedWith = (hide: Hide, missed: Missed): Missed => ({
  ...missed,
  events: missed.events.map(eventWith(hide))
})

const sessionWith =
  (hide: Hide) =>
  (session: ProviderSession): ProviderSession => {
    const guard = guarded(hide)
    return {
      ...session,
      notice: textOrNull(hide, session.notice),
      events: session.events.pipe(
        Stream.map(eventWith(hide)),
        Stream.catchCause((cause) => Stream.failCause(causeWith(hide)(cause)))
      ),
      ...(session.missed !== undefined && { missed: missedWith(hide, session.missed) }),
      send: (prompt) => guard(session.send(prompt)),
      steer: (prompt, into) => guard(session.steer(prompt, into)),
      interrupt: (turn) => guard(session.interrupt(turn)),
      answer: (requestKey, answer) => guard(session.answer(requestKey, answer)),
      probe: (turn) => Effect.map(guard(session.probe(turn)), truthWith(hide)),
      stop: (step) => guard(session.stop(step))
    }
  }

/** The words of a provider about itself and its turns. */
const eventWith =
  (hide: Hide) =>
  (event: ProviderEvent): ProviderEvent => {
    switch (event.type) {
      case "session.exited":
      case "turn.completed":
      case "turn.aborted":
        return event.message === null ? event : { ...event, message: hide(event.message) }
      case "error.transient":
      case "error.final":
      case "notice":
        return { ...event, message: hide(event.message) }
      case "unknown":
        return { ...event, method: hide(event.method) }
      case "resume.changed":
      case "turn.started":
      case "item.started":
      case "item.updated":
      case "item.completed":
      case "text.delta":
      case "request.opened":
      case "request.resolved":
      case "usage":
        return event
    }
  }
