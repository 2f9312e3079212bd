/**
 * Kills the real server, or its provider, in the middle of real work, again and again, and then looks
 * whether it kept its word: no acknowledged message lost, none received twice, nothing left hanging.
 *
 *     node packages/testkit/src/crash/main.ts --kills 200 --provider scripted|codex|opencode [--seed 7]
 *
 * The choices of users and killer follow the seed; what they meet depends on the machine's timing, so a
 * seed makes a failure likely again, not certain. Exit status 1: a promise was broken; its data is kept.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Chat } from "../Chat.ts"
import { gone } from "../process/tree.ts"
import { startServer } from "../process/Server.ts"
import type { RunningServer } from "../process/Server.ts"
import { check } from "./check.ts"
import type { Verdict } from "./check.ts"
import { Killer } from "./Killer.ts"
import { Link } from "./Link.ts"
import { directoryVariable, pointFilesIn } from "./points.ts"
import { makeRandom } from "./random.ts"
import { User } from "./User.ts"
import { isWorldName, worlds } from "./worlds.ts"
import type { World, WorldName } from "./worlds.ts"

interface Arguments {
  readonly kills: number
  readonly provider: WorldName
  readonly seed: number
  readonly users: number
  /** Milliseconds of work between two kills, at most; 0: as its provider needs. */
  readonly workMs: number
  /** Milliseconds that everything may take to settle at the end. */
  readonly settleMs: number
}

const usage =
  "crash --kills N --provider scripted|codex|opencode [--seed N] [--users 4] [--work-ms 0] [--settle-ms 60000]\n"

const text = { type: "string" } as const
const options = {
  kills: text,
  provider: text,
  seed: text,
  users: text,
  "work-ms": text,
  "settle-ms": text
}

const readOptions = () => {
  try {
    return parseArgs({ options }).values
  } catch {
    return null
  }
}

const whole = (value: string | undefined, otherwise: number) => Number(value ?? otherwise)

const readArguments = (): Arguments | null => {
  const values = readOptions()
  if (values === null) return null
  const { provider = "scripted" } = values
  const numbers = {
    kills: whole(values.kills, 20),
    seed: whole(values.seed, Date.now() % 1_000_000),
    users: whole(values.users, 4),
    workMs: whole(values["work-ms"], 0),
    settleMs: whole(values["settle-ms"], 60_000)
  }
  const areNumbers = Object.values(numbers).every((number) => Number.isInteger(number) && number >= 0)
  return areNumbers && isWorldName(provider) ? { ...numbers, provider } : null
}

const say = (line: string) => process.stdout.write(`${line}\n`)

interface Run {
  readonly verdict: Verdict
  readonly kills: number
  readonly prompts: number
}

const run = async (args: Arguments, root: string, world: World): Promise<Run> => {
  const random = makeRandom(args.seed)
  const directory = join(root, "work")
  await mkdir(directory)
  const workMs = args.workMs === 0 ? world.workMs : args.workMs
  const points = join(root, "points")
  await mkdir(points)
  const link = new Link()
  const server = await startServer({
    directory: join(root, "server"),
    providers: [world.config],
    program: [armedProgram, "serve"],
    env: { [directoryVariable]: points }
  })
  const client = await server.connect().catch(async (error: unknown) => {
    await server.dispose()
    throw error
  })
  const users: Array<User> = []
  const killer = new Killer(server, client, {
    settleMs: args.settleMs,
    workMs,
    link,
    random: random.fork(args.users),
    points: pointFilesIn(points),
    program: world.program,
    views: () => users.flatMap((user) => user.views)
  })
  try {
    const { projectId } = await Chat.open(killer.client, { provider: world.config.id, directory })
    link.up(killer.client)
    for (let user = 0; user < args.users; user++) {
      users.push(new User({ link, random: random.fork(user), projectId, provider: world.config.id }))
    }
    const broken: Array<unknown> = []
    const working = Promise.all(users.map((user) => user.work())).catch((error) => void broken.push(error))
    // A user that breaks down ends the run after the round, not after the last kill.
    for (let shown = 0; killer.kills < args.kills && broken.length === 0;) {
      await killer.round()
      if (killer.kills - shown < 10 && killer.kills < args.kills) continue
      shown = killer.kills
      progress(shown, args.kills, users)
    }
    await setTimeout(workMs)
    for (const user of users) user.end()
    link.end()
    await working
    for (const error of broken) throw error
    const verdict = await check(killer.client, users, world.received, args.settleMs)
    const violations = [...killer.violations, ...verdict.violations, ...(await endInOrder(killer.server))]
    for (const [kind, count] of [...killer.byKind].sort()) say(`  ${count} ${kind}`)
    say(`repeated commands: ${link.repeated}; turns: ${JSON.stringify(verdict.byState)}`)
    return { verdict: { ...verdict, violations }, kills: killer.kills, prompts: world.prompts() }
  } catch (error) {
    process.stderr.write(`${killer.server.stderr().slice(-4_000)}\n`)
    throw error
  } finally {
    await killer.server.dispose()
  }
}

const armedProgram = join(import.meta.dirname, "armed.ts")

const progress = (kill: number, kills: number, users: ReadonlyArray<User>) => {
  const turns = users.reduce((sum, user) => sum + user.promised.length, 0)
  say(`${kill}/${kills} kills, ${turns} messages`)
}

/** A server that is told to end does so, and takes its providers with it. */
const endInOrder = async (server: RunningServer): Promise<ReadonlyArray<string>> => {
  const children = await server.children()
  const exit = await server.terminate()
  const violations = exit.code === 0 ? [] : [`told to end, the server ended with ${JSON.stringify(exit)}`]
  for (const child of children) {
    await gone(child, 5_000).catch(() => violations.push(`left behind: ${child.command}`))
  }
  return violations
}

const main = async (): Promise<number> => {
  const args = readArguments()
  if (args === null) {
    process.stderr.write(usage)
    return 2
  }
  say(`seed ${args.seed}`)
  const root = await mkdtemp(join(tmpdir(), "turnkeeper-crash-"))
  const world = await worlds[args.provider](root)
  let kept = true
  try {
    const { kills, prompts, verdict } = await run(args, root, world)
    const { turns, unknown, violations } = verdict
    for (const violation of violations) say(`VIOLATION ${violation}`)
    kept = violations.length > 0
    say(
      `${kills} kills, ${turns} turns, ${prompts} prompts received, ${unknown} unknown, ${violations.length} violations`
    )
    return violations.length > 0 ? 1 : 0
  } finally {
    await world.close()
    if (kept) process.stderr.write(`The data is kept in ${root}\n`)
    else await rm(root, { recursive: true, force: true, maxRetries: 5 })
  }
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return 1
})
