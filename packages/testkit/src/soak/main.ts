/**
 * Keeps the real server busy for a long time, and looks whether anything of it grows:
 *
 *     node packages/testkit/src/soak/main.ts --minutes 30 [--users 6] [--seed 7]
 *
 * Users begin threads, talk, steer, interrupt, answer and leave; their connection breaks again and again. In the
 * end every promise is checked as after a crash run. A run of less than twenty minutes prints what it measured and
 * judges no growth. Exit status 1: something grew, or a promise was broken.
 */
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { parseArgs } from "node:util"
import { paths } from "@turnkeeper/contracts/Discovery"
import { Chat } from "../Chat.ts"
import { check } from "../crash/check.ts"
import type { Verdict } from "../crash/check.ts"
import { Link } from "../crash/Link.ts"
import { makeRandom } from "../crash/random.ts"
import type { Random } from "../crash/random.ts"
import { User } from "../crash/User.ts"
import { worlds } from "../crash/worlds.ts"
import type { World } from "../crash/worlds.ts"
import { startServer } from "../process/Server.ts"
import type { RunningServer } from "../process/Server.ts"
import { metricIn, trendsOf } from "./figures.ts"
import type { Sample, Trend } from "./figures.ts"

interface Arguments {
  readonly minutes: number
  readonly users: number
  readonly seed: number
}

const usage = "soak --minutes N [--users 6] [--seed N]\n"
const judgedMinutes = 20
const sampleMs = 2_000
const settleMs = 60_000
const cutMs = { from: 3_000, to: 15_000 } as const

const readArguments = (): Arguments | null => {
  const text = { type: "string" } as const
  try {
    const { values } = parseArgs({ options: { minutes: text, users: text, seed: text } })
    const args = {
      minutes: Number(values.minutes ?? 30),
      users: Number(values.users ?? 6),
      seed: Number(values.seed ?? 1)
    }
    return args.minutes > 0 && Number.isInteger(args.users) && Number.isInteger(args.seed) ? args : null
  } catch {
    return null
  }
}

const say = (line: string) => process.stdout.write(`${line}\n`)

/** The connection of all users breaks now and then, and comes back at once. */
const breakingUp = async (link: Link, server: RunningServer, random: Random, isOver: () => boolean) => {
  for (let cuts = 0; ; cuts++) {
    const client = await server.connect()
    link.up(client)
    await setTimeout(random.between(cutMs.from, cutMs.to))
    if (isOver()) return cuts
    client.cut()
  }
}

const sampled = async (server: RunningServer, at: number): Promise<Sample> => {
  const headers = { authorization: `Bearer ${await server.token()}` }
  const text = await (await fetch(new URL(paths.metrics, server.url), { headers })).text()
  const metric = (name: string, label?: string) => metricIn(text, `turnkeeper_${name}`, label)
  return {
    at,
    memoryMb: metric("memory_bytes", '"rss"') / 2 ** 20,
    heapMb: metric("memory_bytes", '"heap"') / 2 ** 20,
    descriptors: (await readdir(`/proc/${server.pid}/fd`).catch(() => null))?.length ?? null,
    waiting: metric("commit_waiting") + metric("busy_mailboxes") + metric("pending_effects"),
    sessions: metric("open_sessions")
  }
}

const sampling = async (server: RunningServer, endMs: number): Promise<ReadonlyArray<Sample>> => {
  const samples: Array<Sample> = []
  const began = performance.now()
  for (let shown = 0; performance.now() - began < endMs;) {
    await setTimeout(sampleMs)
    const sample = await sampled(server, performance.now() - began)
    samples.push(sample)
    if (sample.at - shown < 60_000) continue
    shown = sample.at
    say(`${Math.round(sample.at / 60_000)} min: ${JSON.stringify(rounded(sample))}`)
  }
  return samples
}

const rounded = ({ at: _, ...figures }: Sample) =>
  Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Math.round(value ?? -1)]))

const run = async (args: Arguments, root: string, world: World): Promise<number> => {
  const directory = join(root, "work")
  await mkdir(directory)
  const server = await startServer({ directory: join(root, "server"), providers: [world.config] })
  try {
    const random = makeRandom(args.seed)
    const link = new Link()
    let over = false
    const first = await server.connect()
    const { projectId } = await Chat.open(first, { provider: world.config.id, directory })
    await first.close()
    const breaking = breakingUp(link, server, random.fork(0), () => over)
    const users = Array.from(
      { length: args.users },
      (_, index) =>
        new User({ link, random: random.fork(index + 1), projectId, provider: world.config.id, tidies: true })
    )
    const working = Promise.all(users.map((user) => user.work()))
    const samples = await sampling(server, args.minutes * 60_000)
    over = true
    for (const user of users) user.end()
    const cuts = await breaking
    link.end()
    await working
    const client = await server.connect()
    return told(args, samples, cuts, await check(client, users, world.received, settleMs))
  } finally {
    await server.dispose()
  }
}

const told = (
  { minutes }: Arguments,
  samples: ReadonlyArray<Sample>,
  cuts: number,
  { turns, violations }: Verdict
): number => {
  const trends = trendsOf(samples)
  const isJudged = minutes >= judgedMinutes
  const grown = isJudged ? trends.filter(({ isSteady }) => !isSteady) : []
  for (const violation of violations) say(`VIOLATION ${violation}`)
  for (const trend of grown) say(`VIOLATION It grows: ${wordsOf(trend)}`)
  const slopes = trends.map(wordsOf).join(", ")
  const hint = isJudged ? "" : " (too short to judge growth)"
  const broken = violations.length + grown.length
  say(
    `${minutes} minutes, ${turns} turns, ${cuts} cuts, ${samples.length} samples; ${slopes}${hint}; ${broken} violations`
  )
  return broken > 0 ? 1 : 0
}

const wordsOf = ({ figure, mean, perHour }: Trend) =>
  `${figure} ${mean.toFixed(1)} ${perHour < 0 ? "" : "+"}${perHour.toFixed(1)}/h`

const main = async (): Promise<number> => {
  const args = readArguments()
  if (args === null) {
    process.stderr.write(usage)
    return 2
  }
  const root = await mkdtemp(join(tmpdir(), "turnkeeper-soak-"))
  const world = await worlds.scripted(root)
  try {
    return await run(args, root, world)
  } finally {
    await world.close()
    await rm(root, { recursive: true, force: true, maxRetries: 5 })
  }
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return 1
})
