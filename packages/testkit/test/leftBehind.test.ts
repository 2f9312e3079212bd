/**
 * What a killed process leaves behind, with the real server and an agent that is a process of its own, whose
 * command runs in a group of its own: the worst case of it.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Chat } from "../src/Chat.ts"
import { endProcess, gone } from "../src/process/tree.ts"
import type { ProcessInfo } from "../src/process/tree.ts"
import { startServer } from "../src/process/Server.ts"
import type { RunningServer } from "../src/process/Server.ts"
import { openView } from "../src/View.ts"
import type { View } from "../src/View.ts"

const program = join(import.meta.dirname, "../../provider-acp/test/fixtures/agent.ts")
/** By its number it is told from every other command of this machine. */
const command = `sleep ${80_000 + (process.pid % 9_000)}`
/** So that what was waited for is told before the test is ended for its time. */
const waitMs = 18_000

let root = ""
let server: RunningServer
let left: ReadonlyArray<ProcessInfo> = []

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "turnkeeper-left-behind-"))
  const env = { ACP_DIRECTORY: join(root, "agent") }
  const agent = { id: "acp", kind: "acp", command: process.execPath, args: [program], env } as const
  server = await startServer({ directory: join(root, "server"), providers: [agent] })
})
afterEach(async () => {
  await server.dispose()
  await Promise.all(left.map(endProcess))
  await rm(root, { recursive: true, force: true, maxRetries: 5 })
})

interface AtWork {
  readonly view: View
  readonly turnId: string
  readonly agent: ProcessInfo
  readonly running: ProcessInfo
}

/** An agent that was only asked what it can do looks the same: the one that runs the command is above it. */
const above = (one: ProcessInfo | undefined): ReadonlyArray<ProcessInfo> => {
  const parent = left.find(({ pid }) => pid === one?.parent)
  return parent === undefined ? [] : [parent, ...above(parent)]
}

/** A turn whose command runs. */
const atWork = async (): Promise<AtWork> => {
  const client = await server.connect()
  const chat = await Chat.open(client, { provider: "acp", directory: root, runtimeMode: "full_access" })
  const { threadId, turnId } = await chat.begin(`[[shell:${command}]]`)
  const view = await openView(client, threadId)
  for (const until = performance.now() + waitMs; performance.now() < until; await setTimeout(20)) {
    left = await server.children()
    const running = left.find((one) => one.command.startsWith("sleep ") && one.command.endsWith(command))
    const agent = above(running).find((one) => one.command.includes(program))
    if (agent !== undefined && running !== undefined) {
      // Else the server may not have read yet that the agent took the message.
      await view.until((seen) => seen.turn(turnId)?.state === "running", waitMs)
      return { view, turnId, agent, running }
    }
  }
  throw new Error(`Its command does not run: ${JSON.stringify(left)} ${server.stderr()}`)
}

describe("the commands of a process that was killed", () => {
  it("B14: those of an agent end with it, and its turn says that it is over", async () => {
    const { agent, running, turnId, view } = await atWork()
    process.kill(agent.pid, "SIGKILL")
    await gone(running, waitMs)
    await view.until((seen) => seen.turn(turnId)?.state === "error", waitMs)
    expect(view.session.status).toBe("error")
  })

  it("B14: those of a server end when the next one starts", async () => {
    const { agent, running } = await atWork()
    await server.kill()
    server = await server.restart()
    await gone(agent, waitMs)
    await gone(running, waitMs)
  })

  it("B14: those of a session end when it is stopped", async () => {
    const { agent, running, view } = await atWork()
    const client = await server.connect()
    const stop = { type: "thread.session.stop", commandId: "stop", threadId: view.threadId }
    await client.call("orchestration.dispatch", { command: stop })
    await gone(running, waitMs)
    await gone(agent, waitMs)
    await client.close()
  })
})
