/** A WebSocket for one connection: dialled once, and never waited for after it has ended. */
import { Deferred, Effect } from "effect"
import * as Socket from "effect/socket/Socket"

/**
 * What is written before the socket is open waits for it; what is written after its end goes nowhere, and
 * does so at once. The socket that Effect makes would hold it back for the next connection, and with it the
 * call that is being given up.
 */
export const dialled = Effect.fnUntraced(function* (dial: () => Socket.WebSocketLike, openMillis: number) {
  const opened = yield* Deferred.make<boolean>()
  let hasEnded = false
  const end = Effect.suspend(() => {
    hasEnded = true
    return Deferred.succeed(opened, false)
  })

  const inner = yield* Socket.fromWebSocket(
    Effect.acquireRelease(
      Effect.try({
        try: dial,
        catch: (cause) =>
          new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })
      }),
      (socket) => Effect.sync(() => socket.close(1000))
    ),
    { openTimeout: openMillis }
  )
  const { write, writeAll } = yield* inner.writer

  const whenOpen = <E>(act: Effect.Effect<void, E>): Effect.Effect<void, E> =>
    Effect.flatMap(Deferred.await(opened), (isOpen) => (isOpen && !hasEnded ? act : Effect.void))

  return Socket.make({
    reader: Effect.gen(function* () {
      const reader = yield* inner.reader
      // Runs before the socket's own: from then on nothing is handed to it any more.
      yield* Effect.addFinalizer(() => end)
      yield* Deferred.succeed(opened, true)
      return reader
    }).pipe(Effect.tapCause(() => end)),
    writer: Effect.succeed({
      write: (chunk) => whenOpen(write(chunk)),
      writeAll: (chunks) => whenOpen(writeAll(chunks))
    })
  })
})
