/**
 * From a word of the provider to the client that reads the thread, over a real socket: through the gather
 * window, the rules, the commit and the feed. Each piece of text is the moment at which the provider said
 * it, so whoever reads it knows how long it took.
 *
 * `delta.idle`: one thread. `delta.busy`: 50 threads speak, one is read. An echo from a process of its own
 * takes turns with the reading.
 */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Duration, Effect, Stream } from "effect"
import { setTimeout } from "node:timers/promises"
import { join } from "node:path"
import { inDirectory } from "./directory.ts"
import { listening, threadIds, withRunningTurns } from "./engine.ts"
import { follow } from "./follow.ts"
import { figure, percentile, repeated } from "./report.ts"
import type { Figure } from "./report.ts"
import { speaking, userTurn } from "./speaker.ts"
import { startEcho } from "./startEcho.ts"

const repetitions = 3
const gatherMs = 20
/** 100 pieces a second, as a fast model says them. */
const everyMs = 10
const pieces = 500
const targets = { p50: gatherMs + 5, p99: gatherMs + 25 }
const loads = { idle: 1, busy: 50 } as const

export const delta = async (): Promise<ReadonlyArray<Figure>> => {
  const figures: Array<Figure> = []
  for (const [name, threads] of Object.entries(loads)) {
    const runs: Array<Run> = []
    for (let n = 0; n < repetitions; n++) {
      runs.push(await inDirectory((directory) => measured(directory, threads)))
    }
    for (const percent of [50, 99] as const) {
      const of = (what: keyof Run) => repeated(runs.map((run) => percentile(run[what], percent / 100)))
      const taken = of("deltas")
      const echo = of("echoes").value
      const bound = targets[`p${percent}`]
      figures.push(
        figure({
          name: `delta.${name}.p${percent}`,
          unit: `ms, ${gatherMs} ms of them gathering`,
          ...taken,
          compared: echo,
          against: "ms, raw ws echo",
          ratio: taken.value / echo,
          target: `≤ ${bound}`,
          met: taken.value <= bound
        })
      )
    }
  }
  return figures
}

/** Milliseconds of each. */
interface Run {
  readonly deltas: ReadonlyArray<number>
  readonly echoes: ReadonlyArray<number>
}

const measured = (directory: string, threads: number): Promise<Run> => {
  const ids = threadIds(threads)
  const speaker = speaking(ids, words)
  return listening(
    { database: join(directory, "delta.db"), provider: speaker.provider, settings: { gatherMs } },
    (address) =>
      Effect.gen(function* () {
        yield* withRunningTurns(ids)
        const deltas: Array<number> = []
        const reader = yield* Effect.promise(() =>
          follow(address, ids[0]!, {
            onFrame: (frame) => {
              const now = performance.now()
              for (const [, said] of frame.toString().matchAll(/@(\d+\.\d+)/g))
                deltas.push(now - Number(said))
            }
          })
        )
        const echo = yield* Effect.promise(startEcho)
        yield* speaker.open
        const echoes = yield* Effect.promise(async () => {
          const taken: Array<number> = []
          while (deltas.length < pieces) {
            const from = performance.now()
            await echo.exchange("@")
            taken.push(performance.now() - from)
            await setTimeout(everyMs)
          }
          return taken
        })
        yield* Effect.promise(echo.end)
        reader.close()
        // The first ones warm everything up.
        return { deltas: deltas.slice(pieces / 5), echoes: echoes.slice(echoes.length / 5) }
      })
  )
}

const itself = { providerTurnId: userTurn, providerItemId: "answer" } as const
const started: ProviderEvent = {
  ...itself,
  type: "item.started",
  kind: "assistant_message",
  title: "",
  detail: {}
}

const words = (): Stream.Stream<ProviderEvent> =>
  Stream.concat(
    Stream.succeed(started),
    Stream.fromEffectRepeat(
      Effect.map(Effect.sleep(Duration.millis(everyMs)), (): ProviderEvent => ({
        ...itself,
        type: "text.delta",
        text: ` @${performance.now().toFixed(3)}`
      }))
    )
  )
