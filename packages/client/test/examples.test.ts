/** The examples run as they stand in the documentation, against the real server. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { begin, eventually, fresh, live, patience, settled, startWorld } from "./support/world.ts"
import type { World } from "./support/world.ts"

let world: World
beforeAll(async () => {
  world = await startWorld()
}, patience.timeout)
afterEach(() => world.endTest())
afterAll(() => world.dispose())

const examples = join(import.meta.dirname, "../../../examples")

const start = (program: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) => {
  const child = spawn(program, args, {
    env: { PATH: process.env["PATH"], TURNKEEPER_HOME: world.server.dataDirectory, ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let out = ""
  const listeners = new Set<() => void>()
  const hear = (text: string) => {
    out += text
    for (const listener of listeners) listener()
  }
  child.stdout.setEncoding("utf8").on("data", hear)
  child.stderr.setEncoding("utf8").on("data", hear)
  const exited = once(child, "close")
  world.onEnd(async () => {
    child.kill("SIGKILL")
    await exited
  })
  const said = (text: string) =>
    eventually(
      {
        get: () => out,
        subscribe: (listener) => {
          listeners.add(listener)
          return () => listeners.delete(listener)
        }
      },
      (all) => all.includes(text)
    )
  const ended = async () => {
    const [code] = await exited
    return { code: code as number | null, out }
  }
  return { child, said, ended }
}

const node = (name: string, ...args: ReadonlyArray<string>) =>
  start(process.execPath, [join(examples, "node", name), ...args])
const python = (name: string, ...args: ReadonlyArray<string>) =>
  start("python3", [join(examples, "python", name), ...args])

const hasPython = spawnSync("python3", ["--version"]).status === 0

describe("the examples for Node", patience, () => {
  it("ask prints the whole answer and ends", async () => {
    const { code, out } = await node("ask.ts", "[[text:It works.]]").ended()
    expect(out).toBe("It works.\n— Done\n")
    expect(code).toBe(0)
  })

  it("watch shows each thread as it is, and ends when it is told to", async () => {
    const watch = node("watch.ts")
    const client = await world.client()
    const { thread, turnId } = await begin(client, "[[ask:git push]]")
    await watch.said("Waiting for you")
    const { requests, threadId } = thread.model.get()
    await client.answer(threadId, requests[0]!.requestId, { decision: "accept" })
    await settled(thread, turnId)
    await watch.said("Ready")
    watch.child.kill("SIGINT")
    expect(await watch.ended()).toMatchObject({ code: 0 })
  })

  it("queue keeps a message in its file while there is no server, and delivers it once", async () => {
    const client = await world.client()
    const { thread, threadId, turnId } = await begin(client, "[[text:one]]")
    await settled(thread, turnId)
    const directory = await mkdtemp(join(tmpdir(), "turnkeeper-queue-"))
    world.onEnd(() => rm(directory, { recursive: true }))
    const file = join(directory, "outbox.json")
    // Without the server its address leads nowhere; the file that names it is still there.
    await world.kill()
    const lock = JSON.stringify({ pid: 1, startTime: null, address: "http://127.0.0.1:9" })
    await writeFile(join(directory, "lock"), lock)
    await writeFile(join(directory, "token"), await world.server.token())
    const away = start(process.execPath, [join(examples, "node", "queue.ts"), file, threadId, "two"], {
      TURNKEEPER_HOME: directory
    })
    expect(await away.ended()).toMatchObject({ code: 0, out: "offline: 1 kept\n" })

    await world.restart()
    expect(await node("queue.ts", file).ended()).toMatchObject({ out: "delivered\n" })
    expect(await node("queue.ts", file).ended()).toMatchObject({ out: "delivered\n" })
    const { entries } = await fresh(world, threadId)
    const prompts = entries.filter((entry) => entry.type === "message" && entry.role === "user")
    expect(prompts.map((entry) => entry.text)).toEqual(["[[text:one]]", "two"])
  })
})

describe.skipIf(!hasPython)(
  `the example for Python${hasPython ? "" : ": python3 is missing"}`,
  patience,
  () => {
    it("prints the whole answer and ends", async () => {
      const { code, out } = await python("ask.py", "[[text:Grüße 👋 aus Python]]").ended()
      expect(out).toBe("Grüße 👋 aus Python\n— completed\n")
      expect(code).toBe(0)
    })

    it("goes on after the server was killed in mid-turn, and sends nothing twice", async () => {
      const ask = python("ask.py", "[[slow:100000]]")
      await ask.said("20")
      await world.kill()
      await world.restart()
      const { code, out } = await ask.ended()
      expect(code, out).toBe(0)
      expect(out).toMatch(/— interrupted: \S/)
      const client = await world.client()
      await live(client)
      const { threads } = await eventually(client.shell, ({ status }) => status === "live")
      expect(threads.filter((row) => row.title === "[[slow:100000]]")).toHaveLength(1)
    })

    it("says what the server refuses, by its type", async () => {
      const { code, out } = await python("ask.py", "").ended()
      expect(code).toBe(1)
      expect(out).toContain("EmptyMessage")
    })
  }
)
