/** Calls of the SDK's query. Each ends: with its answer, at its deadline, or with the process. */
import { Effect } from "effect"
import type { Duration } from "effect"
import type { Child } from "./Child.ts"
import { CallFailed } from "./faults.ts"
import type { Query } from "./sdk.ts"

export interface Calls {
  /** Refused until Claude has begun. */
  readonly ask: <A>(
    call: (query: Query) => Promise<A>,
    deadline?: Duration.Input
  ) => Effect.Effect<A, CallFailed>
  /** From now on this query is asked. */
  readonly begin: (query: Query) => void
}

export const make = (child: Child, usual: Duration.Input): Calls => {
  let query: Query | null = null
  return {
    ask: (call, deadline = usual) =>
      Effect.suspend(() =>
        query === null
          ? Effect.fail(new CallFailed({ how: "refused", text: "Claude has not begun." }))
          : called(child, call(query), deadline)
      ),
    begin: (started) => {
      query = started
    }
  }
}

const called = <A>(
  child: Child,
  promise: Promise<A>,
  deadline: Duration.Input
): Effect.Effect<A, CallFailed> =>
  child.gate.readAhead(
    Effect.tryPromise({
      try: () => promise,
      catch: (error) =>
        new CallFailed({
          how: child.isGone() ? "no answer" : "refused",
          text: error instanceof Error ? error.message : String(error)
        })
    }).pipe(
      Effect.raceFirst(
        child.gone.pipe(
          Effect.catch((failed) => Effect.succeed(failed)),
          Effect.flatMap(({ message }) => Effect.fail(new CallFailed({ how: "no answer", text: message })))
        )
      ),
      Effect.timeoutOrElse({
        duration: deadline,
        orElse: () =>
          Effect.fail(new CallFailed({ how: "no answer", text: "Claude did not answer in time." }))
      })
    )
  )
