/** One call over the session that is open, with every way in which it can end as a type. */
import { Api } from "@turnkeeper/contracts/Api"
import { issuesOf } from "@turnkeeper/contracts/Checked"
import { InvalidRequest } from "@turnkeeper/contracts/Errors"
import { Cause, Effect, Exit, Option, Schema } from "effect"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type { CallMethod, FailureOf, PayloadOf, ResultOf } from "./Client.ts"
import { ConnectionLost, ServerBroken } from "./Errors.ts"
import type { LinkFailure } from "./Errors.ts"
import type { Link } from "./Link.ts"
import type { Session } from "./open.ts"

/**
 * Fails with `ConnectionLost` when the session ends first. Its end may show itself as a transport error, as
 * an interruption, or not at all.
 */
export const inSession = <A, E>(
  session: Pick<Session, "lost">,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, Exclude<E, RpcClientError> | ConnectionLost | ServerBroken> =>
  Effect.catchCause(
    Effect.raceFirst(effect, Effect.andThen(session.lost, Effect.fail(new ConnectionLost()))),
    (cause): Effect.Effect<never, Exclude<E, RpcClientError> | ConnectionLost | ServerBroken> => {
      const error = Option.getOrNull(Cause.findErrorOption(cause))
      if (error === null) {
        return Effect.fail(Cause.hasInterruptsOnly(cause) ? new ConnectionLost() : new ServerBroken())
      }
      return Effect.fail(isTransport(error) ? new ConnectionLost() : (error as Exclude<E, RpcClientError>))
    }
  )

const isTransport = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "RpcClientError"

export const callOver = <Method extends CallMethod>(
  link: Link,
  method: Method,
  payload: PayloadOf<Method>
): Effect.Effect<ResultOf<Method>, FailureOf<Method> | LinkFailure> =>
  Effect.flatMap(link.now, (session): Effect.Effect<ResultOf<Method>, FailureOf<Method> | LinkFailure> => {
    const refusal = unfit(method, payload)
    if (refusal !== null) return Effect.fail(refusal as FailureOf<Method>)
    // The brands of ids are the schema's business, which has just been asked.
    const call = session.calls as unknown as (
      method: Method,
      payload: PayloadOf<Method>
    ) => Effect.Effect<ResultOf<Method>, FailureOf<Method>>
    return inSession(session, call(method, payload))
  })

/** What the server would refuse for its shape, said here: the encoding of the call would only break over it. */
const unfit = (method: CallMethod, payload: unknown): InvalidRequest | null => {
  const schema = Api.requests.get(method)?.payloadSchema as Schema.Codec<unknown> | undefined
  if (schema === undefined) return null
  const encoded = Schema.encodeUnknownExit(schema)(payload)
  if (Exit.isSuccess(encoded)) return null
  const error = Cause.squash(encoded.cause)
  return new InvalidRequest({ issues: Schema.isSchemaError(error) ? issuesOf(error.issue) : [] })
}
