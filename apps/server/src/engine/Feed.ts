/**
 * What was committed, to those who follow it: live, in order, and never at the cost of the commit.
 *
 * Nothing here waits for a reader. A follower of a thread has a bounded buffer; when it is full the
 * follower is told once that it missed something and reads again from its version. The followers of the
 * shell and the doorbell are told only *what* changed, as a set: however slow they are, it stays bounded
 * by what there is, and nothing is lost.
 */
import type { ProjectId, ThreadId } from "@turnkeeper/domain/ids"
import { Context, Effect, Latch, Layer } from "effect"
import type { Scope } from "effect"
import type { Delta, ProjectRecord, ThreadRecord } from "./Change.ts"

export type FeedEntry =
  | { readonly type: "record"; readonly record: ThreadRecord }
  | { readonly type: "delta"; readonly delta: Delta }

export type ThreadNews =
  | FeedEntry
  /** Entries were dropped. What comes after this was committed after it was taken: read again, then go on. */
  | { readonly type: "overflowed" }

/** `sequence`: of the newest event that it is about; 0 where the event itself was not published. */
export type ShellNews =
  | { readonly type: "thread"; readonly threadId: ThreadId; readonly sequence: number }
  | { readonly type: "project"; readonly projectId: ProjectId; readonly sequence: number }

/** `bytes`: about what the entry holds in memory. */
export interface Published {
  readonly threads: ReadonlyArray<{
    readonly threadId: ThreadId
    readonly entry: FeedEntry
    readonly bytes: number
  }>
  readonly projects: ReadonlyArray<ProjectRecord>
}

/** For one reader. */
export interface Subscription<A> {
  /** Everything that waits, in order; resolves as soon as there is something. Interrupting it loses nothing. */
  readonly take: Effect.Effect<ReadonlyArray<A>>
  /** Lets `take` resolve with nothing, when nothing waits. */
  readonly nudge: () => void
}

export class Feed extends Context.Service<
  Feed,
  {
    /** For the commit alone, after it: hands a group commit to all who follow. Never waits, never fails. */
    readonly publish: (published: Published) => void
    /** The thread has a commit that was not published, because the storage denied it: whoever follows reads again. */
    readonly missed: (threadId: ThreadId) => void
    /** What is committed to the thread from now on, until the scope closes. */
    readonly thread: (threadId: ThreadId) => Effect.Effect<Subscription<ThreadNews>, never, Scope.Scope>
    /** Which threads and projects have had events from now on; each once, however often it changed. */
    readonly shell: Effect.Effect<Subscription<ShellNews>, never, Scope.Scope>
    /** The doorbell: threads that have had events from now on, each once. Streamed text does not ring. */
    readonly afterCommit: Effect.Effect<Subscription<ThreadId>, never, Scope.Scope>
  }
>()("server/engine/Feed") {
  static readonly layer = Layer.sync(Feed, () => {
    const threads = new Map<ThreadId, Set<Follower>>()
    const shells = new Set<Bell<ShellNews>>()
    const doorbells = new Set<Bell<ThreadId>>()

    const publish = (published: Published) => {
      for (const { threadId, entry, bytes } of published.threads) {
        for (const follower of threads.get(threadId) ?? []) follower.offer(entry, bytes)
        if (entry.type === "delta") continue
        const { sequence } = entry.record
        for (const shell of shells) shell.ring(`thread:${threadId}`, { type: "thread", threadId, sequence })
        for (const doorbell of doorbells) doorbell.ring(threadId, threadId)
      }
      for (const { projectId, sequence } of published.projects) {
        for (const shell of shells)
          shell.ring(`project:${projectId}`, { type: "project", projectId, sequence })
      }
    }

    const missed = (threadId: ThreadId) => {
      for (const follower of threads.get(threadId) ?? []) follower.overflow()
      for (const shell of shells) shell.ring(`thread:${threadId}`, { type: "thread", threadId, sequence: 0 })
    }

    const follow = (threadId: ThreadId) => {
      const follower = makeFollower()
      const followers = threads.get(threadId) ?? new Set()
      threads.set(threadId, followers.add(follower))
      return follower
    }

    const unfollow = (threadId: ThreadId, follower: Follower) => {
      const followers = threads.get(threadId)
      followers?.delete(follower)
      if (followers?.size === 0) threads.delete(threadId)
    }

    return Feed.of({
      publish,
      missed,
      thread: (threadId) =>
        Effect.acquireRelease(
          Effect.sync(() => follow(threadId)),
          (follower) => Effect.sync(() => unfollow(threadId, follower))
        ),
      shell: hung(shells),
      afterCommit: hung(doorbells)
    })
  })
}

/** Bounds of what waits for one follower. */
export const followerLimits = { entries: 1_024, bytes: 4 * 1024 * 1024 } as const

/** One entry always fits, however large. */
const fits = (entries: number, bytes: number) =>
  entries === 0 || (entries < followerLimits.entries && bytes <= followerLimits.bytes)

interface Follower extends Subscription<ThreadNews> {
  readonly offer: (entry: FeedEntry, bytes: number) => void
  readonly overflow: () => void
}

const makeFollower = (): Follower => {
  const latch = Latch.makeUnsafe()
  let waiting: Array<ThreadNews> = []
  let held = 0
  let overflowed = false
  const overflow = () => {
    overflowed = true
    waiting = [{ type: "overflowed" }]
    latch.openUnsafe()
  }
  return {
    offer: (entry, bytes) => {
      // Until the reader has heard of it there is no use in keeping more: it will read all that again.
      if (overflowed) return
      if (!fits(waiting.length, held + bytes)) return overflow()
      waiting.push(entry)
      held += bytes
      latch.openUnsafe()
    },
    overflow,
    ...taking(latch, () => {
      const taken = waiting
      waiting = []
      held = 0
      overflowed = false
      return taken
    })
  }
}

export interface Bell<A> extends Subscription<A> {
  readonly ring: (key: string, news: A) => void
}

/** A set of news with one reader: bounded by what there is, however slow the reader. */
export const bell = <A>(): Bell<A> => {
  const latch = Latch.makeUnsafe()
  let waiting = new Map<string, A>()
  return {
    ring: (key, news) => {
      waiting.set(key, news)
      latch.openUnsafe()
    },
    ...taking(latch, () => {
      const taken = [...waiting.values()]
      waiting = new Map()
      return taken
    })
  }
}

const hung = <A>(bells: Set<Bell<A>>): Effect.Effect<Subscription<A>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const made = bell<A>()
      bells.add(made)
      return made
    }),
    (made) => Effect.sync(() => bells.delete(made))
  )

/**
 * The latch is open exactly while something waits, or after a nudge; emptying and closing are one step. Whoever
 * is woken runs a moment later: what it does is no part of the publishing, and all of one commit is there for it.
 */
const taking = <A>(latch: Latch.Latch, empty: () => ReadonlyArray<A>): Subscription<A> => ({
  take: Effect.andThen(
    Effect.andThen(latch.await, Effect.yieldNow),
    Effect.sync(() => {
      latch.closeUnsafe()
      return empty()
    })
  ),
  nudge: () => void latch.openUnsafe()
})
