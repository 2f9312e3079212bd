/** A thread's committed state in memory: goes on with each commit, and is read anew where the tables know more. */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { isStreamed } from "@turnkeeper/domain/thread/Event"
import type { ThreadEvent } from "@turnkeeper/domain/thread/Event"
import { Cause as CauseOf, Effect, Exit, Result } from "effect"
import type { Clock } from "effect"
import type { Committed } from "./Change.ts"
import type { Commit, CommitError } from "./Commit.ts"
import type { Settled, Standing, Verdict } from "./Letter.ts"

/** What it needs of the rest of the server. */
export interface Surroundings {
  readonly commit: Commit["Service"]
  readonly clock: Clock.Clock
  /** Runs what has to be waited for and tells how it ended; of what is interrupted by the server's end, too. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void) => void
  readonly load: (threadId: ThreadId) => Effect.Effect<Standing, StorageUnavailable>
  /** Rings after each commit of events, when `current` shows them. Streamed text does not ring: nothing is owed for it. */
  readonly changed: (threadId: ThreadId) => void
  /** The thread has a commit that nobody was told of. */
  readonly missed: (threadId: ThreadId) => void
}

export interface Holder {
  readonly current: () => Standing
  /** `then` hears how it ended. `stale`: it was decided on a state that is the thread's no more, and may be decided anew. */
  readonly write: (verdict: Verdict, then: (ended: Settled | "stale") => void) => void
  /** What the storage refused may be there all the same: looks, and goes on from what is there. */
  readonly compare: Effect.Effect<null, StorageUnavailable>
}

/** Letters are written one at a time: nobody else commits for the thread. */
export const holding = (threadId: ThreadId, first: Standing, around: Surroundings): Holder => {
  let standing = first

  const write: Holder["write"] = ({ events, after, cause, receipt }, then) => {
    const { version: expected } = standing
    const at = around.clock.currentTimeMillisUnsafe()
    const change = { stream: "thread", threadId, expected, events, after, at, cause, receipt } as const
    around.commit.take(change, (exit) => {
      if (Exit.isSuccess(exit)) return taken(change, exit.value, then)
      const refusal = refusalOf(exit)
      if (refusal === "stale") reread(refusal, then)
      else then(refusal)
    })
  }

  const taken = (
    { events, after }: Pick<Verdict, "events" | "after">,
    committed: Committed,
    then: (ended: Settled) => void
  ) => {
    const logged = loggedOf(events)
    const version = standing.version + logged
    const answer = Exit.succeed(committed)
    if (committed.version === version) {
      standing = { state: after, version }
      if (logged > 0) around.changed(threadId)
    }
    // A repeated command is answered with what was committed then; the state is not touched by it. What lies
    // ahead of us was committed although we were told that it failed.
    if (committed.version > version) return reread(answer, then)
    then(answer)
  }

  /**
   * The thread has a commit that is not ours: one that the storage denied, or, against all rules, somebody
   * else's. The truth is in the tables, and nobody has looked yet at what it owes.
   */
  const adopt = (found: Standing) =>
    Effect.map(
      Effect.logWarning(`Thread ${threadId} was changed from outside; its state is read anew`),
      () => {
        standing = found
        around.missed(threadId)
        around.changed(threadId)
      }
    )

  const reload = Effect.flatMap(around.load(threadId), adopt)

  /** Where the state cannot be read, what was to be written shares its fate. */
  const reread = <Ended>(ended: Ended, then: (ended: Ended | Settled) => void) =>
    around.run(reload, (exit) => then(Exit.isSuccess(exit) ? ended : Exit.failCause(exit.cause)))

  const compare = Effect.flatMap(around.load(threadId), (found) =>
    found.version > standing.version ? Effect.as(adopt(found), null) : Effect.succeed(null)
  )

  return { current: () => standing, write, compare }
}

/** Those that take a version in the log. */
const loggedOf = (events: ReadonlyArray<ThreadEvent>): number => {
  let count = 0
  for (const event of events) if (!isStreamed(event)) count += 1
  return count
}

const refusalOf = (exit: Exit.Failure<unknown, CommitError>): "stale" | Settled => {
  const failure = CauseOf.findError(exit.cause)
  if (Result.isFailure(failure)) return Exit.failCause(failure.failure)
  return failure.success._tag === "VersionConflict" ? "stale" : Exit.fail(failure.success)
}
