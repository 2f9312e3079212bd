/**
 * How each kind of owed effect is done: a provider call in, its outcome out.
 *
 * One entry per kind, by type: a new kind does not compile without one. A performer always answers: what
 * it cannot know it calls unknown.
 */
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { Fault } from "@turnkeeper/domain/runtime/Fault"
import type { Happening, Outcome, OwedOf, OwedType } from "@turnkeeper/domain/thread/Owed"
import type { ThreadState } from "@turnkeeper/domain/thread/State"
import type { ProviderError } from "@turnkeeper/provider-kit/ProviderError"
import { Cause, Effect, Result } from "effect"
import type { Projects } from "../projection/Projects.ts"
import type { ThreadView } from "../projection/ThreadView.ts"
import type { Registry } from "../provider/Registry.ts"
import type { Sessions } from "../provider/Sessions.ts"
import type { ServerSettings } from "../Settings.ts"

/** What a performer may use. */
export interface Means {
  readonly registry: Registry["Service"]
  readonly sessions: Sessions["Service"]
  readonly view: ThreadView["Service"]
  readonly projects: Projects["Service"]
  readonly settings: ServerSettings
}

export interface Task<Type extends OwedType> {
  readonly threadId: ThreadId
  readonly owed: OwedOf<Type>
  /** The committed state, marker included. */
  readonly state: ThreadState
}

export interface Performed {
  readonly happening: Happening
  /** What may be done only when the outcome is committed. */
  readonly afterwards?: Effect.Effect<void>
}

export type Performer<Type extends OwedType> = (task: Task<Type>, means: Means) => Effect.Effect<Performed>

export const outcome = (made: Outcome, afterwards?: Effect.Effect<void>): Performed => ({
  happening: { type: "outcome", outcome: made },
  ...(afterwards !== undefined && { afterwards })
})

/**
 * A call with its bound: what it gave, or why not. Time running out and a broken adapter are faults like
 * any other, with the reason that says the least: it may have happened.
 */
export const called = <A>(
  call: Effect.Effect<A, ProviderError>,
  ms: number,
  what: string
): Effect.Effect<Result.Result<A, Fault>> =>
  call.pipe(
    Effect.mapError((error) => error.fault),
    Effect.timeoutOrElse({
      duration: ms,
      orElse: () =>
        Effect.fail<Fault>({ reason: "Unknown", message: `${what} took longer than ${ms / 1_000} s` })
    }),
    Effect.catchCause((cause) => {
      const failure = Cause.findError(cause)
      if (Result.isSuccess(failure)) return Effect.fail(failure.success)
      if (Cause.hasInterruptsOnly(cause))
        return Effect.fail<Fault>({ reason: "Unknown", message: `${what} was cut off` })
      return Effect.andThen(
        Effect.logError(`${what} broke`, cause),
        Effect.fail<Fault>({ reason: "Unknown", message: `${what} broke; the server's log says how` })
      )
    }),
    Effect.result
  )
