/**
 * A large database, made by the real engine: commands and what providers say go through mailboxes, rules and
 * commits, so that it is in the formats of any other.
 *
 * Its threads are of very different lengths. One has a tenth of all events as items, one has 100, the others share
 * what is left so that the second has half of what the first has, the third a third of it. An agent's turn is
 * twenty items: every other one a command with its output, every other one a message. Outputs take the room that
 * is asked for; one of ten is long.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Effect } from "effect"
import { open } from "node:fs/promises"
import { running, threadIds, withRunningTurns } from "./engine.ts"
import { voiceOf } from "./growth.ts"
import { item, makeSpeaker, userTurn } from "./speaker.ts"

export interface Plan {
  /** In the log, about. */
  readonly events: number
  /** Of the file, about. */
  readonly bytes: number
  /** At least three. */
  readonly threads: number
}

/** Threads that whoever measures looks at. */
export const shortItems = 100
export const longItemsOf = ({ events }: Plan): number => Math.round(events / 10)

const itemsOfTurn = 20
/** Events of an item, with its share of its turn's. */
const eventsOfItem = 2 + 2 / itemsOfTurn
/** What an item takes beside its command's output: rows, indexes, the words of messages, the end of its last page. */
const bytesOfItem = 1_900

/** `told`: how many items are in, of how many. */
export const makeDatabase = async (
  database: string,
  plan: Plan,
  told: (items: number, of: number) => void = () => {}
): Promise<void> => {
  const ids = threadIds(plan.threads)
  const { provider } = makeSpeaker(new Map(ids.map((id) => [id, []])))
  const lengths = lengthsOf(plan)
  const total = lengths.reduce((sum, length) => sum + length, 0)
  // Every other item has an output, and it stands in the log alone.
  const output = Math.max(40, (2 * (plan.bytes - total * bytesOfItem)) / total)
  let done = 0
  await running({ database, provider }, () =>
    Effect.gen(function* () {
      yield* withRunningTurns(ids)
      yield* Effect.forEach(
        ids,
        (id, index) =>
          speak(id, lengths[index] ?? 0, output, (items) => {
            done += items
            told(done, total)
          }),
        { discard: true, concurrency: 32 }
      )
    })
  )
  await onDisk(database)
}

/** Else it is written while something else is measured. */
const onDisk = async (file: string) => {
  const handle = await open(file, "r+")
  await handle.sync()
  await handle.close()
}

/** Items of each thread: the short one, the long one, the rest. */
const lengthsOf = (plan: Plan): ReadonlyArray<number> => {
  const others = plan.events / eventsOfItem - longItemsOf(plan) - shortItems
  const shares = Array.from({ length: plan.threads - 2 }, (_, n) => 1 / (n + 1))
  const sum = shares.reduce((total, share) => total + share, 0)
  return [shortItems, longItemsOf(plan), ...shares.map((share) => Math.round((others * share) / sum))]
}

/** Turn after turn, each said at once. */
const speak = (threadId: ThreadId, items: number, output: number, told: (items: number) => void) =>
  Effect.gen(function* () {
    const voice = yield* voiceOf(threadId)
    for (let first = 0; first < items; first += itemsOfTurn) {
      const count = Math.min(itemsOfTurn, items - first)
      yield* voice(turnOf(first, count, output))
      told(count)
    }
  })

const turnOf = (first: number, count: number, output: number): ReadonlyArray<ProviderEvent> => {
  const turn = first === 0 ? userTurn : ProviderTurnId.make(`turn-of-${first}`)
  const started: ReadonlyArray<ProviderEvent> =
    first === 0 ? [] : [{ type: "turn.started", providerTurnId: turn, turnId: null }]
  const work = Array.from({ length: count }, (_, k) => {
    const n = first + k
    return n % 2 === 0
      ? item(turn, `item-${n}`, "command", 1, printed(n, output))
      : item(turn, `item-${n}`, "assistant_message", 1, said(n))
  })
  return [
    ...started,
    ...work.flat(),
    { type: "turn.completed", providerTurnId: turn, outcome: "completed", message: null }
  ]
}

/** One of ten commands prints much; together they print `output` on average. */
const printed = (n: number, output: number): string => {
  const units = Math.round(output * (n % 20 === 0 ? 3 : 7 / 9))
  return lines.slice(0, units % lines.length).padEnd(units, lines)
}

const lines = Array.from(
  { length: 64 },
  (_, n) => `${n} src/module-${n}/file-${n}.ts: a line that a tool has written\n`
).join("")

/** Other words in each message, of so many that there are. */
const said = (n: number): string =>
  Array.from({ length: 30 }, (_, k) => `word${(n * 31 + k * k * 17) % 5_000}`).join(" ")
