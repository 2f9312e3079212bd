/**
 * Provider events through the real engine into the tables, 50 threads at once, against SQLite alone
 * writing the same rows.
 *
 * `ingest`: each thread's text comes as a gather window cuts it at 200 pieces a second, in portions of four
 * pieces. `ingest.single`: nothing is gathered, each piece comes by itself: the most that the engine can be
 * asked. In both no time is spent waiting for more; what comes while a commit is under way is committed
 * together. `ingest.flood`: the server's own gathering, from providers faster than any model.
 */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { textOf } from "@turnkeeper/server/projection/rowText"
import { Effect } from "effect"
import { deepStrictEqual } from "node:assert"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { inDirectory } from "./directory.ts"
import { running, threadIds, untilAll, withRunningTurns } from "./engine.ts"
import { copyDatabase, replay } from "./raw.ts"
import type { RawRun } from "./raw.ts"
import { figure, repeated } from "./report.ts"
import type { Figure } from "./report.ts"
import { inPortions, makeSpeaker, turns } from "./speaker.ts"

interface Load {
  readonly name: string
  /** Events of one portion. */
  readonly portion: number
  readonly gatherMs: number
  readonly turns: number
  readonly targets: boolean
}

const threads = 50
const repetitions = 5
const targets = { ratio: 0.5, perSecond: 20_000 }

const loads: ReadonlyArray<Load> = [
  { name: "ingest", portion: 4, gatherMs: 0, turns: 8, targets: true },
  { name: "ingest.single", portion: 1, gatherMs: 0, turns: 3, targets: false },
  { name: "ingest.flood", portion: 64, gatherMs: 20, turns: 16, targets: false }
]

export const ingest = async (): Promise<ReadonlyArray<Figure>> => {
  const figures: Array<Figure> = []
  for (const load of loads) {
    const runs: Array<Run> = []
    // The first one warms the compiler and does not count.
    for (let n = 0; n <= repetitions; n++) runs.push(await inDirectory((directory) => once(directory, load)))
    figures.push(...figuresOf(load, runs.slice(1)))
  }
  return figures
}

interface Run {
  readonly events: number
  readonly seconds: number
  /** Microseconds of processor, which other work on the machine changes less than the time. */
  readonly cpu: number
  readonly raw: RawRun
}

const once = async (directory: string, load: Load): Promise<Run> => {
  const database = join(directory, "engine.db")
  const before = join(directory, "raw.db")
  const portions = inPortions(turns(load.turns), load.portion)
  const events = portions.flat().length * threads
  const ids = threadIds(threads)
  const speaker = makeSpeaker(new Map(ids.map((id) => [id, portions])))
  const { provider } = speaker
  const settings = { gatherMs: load.gatherMs }
  const { seconds, cpu, written } = await running({ database, provider, settings }, (recording) =>
    Effect.gen(function* () {
      yield* withRunningTurns(ids)
      copyDatabase(database, before)
      recording.start()
      const from = performance.now()
      const used = process.cpuUsage()
      yield* speaker.open
      yield* speaker.said
      // What was read ahead, or a gather window still held, is committed a moment later.
      yield* untilAll(
        ids,
        ({ session, turns }) => turns.length === 0 && session.adopted === load.turns - 1,
        1
      )
      const seconds = (performance.now() - from) / 1_000
      const { user, system } = process.cpuUsage(used)
      recording.stop()
      return { seconds, cpu: user + system, written: recording.written }
    })
  )
  isWhole(database, portions.flat(), load.turns)
  return { events, seconds, cpu, raw: replay(before, written) }
}

/** A figure counts only if all that was said is in the tables. */
const isWhole = (filename: string, events: ReadonlyArray<ProviderEvent>, turnsEach: number) => {
  const database = new DatabaseSync(filename, { readOnly: true })
  try {
    const found = database
      .prepare(
        `SELECT (SELECT count(*) FROM turns WHERE state = 'completed') AS turns,
          (SELECT sum(length(${textOf("messages")})) FROM messages WHERE role <> 'user')
            + (SELECT sum(length(${textOf("items")})) FROM items) AS text,
          (SELECT count(*) FROM message_chunks) AS left`
      )
      .get()
    const said = events.reduce((sum, event) => sum + (event.type === "text.delta" ? event.text.length : 0), 0)
    deepStrictEqual({ ...found }, { turns: turnsEach * threads, text: said * threads, left: 0 })
  } finally {
    database.close()
  }
}

const figuresOf = (load: Load, runs: ReadonlyArray<Run>): ReadonlyArray<Figure> => {
  const perSecond = repeated(runs.map(({ events, seconds }) => events / seconds))
  const rows = repeated(runs.map(({ raw, seconds }) => raw.rows / seconds))
  const rawRows = repeated(runs.map(({ raw }) => raw.rows / raw.seconds))
  const ratio = repeated(runs.map(({ raw, seconds }) => raw.seconds / seconds))
  return [
    figure({
      name: `${load.name}.events`,
      unit: "provider events/s",
      ...perSecond,
      ...(load.targets && {
        target: `≥ ${targets.perSecond}`,
        met: perSecond.value >= targets.perSecond
      })
    }),
    figure({
      name: `${load.name}.rows`,
      unit: "rows/s",
      ...rows,
      compared: rawRows.value,
      against: "rows/s, raw node:sqlite",
      ratio: ratio.value,
      ...(load.targets && { target: `ratio ≥ ${targets.ratio}`, met: ratio.value >= targets.ratio })
    }),
    figure({
      name: `${load.name}.cpu`,
      unit: "µs of processor per provider event",
      ...repeated(runs.map(({ cpu, events }) => cpu / events)),
      compared: repeated(runs.map(({ raw, events }) => raw.cpu / events)).value,
      against: "µs, raw node:sqlite",
      ratio: repeated(runs.map(({ raw, cpu }) => raw.cpu / cpu)).value
    }),
    figure({
      name: `${load.name}.written`,
      value: [...(runs.at(-1)?.raw.byStatement ?? [])].map(([what, count]) => `${count} ${what}`).join(", "),
      unit: ""
    })
  ]
}
