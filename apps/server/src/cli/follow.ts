/**
 * Calls and subscriptions of the command line. Each connects anew, by what the data directory says now:
 * so a server that comes back after a crash, on whatever port, is found again.
 */
import type { Hello } from "@turnkeeper/contracts/Api"
import type { Accepted, Command } from "@turnkeeper/contracts/Command"
import type { Cursor, ThreadItem } from "@turnkeeper/contracts/Streams"
import type { ThreadId } from "@turnkeeper/domain/ids"
import { Effect, Schedule, Stream } from "effect"
import type { FileSystem, Path } from "effect"
import { connect, discover } from "./connect.ts"
import type { Client } from "./connect.ts"
import { codes, fromCall } from "./Outcome.ts"
import type { CommandFailed } from "./Outcome.ts"

type Files = FileSystem.FileSystem | Path.Path

/** One visit to the server. */
export const visit = <A, E extends { readonly _tag: string }>(
  data: string,
  f: (client: Client, hello: Hello) => Effect.Effect<A, E>
): Effect.Effect<A, CommandFailed, Files> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { client, hello } = yield* connect(yield* discover(data))
      return yield* f(client, hello).pipe(Effect.mapError(fromCall))
    })
  )

/**
 * Gives a command to the server. Where the answer is lost with the connection it is asked for again, with
 * the same command id: it is carried out once, however often it is sent.
 */
export const dispatch = (data: string, command: Command): Effect.Effect<Accepted, CommandFailed, Files> =>
  visit(data, (client) => client["orchestration.dispatch"]({ command })).pipe(
    Effect.retry({ while: isLost, schedule: backoff, times: retries })
  )

/** Everything that happens in a thread, without a gap, across lost connections. */
export const follow = (
  data: string,
  threadId: ThreadId,
  tail?: number
): Stream.Stream<ThreadItem, CommandFailed, Files> => {
  const place = makePlace()
  return Stream.unwrap(
    Effect.gen(function* () {
      const { client } = yield* connect(yield* discover(data))
      const after = place.cursor()
      return client["orchestration.subscribeThread"]({
        threadId,
        ...(after !== null && { after }),
        ...(tail !== undefined && { tail })
      })
    })
  ).pipe(
    Stream.mapError(fromCall),
    Stream.tap((item) => Effect.sync(() => place.move(item))),
    // Only what was followed once is worth waiting for.
    Stream.retry(
      Schedule.while(
        backoff,
        ({ input, attempt }) => place.cursor() !== null && isLost(input) && attempt <= retries
      )
    )
  )
}

const isLost = (error: CommandFailed) => error.code === codes.connect
const retries = 20
const backoff: Schedule.Schedule<unknown, CommandFailed> = Schedule.min([
  Schedule.exponential("200 millis"),
  Schedule.spaced("2 seconds")
])

/** Where one is in a thread, to go on from there. */
const makePlace = () => {
  let cursor: Cursor | null = null
  const texts = new Map<string, number>()
  return {
    cursor: (): Cursor | null => (cursor === null ? null : { ...cursor, texts: Object.fromEntries(texts) }),
    move: (item: ThreadItem) => {
      if (item.type === "snapshot") {
        cursor = { epoch: item.epoch, version: item.version }
        texts.clear()
        for (const entry of item.entries) if (entry.status === "open") texts.set(entry.id, entry.text.length)
      }
      if (cursor === null) return
      if (item.type === "delta") texts.set(item.itemId, item.offset + item.text.length)
      if (item.type === "event") {
        cursor = { ...cursor, version: item.version }
        if (item.event.type === "item.completed") texts.delete(item.event.itemId)
      }
    }
  }
}
