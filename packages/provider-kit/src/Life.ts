/**
 * The life of an adapter's session: what may be asked of it when, and its one end.
 *
 *     open ──stop──▶ stopping ──it succeeded──▶ over
 *       ▲               │ it failed
 *       └───────────────┘
 *
 * Promises: `session.exited` is said once and last; nothing is asked of a provider for a session that has
 * ended; a stop that fails leaves the session as it was (L9).
 */
import { Effect, Semaphore } from "effect"
import type { Outbox } from "./Outbox.ts"
import type { ProviderSession } from "./Provider.ts"
import type { Fail, Operation, ProviderError } from "./ProviderError.ts"

export interface Life {
  readonly isOver: () => boolean
  readonly isStopping: () => boolean
  /** The last event. Does nothing the second time. */
  readonly exit: (clean: boolean, message: string | null) => void
  /** `SessionGone` for a session that has ended. */
  readonly whileOpen: <A>(
    operation: Operation,
    effect: () => Effect.Effect<A, ProviderError>
  ) => Effect.Effect<A, ProviderError>
  /** As `whileOpen`, for what begins something: `Rejected` while the session is being stopped. */
  readonly whileNotStopping: Life["whileOpen"]
  /** One stop at a time; a kill never waits for a stop that is under way. */
  readonly stop: ProviderSession["stop"]
}

export interface LifeOptions {
  /** What people call the provider: `Codex`, in "This Codex session has ended.". */
  readonly name: string
  readonly fail: Fail
  readonly outbox: Pick<Outbox, "end">
  /** Both succeed only when the end is proven. Null: there is no process of ours to kill, and a stop has to do. */
  readonly ways: {
    readonly stop: Effect.Effect<unknown, ProviderError>
    readonly kill: Effect.Effect<unknown, ProviderError> | null
  }
  /** Before the last event. */
  readonly onExit: () => void
  /** It is about to end by itself, and takes nothing any more. */
  readonly isLeaving?: () => boolean
}

export const make = ({ fail, isLeaving, name, onExit, outbox, ways }: LifeOptions): Life => {
  const lock = Semaphore.makeUnsafe(1)
  let state: "open" | "stopping" | "over" = "open"
  let killAsked = false

  const isOver = () => state === "over"
  const isStopping = () => state === "stopping"

  const exit = (clean: boolean, message: string | null) => {
    if (isOver()) return
    state = "over"
    onExit()
    // Asked for, a kill is no crash.
    outbox.end({ type: "session.exited", clean: clean || killAsked, message: killAsked ? null : message })
  }

  const whileOpen: Life["whileOpen"] = (operation, effect) =>
    Effect.suspend(() =>
      isOver() || isLeaving?.() === true
        ? Effect.fail(fail(operation, "SessionGone", `This ${name} session has ended.`))
        : effect()
    )

  const stop = (step: "stop" | "kill") =>
    whileOpen("stop", () => {
      const kill = step === "kill" ? ways.kill : null
      state = "stopping"
      if (kill !== null) killAsked = true
      return (kill ?? ways.stop).pipe(
        Effect.andThen(Effect.sync(() => exit(true, null))),
        // It ended by itself meanwhile: that is what was asked for.
        Effect.mapError((error) => (isOver() ? fail("stop", "SessionGone", error.fault.message) : error)),
        Effect.ensuring(Effect.sync(() => void (isStopping() && (state = "open"))))
      )
    })

  return {
    isOver,
    isStopping,
    exit,
    whileOpen,
    whileNotStopping: (operation, effect) =>
      whileOpen(operation, () =>
        isStopping()
          ? Effect.fail(fail(operation, "Rejected", `This ${name} session is being stopped.`))
          : effect()
      ),
    stop: (step) => (step === "kill" ? stop(step) : lock.withPermit(stop(step)))
  }
}
