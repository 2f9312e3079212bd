/**
 * What a client that comes back is sent, in bytes of its socket, against the events that it missed, as the
 * client beside it that stayed got them.
 */
import { Effect } from "effect"
import { join } from "node:path"
import { inDirectory } from "./directory.ts"
import { listening, threadIds, withRunningTurns } from "./engine.ts"
import { follow } from "./follow.ts"
import { figure } from "./report.ts"
import type { Figure } from "./report.ts"
import { inPortions, item, makeSpeaker, userTurn } from "./speaker.ts"

/** Each item is two events, and streams its text: that came live, and the end of the item holds it whole. */
const missed = [0, 50, 450]
const overhead = 5 * 1_024

export const reconnect = async (): Promise<ReadonlyArray<Figure>> => {
  const figures: Array<Figure> = []
  for (const items of missed) {
    const { events, resumed, stayed } = await inDirectory((directory) => measured(directory, items))
    figures.push(
      figure({
        name: `reconnect.${items * 2}`,
        value: resumed,
        unit: `bytes after ${items * 2} missed events`,
        compared: events,
        against: "bytes, those events",
        ratio: events === 0 ? null : resumed / events,
        target: `≤ the events + ${overhead}`,
        met: resumed <= events + overhead
      }),
      figure({ name: `reconnect.${items * 2}.live`, value: stayed, unit: "bytes to the client that stayed" })
    )
  }
  return figures
}

const measured = (directory: string, items: number) => {
  const [threadId] = threadIds(1)
  const said = Array.from({ length: items }, (_, n) =>
    item(userTurn, `item-${n}`, "assistant_message", 10, "Some words of an answer. ")
  ).flat()
  const speaker = makeSpeaker(new Map([[threadId!, inPortions(said, 4)]]))
  return listening(
    { database: join(directory, "reconnect.db"), provider: speaker.provider, settings: { gatherMs: 0 } },
    (address) =>
      Effect.gen(function* () {
        yield* withRunningTurns([threadId!])
        const stayed = yield* Effect.promise(() => follow(address, threadId!, { keep: true }))
        const { epoch, version } = synchronizedIn(stayed.frames())
        const before = { bytes: stayed.bytes(), frames: stayed.frames().length }
        yield* speaker.open
        yield* speaker.said
        // What was read is committed a moment later.
        yield* Effect.promise(() => stayed.until(version + items * 2))
        const resumed = yield* Effect.promise(() => follow(address, threadId!, { after: { epoch, version } }))
        const events = itemsIn(stayed.frames().slice(before.frames)).filter(({ type }) => type === "event")
        if (events.length !== items * 2) throw new Error(`${events.length} events instead of ${items * 2}.`)
        stayed.close()
        resumed.close()
        return {
          events: events.reduce((sum, event) => sum + Buffer.byteLength(JSON.stringify(event)), 0),
          resumed: resumed.bytes(),
          stayed: stayed.bytes() - before.bytes
        }
      })
  )
}

interface Told {
  readonly type: string
  readonly epoch: string
  readonly version: number
}

const itemsIn = (frames: ReadonlyArray<Buffer>): ReadonlyArray<Told> =>
  frames.flatMap((frame) => {
    const { params } = JSON.parse(frame.toString()) as {
      readonly params?: { readonly items?: ReadonlyArray<Told> }
    }
    return params?.items ?? []
  })

const synchronizedIn = (frames: ReadonlyArray<Buffer>): Told => {
  const found = itemsIn(frames).findLast(({ type }) => type === "synchronized")
  if (found === undefined) throw new Error("The reader was never told where it is.")
  return found
}
