/**
 * One client's view of the sidebar: every project and thread once, then each row again when it changed.
 *
 * Rows are read when they are sent, not when they change: a thread that changes a hundred times while a
 * slow client reads is one row. So nothing can pile up, and the newest state always arrives.
 *
 * A client that comes back says up to which event it knows all, and is told of the rows that changed since;
 * where that is too many, everything anew.
 */
import type { ShellInput } from "@turnkeeper/contracts/Api"
import type { StorageUnavailable } from "@turnkeeper/contracts/Errors"
import { limits } from "@turnkeeper/contracts/Limits"
import type { ShellCursor, ShellItem } from "@turnkeeper/contracts/Streams"
import type { ProjectId, ThreadId } from "@turnkeeper/domain/ids"
import { Effect, Stream } from "effect"
import type { Feed, ShellNews } from "../engine/Feed.ts"
import type { Projects } from "../projection/Projects.ts"
import type { Threads } from "../projection/Threads.ts"
import { chunked } from "./chunked.ts"
import { withHeartbeats } from "./heartbeat.ts"

/** Where a subscription reads from. */
export interface ShellSource {
  readonly feed: Feed["Service"]
  readonly projects: Projects["Service"]
  readonly threads: Threads["Service"]
  readonly epoch: string
}

type Items = ReadonlyArray<ShellItem>
type Owner = { readonly threadId: ThreadId } | { readonly projectId: ProjectId }

/** Rows in the snapshot itself; the others follow one by one, before `synchronized`. */
const snapshotThreads = 500

/** Events that a client may have missed: their streams are looked through, and nothing of them is read. */
export const shellGapEvents = 10_000

/** Ends only with an error of a read. */
export const shellSubscription = (
  source: ShellSource,
  { after }: ShellInput
): Stream.Stream<ShellItem, StorageUnavailable> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const live = yield* source.feed.shell
      // Read after the live news is attached and before any row: what is newer will be told as news.
      let told = yield* source.threads.newest
      const missed = after === undefined ? null : yield* missedSince(source, after, told)
      const first = [...(missed ?? (yield* everything(source))), synchronized(source, told)]

      const itemsOf = (changed: ReadonlyArray<ShellNews>) =>
        Effect.map(rowsOf(source, changed), (rows): Items => {
          // All that one commit published was taken at once, so nothing up to its newest is still to come.
          told = changed.reduce((newest, { sequence }) => Math.max(newest, sequence), told)
          return [...rows, synchronized(source, told)]
        })
      const news = yield* withHeartbeats(live, itemsOf)

      // What changes in this moment gathers in the marks: one message per row and moment.
      return chunked(first, Effect.andThen(Effect.sleep(limits.shellGatherMillis), news))
    })
  )

const synchronized = ({ epoch }: ShellSource, sequence: number): ShellItem => ({
  type: "synchronized",
  epoch,
  sequence
})

/**
 * The rows that changed since; null where the client has to take everything. A deleted thread's deletion stays
 * in the log, so a row that went is told too.
 */
const missedSince = Effect.fnUntraced(function* (source: ShellSource, after: ShellCursor, newest: number) {
  const gap = newest - after.sequence
  if (after.epoch !== source.epoch || gap < 0 || gap > shellGapEvents) return null
  const changed = gap === 0 ? [] : yield* source.threads.changedSince(after.sequence)
  return yield* rowsOf(source, changed)
})

const everything = Effect.fnUntraced(function* (source: ShellSource) {
  const projects = yield* source.projects.all
  const threads = yield* source.threads.all
  return [
    { type: "snapshot", epoch: source.epoch, projects, threads: threads.slice(0, snapshotThreads) },
    ...threads.slice(snapshotThreads).map((row) => ({ type: "thread" as const, row }))
  ] as Items
})

/** A row that is gone, or says that it is deleted, leaves the sidebar. */
const rowsOf = Effect.fnUntraced(function* (source: ShellSource, changed: ReadonlyArray<Owner>) {
  const projectIds = changed.flatMap((one) => ("projectId" in one ? [one.projectId] : []))
  const threadIds = changed.flatMap((one) => ("threadId" in one ? [one.threadId] : []))
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
