/**
 * One connection to a program that lives on, made of as many as it takes: when one breaks and the program
 * lives, another one is made. Between two of them nothing is written, and calls say so.
 *
 * Promise: it is closed when the program has ended, and not before.
 */
import type { Attached } from "@turnkeeper/provider-kit/Outliving"
import { lastLineOf } from "@turnkeeper/provider-kit/Outliving"
import { Deferred, Effect, Exit, Schedule, Scope } from "effect"
import type { Gone } from "@turnkeeper/provider-kit/Child"
import type { CallFailed } from "@turnkeeper/provider-kit/JsonRpc"
import type { Connection } from "./Connection.ts"

export interface LastingOptions {
  readonly program: Attached
  /** A connection that is ready to be used. */
  readonly connect: Effect.Effect<Connection, CallFailed, Scope.Scope>
  /** Runs with each further connection: what was said meanwhile has to be found out. */
  readonly again: Effect.Effect<void>
}

/** Tries to connect again: 0.1, 0.2, 0.4 … seconds, about 25 seconds in all. */
const reconnecting = { schedule: Schedule.exponential("100 millis"), times: 7 } as const

export const make = Effect.fn("Lasting.make")(function* ({
  program,
  connect,
  again
}: LastingOptions): Effect.fn.Return<Connection, CallFailed, Scope.Scope> {
  const closed = yield* Deferred.make<Gone>()
  const owner = yield* Effect.scope

  const connected = Effect.gen(function* () {
    const scope = yield* Scope.fork(owner)
    const connection = yield* connect.pipe(
      Scope.provide(scope),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    return { connection, scope }
  })

  const reconnected = connected.pipe(Effect.retry({ ...reconnecting, while: () => !program.isGone() }))

  let now = yield* connected

  const kept: Effect.Effect<void, CallFailed> = Effect.suspend(() => now.connection.closed).pipe(
    Effect.andThen(Effect.suspend(() => Scope.close(now.scope, Exit.void))),
    Effect.andThen(Effect.suspend(() => (program.isGone() ? Effect.never : reconnected))),
    Effect.flatMap((next) =>
      Effect.suspend(() => {
        now = next
        return again
      })
    )
  )
  // A program that lives and cannot be spoken to is of no use to anybody.
  const whileItLives = Effect.forever(kept).pipe(Effect.catch(() => program.kill))

  yield* Effect.forkScoped(whileItLives)
  yield* program.gone.pipe(
    // Its last words are read before its end is told.
    Effect.tap(() => Effect.timeoutOption(now.connection.closed, lastWords)),
    Effect.flatMap(({ how, printed }) =>
      Deferred.succeed(closed, { how, message: `Codex ended: ${lastLineOf(printed)}` })
    ),
    Effect.forkScoped
  )

  return {
    call: (method, params, options) => Effect.suspend(() => now.connection.call(method, params, options)),
    begin: (method, params, options) => Effect.suspend(() => now.connection.begin(method, params, options)),
    notify: (method, params) => Effect.suspend(() => now.connection.notify(method, params)),
    reply: (id, result) => Effect.suspend(() => now.connection.reply(id, result)),
    refuse: (id, code, reason) => Effect.suspend(() => now.connection.refuse(id, code, reason)),
    closed: Deferred.await(closed),
    isClosed: () => Deferred.isDoneUnsafe(closed),
    close: Effect.andThen(program.close, Effect.asVoid(Deferred.await(closed))),
    kill: Effect.andThen(program.kill, Effect.asVoid(Deferred.await(closed))),
    malformed: () => now.connection.malformed()
  }
})

const lastWords = "1 second"
