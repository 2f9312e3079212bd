/**
 * The wire to a Codex that lives on: `codex app-server --listen`, over its WebSocket.
 *
 * One message is one line. What is not read stays with the sender: beyond a few messages the socket is not
 * read any more. Codex hangs up on a client that reads too slowly; the connection is then made anew.
 */
import { WebSocket } from "@effect/platform-node/NodeWS"
import type { Attached } from "@turnkeeper/provider-kit/Outliving"
import { Deferred, Effect, Queue, Stream } from "effect"
import type { Cause, Duration, Scope } from "effect"
import type { Gone, Transport } from "@turnkeeper/provider-kit/Transport"
import { TransportBroke } from "@turnkeeper/provider-kit/Transport"

/** Its end is the end of the connection, not of the program. */
export const connect = (
  program: Pick<Attached, "address" | "secret">,
  deadline: Duration.Input
): Effect.Effect<Transport, TransportBroke, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => attach(program)),
    ({ transport }) => transport.kill
  ).pipe(
    Effect.flatMap(({ opened, transport }) => Effect.as(Deferred.await(opened), transport)),
    Effect.timeoutOrElse({
      duration: deadline,
      orElse: () => new TransportBroke({ delivered: "no", text: "Codex does not answer." })
    })
  )

const messageBytesMax = 32 * 1024 * 1024
/** Messages that wait to be read, at which the socket is paused, and below which it goes on. */
const waitingMax = 256
const waitingLow = 64

const newline = Buffer.from("\n")

const attach = ({ address, secret }: Pick<Attached, "address" | "secret">) => {
  const opened = Deferred.makeUnsafe<void, TransportBroke>()
  const gone = Deferred.makeUnsafe<Gone>()
  const received = Effect.runSync(Queue.unbounded<Uint8Array, Cause.Done>())
  const socket = new WebSocket(address, {
    headers: { authorization: `Bearer ${secret}` },
    maxPayload: messageBytesMax,
    perMessageDeflate: false
  })
  socket.on("open", () => Deferred.doneUnsafe(opened, Effect.void))
  // What it says is said by the end that follows.
  socket.on("error", () => {})
  socket.on("close", () => {
    const text = "The connection to Codex was lost."
    Queue.endUnsafe(received)
    Deferred.doneUnsafe(opened, Effect.fail(new TransportBroke({ delivered: "no", text })))
    Deferred.doneUnsafe(gone, Effect.succeed({ how: "by itself", message: text }))
  })
  socket.on("message", (data) => {
    // One message is one chunk with this kind of socket, in whatever form it comes.
    const bytes = Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data as Buffer)
    Queue.offerUnsafe(received, Buffer.concat([bytes, newline]))
    if (Queue.sizeUnsafe(received) >= waitingMax) socket.pause()
  })

  const write = (line: string) =>
    Effect.callback<void, TransportBroke>((resume) => {
      if (socket.readyState !== WebSocket.OPEN) {
        return resume(new TransportBroke({ delivered: "no", text: "There is no connection to Codex." }))
      }
      socket.send(line, (error) =>
        resume(
          error ? new TransportBroke({ delivered: "unknown", text: "Codex stopped reading." }) : Effect.void
        )
      )
    })

  const input = Stream.fromQueue(received).pipe(
    Stream.tap(() =>
      Effect.sync(() => {
        if (socket.isPaused && Queue.sizeUnsafe(received) < waitingLow) socket.resume()
      })
    )
  )
  const hangUp = Effect.andThen(
    Effect.sync(() => socket.terminate()),
    Effect.asVoid(Deferred.await(gone))
  )
  const transport: Transport = { input, write, gone: Deferred.await(gone), close: hangUp, kill: hangUp }
  return { opened, transport }
}
