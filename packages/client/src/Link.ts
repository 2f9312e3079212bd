/**
 * The connection, kept: tried again for as long as it is of use, with one session at a time.
 *
 *     open ──▶ session ──lost──▶ wait ──▶ open …
 *        └── blocked: waits until it is told to try again
 */
import { Clock, Deferred, Effect, Random, Scope } from "effect"
import { delayOf, reconnecting } from "./backoff.ts"
import type { ConnectOptions } from "./Client.ts"
import type { Connection } from "./Connection.ts"
import { Blocked, Closed, NotConnected } from "./Errors.ts"
import { open } from "./open.ts"
import type { Session, Unreachable } from "./open.ts"
import { makeStore } from "./Readable.ts"
import type { Readable } from "./Readable.ts"

/** Somebody who has to catch up before what is shown is true. */
export interface Follower {
  readonly name: string
}

export interface Link {
  readonly connection: Readable<Connection>
  /** The session that is open; null: none. */
  readonly session: Readable<Session | null>
  /** Waits for a session other than `than`. */
  readonly next: (than: Session | null) => Effect.Effect<Session>
  /** The session that is open, or why there is none. */
  readonly now: Effect.Effect<Session, NotConnected | Blocked | Closed>
  /** From now on every new connection counts as live only once the follower has caught up. */
  readonly join: (follower: Follower) => void
  readonly leave: (follower: Follower) => void
  readonly caughtUp: (follower: Follower) => void
  /** Ends the wait for the next try, whatever it waits for. */
  readonly retryNow: () => void
}

/** A session that lasted so long was a good one: the next loss begins with a short wait again. */
const goodSessionMillis = 10_000

export const makeLink = Effect.fn("client.Link")(function* (options: ConnectOptions) {
  const started = yield* Clock.currentTimeMillis
  const connection = makeStore<Connection>({ status: "connecting", since: started })
  const session = makeStore<Session | null>(null)
  const followers = new Set<Follower>()
  let behind = new Set<Follower>()
  let bell = Deferred.makeUnsafe<void>()

  const ring = () => {
    Deferred.doneUnsafe(bell, Effect.void)
  }
  const settle = (now: number) => {
    const state = connection.get()
    if (state.status === "catching up" && behind.size === 0) {
      connection.set({ status: "live", since: now, server: state.server })
    }
  }

  /** Serves one session until it is lost. */
  const serve = Effect.fnUntraced(function* (opened: Session) {
    const since = yield* Clock.currentTimeMillis
    const begun = yield* Clock.monotonicTimeNanos
    behind = new Set(followers)
    connection.set({ status: "catching up", since, server: opened.server })
    session.set(opened)
    settle(since)
    yield* opened.lost.pipe(Effect.ensuring(Effect.sync(() => session.set(null))))
    return Number(((yield* Clock.monotonicTimeNanos) - begun) / 1_000_000n)
  })

  const wait = (until: Effect.Effect<unknown>) =>
    Effect.suspend(() => {
      bell = Deferred.makeUnsafe<void>()
      return Effect.raceFirst(until, Deferred.await(bell))
    })

  /** How many tries led to no lasting session, and since when there is none. */
  const lose = Effect.fnUntraced(function* (failed: number, since: number) {
    const delay = delayOf(reconnecting, failed, yield* Random.next)
    const retryAt = (yield* Clock.currentTimeMillis) + delay
    connection.set({ status: "offline", since, retryAt, attempt: failed })
    yield* wait(Effect.sleep(delay))
  })

  const loop = Effect.gen(function* () {
    let failed = 0
    let since = started
    while (true) {
      const outcome = yield* Effect.scoped(Effect.flatMap(open(options), serve)).pipe(
        Effect.match({ onSuccess: (lasted) => ({ lasted }), onFailure: (error) => ({ error }) })
      )
      if ("lasted" in outcome) {
        since = yield* Clock.currentTimeMillis
        failed = outcome.lasted >= goodSessionMillis ? 0 : failed + 1
        yield* lose(failed, since)
        continue
      }
      const { error }: { readonly error: Unreachable | Blocked } = outcome
      if (error._tag === "Blocked") {
        const now = yield* Clock.currentTimeMillis
        connection.set({ status: "blocked", since: now, reason: error.reason })
        yield* wait(Effect.never)
        connection.set({ status: "connecting", since: yield* Clock.currentTimeMillis })
        continue
      }
      failed += 1
      yield* lose(failed, since)
    }
  })

  yield* Effect.forkScoped(loop)
  yield* Scope.addFinalizer(
    yield* Effect.scope,
    Effect.map(Clock.currentTimeMillis, (since) => connection.set({ status: "closed", since }))
  )
  yield* whenBack(ring)

  const link: Link = {
    connection,
    session,
    next: (than) => nextOf(session, than),
    now: Effect.suspend(() => nowOf(session.get(), connection.get())),
    join: (follower) => void followers.add(follower),
    leave: (follower) => {
      followers.delete(follower)
      behind.delete(follower)
      settle(Date.now())
    },
    caughtUp: (follower) => {
      behind.delete(follower)
      settle(Date.now())
    },
    retryNow: ring
  }
  return link
})

const nextOf = (session: Readable<Session | null>, than: Session | null) =>
  Effect.callback<Session>((resume) => {
    const look = () => {
      const found = session.get()
      if (found !== null && found !== than) resume(Effect.succeed(found))
    }
    const unsubscribe = session.subscribe(look)
    look()
    return Effect.sync(unsubscribe)
  })

const nowOf = (
  session: Session | null,
  connection: Connection
): Effect.Effect<Session, NotConnected | Blocked | Closed> => {
  if (session !== null) return Effect.succeed(session)
  if (connection.status === "closed") return Effect.fail(new Closed())
  return Effect.fail(
    connection.status === "blocked" ? new Blocked({ reason: connection.reason }) : new NotConnected()
  )
}

/** Where there are such events: the network is back, or the page is looked at again. */
const whenBack = Effect.fnUntraced(function* (act: () => void) {
  const target = globalThis as Partial<Pick<typeof globalThis, "addEventListener" | "removeEventListener">>
  if (target.addEventListener === undefined) return
  const seen = () => {
    if (globalThis.document?.visibilityState === "visible") act()
  }
  target.addEventListener("online", act)
  target.addEventListener("visibilitychange", seen)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      target.removeEventListener?.("online", act)
      target.removeEventListener?.("visibilitychange", seen)
    })
  )
})
