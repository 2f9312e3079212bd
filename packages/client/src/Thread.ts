/** One thread that is followed: what the server told, joined, with what the user has asked for meanwhile. */
import { cursorOf, joined, withOlder } from "@turnkeeper/contracts/Fold"
import type { ThreadFold } from "@turnkeeper/contracts/Fold"
import { InvalidRequest } from "@turnkeeper/contracts/Errors"
import type { ThreadItem } from "@turnkeeper/contracts/Streams"
import { ThreadId } from "@turnkeeper/domain/ids"
import { Effect, Schema, Stream } from "effect"
import type { OutboxEntry } from "./Client.ts"
import { follow } from "./follow.ts"
import type { Link } from "./Link.ts"
import type { ThreadModel } from "./Models.ts"
import { makeOlder } from "./older.ts"
import type { Outbox } from "./Outbox.ts"
import { makeStore } from "./Readable.ts"
import { overlay } from "./overlay.ts"

const isThreadId = Schema.is(ThreadId)

export const makeThread = (link: Link, outbox: Outbox, threadId: ThreadId) => {
  const store = makeStore<ThreadModel>(nothing(threadId))
  let fold: ThreadFold | null = null
  /** Told by the server that it can not go on from where we are: the next subscription begins anew. */
  let anew = false
  let status: ThreadModel["status"] = "loading"
  let asOf: number | null = null
  let loadingOlder = false
  let followed = false

  const show = () =>
    store.set(
      overlay(
        store.get(),
        { threadId, fold, status, asOf, loadingOlder },
        { entries: outbox.model.get().entries, accepted: outbox.accepted.get() }
      )
    )

  const { poke, run } = follow<ThreadItem>(link, {
    name: `thread ${threadId}`,
    stream: (session) => {
      if (!isThreadId(threadId)) return Stream.fail(new InvalidRequest({ issues: [] }))
      const after = fold === null || anew ? null : cursorOf(fold)
      anew = false
      return session.calls("orchestration.subscribeThread", { threadId, ...(after !== null && { after }) })
    },
    take: (items, caughtUp) => {
      asOf = Date.now()
      for (const item of items) {
        const { fault, fold: next } = joined(fold, item)
        fold = next
        // A gap is mended by going on from where we are; after anything else only a snapshot is to be trusted.
        if (fault !== null) {
          anew = fault.type !== "version" && fault.type !== "hole"
          return false
        }
        if (item.type === "synchronized") status = "live"
      }
      if (fold !== null && fold.thread.deletedAt !== null) status = "gone"
      show()
      if (status !== "stale" && status !== "loading") caughtUp()
      return true
    },
    onLost: () => {
      if (status === "live") status = "stale"
      show()
    },
    onFailure: (failure) => {
      if (failure._tag !== "ThreadNotFound" && failure._tag !== "InvalidRequest") return false
      // It may be about to begin: its first message is still on its way.
      status = isExpected(outbox.model.get().entries, threadId) ? "loading" : "gone"
      show()
      return true
    }
  })

  /** A command of this thread was answered: a thread that was not there may be there now. */
  const onOutbox = () => {
    show()
    if (status !== "live") poke()
  }

  const { loadBackTo, loadOlder } = makeOlder(link, {
    threadId,
    fold: () => fold,
    isFollowed: () => followed,
    onLoading: (loading) => {
      loadingOlder = loading
      show()
    },
    onPage: (page) => {
      if (fold !== null) fold = withOlder(fold, page)
      show()
    }
  })

  const follows = Effect.gen(function* () {
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        followed = true
        return [outbox.model.subscribe(onOutbox), outbox.accepted.subscribe(show)]
      }),
      (ends) =>
        Effect.sync(() => {
          followed = false
          ends.forEach((end) => end())
        })
    )
    show()
    yield* run
  }).pipe(Effect.scoped)

  return { model: store, run: follows, loadOlder, loadBackTo }
}

/** A command that makes the thread is still on its way. */
const isExpected = (entries: ReadonlyArray<OutboxEntry>, threadId: string) =>
  entries.some(
    ({ command, state }) =>
      "threadId" in command &&
      command.threadId === threadId &&
      (command.type === "thread.create" || "createThread" in command) &&
      state !== "refused"
  )

const nothing = (threadId: string): ThreadModel => ({
  status: "loading",
  asOf: null,
  threadId,
  thread: null,
  session: null,
  turns: [],
  requests: [],
  closedRequests: [],
  entries: [],
  hasOlder: false,
  loadingOlder: false,
  pending: [],
  stopping: null
})
