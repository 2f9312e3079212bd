/**
 * A database of 1,000,000 events with a thread of 100,000 items: what opening that thread costs, how long
 * a server takes to its first answer on it, how fast all tables are made anew, and what memory the server
 * holds when 50 threads stream and 20 clients look on. Made by the real engine, once for all of them.
 *
 * `TURNKEEPER_BENCH_EVENTS` makes a smaller one.
 */
import { ThreadId } from "@turnkeeper/domain/ids"
import { Commit } from "@turnkeeper/server/engine/Commit"
import { ThreadView } from "@turnkeeper/server/projection/ThreadView"
import { Chat } from "@turnkeeper/testkit/Chat"
import type { Client } from "@turnkeeper/testkit/jsonrpc/Client"
import { startServer } from "@turnkeeper/testkit/process/Server"
import { openView } from "@turnkeeper/testkit/View"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { mkdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setTimeout } from "node:timers/promises"
import { inDirectory } from "./directory.ts"
import { running, threadIds, withRunningTurns } from "./engine.ts"
import { fill, voiceOf } from "./growth.ts"
import { figure, median, percentile, repeated, spreadOf } from "./report.ts"
import type { Figure } from "./report.ts"
import { memoryOf } from "./rest.ts"
import { makeSpeaker } from "./speaker.ts"

const events = Number(process.env["TURNKEEPER_BENCH_EVENTS"] ?? 1_000_000)
const longItems = Math.round(events / 10)
const shortItems = 100
const threads = 50
const askEveryMs = 5
const [short, long] = [ThreadId.make("thread-1"), ThreadId.make("thread-2")]
const targets = {
  open: { ms: 50, bytes: 1024 * 1024 },
  start: { ms: 1_000, ratio: 1.2 },
  rebuild: 200_000,
  memory: 300
}

export const large = (): Promise<ReadonlyArray<Figure>> =>
  inDirectory(async (directory) => {
    execFileSync(process.execPath, [join(import.meta.dirname, "../scripts/build.ts")])
    const database = join(directory, "data/turnkeeper.db")
    await mkdir(join(directory, "data"), { recursive: true })
    const made = await make(database)
    return [
      figure({ name: "large.events", value: made, unit: "events" }),
      figure({ name: "large.file", value: (await stat(database)).size / 1e6, unit: "MB" }),
      ...(await rebuilding(database)),
      ...(await opening(directory)),
      ...(await starting(directory)),
      ...(await loaded(directory))
    ]
  })

/** Two events per item. Gives the number that are in the log. */
const make = async (database: string): Promise<number> => {
  const ids = threadIds(threads)
  const { provider } = makeSpeaker(new Map(ids.map((id) => [id, []])))
  const others = Math.ceil((events / 2 - longItems - shortItems) / (threads - 2))
  const itemsOf = (id: ThreadId) => (id === short ? shortItems : id === long ? longItems : others)
  await running({ database, provider }, () =>
    Effect.gen(function* () {
      yield* withRunningTurns(ids)
      yield* Effect.forEach(ids, (id) => Effect.flatMap(voiceOf(id), (voice) => fill(voice, itemsOf(id))), {
        discard: true,
        concurrency: "unbounded"
      })
    })
  )
  return one(database, "SELECT count(*) AS value FROM events")
}

const one = (database: string, sql: string): number => {
  const connection = new DatabaseSync(database, { readOnly: true })
  try {
    return (connection.prepare(sql).get() as { readonly value: number }).value
  } finally {
    connection.close()
  }
}

/** All tables from the log, while a reader asks for a page again and again; against reading the log alone. */
const rebuilding = async (database: string): Promise<ReadonlyArray<Figure>> => {
  const { provider } = makeSpeaker(new Map())
  const { answers, perSecond } = await running({ database, provider }, () =>
    Effect.gen(function* () {
      const view = yield* ThreadView
      const answers: Array<number> = []
      const asking = yield* Effect.gen(function* () {
        // From when it was to be asked: a reader that has to wait for its turn waits for its answer.
        const from = performance.now() + askEveryMs
        yield* Effect.sleep(askEveryMs)
        yield* view.snapshot(short)
        answers.push(performance.now() - from)
      }).pipe(Effect.forever, Effect.forkScoped)
      const from = performance.now()
      const rebuilt = yield* (yield* Commit).rebuild
      const perSecond = rebuilt.events / ((performance.now() - from) / 1_000)
      asking.interruptUnsafe()
      return { answers, perSecond }
    }).pipe(Effect.scoped)
  )
  const bare = parsedPerSecond(database)
  return [
    figure({
      name: "large.rebuild",
      value: perSecond,
      unit: "events/s",
      compared: bare,
      against: "events/s, read and parsed alone",
      ratio: perSecond / bare,
      target: `≥ ${targets.rebuild}`,
      met: perSecond >= targets.rebuild
    }),
    figure({ name: "large.rebuild.answers", value: answers.length, unit: "answers meanwhile" }),
    figure({
      name: "large.rebuild.answer.p99",
      value: percentile(answers, 0.99),
      unit: "ms until an answer meanwhile",
      spread: spreadOf(answers)
    })
  ]
}

const parsedPerSecond = (database: string): number => {
  const connection = new DatabaseSync(database, { readOnly: true })
  try {
    const from = performance.now()
    let count = 0
    for (const row of connection.prepare("SELECT * FROM events ORDER BY sequence").iterate()) {
      if (JSON.parse(row["payload"] as string) !== null) count += 1
    }
    return count / ((performance.now() - from) / 1_000)
  } finally {
    connection.close()
  }
}

const bundle = [join(import.meta.dirname, "../apps/server/dist/main.js"), "serve"]
const providers = [{ id: "scripted", kind: "scripted", tickMs: 10 }] as const
const started = (directory: string) =>
  startServer({ directory, program: bundle, providers, readyMs: 120_000 })

/** The newest page of the long thread and of the short one, turn about, over the socket. */
const opening = async (directory: string): Promise<ReadonlyArray<Figure>> => {
  const server = await started(directory)
  try {
    const client = await server.connect()
    const times = { long: new Array<number>(), short: new Array<number>() }
    let bytes = 0
    for (let n = 0; n < 220; n++) {
      const page = await opened(client, long)
      times.long.push(page.ms)
      bytes = page.bytes
      times.short.push((await opened(client, short)).ms)
    }
    const of = (which: "long" | "short", share: number) => percentile(times[which].slice(20), share)
    return [
      figure({
        name: "large.open.p99",
        value: of("long", 0.99),
        unit: `ms, thread of ${longItems} items`,
        spread: spreadOf(times.long.slice(20)),
        compared: of("short", 0.99),
        against: `ms, thread of ${shortItems}`,
        ratio: of("long", 0.99) / of("short", 0.99),
        target: `≤ ${targets.open.ms}`,
        met: of("long", 0.99) <= targets.open.ms
      }),
      figure({
        name: "large.open.p50",
        value: of("long", 0.5),
        unit: "ms",
        compared: of("short", 0.5),
        against: `ms, thread of ${shortItems}`,
        ratio: of("long", 0.5) / of("short", 0.5)
      }),
      figure({
        name: "large.open.page",
        value: bytes,
        unit: "bytes of the first page",
        target: `≤ ${targets.open.bytes}`,
        met: bytes <= targets.open.bytes
      })
    ]
  } finally {
    await server.dispose()
  }
}

const opened = async (client: Client, threadId: string) => {
  const from = performance.now()
  const told = await client.subscribe("orchestration.subscribeThread", { threadId })
  const { value } = await told[Symbol.asyncIterator]().next()
  const ms = performance.now() - from
  await told.cancel()
  return { ms, bytes: Buffer.byteLength(JSON.stringify(value)) }
}

/** From the start of the process to the answer of its first call; against an empty database, turn about. */
const starting = (directory: string): Promise<ReadonlyArray<Figure>> =>
  inDirectory(async (empty) => {
    const times = { large: new Array<number>(), empty: new Array<number>() }
    for (let n = 0; n < 6; n++) {
      times.empty.push(await firstAnswer(empty))
      times.large.push(await firstAnswer(directory))
    }
    // The first start on each makes the directory, or settles what was open.
    const taken = repeated(times.large.slice(1))
    const ratio = taken.value / median(times.empty.slice(1))
    return [
      figure({
        name: "large.start",
        unit: "ms to the first answer",
        ...taken,
        compared: median(times.empty.slice(1)),
        against: "ms, empty database",
        ratio,
        target: `≤ ${targets.start.ms}, ratio ≤ ${targets.start.ratio}`,
        met: taken.value <= targets.start.ms && ratio <= targets.start.ratio
      })
    ]
  })

const firstAnswer = async (directory: string): Promise<number> => {
  const from = performance.now()
  const server = await started(directory)
  try {
    const client = await server.connect()
    await client.call("server.hello", { protocol: { min: 1, max: 1 } })
    return performance.now() - from
  } finally {
    await server.terminate()
    await server.dispose()
  }
}

/** 50 threads stream, 20 clients each follow the shell and three of them. */
const loaded = async (directory: string): Promise<ReadonlyArray<Figure>> => {
  const server = await started(directory)
  try {
    const client = await server.connect()
    const atRest = await memoryOf(server.pid)
    const chat = await Chat.open(client, { provider: "scripted", directory })
    const live = await Promise.all(Array.from({ length: threads }, () => chat.begin("[[slow:1000000]]")))
    for (let n = 0; n < 20; n++) {
      const reader = await server.connect()
      await reader.subscribe("orchestration.subscribeShell")
      for (const k of [0, 1, 2]) await openView(reader, live[(n * 3 + k) % threads]!.threadId)
    }
    const seen: Array<number> = []
    for (let n = 0; n < 20; n++) {
      await setTimeout(1_000)
      seen.push((await memoryOf(server.pid)).rss)
    }
    const highest = Math.max(...seen)
    return [
      figure({
        name: "large.memory",
        value: highest,
        unit: "MB, 50 live threads, 20 clients, the most in 20 s",
        spread: spreadOf(seen),
        compared: atRest.rss,
        against: "MB, before they came",
        ratio: highest / atRest.rss,
        target: `≤ ${targets.memory}`,
        met: highest <= targets.memory
      })
    ]
  } finally {
    await server.dispose()
  }
}
