/**
 * One process for all sessions of a provider instance: started when it is first needed, ended when nothing
 * has needed it for a while, started anew after it died. The scope in which this is made ends it.
 *
 * Promise: there is at most one process at a time.
 */
import { Effect, Exit, Fiber, Scope, Semaphore } from "effect"
import type { Duration } from "effect"

export interface SharedProcess<Running, E> {
  /** A process that is ready, for as long as the scope is open. */
  readonly get: Effect.Effect<Running, E, Scope.Scope>
  /** The process, if one runs. None is started to find that out. */
  readonly current: () => Running | null
}

/**
 *     none ──get──▶ running ──died──▶ none
 *                     │  ▲
 *      nobody on it   ▼  │ get
 *                    idle ──time──▶ closed ──▶ none
 */
export const make = Effect.fnUntraced(function* <Running, E>(options: {
  /** How long a process that nobody needs is kept. */
  readonly idle: Duration.Input
  readonly start: Effect.Effect<Running, E, Scope.Scope>
  readonly isOver: (running: Running) => boolean
}): Effect.fn.Return<SharedProcess<Running, E>, never, Scope.Scope> {
  const owner = yield* Effect.scope
  const lock = Semaphore.makeUnsafe(1)
  let slot: { readonly running: Running; readonly scope: Scope.Closeable; users: number } | null = null
  let ending: Fiber.Fiber<void> | null = null

  const current = () => (slot === null || options.isOver(slot.running) ? null : slot.running)

  const closeSlot = Effect.suspend(() => {
    const closing = slot
    slot = null
    return closing === null ? Effect.void : Scope.close(closing.scope, Exit.void)
  })

  const startSlot = Effect.gen(function* () {
    yield* closeSlot
    const scope = yield* Scope.fork(owner)
    const running = yield* options.start.pipe(
      Scope.provide(scope),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    slot = { running, scope, users: 0 }
    return slot
  })

  const endWhenIdle = lock.withPermit(
    Effect.suspend(() => (slot !== null && slot.users === 0 ? closeSlot : Effect.void))
  )

  const release = (used: { users: number }) =>
    Effect.suspend(() => {
      used.users--
      if (used !== slot || used.users > 0) return Effect.void
      return Effect.sleep(options.idle).pipe(
        Effect.andThen(endWhenIdle),
        Effect.forkIn(owner),
        Effect.map((fiber) => void (ending = fiber))
      )
    })

  const get = Effect.acquireRelease(
    lock.withPermit(
      Effect.gen(function* () {
        if (ending !== null) yield* Fiber.interrupt(ending)
        ending = null
        const ready = slot !== null && current() !== null ? slot : yield* startSlot
        ready.users++
        return ready
      })
    ),
    release,
    { interruptible: true }
  ).pipe(Effect.map(({ running }) => running))

  return { get, current }
})

/** What the rule below asks of an adapter's session. */
export interface Endable {
  readonly isOver: () => boolean
  /** Nobody reads its events any more. */
  readonly abandon: () => void
  readonly stop: (step: "stop" | "kill") => Effect.Effect<void, unknown>
  readonly exit: (clean: boolean, message: string | null) => void
}

/** Who is heard by which session: by its own conversation, and by those that it started. */
export interface Listeners<Session> {
  readonly sessions: Map<string, Session>
  readonly children: Map<string, Session>
}

/**
 * A session ends with its scope: in order if the provider lets it in time, else with the process. `name` is
 * the provider's own of the conversation, under which it is heard.
 */
export const endWithScope = <Session extends Endable>(
  scope: Scope.Scope,
  session: Session,
  name: string,
  { sessions, children }: Listeners<Session>,
  deadline: Duration.Input
): Effect.Effect<void> =>
  Scope.addFinalizer(
    scope,
    Effect.suspend(() => {
      session.abandon()
      return session.isOver()
        ? Effect.void
        : session.stop("stop").pipe(
            Effect.timeout(deadline),
            Effect.catch(() => session.stop("kill")),
            Effect.ignore
          )
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          session.exit(false, "The session could not be ended.")
          if (sessions.get(name) === session) sessions.delete(name)
          for (const [child, parent] of children) if (parent === session) children.delete(child)
        })
      )
    )
  )
