/**
 * Kills, one after the other: the server at any moment, at a named point or while it starts, and its
 * provider, which is killed or only stops moving. After each of them there is a server that listens.
 */
import { setTimeout } from "node:timers/promises"
import { dispatch } from "../Chat.ts"
import { JsonRpcError } from "../jsonrpc/Client.ts"
import type { Client } from "../jsonrpc/Client.ts"
import { ServerFailed } from "../process/Server.ts"
import type { RunningServer } from "../process/Server.ts"
import { isAlive } from "../process/tree.ts"
import type { ProcessInfo } from "../process/tree.ts"
import { openView } from "../View.ts"
import type { View } from "../View.ts"
import type { Link } from "./Link.ts"
import { isOfStart, pointOf } from "./points.ts"
import type { Point, PointFiles } from "./points.ts"
import type { Random } from "./random.ts"

export interface KillerOptions {
  readonly link: Link
  readonly random: Random
  readonly points: PointFiles
  /** What the provider's processes have in their command line; null: it has none. */
  readonly program: string | null
  /** Milliseconds of work between two kills, at most. */
  readonly workMs: number
  /** Milliseconds in which a stop has to have settled what it stops. */
  readonly settleMs: number
  /** Every thread that users look at. */
  readonly views: () => ReadonlyArray<View>
}

/** A point that is not passed in so many milliseconds of work is given up: the server is killed there and then. */
const pointMs = 4_000

export class Killer {
  server: RunningServer
  client: Client
  kills = 0
  /** How many kills there were of each kind. */
  readonly byKind = new Map<string, number>()
  readonly violations: Array<string> = []
  private readonly options: KillerOptions

  constructor(server: RunningServer, client: Client, options: KillerOptions) {
    this.server = server
    this.client = client
    this.options = options
  }

  /** One kill or more. */
  async round(): Promise<void> {
    const { program, random } = this.options
    const drawn = random.between(1, 100)
    if (program !== null && drawn <= 12) return this.killProvider(program)
    if (program !== null && drawn <= 22) return this.freezeProvider(program)
    if (drawn <= 45) return this.killAtMoment()
    const point = pointOf(random)
    return isOfStart(point) ? this.killInStart(point) : this.killAtPoint(point)
  }

  private count(kind: string) {
    this.kills += 1
    this.byKind.set(kind, (this.byKind.get(kind) ?? 0) + 1)
  }

  /** A third of these come at once or nearly so: that is where a message is half sent. */
  private async killAtMoment() {
    const { random, workMs } = this.options
    await setTimeout(random.chance(0.3) ? random.between(0, 30) : random.between(0, workMs))
    await this.killNow()
    await this.up()
  }

  private async killAtPoint(point: Point) {
    const { points } = this.options
    // What it has started is found by it only while it lives.
    await this.server.children()
    points.arm(point)
    this.server.signal("SIGUSR2")
    const giveUp = new AbortController()
    const late = setTimeout(pointMs, null, { signal: giveUp.signal }).catch(() => null)
    await Promise.race([this.server.exited, late])
    giveUp.abort()
    points.disarm()
    await this.killNow()
    await this.up()
  }

  /** Killed, and the one that comes after it, too, while it starts. */
  private async killInStart(point: Point) {
    const { points, random, workMs } = this.options
    await setTimeout(random.between(0, workMs))
    await this.killNow()
    points.arm(point)
    const isDead = await this.diesInStart()
    points.disarm()
    if (!isDead) return this.connect()
    this.count(point.name)
    await this.up()
  }

  /** Starts a server. It may come up without passing the point that is armed. */
  private async diesInStart(): Promise<boolean> {
    try {
      this.server = await this.server.restart()
      return false
    } catch (error) {
      const wasHit = this.options.points.takeHit() !== null
      if (!(error instanceof ServerFailed) || !wasHit || error.exit?.signal !== "SIGKILL") throw error
      return true
    }
  }

  /** Harmless for one that has killed itself at its point meanwhile. */
  private async killNow() {
    const exit = await this.server.kill()
    const { name = "at a moment" } = this.options.points.takeHit() ?? {}
    if (exit.signal !== "SIGKILL") this.violations.push(`the server ended by itself: ${JSON.stringify(exit)}`)
    this.count(name)
    await this.client.closed
  }

  private async up() {
    this.server = await this.server.restart()
    await this.connect()
  }

  private async connect() {
    this.client = await this.server.connect()
    this.options.link.up(this.client)
  }

  // The provider

  private async killProvider(program: string) {
    const { random, workMs } = this.options
    await setTimeout(random.between(0, workMs))
    const victim = await this.victim(program)
    if (victim === null) return this.killAtMoment()
    signal(victim, "SIGKILL")
    this.count("the provider, killed")
    await setTimeout(random.between(0, workMs))
  }

  /** It stops moving without ending, as after a SIGSTOP. The user stops the sessions, or the server dies. */
  private async freezeProvider(program: string) {
    const { random, workMs } = this.options
    await setTimeout(random.between(0, workMs))
    const victim = await this.victim(program)
    if (victim === null) return this.killAtMoment()
    signal(victim, "SIGSTOP")
    this.count("the provider, frozen")
    try {
      await setTimeout(random.between(0, workMs))
      if (random.chance(0.4)) return await this.killAtMoment()
      await this.stopAll()
    } finally {
      // One that nobody needed any more may still be there.
      if (await isAlive(victim)) signal(victim, "SIGCONT")
    }
  }

  private async victim(program: string): Promise<ProcessInfo | null> {
    const [first, ...rest] = (await this.server.children()).filter(({ command }) => command.includes(program))
    return first === undefined ? null : this.options.random.pick([first, ...rest])
  }

  /** L9: a stop ends what cannot be talked to. What was open is settled within the bound. */
  private async stopAll() {
    const { settleMs, views } = this.options
    const open = views().flatMap((view) => {
      const turnIds = [...view.turns.keys()].filter((turnId) => !view.isSettled(turnId))
      return turnIds.length === 0 ? [] : [{ view, turnIds }]
    })
    const stops = open.map(async ({ view, turnIds }) => {
      const { threadId } = view
      await this.stop(threadId)
      // Not the user's own view: one that was left, or has lost its connection, hears of nothing any more.
      const seen = await openView(this.client, threadId, { tail: 500 })
      const areSettled = () => turnIds.every((turnId) => seen.isSettled(turnId))
      await seen.until(areSettled, settleMs).catch((error: Error) => {
        this.violations.push(`L9: ${threadId} was stopped, and is not settled: ${error.message}`)
      })
      await seen.close()
    })
    await Promise.all(stops)
  }

  private async stop(threadId: string) {
    try {
      await dispatch(this.client, { type: "thread.session.stop", threadId, force: true })
    } catch (error) {
      if (!(error instanceof JsonRpcError)) throw error
      this.violations.push(`${threadId}: a stop was refused: ${error.message}`)
    }
  }
}

const signal = ({ pid }: ProcessInfo, name: NodeJS.Signals) => {
  try {
    process.kill(pid, name)
  } catch {
    // It ended between the two lines.
  }
}
