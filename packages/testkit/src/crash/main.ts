/**
 * Kills the real server in the middle of real work, again and again, and then looks whether it kept its
 * word: no acknowledged message lost, none received twice, nothing left hanging.
 *
 *     node packages/testkit/src/crash/main.ts --kills 200 --provider scripted|codex [--seed 7] [--users 4]
 *
 * The choices of users and killer follow the seed; what they meet depends on the machine's timing, so a
 * seed makes a failure likely again, not certain. Exit status 1: a promise was broken; its data is kept.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { parseArgs } from "node:util"
import { readReceived } from "@turnkeeper/provider-kit/testing/record"
import { codexBinary } from "../../../../scripts/providers.ts"
import { Chat } from "../Chat.ts"
import { writeCodexHome } from "../codexHome.ts"
import { start } from "../fakeModel/server.ts"
import { gone } from "../process/tree.ts"
import { startServer } from "../process/Server.ts"
import type { ProviderConfig, RunningServer } from "../process/Server.ts"
import { check } from "./check.ts"
import type { Received, Verdict } from "./check.ts"
import { Link } from "./Link.ts"
import { makeRandom } from "./random.ts"
import type { Random } from "./random.ts"
import { User } from "./User.ts"

interface Arguments {
  readonly kills: number
  readonly provider: "scripted" | "codex"
  readonly seed: number
  readonly users: number
  /** Milliseconds of work between two kills, at most. */
  readonly workMs: number
  /** Milliseconds that everything may take to settle at the end. */
  readonly settleMs: number
}

const usage =
  "crash --kills N --provider scripted|codex [--seed N] [--users 4] [--work-ms 800] [--settle-ms 60000]\n"

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
    workMs: whole(values["work-ms"], 800),
    settleMs: whole(values["settle-ms"], 60_000)
  }
  const areNumbers = Object.values(numbers).every((number) => Number.isInteger(number) && number >= 0)
  return areNumbers && (provider === "scripted" || provider === "codex") ? { ...numbers, provider } : null
}

const say = (line: string) => process.stdout.write(`${line}\n`)

/** A provider, and the truth about what it received. */
interface World {
  readonly config: ProviderConfig
  readonly received: Received
  readonly prompts: () => number
  readonly close: () => Promise<void>
}

const codexWorld = async (root: string): Promise<World> => {
  const binary = codexBinary()
  if (binary === null) throw new Error("Codex is not installed. Run: node scripts/providers.ts codex")
  const model = await start({ slowDelayMs: 20 })
  const home = await writeCodexHome(join(root, "codex-home"), { modelUrl: model.url })
  return {
    config: { id: "codex", kind: "codex", binary, home: home.directory, env: home.env },
    received: (turnId) => model.promptsSeen(turnId),
    prompts: () => [...model.markers().values()].reduce((sum, count) => sum + count, 0),
    close: () => model.close()
  }
}

const scriptedWorld = async (root: string): Promise<World> => {
  const recordDirectory = join(root, "scripted")
  await mkdir(recordDirectory)
  const counts = () => {
    const all = new Map<string, number>()
    for (const { turnId } of readReceived(recordDirectory)) all.set(turnId, (all.get(turnId) ?? 0) + 1)
    return all
  }
  // Read once, when everything is at rest.
  let final: ReadonlyMap<string, number> | null = null
  return {
    config: { id: "scripted", kind: "scripted", recordDirectory, tickMs: 10 },
    received: (turnId) => (final ??= counts()).get(turnId) ?? 0,
    prompts: () => [...(final ??= counts()).values()].reduce((sum, count) => sum + count, 0),
    close: async () => {}
  }
}

interface Run {
  readonly verdict: Verdict
  readonly prompts: number
}

const run = async (args: Arguments, root: string, world: World): Promise<Run> => {
  const random = makeRandom(args.seed)
  const directory = join(root, "work")
  await mkdir(directory)
  const link = new Link()
  let server = await startServer({ directory: join(root, "server"), providers: [world.config] })
  try {
    let client = await server.connect()
    const { projectId } = await Chat.open(client, { provider: world.config.id, directory })
    link.up(client)
    const users = Array.from(
      { length: args.users },
      (_, index) => new User({ link, random: random.fork(index), projectId, provider: world.config.id })
    )
    const working = Promise.all(users.map((user) => user.work()))
    // A user that breaks down ends the run at once, not after the last kill.
    const broken = working.then(() => new Promise<never>(() => {}))
    for (let kill = 1; kill <= args.kills; kill++) {
      await Promise.race([broken, setTimeout(momentOf(random, args.workMs))])
      await server.kill()
      await client.closed
      server = await server.restart()
      client = await server.connect()
      link.up(client)
      progress(kill, args.kills, users)
    }
    await Promise.race([broken, setTimeout(args.workMs)])
    for (const user of users) user.end()
    link.end()
    await working
    const verdict = await check(client, users, world.received, args.settleMs)
    const violations = [...verdict.violations, ...(await endInOrder(server))]
    say(`repeated commands: ${link.repeated}; turns: ${JSON.stringify(verdict.byState)}`)
    return { verdict: { ...verdict, violations }, prompts: world.prompts() }
  } catch (error) {
    process.stderr.write(`${server.stderr().slice(-4_000)}\n`)
    throw error
  } finally {
    await server.dispose()
  }
}

/** Half of the kills come at once or nearly so: that is where a message is half sent. */
const momentOf = (random: Random, workMs: number) =>
  random.chance(0.3) ? random.between(0, 30) : random.between(0, workMs)

const progress = (kill: number, kills: number, users: ReadonlyArray<User>) => {
  if (kill % 10 !== 0 && kill !== kills) return
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
  const world = await (args.provider === "codex" ? codexWorld(root) : scriptedWorld(root))
  let kept = true
  try {
    const { prompts, verdict } = await run(args, root, world)
    const { turns, unknown, violations } = verdict
    for (const violation of violations) say(`VIOLATION ${violation}`)
    kept = violations.length > 0
    say(
      `${args.kills} kills, ${turns} turns, ${prompts} prompts received, ${unknown} unknown, ${violations.length} violations`
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
