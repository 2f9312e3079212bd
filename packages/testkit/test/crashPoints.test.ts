import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { readReceived } from "@turnkeeper/provider-kit/testing/record"
import { Chat } from "../src/Chat.ts"
import { directoryVariable, isOfStart, pointFilesIn, pointOf } from "../src/crash/points.ts"
import type { Point, PointFiles } from "../src/crash/points.ts"
import { makeRandom } from "../src/crash/random.ts"
import { ServerFailed, startServer } from "../src/process/Server.ts"
import type { RunningServer } from "../src/process/Server.ts"
import { openView } from "../src/View.ts"

const patienceMs = 60_000

describe("the points of a run", () => {
  it("are the same for the same seed, and each of them is drawn", () => {
    const drawn = (seed: number) => {
      const random = makeRandom(seed)
      return Array.from({ length: 400 }, () => pointOf(random))
    }
    expect(drawn(5)).toEqual(drawn(5))
    expect(drawn(6)).not.toEqual(drawn(5))
    expect(new Set(drawn(5).map(({ name }) => name)).size).toBe(12)
    expect(drawn(5).some(isOfStart)).toBe(true)
  })
})

describe("a server that is killed at a named point", () => {
  let root: string
  let record: string
  let files: PointFiles
  let server: RunningServer

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "turnkeeper-points-"))
    const points = join(root, "points")
    record = join(root, "record")
    mkdirSync(points)
    files = pointFilesIn(points)
    server = await startServer({
      directory: join(root, "server"),
      providers: [{ id: "scripted", kind: "scripted", recordDirectory: record, tickMs: 5 }],
      program: [join(import.meta.dirname, "../src/crash/armed.ts"), "serve"],
      env: { [directoryVariable]: points }
    })
  })
  afterEach(async () => {
    await server.dispose()
    rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  })

  /** A message is under way when the server kills itself at the point. */
  const dieAt = async (name: Point["name"], at = 1) => {
    const client = await server.connect()
    const chat = await Chat.open(client, { provider: "scripted", directory: root })
    files.arm({ name, at })
    server.signal("SIGUSR2")
    // A signal and a message may come in either order.
    await expect.poll(files.isWaiting, { timeout: patienceMs }).toBe(false)
    const message = chat.begin("[[slow:20]]").catch(() => null)
    expect(await server.exited).toEqual({ code: null, signal: "SIGKILL" })
    expect(files.takeHit()).toEqual({ name, at })
    files.disarm()
    return message
  }

  it.each(["before the marker of a send", "after the marker of a send"] as const)(
    "L12: %s, its message comes to the provider once all the same",
    async (name) => {
      const message = await dieAt(name)
      expect(message).not.toBeNull()
      expect(readReceived(record)).toEqual([])
      server = await server.restart()
      const view = await openView(await server.connect(), message!.threadId)
      const turn = await view.settled(message!.turnId, patienceMs)
      expect(turn).toMatchObject({ state: "completed", delivered: "delivered" })
      expect(readReceived(record).map(({ turnId }) => turnId)).toEqual([message!.turnId])
    }
  )

  it.each(["after a prompt", "in mid-stream"] as const)(
    "L12, L14: %s, its turn settles, and the message is not sent again",
    async (name) => {
      const message = await dieAt(name)
      expect(readReceived(record)).toHaveLength(1)
      server = await server.restart()
      const view = await openView(await server.connect(), message!.threadId)
      const turn = await view.settled(message!.turnId, patienceMs)
      expect(turn).toMatchObject({ delivered: "delivered" })
      expect(turn.reason ?? "").not.toBe("")
      expect(readReceived(record).map(({ turnId }) => turnId)).toEqual([message!.turnId])
    }
  )

  it("L14: while it starts and reconciles, the start after that one finishes the work", async () => {
    const message = await dieAt("after a prompt")
    const points: ReadonlyArray<Point> = [
      { name: "in start-up", at: 5 },
      { name: "before a commit of start-up", at: 1 },
      { name: "after a commit of start-up", at: 1 }
    ]
    for (const point of points) {
      files.arm(point)
      await expect(server.restart()).rejects.toBeInstanceOf(ServerFailed)
      expect(files.takeHit()).toEqual(point)
    }
    files.disarm()
    server = await server.restart()
    const view = await openView(await server.connect(), message!.threadId)
    const turn = await view.settled(message!.turnId, patienceMs)
    expect(turn).toMatchObject({ delivered: "delivered" })
    expect(readReceived(record)).toHaveLength(1)
  })
})
