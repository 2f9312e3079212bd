/**
 * One client's view of the sidebar: every project and thread once, then each row again when it changed.
 *
 * Rows are read when they are sent, not when they change: a thread that changes a hundred times while a
 * slow client reads is one row. So nothing can pile up, and the newest state always arrives.
 */
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { limits } from "@turnkeeper/contracts/Limits"
import type { ShellItem } from "@turnkeeper/contracts/Streams"
import { Clock, Effect, Stream } from "effect"
import type { Feed, ShellNews } from "../engine/Feed.ts"
import type { Projects } from "../projection/Projects.ts"
import type { Threads } from "../projection/Threads.ts"
import { chunked } from "./chunked.ts"

/** Where a subscription reads from. */
export interface ShellSource {
  readonly feed: Feed["Service"]
  readonly projects: Projects["Service"]
  readonly threads: Threads["Service"]
  readonly epoch: string
}

type Items = ReadonlyArray<ShellItem>

/** Rows in the snapshot itself; the others follow one by one, before `synchronized`. */
const snapshotThreads = 500

/** Ends only with an error of a read. */
export const shellSubscription = (source: ShellSource): Stream.Stream<ShellItem, StorageUnavailable> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const live = yield* source.feed.shell
      const first = yield* everything(source)

      const next = Effect.gen(function* () {
        // What changes in this moment gathers in the marks: one message per row and moment.
        yield* Effect.sleep(limits.shellGatherMillis)
        const changed = yield* Effect.timeoutOption(live.take, limits.heartbeatMillis)
        if (changed._tag === "Some") return yield* rowsOf(source, changed.value)
        return [{ type: "heartbeat" as const, at: yield* Clock.currentTimeMillis }]
      })

      return chunked(first, next)
    })
  )

const everything = Effect.fnUntraced(function* (source: ShellSource) {
  const projects = yield* source.projects.all
  const threads = yield* source.threads.all
  return [
    { type: "snapshot", epoch: source.epoch, projects, threads: threads.slice(0, snapshotThreads) },
    ...threads.slice(snapshotThreads).map((row) => ({ type: "thread" as const, row })),
    { type: "synchronized" }
  ] as Items
})

/** A row that is gone, or says that it is deleted, leaves the sidebar. */
const rowsOf = Effect.fnUntraced(function* (source: ShellSource, news: ReadonlyArray<ShellNews>) {
  const projectIds = news.flatMap((one) => (one.type === "project" ? [one.projectId] : []))
  const threadIds = news.flatMap((one) => (one.type === "thread" ? [one.threadId] : []))
  const projects = new Map(
    (projectIds.length === 0 ? [] : yield* source.projects.byIds(projectIds)).map((row) => [
      row.projectId,
      row
    ])
  )
  const threads = new Map(
    (threadIds.length === 0 ? [] : yield* source.threads.byIds(threadIds)).map((row) => [row.threadId, row])
  )
  return [
    ...projectIds.map((projectId) => {
      const row = projects.get(projectId)
      return row === undefined ? { type: "project.removed", projectId } : { type: "project", row }
    }),
    ...threadIds.map((threadId) => {
      const row = threads.get(threadId)
      return row === undefined || row.deletedAt !== null
        ? { type: "thread.removed", threadId }
        : { type: "thread", row }
    })
  ] as Items
})
