/** How much waits for the commit, and for how long: seen from outside, so that the commit itself knows nothing of it. */
import { Context, Effect, Layer } from "effect"
import { Commit } from "./Commit.ts"

export class CommitLoad extends Context.Service<
  CommitLoad,
  {
    /** Changes that were submitted and not answered yet. */
    readonly waiting: () => number
    /** Of the one that waits longest; 0 where none waits. */
    readonly oldestMillis: () => number
  }
>()("server/engine/CommitLoad") {}

/** The same commit, and what waits for it. */
export const measured = <E, R>(commit: Layer.Layer<Commit, E, R>) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const context = yield* Layer.build(commit)
      const inner = Context.get(context, Commit)
      /** In the order in which they came. */
      const since = new Map<object, number>()
      const submit: Commit["Service"]["submit"] = (change) =>
        Effect.suspend(() => {
          const waiting = {}
          since.set(waiting, performance.now())
          return Effect.ensuring(
            inner.submit(change),
            Effect.sync(() => since.delete(waiting))
          )
        })
      const load = CommitLoad.of({
        waiting: () => since.size,
        oldestMillis: () => {
          for (const at of since.values()) return performance.now() - at
          return 0
        }
      })
      return context.pipe(Context.add(Commit, Commit.of({ ...inner, submit })), Context.add(CommitLoad, load))
    })
  )
