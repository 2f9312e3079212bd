/**
 * One thread and many readers: 1,000 events of 8 KiB to 50 clients against one, in processor time of the
 * server alone. The engine and its door run in this process, the clients in another.
 *
 * Beside it the floor: a bare WebSocket server that sends the same bytes to as many clients, each frame
 * made once. What lies between the floor and the figure is what the server could still save.
 */
import type { ProviderEvent } from "@turnkeeper/domain/runtime/ProviderEvent"
import { Mailboxes } from "@turnkeeper/server/engine/Mailboxes"
import { Effect, Stream } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout } from "node:timers/promises"
import { WebSocketServer } from "ws"
import { inDirectory } from "./directory.ts"
import { listening, threadIds, withRunningTurns } from "./engine.ts"
import type { Address } from "./engine.ts"
import { outputOf } from "./output.ts"
import { figure, repeated } from "./report.ts"
import type { Figure } from "./report.ts"
import { inPortions, speaking, userTurn } from "./speaker.ts"

const repetitions = 3
const events = 1_000
const eventBytes = 8 * 1_024
const clients = 50
const target = 1.5
/** Events of one commit, and the time between two commits: what clients on one core can read. */
const pace = { portion: 20, everyMs: 100 } as const

export const fanout = async (): Promise<ReadonlyArray<Figure>> => {
  const runs: Array<Run> = []
  // The first one warms the compiler and does not count.
  for (let n = 0; n <= repetitions; n++) runs.push(await both())
  const counted = runs.slice(1)
  const ratio = repeated(counted.map((run) => run.many / run.one))
  const bare = repeated(counted.map((run) => run.bareMany / run.bareOne))
  return [
    figure({
      name: "fanout.cpu",
      unit: `ms of processor for ${clients} clients`,
      ...repeated(counted.map((run) => run.many)),
      compared: repeated(counted.map((run) => run.one)).value,
      against: "ms for 1 client",
      ratio: ratio.value,
      target: `ratio ≤ ${target}`,
      met: ratio.value <= target
    }),
    figure({ name: "fanout.ratio", unit: "×", ...ratio }),
    figure({
      name: "fanout.bare",
      unit: `ms of processor, bare ws to ${clients} clients`,
      ...repeated(counted.map((run) => run.bareMany)),
      compared: repeated(counted.map((run) => run.bareOne)).value,
      against: "ms, bare ws to 1 client",
      ratio: bare.value
    })
  ]
}

/** Milliseconds of processor. */
interface Run {
  readonly one: number
  readonly many: number
  readonly bareOne: number
  readonly bareMany: number
}

const both = async (): Promise<Run> => ({
  one: await inDirectory((directory) => served(directory, 1)),
  many: await inDirectory((directory) => served(directory, clients)),
  bareOne: await bare(1),
  bareMany: await bare(clients)
})

const served = (directory: string, count: number): Promise<number> => {
  const [threadId] = threadIds(1)
  const portions = inPortions(said(), pace.portion)
  const speaker = speaking([threadId!], () =>
    Stream.fromIterable(portions).pipe(
      Stream.tap(() => Effect.sleep(pace.everyMs)),
      Stream.flatMap((portion) => Stream.fromArray(portion))
    )
  )
  return listening(
    { database: join(directory, "fanout.db"), provider: speaker.provider, settings: { gatherMs: 0 } },
    (address) =>
      Effect.gen(function* () {
        yield* withRunningTurns([threadId!])
        const mailbox = yield* (yield* Mailboxes).of(threadId!)
        const before = mailbox.current().version
        const readers = yield* Effect.promise(() => startReaders(address, threadId!, count))
        const used = process.cpuUsage()
        yield* speaker.open
        yield* speaker.said
        yield* Effect.promise(() => readers.until(before + events))
        const taken = cpuSince(used)
        yield* Effect.promise(readers.end)
        return taken
      })
  )
}

/** Each is one event of the log: a notice with its text. */
const said = (): ReadonlyArray<ProviderEvent> =>
  Array.from({ length: events / 2 }, (_, n): ReadonlyArray<ProviderEvent> => {
    const itself = { providerTurnId: userTurn, providerItemId: `item-${n}`, kind: "command" } as const
    const detail = { command: outputOf(2 * n, eventBytes), cwd: "/tmp" }
    return [
      { type: "item.started", ...itself, title: "command", detail },
      {
        type: "item.completed",
        ...itself,
        title: "command",
        detail: {},
        end: "completed",
        text: outputOf(2 * n + 1, eventBytes)
      }
    ]
  }).flat()

/** The same bytes from a server that does nothing else. */
const bare = async (count: number): Promise<number> => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false })
  await once(server, "listening")
  const live = JSON.stringify({ items: [{ type: "synchronized", version: 0 }] })
  server.on("connection", (socket) => socket.on("message", () => socket.send(live)))
  const address = server.address() as { readonly port: number }
  const readers = await startReaders(
    { url: `http://127.0.0.1:${address.port}`, token: "none" },
    "thread",
    count
  )
  const portions = inPortions(
    Array.from({ length: events }, (_, n) => ({
      type: "event",
      text: outputOf(n, eventBytes),
      version: n + 1
    })),
    pace.portion
  )
  const used = process.cpuUsage()
  for (const items of portions) {
    const frame = Buffer.from(JSON.stringify({ items }))
    for (const socket of server.clients) socket.send(frame, { binary: false })
    await setTimeout(pace.everyMs)
  }
  await readers.until(events)
  const taken = cpuSince(used)
  await readers.end()
  server.close()
  return taken
}

const cpuSince = (used: NodeJS.CpuUsage): number => {
  const { system, user } = process.cpuUsage(used)
  return (user + system) / 1_000
}

const startReaders = async ({ token, url }: Address, threadId: string, count: number) => {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "readers.ts"), url, token, threadId, String(count)],
    { stdio: ["pipe", "pipe", "inherit"] }
  )
  const lines = createInterface({ input: child.stdout })
  await once(lines, "line")
  return {
    until: async (version: number) => {
      child.stdin.write(`${version}\n`)
      await once(lines, "line")
    },
    end: async () => {
      child.kill("SIGKILL")
      await once(child, "exit")
    }
  }
}
