/**
 * Ends a generation. A session that is not there is stopped (L9); one that outlived an earlier server and is
 * not held by this one is there all the same: it is taken up, to be stopped.
 */
import type { Fault } from "@turnkeeper/domain/runtime/Fault"
import { resumeOf } from "@turnkeeper/domain/thread/draft"
import type { StopStep } from "@turnkeeper/domain/thread/Event"
import type { Provider, ProviderSession } from "@turnkeeper/provider-kit/Provider"
import { Effect, Result } from "effect"
import type { ServerSettings } from "../Settings.ts"
import { called, outcome } from "./Performer.ts"
import type { Means, Performer, Task } from "./Performer.ts"
import { directoryOf, optionsOf } from "./startSession.ts"
import { livesUnheld, outlivingProvider } from "./there.ts"
import type { There } from "./there.ts"

export const stopSession: Performer<"session.stop"> = (task, means) =>
  Effect.gen(function* () {
    const { threadId, owed } = task
    const { sessions, settings } = means
    const { generation, step } = owed
    const there = yield* sessionOf(task, means)
    const stopped: Result.Result<unknown, Fault> = Result.isSuccess(there)
      ? yield* stop(there.success, step, settings)
      : there
    if (Result.isFailure(stopped) && stopped.failure.reason !== "SessionGone") {
      return outcome({ type: "stop.failed", generation, step, fault: stopped.failure })
    }
    // Also where it is still being opened: closing its scope ends what was begun.
    yield* sessions.close(threadId, generation)
    return outcome({ type: "stop.ok", generation })
  })

const stop = (
  session: ProviderSession | undefined,
  step: StopStep,
  { stopMs }: ServerSettings
): Effect.Effect<Result.Result<void, Fault>> =>
  session === undefined
    ? Effect.succeed(Result.succeed(undefined))
    : called(session.stop(step), stopMs, "Stopping the session")

/** The session, held or taken up. */
const sessionOf = (task: Task<"session.stop">, means: Means): Effect.Effect<There> =>
  Effect.suspend(() => {
    const { threadId, owed, state } = task
    const { sessions } = means
    const provider = outlivingProvider(task, means)
    const held = sessions.get(threadId, owed.generation)
    if (held !== undefined || provider === undefined) return Effect.succeed(Result.succeed(held))
    // A first start is ended by closing it. One that is being taken up may be at work: it is waited for.
    if (sessions.holds(threadId, -1)) {
      return state.session.status === "starting"
        ? Effect.succeed(Result.succeed(undefined))
        : called(sessions.opened(threadId, owed.generation), means.settings.openMs, "Taking the session up")
    }
    return takenUp(task, means, provider)
  })

const takenUp = Effect.fnUntraced(function* (
  task: Task<"session.stop">,
  means: Means,
  provider: Provider
): Effect.fn.Return<There> {
  const { threadId, owed, state } = task
  const { projects, sessions, settings } = means
  const { generation } = owed
  const lives = yield* livesUnheld(task, means, provider)
  if (Result.isFailure(lives)) return Result.fail(lives.failure)
  if (!lives.success) return Result.succeed(undefined)
  const resume = resumeOf(state.session, provider.instanceId)
  const cwd = yield* directoryOf(threadId, state, { projects })
  if (resume === null || cwd === null) {
    return Result.fail({ reason: "Unavailable", message: "The session lives and has no name to reach it by" })
  }
  const of = { generation, turnId: state.session.activeTurnId, resume }
  const opened = yield* called(
    sessions.open(provider, optionsOf(threadId, of, state, cwd)),
    settings.openMs,
    "Taking the session up"
  )
  if (Result.isFailure(opened)) yield* sessions.close(threadId, generation)
  return opened
})
