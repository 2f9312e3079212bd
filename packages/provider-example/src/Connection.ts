/**
 * Calls over the lines of the process: each gets its one answer, or an error that says whether the agent can
 * have read it. Everything else that is said goes, in its order, to `onSaid`, which may slow the reading down.
 */
import { Data, Deferred, Effect, Exit, Option, Schema, Stream } from "effect"
import type { Duration, Scope } from "effect"
import { makeFramer } from "@turnkeeper/provider-kit/lines"
import type { Line } from "@turnkeeper/provider-kit/lines"
import type { Transport } from "@turnkeeper/provider-kit/Transport"
import { Reply, Said } from "./protocol.ts"
import type { Request } from "./protocol.ts"

/** The agent understood and said no. */
export class Refused extends Data.TaggedError("Refused")<{ readonly no: NonNullable<Reply["no"]> }> {}

/** There is no answer. `delivered`: whether the agent can have read the call. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{ readonly delivered: "no" | "unknown" }> {}

export interface Connection {
  readonly call: <A>(
    request: Request,
    answer: Schema.Codec<A, unknown>
  ) => Effect.Effect<A, Refused | NoAnswer>
}

export interface ConnectionOptions {
  readonly transport: Transport
  readonly deadline: Duration.Input
  readonly onSaid: (said: Said) => Effect.Effect<void>
  /** A line that is not of the protocol, with a name for it where it has one. */
  readonly onUnknown: (name: string) => Effect.Effect<void>
  readonly tap: ((direction: "sent" | "received", line: string) => void) | undefined
}

type Answered = Deferred.Deferred<unknown, Refused | NoAnswer>

export const make = Effect.fnUntraced(function* (
  options: ConnectionOptions
): Effect.fn.Return<Connection, never, Scope.Scope> {
  const waiting = new Map<number, Answered>()
  let last = 0

  const hear = ({ text, whole }: Line): Effect.Effect<void> => {
    if (!whole) return options.onUnknown("too long")
    options.tap?.("received", text)
    const message = decode(text)
    if (Option.isNone(message)) return options.onUnknown(nameOf(text))
    if ("say" in message.value) return options.onSaid(message.value)
    const { id, no, ok } = message.value
    const answered = waiting.get(id)
    if (answered === undefined) return Effect.void
    return Effect.asVoid(
      Deferred.done(answered, no === undefined ? Exit.succeed(ok) : Exit.fail(new Refused({ no })))
    )
  }

  const framer = makeFramer(lineBytesMax)
  yield* options.transport.input.pipe(
    Stream.runForEach((bytes) => Effect.forEach(framer(bytes), hear, { discard: true })),
    // Nobody answers any more. What was written may have been read.
    Effect.ensuring(
      Effect.sync(() => {
        for (const answered of waiting.values()) {
          Deferred.doneUnsafe(answered, Exit.fail(new NoAnswer({ delivered: "unknown" })))
        }
      })
    ),
    Effect.forkScoped
  )

  const call: Connection["call"] = (request, answer) =>
    Effect.gen(function* () {
      const id = (last += 1)
      const answered: Answered = yield* Deferred.make<unknown, Refused | NoAnswer>()
      waiting.set(id, answered)
      const line = JSON.stringify({ id, ...request })
      options.tap?.("sent", line)
      return yield* options.transport.write(line).pipe(
        Effect.mapError(({ delivered }) => new NoAnswer({ delivered })),
        Effect.andThen(Deferred.await(answered)),
        Effect.timeoutOrElse({
          duration: options.deadline,
          orElse: () => Effect.fail(new NoAnswer({ delivered: "unknown" }))
        }),
        Effect.flatMap((ok) =>
          Effect.mapError(
            Schema.decodeUnknownEffect(answer)(ok),
            () => new NoAnswer({ delivered: "unknown" })
          )
        ),
        Effect.ensuring(Effect.sync(() => waiting.delete(id)))
      )
    })

  return { call }
})

const lineBytesMax = 1024 * 1024

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Union([Said, Reply])))

const Named = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ say: Schema.String })))
const nameOf = (line: string) =>
  Option.match(Named(line), { onNone: () => "malformed", onSome: ({ say }) => say.slice(0, 100) })
