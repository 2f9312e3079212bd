import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { ServerFailed, startServer } from "../src/process/Server.ts"
import type { RunningServer, ServerOptions } from "../src/process/Server.ts"
import { descendants, isAlive } from "../src/process/tree.ts"

const fixture = join(import.meta.dirname, "fixtures/server.ts")
const running: Array<RunningServer> = []
let directory = ""

const server = async (options: Partial<ServerOptions> = {}) => {
  const one = await startServer({
    directory,
    providers: [{ id: "scripted", kind: "scripted" }],
    program: [fixture],
    ...options
  })
  running.push(one)
  return one
}
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "testkit-"))
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.dispose()))
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

describe("a server process", () => {
  it("is ready when it says so, and has its address, token and configuration", async () => {
    const one = await server()
    expect(await (await fetch(one.url)).text()).toBe("here")
    expect(await one.token()).toBe("secret")
    const config = JSON.parse(await readFile(join(directory, "providers.json"), "utf8")) as unknown
    expect(config).toEqual({ providers: [{ id: "scripted", kind: "scripted" }] })
    expect(one.stderr()).toContain(`data ${one.dataDirectory}`)
  })

  it("can be killed and started again on the same data", async () => {
    const first = await server()
    await expect(first.restart()).rejects.toThrow("still runs")
    expect(await first.kill()).toEqual({ code: null, signal: "SIGKILL" })
    const second = await first.restart()
    running.push(second)
    expect(second.dataDirectory).toBe(first.dataDirectory)
    expect(second.pid).not.toBe(first.pid)
    expect((await fetch(second.url)).status).toBe(200)
  })

  it("ends in order when told to, and by force when it does not listen", async () => {
    const polite = await server()
    expect(await polite.terminate()).toEqual({ code: 0, signal: null })
    const stubborn = await server({ args: ["--ignore-term"] })
    expect(await stubborn.terminate(50)).toEqual({ code: null, signal: "SIGKILL" })
  })

  it("says with its own last words why it did not start", async () => {
    const failed = await server({ args: ["--fail"] }).catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(ServerFailed)
    expect(failed).toMatchObject({
      exit: { code: 3 },
      stderr: expect.stringContaining("I can not start") as string
    })
  })

  it("is ended when it never becomes ready", async () => {
    await expect(server({ args: ["--mute"], readyMs: 500 })).rejects.toThrow("not ready within 500 ms")
    const left = (await descendants(process.pid)).filter((one) => one.command.includes(directory))
    expect(left).toEqual([])
  })

  it("leaves no child behind, also when the server itself was killed first", async () => {
    const one = await server({ args: ["--child"] })
    const child = (await one.children()).find((process) => process.command.includes("the child"))
    expect(child).toBeDefined()
    await one.kill()
    expect(await isAlive(child!)).toBe(true)
    await one.dispose()
    expect(await isAlive(child!)).toBe(false)
  })
})
