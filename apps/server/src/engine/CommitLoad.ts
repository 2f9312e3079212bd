/** How much waits for the commit, and for how long: seen from outside, so that the commit itself knows nothing of it. */
import { Context, Effect, Layer } from "effect"
import { Commit, submitBy } from "./Commit.ts"

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
      const waiting = new Set<{ readonly since: number }>()
      const take: Commit["Service"]["take"] = (change, answer) => {
        const one = { since: performance.now() }
        waiting.add(one)
        inner.take(change, (exit) => {
          waiting.delete(one)
          answer(exit)
        })
      }
      const load = CommitLoad.of({
        waiting: () => waiting.size,
        oldestMillis: () => {
          for (const { since } of waiting) return performance.now() - since
          return 0
        }
      })
      const seen = Commit.of({ ...inner, take, submit: submitBy(take) })
      return context.pipe(Context.add(Commit, seen), Context.add(CommitLoad, load))
    })
  )
