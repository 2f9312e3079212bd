/**
 * What one event costs in a long thread against a short one, both in the same run, turn about.
 *
 * Each measurement lets an agent run one more command in both threads: its beginning, its output and its
 * end, each committed by itself, over the real mailbox and the real tables.
 */
import { ProviderTurnId } from "@turnkeeper/domain/ids"
import type { ThreadId } from "@turnkeeper/domain/ids"
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Mailboxes } from "@turnkeeper/server/engine/Mailboxes"
import { Effect } from "effect"
import { join } from "node:path"
import { inDirectory } from "./directory.ts"
import { running, threadIds, withRunningTurns } from "./engine.ts"
import { figure, median, repeated } from "./report.ts"
import type { Figure } from "./report.ts"
import { inPortions, item, makeSpeaker, userTurn } from "./speaker.ts"

const short = 100
const long = 10_000
const measurements = 600
const repetitions = 3
const target = 1.1

export const growth = async (): Promise<ReadonlyArray<Figure>> => {
  const runs: Array<Run> = []
  for (let n = 0; n < repetitions; n++) runs.push(await inDirectory(once))
  const ratio = repeated(runs.map((run) => run.long / run.short))
  return [
    figure({
      name: "growth.event",
      unit: `ms/event at ${long} items`,
      ...repeated(runs.map((run) => run.long)),
      compared: median(runs.map((run) => run.short)),
      against: `ms/event at ${short} items`,
      ratio: ratio.value,
      target: `ratio ≤ ${target}`,
      met: ratio.value <= target
    }),
    figure({ name: "growth.ratio", unit: "×", ...ratio })
  ]
}

/** Milliseconds of one event: the median of all measurements. */
interface Run {
  readonly short: number
  readonly long: number
}

const once = (directory: string): Promise<Run> => {
  const ids = threadIds(2)
  const { provider } = makeSpeaker(new Map(ids.map((id) => [id, []])))
  return running({ database: join(directory, "growth.db"), provider }, () =>
    Effect.gen(function* () {
      yield* withRunningTurns(ids)
      const [a, b] = yield* Effect.forEach(ids, voiceOf)
      yield* fill(a!, short)
      yield* fill(b!, long)
      const times: Array<Run> = []
      for (let n = 0; n < measurements; n++) {
        // Who comes first changes, so that what one leaves behind for the other evens out.
        const first = n % 2 === 0 ? yield* timed(a!, n) : null
        const second = yield* timed(b!, n)
        times.push({ short: first ?? (yield* timed(a!, n)), long: second })
      }
      const settled = times.slice(measurements / 3)
      return {
        short: median(settled.map((time) => time.short)),
        long: median(settled.map((time) => time.long))
      }
    })
  )
}

type Voice = (events: ReadonlyArray<ProviderEvent>) => Effect.Effect<void>

/** Speaks into the thread's mailbox as its session would. */
export const voiceOf = (threadId: ThreadId) =>
  Effect.gen(function* () {
    const mailbox = yield* (yield* Mailboxes).of(threadId)
    const { generation } = mailbox.current().state.session
    let seq = mailbox.current().state.session.seen
    const voice: Voice = (events) =>
      Effect.suspend(() =>
        mailbox.hear(
          events.map((event) => ({ type: "provider", generation, seq: ++seq, event }) as const),
          { type: "provider", generation }
        )
      )
    return voice
  })

/** Every second item is a message, so that both tables grow. */
export const fill = (voice: Voice, items: number) =>
  Effect.forEach(
    inPortions(
      Array.from({ length: items }, (_, n) =>
        item(
          userTurn,
          `filled-${n}`,
          n % 2 === 0 ? "command" : "assistant_message",
          1,
          "Some text. ".repeat(20)
        )
      ).flat(),
      300
    ),
    voice,
    { discard: true }
  )

const timed = (voice: Voice, n: number) =>
  Effect.gen(function* () {
    const events = item(ProviderTurnId.make(userTurn), `measured-${n}`, "command", 1, "A line of output.\n")
    const from = performance.now()
    yield* Effect.forEach(events, (event) => voice([event]), { discard: true })
    return (performance.now() - from) / events.length
  })
