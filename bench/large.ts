/**
 * A database of 1,000,000 events and 4 GB, with a thread of 100,000 items, made by the real engine once for all of
 * them: what opening that thread costs, what one event costs in it, how long a server takes to its first answer,
 * how fast all tables are made anew while readers go on, and what memory the server holds when 50 threads stream
 * and 20 clients look on.
 *
 * `TURNKEEPER_BENCH_EVENTS` and `TURNKEEPER_BENCH_BYTES` make a smaller one; `TURNKEEPER_BENCH_DATA` takes the data
 * directory that `npm run database` has made with those figures, and changes it.
 */
import type { RebuildItem } from "@turnkeeper/contracts/Maintenance"
import { CommandId, MessageId, ThreadId, TurnId } from "@turnkeeper/domain/ids"
import { Engine } from "@turnkeeper/server/engine/Engine"
import { Mailboxes } from "@turnkeeper/server/engine/Mailboxes"
import { eventBytes } from "@turnkeeper/server/store/EventLog"
import { Chat } from "@turnkeeper/testkit/Chat"
import type { Client } from "@turnkeeper/testkit/jsonrpc/Client"
import { servedFrom } from "@turnkeeper/testkit/process/program"
import { startServer } from "@turnkeeper/testkit/process/Server"
import { openView } from "@turnkeeper/testkit/View"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setTimeout } from "node:timers/promises"
import { promisify } from "node:util"
import { longItemsOf, shortItems } from "./database.ts"
import { inDirectory } from "./directory.ts"
import { running, untilAll, withRunningTurns } from "./engine.ts"
import { voiceOf } from "./growth.ts"
import { buildServer } from "./program.ts"
import { figure, median, percentile, repeated, spreadOf } from "./report.ts"
import type { Figure } from "./report.ts"
import { memoryOf } from "./rest.ts"
import { item, makeSpeaker, userTurn } from "./speaker.ts"

const plan = {
  events: Number(process.env["TURNKEEPER_BENCH_EVENTS"] ?? 1_000_000),
  bytes: Number(process.env["TURNKEEPER_BENCH_BYTES"] ?? 4e9),
  threads: 200
}
const given = process.env["TURNKEEPER_BENCH_DATA"]
const longItems = longItemsOf(plan)
const threads = 50
const askEveryMs = 100
/** Before the tables are made anew, the same is asked of a server that does nothing else. */
const quietMs = 5_000
const [short, long] = [ThreadId.make("thread-1"), ThreadId.make("thread-2")]
const targets = {
  open: { ms: 50, bytes: 1024 * 1024 },
  event: 1.1,
  start: { ms: 1_000, ratio: 1.2 },
  rebuild: 200_000,
  memory: 300
}

export const large = (): Promise<ReadonlyArray<Figure>> =>
  given === undefined
    ? inDirectory(async (directory) => {
        await made(join(directory, "data"), plan.bytes)
        return measured(directory)
      })
    : measured(dirname(given))

/** A data directory, made by a process of its own: what is left in its memory is no part of what is measured. */
const made = (directory: string, bytes: number) => {
  const { events, threads } = plan
  const options = Object.entries({ directory, events, bytes, threads })
  return promisify(execFile)(process.execPath, [
    join(import.meta.dirname, "../scripts/makeDatabase.ts"),
    ...options.flatMap(([name, value]) => [`--${name}`, String(value)])
  ])
}

/** `directory` has the data directory, by the name that the servers here expect. */
const measured = async (directory: string): Promise<ReadonlyArray<Figure>> => {
  buildServer()
  const database = join(directory, "data/turnkeeper.db")
  const made = one(database, "SELECT count(*) AS value FROM events")
  return [
    figure({ name: "large.events", value: made, unit: "events" }),
    fileFigure((await stat(database)).size, one(database, logBytes)),
    ...(await speaking(database)),
    ...(await opening(directory)),
    ...(await starting(directory)),
    ...(await loaded(directory)),
    ...(await rebuilding("large.rebuild", directory)),
    ...(await ordinary())
  ]
}

const logBytes = `SELECT sum(${eventBytes}) AS value FROM events`

/** All that the database takes, against what its log says: each text stands once. */
const fileFigure = (file: number, log: number): Figure =>
  figure({
    name: "large.file",
    value: file / 1e6,
    unit: "MB",
    compared: log / 1e6,
    against: "MB of the log's own words",
    ratio: file / log
  })

/** One event in the long thread of the large database, against one in the only thread of an empty one. */
const speaking = (database: string): Promise<ReadonlyArray<Figure>> =>
  inDirectory(async (empty) => {
    const times = { large: new Array<number>(), empty: new Array<number>() }
    for (let round = 0; round < 4; round++) {
      times.large.push(await eventMs(database, long, `measured-${round}`))
      times.empty.push(
        await eventMs(join(empty, "empty.db"), ThreadId.make(`only-${round}`), `measured-${round}`)
      )
    }
    const taken = repeated(times.large)
    const ratio = taken.value / median(times.empty)
    return [
      figure({
        name: "large.event",
        unit: `ms/event at ${longItems} items`,
        ...taken,
        compared: median(times.empty),
        against: "ms/event in an empty database",
        ratio,
        target: `ratio ≤ ${targets.event}`,
        met: ratio <= targets.event
      })
    ]
  })

/** The median of a command's beginning, output and end, each committed by itself, in a turn of its own. */
const eventMs = (database: string, threadId: ThreadId, name: string): Promise<number> => {
  const { provider } = makeSpeaker(new Map([[threadId, []]]))
  return running({ database, provider }, () =>
    Effect.gen(function* () {
      if (threadId === long) yield* withRunningTurn(threadId, name)
      else yield* withRunningTurns([threadId])
      const voice = yield* voiceOf(threadId)
      const mailbox = yield* (yield* Mailboxes).of(threadId)
      const before = mailbox.current().version
      const times: Array<number> = []
      for (let n = 0; n < 300; n++) {
        const events = item(userTurn, `${name}-${n}`, "command", 1, "A line of output.\n")
        const from = performance.now()
        yield* Effect.forEach(events, (event) => voice([event]), { discard: true })
        times.push((performance.now() - from) / events.length)
      }
      const logged = mailbox.current().version - before
      if (logged !== 600) return yield* Effect.die(new Error(`${logged} events were logged instead of 600`))
      yield* voice([
        { type: "turn.completed", providerTurnId: userTurn, outcome: "completed", message: null }
      ])
      return median(times.slice(100))
    })
  )
}

/** A turn in a thread that is there already. */
const withRunningTurn = Effect.fnUntraced(function* (threadId: ThreadId, name: string) {
  const { dispatch } = yield* Engine
  yield* dispatch(
    {
      type: "thread.turn.start",
      commandId: CommandId.make(`begin-${name}`),
      threadId,
      turnId: TurnId.make(name),
      messageId: MessageId.make(`${name}-prompt`),
      text: "Please go on."
    },
    "bench"
  )
  yield* untilAll([threadId], ({ session }) => session.status === "running", 5)
})

const one = (database: string, sql: string): number => {
  const connection = new DatabaseSync(database, { readOnly: true })
  try {
    return (connection.prepare(sql).get() as { readonly value: number }).value
  } finally {
    connection.close()
  }
}

/** The same with outputs as most have them: what an event costs where its length does not decide. */
const ordinary = (): Promise<ReadonlyArray<Figure>> =>
  inDirectory(async (directory) => {
    await made(join(directory, "data"), plan.events * ordinaryBytes)
    return rebuilding("large.rebuild.ordinary", directory)
  })

/** Of the file, for one event. */
const ordinaryBytes = 600

/**
 * All tables from the log by a server as it is run, for a client that waits for it, while another one opens a
 * thread again and again; against reading the log alone.
 */
const rebuilding = async (name: string, directory: string): Promise<ReadonlyArray<Figure>> => {
  const { answers, before, perSecond } = await rebuilt(directory)
  const database = join(directory, "data/turnkeeper.db")
  const bare = parsedPerSecond(database)
  const bytesOfEvent = one(database, `SELECT avg(${eventBytes}) AS value FROM events`)
  return [
    figure({
      name,
      value: perSecond,
      unit: "events/s",
      compared: bare,
      against: "events/s, read and parsed alone",
      ratio: perSecond / bare,
      target: `≥ ${targets.rebuild}`,
      met: perSecond >= targets.rebuild
    }),
    figure({
      name: `${name}.bytes`,
      value: (perSecond * bytesOfEvent) / 1e6,
      unit: "MB/s of the log",
      compared: (bare * bytesOfEvent) / 1e6,
      against: "MB/s, read and parsed alone",
      ratio: perSecond / bare
    }),
    figure({ name: `${name}.answers`, value: answers.length, unit: "answers meanwhile" }),
    figure({
      name: `${name}.answer.p99`,
      value: percentile(answers, 0.99),
      unit: `ms until thread of ${longItems} items is open meanwhile`,
      spread: spreadOf(answers),
      compared: percentile(before, 0.99),
      against: "ms, right before",
      ratio: percentile(answers, 0.99) / percentile(before, 0.99)
    })
  ]
}

const rebuilt = async (directory: string) => {
  const server = await started(directory)
  try {
    const reader = await server.connect()
    const client = await server.connect()
    const { answers: before } = await whileAsked(reader, setTimeout(quietMs))
    const { answers, value: perSecond } = await whileAsked(reader, madeAnew(client))
    return { before, answers, perSecond }
  } finally {
    await server.dispose()
  }
}

/** What the reader waits for the newest page of the long thread, again and again until the work is done. */
const whileAsked = async <A>(reader: Client, work: Promise<A>) => {
  const answers: Array<number> = []
  const done = new AbortController()
  const asking = async () => {
    while (!done.signal.aborted) {
      // From when it was to be asked: a reader that has to wait for its turn waits for its answer.
      const from = performance.now() + askEveryMs
      await setTimeout(askEveryMs)
      await opened(reader, long)
      answers.push(performance.now() - from)
    }
  }
  const asked = asking()
  const value = await work.finally(() => done.abort())
  await asked
  return { answers, value }
}

/** Events per second. */
const madeAnew = async (client: Client): Promise<number> => {
  const from = performance.now()
  const told = await client.subscribe<RebuildItem>("maintenance.rebuild")
  for await (const { done, events } of told) if (done) return events / ((performance.now() - from) / 1_000)
  throw new Error("The tables were not made anew.")
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

const providers = [{ id: "scripted", kind: "scripted", tickMs: 10 }] as const
const started = (directory: string) =>
  startServer({ directory, program: servedFrom.bundle, providers, readyMs: 120_000 })

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
