/**
 * How a thread is brought to what is true of its session: by changing the tables, and where the session lives
 * on and nobody holds it, by holding it again first.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { Generation } from "@turnkeeper/domain/ids"
import { resumeOf } from "@turnkeeper/domain/thread/draft"
import type { Happening, Live } from "@turnkeeper/domain/thread/Owed"
import type { Occasion } from "@turnkeeper/domain/thread/reconcile"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { Missed, Provider } from "@turnkeeper/provider-kit/Provider"
import { Effect, Result } from "effect"
import type { Mailbox } from "../engine/Mailbox.ts"
import type { Projects } from "../projection/Projects.ts"
import type { Registry } from "../provider/Registry.ts"
import type { Sessions } from "../provider/Sessions.ts"
import { called } from "../reactor/Performer.ts"
import { directoryOf, optionsOf } from "../reactor/startSession.ts"
import type { ServerSettings } from "../Settings.ts"
import type { EventLog } from "../store/EventLog.ts"
import { heardTurn } from "./heardTurn.ts"

export interface Means {
  readonly log: EventLog["Service"]
  readonly projects: Projects["Service"]
  readonly registry: Registry["Service"]
  readonly sessions: Sessions["Service"]
  readonly settings: ServerSettings
}

/** Why a thread is looked at, and the version that it counts for; null: for whatever stands. */
export interface Look {
  readonly occasion: Occasion
  readonly version: number | null
}

/** The tables as the truth wants them. */
export const repair = Effect.fnUntraced(function* (
  means: Means,
  mailbox: Mailbox,
  live: Live,
  { occasion, version }: Look
) {
  yield* mailbox.reconcile(yield* proven(means, mailbox.current().state, live), occasion, version)
})

/** How a turn ended while nobody listened: nothing but the provider's own record can say (L7). */
const proven = Effect.fnUntraced(function* (
  { registry, settings }: Means,
  state: ThreadState,
  live: Live
): Effect.fn.Return<Live> {
  const { session } = state
  const turn = state.turns.find((open) => open.id === session.activeTurnId)
  const provider = session.provider === null ? undefined : registry.get(session.provider)
  if (live.type !== "idle" || turn === undefined || turn.messageId === null) return live
  if (provider === undefined || !provider.capabilities.history) return live
  const query = { resume: cursorOf(state), turnId: turn.id, messageId: turn.messageId }
  const read = yield* called(provider.evidence(query), settings.evidenceMs, "Reading the provider's record")
  if (Result.isFailure(read) || read.success.type !== "found" || read.success.running) return live
  const { providerTurnId, outcome, message, texts } = read.success
  return { ...live, last: { providerTurnId, outcome, message, texts } }
})

/**
 * A session that outlived the server is held again: without a hand on it nobody would hear its words or carry
 * out its stop. Where it cannot be opened the listing has to do, and the next look tries again.
 */
export const takeUp = Effect.fnUntraced(function* (
  means: Means,
  mailbox: Mailbox,
  listed: Live,
  { occasion, version }: Look
): Effect.fn.Return<void, StorageUnavailable> {
  // A start that was under way has succeeded: nothing is heard in a session that is still starting.
  const starting = mailbox.current().state.session.status === "starting"
  if (starting) yield* repair(means, mailbox, listed, { occasion, version })
  const { state } = mailbox.current()
  const { provider: owner } = state.session
  const provider = owner === null ? undefined : means.registry.get(owner)
  if (!state.session.open || provider === undefined)
    return yield* repair(means, mailbox, listed, { occasion, version })
  const cwd = yield* directoryOf(mailbox.threadId, state, means)
  // Without a cursor nobody can name the session: the next turn gets a new one.
  if (cwd === null || cursorOf(state) === null)
    return yield* mailbox.reconcile({ type: "absent" }, occasion, null)
  yield* holdAgain(
    means,
    mailbox,
    { listed, provider, cwd },
    { occasion, version: starting ? null : version }
  )
})

interface Found {
  readonly listed: Live
  readonly provider: Provider
  readonly cwd: string
}

/**
 * What the session did meanwhile is taken in first, then the tables are held against what is true behind it,
 * and only then its further words are heard.
 */
const holdAgain = Effect.fnUntraced(function* (
  means: Means,
  mailbox: Mailbox,
  { cwd, listed, provider }: Found,
  look: Look
): Effect.fn.Return<void, StorageUnavailable> {
  const { sessions, settings } = means
  const { threadId } = mailbox
  const { state } = mailbox.current()
  const { activeTurnId, generation } = state.session
  const of = { generation, turnId: activeTurnId, resume: resumeOf(state.session, provider.instanceId) }
  const rejoin = { heard: yield* heardTurn(means.log, threadId, mailbox.current()) }
  const opened = yield* called(
    sessions.open(provider, { ...optionsOf(threadId, of, state, cwd), rejoin }),
    settings.openMs,
    "Taking the session up again"
  )
  if (Result.isSuccess(opened)) {
    const { missed } = opened.success
    if (missed === undefined) yield* repair(means, mailbox, listed, look)
    else {
      yield* takeIn(mailbox, generation, missed)
      yield* repair(means, mailbox, behind(missed, generation), { ...look, version: null })
    }
    return yield* sessions.listen(threadId, generation)
  }
  yield* sessions.close(threadId, generation)
  yield* Effect.logWarning(
    `The session of thread ${threadId} could not be taken up again: ${opened.failure.message}`
  )
  const gone = opened.failure.reason === "SessionGone"
  yield* repair(means, mailbox, gone ? { type: "absent" } : listed, { ...look, version: null })
})

/** In order, and behind all that had been heard of the generation. */
const takeIn = (mailbox: Mailbox, generation: Generation, { events }: Missed) => {
  const { seen } = mailbox.current().state.session
  return mailbox.hear(
    events.map((event, index): Happening => ({ type: "provider", generation, seq: seen + index + 1, event })),
    { type: "provider", generation }
  )
}

const behind = ({ running }: Missed, generation: Generation): Live =>
  running === null ? { type: "idle", generation, last: null } : { type: "running", generation, ...running }

const cursorOf = ({ session }: ThreadState): string | null =>
  resumeOf(session, session.provider)?.cursor ?? null
